"""Random inputs that look to the network like what it was trained on, in shape and in scale.

Far too large or too small numbers would saturate the network, and saturated networks agree however
they differ. What the files tell of an input is taken from the first of these that is there:

1. a `transform_param` of a layer that makes this input, in a file that has the training's data
   layers too: pixels 0 to 255, evenly distributed, less the mean and times the scale;
2. a BatchNorm that reads the input: its own mean and spread, channel by channel;
3. a Convolution or InnerProduct that reads it, read by a BatchNorm: the mean and spread of an
   input with which that BatchNorm would see the mean and spread that it has stored;
4. nothing: mean 0, spread 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from bnfold.aliases import Array, ArrayShape, Vector
from bnfold.errors import BnfoldError
from bnfold.graph import AffineForm, Layer, Layout, Net, Value
from bnfold.prototxt import Message

_PIXEL = 255.0


@dataclass(frozen=True)
class Range:
    """What the values of an input are drawn from.

    Attributes:
        mean: for each channel, or one for all.
        spread: the standard deviation; for an even distribution half its width.
        source: where this was read, in a few words.
        even: evenly distributed between mean - spread and mean + spread, and not normally.
        integers: whole numbers from 0 up to and without this; 0 for real numbers.
    """

    mean: Vector
    spread: Vector
    source: str
    even: bool = False
    integers: int = 0

    def draw(self, rng: np.random.Generator, shape: ArrayShape) -> Array:
        """Draw float32 values of a shape; channels are its second axis."""
        if self.integers:
            return rng.integers(0, self.integers, shape).astype(np.float32)
        values = rng.uniform(-1, 1, shape) if self.even else rng.standard_normal(shape)
        across = (1, -1) + (1,) * max(0, len(shape) - 2)
        if len(shape) < 2:
            across = (1,) * len(shape)
        mean, spread = self.mean.reshape(across), self.spread.reshape(across)
        return (mean + spread * values).astype(np.float32)

    @property
    def deviation(self) -> float:
        """The standard deviation, over all channels."""
        spread = float(np.sqrt((self.spread**2).mean()))
        # Of an even distribution of half width w it is w / sqrt(3).
        return spread / math.sqrt(3) if self.even else spread

    def __str__(self) -> str:
        if self.integers:
            return f"whole numbers below {self.integers} ({self.source})"
        mean, spread = float(self.mean.mean()), float(self.spread.mean())
        kind = "evenly" if self.even else "normally"
        return f"{kind} distributed, {mean:.3g} ± {spread:.3g} ({self.source})"


class RandomInputs:
    """Batches of random inputs; going through them again gives the same ones.

    Args:
        net: the original network, with its weights.
        shapes: the inputs and their shapes, as an engine knows them.
        count: how many images at least; whole batches of the file's own size are drawn.
        seed: the seed.

    Attributes:
        ranges: what each input is drawn from.
        batch: the number of images in a batch.
        runs: the number of batches.
        images: the number of images in them.

    Raises:
        BnfoldError: an input has no shape in the file.
    """

    def __init__(self, net: Net, shapes: Mapping[str, ArrayShape], count: int, seed: int) -> None:
        for name, shape in shapes.items():
            if not shape:
                raise BnfoldError(
                    f"input '{name}': the prototxt gives it no shape; add one (input_param, or "
                    "input_dim), or check with images"
                )
        self._shapes = dict(shapes)
        self._seed = seed
        values = _input_values(net)
        self.ranges = {name: _range(net, values.get(name), shape) for name, shape in shapes.items()}
        self.batch = max(1, next((shape[0] for shape in shapes.values()), 1))
        self.runs = math.ceil(count / self.batch)
        self.images = self.runs * self.batch

    def __iter__(self) -> Iterator[dict[str, Array]]:
        rng = np.random.default_rng(self._seed)
        for _ in range(self.runs):
            feeds = {n: self.ranges[n].draw(rng, shape) for n, shape in self._shapes.items()}
            self._say_sizes(feeds)
            yield feeds

    def __str__(self) -> str:
        what = "; ".join(f"{name} {value}" for name, value in self.ranges.items())
        return f"{self.images} random inputs, seed {self._seed}: {what}"

    def _say_sizes(self, feeds: dict[str, Array]) -> None:
        # Faster R-CNN and its relatives: height, width and scale of each image.
        image = next((shape for shape in self._shapes.values() if len(shape) == 4), None)
        info = self._shapes.get("im_info")
        if image and info and math.prod(info) % 3 == 0:
            feeds["im_info"] = np.resize(np.array([*image[2:], 1], np.float32), info)


def told_range(net: Net, name: str, channels: int) -> Range | None:
    """What the files tell of the values that an input was trained on; None if they tell nothing.

    Args:
        net: the network, with its weights.
        name: the input.
        channels: how many channels it has.
    """
    return _told(net, _input_values(net).get(name), channels)


def _input_values(net: Net) -> dict[str, Value]:
    tops = [value for layer in net.layers if layer.kind.is_input for value in layer.tops]
    return {value.name: value for value in [*net.inputs, *tops]}


def _range(net: Net, value: Value | None, shape: ArrayShape) -> Range:
    found = _told(net, value, shape[1] if len(shape) > 1 else 1)
    return found or Range(np.zeros(1), np.ones(1), "the files tell no range")


def _told(net: Net, value: Value | None, channels: int) -> Range | None:
    found = None
    if value is not None:
        found = _transformed(net, value.name, channels)
        for reader in value.readers:
            found = found or _embedded(reader) or _normalised(reader, channels)
        for reader in value.readers:
            found = found or _before_batch_norm(reader, channels)
    return found


def _transformed(net: Net, name: str, channels: int) -> Range | None:
    """What a data layer that is left in the file does to pixels.

    Source: BVLC caffe, src/caffe/data_transformer.cpp: `(pixel - mean) * scale`.
    """
    for layer in net.outside:
        tops = layer.text.all("top")
        param = layer.text.get("transform_param")
        if param is None or not tops or tops[0].string() != name:
            continue
        text = param.message()
        means = np.array([field.floating() for field in text.all("mean_value")])
        if text.get("mean_file"):
            means = np.array([_PIXEL / 2])
        if means.size not in (0, 1, channels):
            continue
        scale = _number(text, "scale", 1.0)
        middle = (_PIXEL / 2 - (means if means.size else np.zeros(1))) * scale
        half = np.array([_PIXEL / 2 * abs(scale)])
        return Range(middle, half, f"transform_param, line {param.line}", even=True)
    return None


def _number(text: Message, name: str, default: float) -> float:
    field = text.get(name)
    return default if field is None else field.floating()


def _embedded(layer: Layer) -> Range | None:
    if layer.type != "Embed" or layer.record is None or not layer.record.blobs:
        return None
    return Range(
        np.zeros(1), np.ones(1), f"Embed '{layer.name}'", integers=layer.record.blobs[0].shape[0]
    )


def _normalised(layer: Layer, channels: int) -> Range | None:
    statistics = _statistics(layer)
    if statistics is None or statistics[0].size != channels:
        return None
    return Range(
        statistics[0], np.sqrt(statistics[1]), f"the statistics of BatchNorm '{layer.name}'"
    )


def _before_batch_norm(layer: Layer, channels: int) -> Range | None:
    """The input with which the BatchNorm that reads a layer would see what it has stored.

    With weights w, summed over the kernel, the mean m of a channel is `sum(w) * mean + bias`, and
    its variance, for values that are independent, `sum(w**2) * spread**2`.
    """
    if layer.kind.layout not in (Layout.CONVOLUTION, Layout.INNER_PRODUCT) or len(layer.tops) != 1:
        return None
    record = layer.record
    readers = layer.tops[0].readers
    statistics = _statistics(readers[0]) if len(readers) == 1 else None
    if record is None or not record.blobs or statistics is None:
        return None
    mean, variance = statistics
    weight = np.asarray(record.blobs[0].array(), np.float64)
    if weight.ndim < 2 or weight.shape[0] != mean.size or weight.size % (mean.size * channels):
        return None
    if layer.kind.layout is Layout.CONVOLUTION and weight.shape[1] != channels:
        return None
    taps = weight.reshape(mean.size, channels, -1)
    bias = np.zeros(1)
    if len(record.blobs) > 1 and record.blobs[1].size == mean.size:
        bias = record.blobs[1].read().astype(np.float64)
    with np.errstate(all="ignore"):
        spread = math.sqrt(float(np.nanmedian(variance / (taps**2).sum((1, 2)))))
        means, *_ = np.linalg.lstsq(taps.sum(2), mean - bias, rcond=1e-2)
        left = mean - bias - taps.sum(2) @ means
    if not (math.isfinite(spread) and spread > 0 and np.isfinite(means).all()):
        return None
    # A mean that explains little of what was stored is made of noise.
    if (left @ left) > 0.5 * ((mean - bias) @ (mean - bias)):
        means = np.zeros(1)
    source = f"the statistics of BatchNorm '{readers[0].name}' after '{layer.name}'"
    return Range(means, np.array([spread]), source)


def _statistics(layer: Layer) -> tuple[Vector, Vector] | None:
    """Mean and variance that a BatchNorm has stored (BVLC caffe, batch_norm_layer.cpp)."""
    if (
        layer.kind.affine is not AffineForm.BATCH_NORM
        or layer.record is None
        or len(layer.record.blobs) < 3
    ):
        return None
    mean, variance, factor = (blob.read().astype(np.float64) for blob in layer.record.blobs[:3])
    if factor.size != 1 or not factor[0] or mean.size != variance.size:
        return None
    mean, variance = mean / factor[0], variance / factor[0]
    usable = np.isfinite(mean).all() and np.isfinite(variance).all() and (variance >= 0).all()
    return (mean, variance) if usable and variance.any() else None
