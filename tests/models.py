"""Small networks built in code: a prototxt and its weights, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bnfold.caffemodel import schema


def blob(values, kind: str = "float"):
    """A BlobProto in one of the forms that files use."""
    values = np.asarray(values)
    proto = schema.message("BlobProto")()
    if kind == "legacy":
        n, c, h, w = (1,) * (4 - values.ndim) + values.shape
        proto.num, proto.channels, proto.height, proto.width = n, c, h, w
    else:
        proto.shape.dim.extend(values.shape)
    if kind == "double":
        proto.double_data.extend(values.ravel().tolist())
    elif kind in ("half", "raw_float"):
        proto.raw_data_type = 2 if kind == "half" else 1
        proto.raw_data = values.astype("<f2" if kind == "half" else "<f4").tobytes()
    else:
        proto.data.extend(values.astype(np.float32).ravel().tolist())
    return proto


class Model:
    """A network that grows layer by layer; weights are drawn so that a wrong fold shows.

    Means, variances, scales and signs all differ from channel to channel, and the
    moving-average factor is not 1.
    """

    def __init__(self, seed: int = 0, storage: str = "float", v1: bool = False) -> None:
        self.rng = np.random.default_rng(seed)
        self.texts: list[str] = ['name: "built in a test"\n']
        self.channels: dict[str, int] = {}
        self.storage = storage
        self.v1 = v1
        self.net = schema.message("NetParameter")(name="built in a test")

    def input(self, name: str, shape: Sequence[int]) -> Model:
        dims = " ".join(f"dim: {d}" for d in shape)
        if self.v1:
            dims = " ".join(f"input_dim: {d}" for d in shape)
            self.texts.append(f'input: "{name}" {dims}\n')
        else:
            shape_words = f"input_param {{ shape {{ {dims} }} }}"
            self.layer(f'name: "{name}" type: "Input" top: "{name}" {shape_words}')
        self.channels[name] = shape[1]
        return self

    def layer(self, body: str, name: str = "", blobs: Sequence[np.ndarray] = ()) -> Model:
        """A layer from its own words; with `blobs`, it gets a record of that name."""
        self.texts.append(f"{'layers' if self.v1 else 'layer'} {{\n  {body}\n}}\n")
        if len(blobs):
            record = self.net.layers.add() if self.v1 else self.net.layer.add()
            record.name = name
            record.blobs.extend(blob(b, self.storage) for b in blobs)
        return self

    def conv(
        self,
        name: str,
        bottom: str,
        outputs: int,
        kernel: int | str = 3,
        *,
        top: str | None = None,
        bias: bool = True,
        group: int = 1,
        words: str = "",
        outer: str = "",
        kind: str = "Convolution",
        spatial: tuple[int, ...] | None = None,
    ) -> Model:
        """A convolution; `kernel` may be the words that say it, with `spatial` its shape."""
        top = top or name
        if isinstance(kernel, int):
            spatial = spatial or (kernel, kernel)
            kernel = f"kernel_size: {kernel}"
        assert spatial is not None
        inputs = self.channels[bottom]
        shape = (outputs, inputs // group, *spatial)
        if kind == "Deconvolution":
            shape = (inputs, outputs // group, *spatial)
        weight = self.rng.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape)
        blobs = [weight, self.rng.normal(0, 0.3, outputs)][: 1 + bias]
        self.channels[top] = outputs
        word = "CONVOLUTION" if self.v1 else f'"{kind}"'
        grouped = f" group: {group}" if group != 1 else ""
        biased = "" if bias else " bias_term: false"
        return self.layer(
            f'name: "{name}" type: {word} bottom: "{bottom}" top: "{top}" {outer}\n'
            f"  convolution_param {{ num_output: {outputs}{biased} {kernel}{grouped} {words} }}",
            name,
            blobs,
        )

    def inner_product(
        self,
        name: str,
        bottom: str,
        outputs: int,
        inputs: int,
        *,
        top: str | None = None,
        bias: bool = True,
        transpose: bool = False,
        words: str = "",
        outer: str = "",
    ) -> Model:
        top = top or name
        weight = self.rng.normal(0, 1 / np.sqrt(inputs), (outputs, inputs))
        blobs = [weight.T if transpose else weight, self.rng.normal(0, 0.3, outputs)][: 1 + bias]
        self.channels[top] = outputs
        biased = "" if bias else " bias_term: false"
        turned = " transpose: true" if transpose else ""
        word = "INNER_PRODUCT" if self.v1 else '"InnerProduct"'
        return self.layer(
            f'name: "{name}" type: {word} bottom: "{bottom}" top: "{top}" {outer}\n'
            f"  inner_product_param {{ num_output: {outputs}{biased}{turned} {words} }}",
            name,
            blobs,
        )

    def batch_norm(
        self,
        name: str,
        bottom: str,
        top: str | None = None,
        *,
        eps: float | None = None,
        factor: float = 999.982,
        words: str = "",
        outer: str = "",
    ) -> Model:
        """A BatchNorm, in place unless `top` is given."""
        top = top or bottom
        channels = self.channels[top] = self.channels[bottom]
        mean = self.rng.normal(0, 0.5, channels)
        variance = self.rng.uniform(0.01, 1.5, channels)
        written = "" if eps is None else f"eps: {eps!r}"
        return self.layer(
            f'name: "{name}" type: "BatchNorm" bottom: "{bottom}" top: "{top}" {outer}\n'
            f"  batch_norm_param {{ {written} {words} }}",
            name,
            # With a factor of 0 Caffe takes the statistics as 0, whatever is stored.
            [mean * (factor or 1), variance * (factor or 1), np.array([factor])],
        )

    def scale(
        self,
        name: str,
        bottom: str,
        top: str | None = None,
        *,
        bias: bool = True,
        positive: bool = False,
        words: str = "",
        outer: str = "",
    ) -> Model:
        """A Scale, in place unless `top` is given; `positive` keeps its factors above zero."""
        top = top or bottom
        channels = self.channels[top] = self.channels[bottom]
        signs = self.rng.choice([1, 1, -1], channels)
        scale = self.rng.uniform(0.5, 1.5, channels) * (1 if positive else signs)
        if not positive:
            scale[-1] = -abs(scale[-1])
        blobs = [scale, self.rng.normal(0, 0.4, channels)][: 1 + bias]
        biased = "bias_term: true" if bias else ""
        return self.layer(
            f'name: "{name}" type: "Scale" bottom: "{bottom}" top: "{top}" {outer}\n'
            f"  scale_param {{ {biased} {words} }}",
            name,
            blobs,
        )

    def relu(self, name: str, bottom: str, top: str | None = None) -> Model:
        top = top or bottom
        self.channels[top] = self.channels[bottom]
        kind = "RELU" if self.v1 else '"ReLU"'
        return self.layer(f'name: "{name}" type: {kind} bottom: "{bottom}" top: "{top}"')

    def plain(
        self, kind: str, name: str, bottoms: str, top: str | None = None, words: str = ""
    ) -> Model:
        """A layer without weights, whose top has the channels of its first bottom.

        `bottoms` are names with blanks between them; the top is named like the layer.
        """
        first, *_ = names = bottoms.split()
        top = top or name
        self.channels[top] = self.channels[first]
        read = " ".join(f'bottom: "{bottom}"' for bottom in names)
        return self.layer(f'name: "{name}" type: "{kind}" {read} top: "{top}" {words}')

    def concat(self, name: str, bottoms: str, words: str = "") -> Model:
        """A Concat on channels, unless `words` say otherwise."""
        self.plain("Concat", name, bottoms, words=words)
        self.channels[name] = sum(self.channels[bottom] for bottom in bottoms.split())
        return self

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def save(self, folder: Path, stem: str = "net") -> tuple[Path, Path]:
        """Write both files; gives their paths."""
        model, weights = folder / f"{stem}.prototxt", folder / f"{stem}.caffemodel"
        model.write_text(self.text)
        weights.write_bytes(self.net.SerializeToString())
        return model, weights
