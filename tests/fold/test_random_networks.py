"""Networks that hypothesis draws: whatever folds, Caffe computes the same before and after."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
from folding import feeds_for, merge_files, merge_model
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from models import Model

EXAMPLES = int(os.environ.get("BNFOLD_EXAMPLES", "40"))

AFFINES = [
    "BatchNorm",
    "BatchNorm",
    "Scale",
    "Scale",
    "positive",
    "factor",
    "scalar",
    "Bias",
    "Power",
]
OTHERS = [
    *("conv", "conv", "conv", "deconv", "inner", "pool", "pool", "relu", "relu", "prelu"),
    *("dropout", "flatten", "reshape", "concat", "concat", "eltwise", "eltwise", "tanh", "split"),
    *("siamese", "one"),
]


class Drawing:
    """A network that grows by drawn layers; `shapes` holds what can be read, the newest last."""

    def __init__(self, draw) -> None:
        self.draw = draw
        self.net = Model(seed=draw(st.integers(0, 1 << 16))).input("data", (2, 4, 9, 8))
        self.shapes = {"data": (4, 9, 8)}
        self.read: set[str] = set()
        self.count = 0

    def name(self, kind: str) -> str:
        self.count += 1
        return f"{kind}{self.count}"

    def pick(self, fits=lambda shape: True) -> str | None:
        """A value, one of the newest most often."""
        names = [name for name, shape in self.shapes.items() if fits(shape)]
        if not names:
            return None
        return names[-1 - min(len(names) - 1, self.draw(st.sampled_from([0, 0, 0, 0, 1, 2, 5])))]

    def top(self, bottom: str, name: str) -> str:
        """In place or not; Caffe splits what has several readers, and in place is none of them."""
        if bottom not in self.read and self.draw(st.booleans()):
            del self.shapes[bottom]
            return bottom
        self.read.add(bottom)
        return name

    def put(self, name: str, shape: tuple[int, ...]) -> None:
        self.shapes[name] = shape
        self.net.channels[name] = shape[0]

    def affine(self, kind: str) -> None:
        bottom, name = self.pick(), self.name("affine")
        shape, draw, net = self.shapes[bottom], self.draw, self.net
        top = self.top(bottom, name)
        if kind == "BatchNorm":
            eps, factor = draw(st.sampled_from([None, 0.1])), draw(st.sampled_from([1.0, 999.982]))
            net.batch_norm(name, bottom, top, eps=eps, factor=factor)
        elif kind in ("Scale", "positive", "factor"):
            axis = draw(st.sampled_from(["", f"axis: -{len(shape)}"]))
            positive = kind != "Scale"
            net.scale(name, bottom, top, bias=kind != "factor", positive=positive, words=axis)
        elif kind == "scalar":
            words = f'bottom: "{bottom}" top: "{top}" scale_param {{ num_axes: 0 }}'
            net.layer(f'name: "{name}" type: "Scale" {words}', name, [np.array(-0.7)])
        elif kind == "Bias":
            words = f'bottom: "{bottom}" top: "{top}"'
            net.layer(
                f'name: "{name}" type: "Bias" {words}', name, [net.rng.normal(0, 1, shape[0])]
            )
        else:
            words = draw(st.sampled_from(["scale: 0.5 shift: 1", "scale: -2", "", "power: 2"]))
            net.plain("Power", name, bottom, top, f"power_param {{ {words} }}")
        self.put(top, shape)

    def other(self, kind: str) -> None:
        getattr(self, kind)()

    def windows(self, shape) -> tuple[str, tuple[int, int], tuple[int, int]]:
        """A kernel with its stride, padding and dilation that fits, and what it leaves."""
        draw = self.draw
        kernel = tuple(draw(st.integers(1, min(3, n))) for n in shape[1:])
        pad, stride = (draw(st.integers(0, 1)) if min(kernel) > 1 else 0), draw(st.integers(1, 2))
        fits = all(2 * (k - 1) + 1 <= n for k, n in zip(kernel, shape[1:], strict=True))
        dilation = draw(st.integers(1, 2)) if fits else 1
        left = tuple(
            (n + 2 * pad - dilation * (k - 1) - 1) // stride + 1
            for k, n in zip(kernel, shape[1:], strict=True)
        )
        words = f"kernel_h: {kernel[0]} kernel_w: {kernel[1]} pad: {pad} stride: {stride}"
        return f"{words} dilation: {dilation}", kernel, left

    def conv(self) -> None:
        bottom = self.pick(lambda shape: len(shape) == 3)
        if bottom is None:
            return
        name, shape = self.name("conv"), self.shapes[bottom]
        words, kernel, left = self.windows(shape)
        groups = [g for g in (1, 1, 2, shape[0]) if shape[0] % g == 0]
        group = self.draw(st.sampled_from(groups))
        outputs = group * self.draw(st.integers(1, 2)) if group > 1 else 4
        bias = self.draw(st.booleans())
        self.net.conv(name, bottom, outputs, words, spatial=kernel, group=group, bias=bias)
        self.read.add(bottom)
        self.put(name, (outputs, *left))

    def deconv(self) -> None:
        bottom = self.pick(lambda shape: len(shape) == 3 and shape[1] < 10)
        if bottom is None:
            return
        name, shape = self.name("deconv"), self.shapes[bottom]
        group = 2 if shape[0] % 2 == 0 and self.draw(st.booleans()) else 1
        kernel, stride = self.draw(st.sampled_from([(1, 1), (2, 2), (3, 1)]))
        words = {"words": f"stride: {stride}", "group": group, "bias": self.draw(st.booleans())}
        self.net.conv(name, bottom, 4, kernel, kind="Deconvolution", **words)
        self.read.add(bottom)
        self.put(name, (4, *(stride * (n - 1) + kernel for n in shape[1:])))

    def inner(self) -> None:
        bottom = self.pick()
        name, shape = self.name("inner"), self.shapes[bottom]
        transpose, bias = self.draw(st.booleans()), self.draw(st.booleans())
        inputs = int(np.prod(shape))
        self.net.inner_product(name, bottom, 4, inputs, transpose=transpose, bias=bias)
        self.read.add(bottom)
        self.put(name, (4,))

    def pool(self) -> None:
        bottom = self.pick(lambda shape: len(shape) == 3 and min(shape[1:]) > 2)
        if bottom is None:
            return
        name, shape = self.name("pool"), self.shapes[bottom]
        method = self.draw(st.sampled_from(["MAX", "AVE"]))
        if self.draw(st.integers(0, 3)) == 0:
            words, left = "global_pooling: true", (1, 1)
        else:
            pad = self.draw(st.integers(0, 1))
            words = f"kernel_size: 3 stride: 2 pad: {pad}"
            left = tuple(self.pooled(n, pad) for n in shape[1:])
        words = f"pooling_param {{ pool: {method} {words} }}"
        self.net.plain("Pooling", name, bottom, words=words)
        self.read.add(bottom)
        self.put(name, (shape[0], *left))

    def pooled(self, length: int, pad: int) -> int:
        count = -(-(length + 2 * pad - 3) // 2) + 1
        return count - (pad > 0 and (count - 1) * 2 >= length + pad)

    def pointwise(self, kind: str, words: str = "", blobs=()) -> None:
        bottom = self.pick()
        name, shape = self.name(kind.lower()), self.shapes[bottom]
        top = self.top(bottom, name)
        read = f'bottom: "{bottom}" top: "{top}"'
        drawn = [self.net.rng.uniform(-0.5, 0.5, shape[0]) for _ in blobs]
        self.net.layer(f'name: "{name}" type: "{kind}" {read} {words}', name, drawn)
        self.put(top, shape)

    def relu(self) -> None:
        slope = self.draw(st.sampled_from(["", "relu_param { negative_slope: 0.2 }"]))
        self.pointwise("ReLU", slope)

    def prelu(self) -> None:
        self.pointwise("PReLU", blobs="s")

    def dropout(self) -> None:
        self.pointwise("Dropout")

    def tanh(self) -> None:
        self.pointwise("TanH")

    def one(self) -> None:
        bottom, name = self.pick(), self.name("one")
        self.net.plain("Concat", name, bottom)
        self.read.add(bottom)
        self.put(name, self.shapes[bottom])

    def flatten(self) -> None:
        self.reshaped("Flatten", "")

    def reshape(self) -> None:
        dims = self.draw(st.sampled_from(["dim: 0 dim: -1", "dim: 0 dim: 0 dim: -1 dim: 1"]))
        self.reshaped("Reshape", f"reshape_param {{ shape {{ {dims} }} }}")

    def reshaped(self, kind: str, words: str) -> None:
        bottom = self.pick(lambda shape: len(shape) == 3)
        if bottom is None:
            return
        name, shape = self.name(kind.lower()), self.shapes[bottom]
        self.net.plain(kind, name, bottom, words=words)
        self.read.add(bottom)
        flat = (int(np.prod(shape)),)
        self.put(name, (shape[0], shape[1] * shape[2], 1) if "dim: 1 }" in words else flat)

    def concat(self) -> None:
        first = self.pick()
        axis = self.draw(st.sampled_from([1, 1, 1, 2]))
        shape = self.shapes[first]
        if len(shape) == 1:
            axis = 1
        mate = self.pick(
            lambda other: (
                len(other) == len(shape)
                and all(
                    a == b
                    for i, (a, b) in enumerate(zip(shape, other, strict=True))
                    if i != axis - 1
                )
            )
        )
        name = self.name("concat")
        self.net.plain("Concat", name, f"{first} {mate}", words=f"concat_param {{ axis: {axis} }}")
        self.read |= {first, mate}
        joined = list(shape)
        joined[axis - 1] += self.shapes[mate][axis - 1]
        self.put(name, tuple(joined))

    def eltwise(self) -> None:
        first = self.pick()
        mate = self.pick(lambda shape: shape == self.shapes[first])
        words = self.draw(
            st.sampled_from(
                [
                    "",
                    "operation: MAX",
                    "operation: PROD",
                    "coeff: 0.5 coeff: -1",
                    "coeff: 0 coeff: 2",
                ]
            )
        )
        name = self.name("eltwise")
        self.net.plain("Eltwise", name, f"{first} {mate}", words=f"eltwise_param {{ {words} }}")
        self.read |= {first, mate}
        self.put(name, self.shapes[first])

    def split(self) -> None:
        bottom, name = self.pick(), self.name("split")
        tops = [f"{name}/{side}" for side in "ab"][: self.draw(st.integers(1, 2))]
        written = " ".join(f'top: "{top}"' for top in tops)
        self.net.layer(f'name: "{name}" type: "Split" bottom: "{bottom}" {written}')
        self.read.add(bottom)
        for top in tops:
            self.put(top, self.shapes[bottom])

    def siamese(self) -> None:
        """Two convolutions of one weight, with batch norms that are the same or are not."""
        left = self.pick(lambda shape: len(shape) == 3)
        if left is None:
            return
        right = self.pick(lambda shape: shape == self.shapes[left])
        name, shape, same = self.name("siamese"), self.shapes[left], self.draw(st.booleans())
        net = self.net
        for side, bottom in (("l", left), ("r", right)):
            outer = f'param {{ name: "{name}" }}'
            net.conv(f"{name}{side}", bottom, 3, 1, outer=outer, bias=False)
            self.read.add(bottom)
            if self.draw(st.integers(0, 3)):
                net.batch_norm(f"{name}bn{side}", f"{name}{side}")
            self.put(f"{name}{side}", (3, *shape[1:]))
        records = {record.name: record for record in net.net.layer}
        pairs = [(f"{name}l", f"{name}r"), (f"{name}bnl", f"{name}bnr")][: 1 + same]
        for one, other in pairs:
            if one in records and other in records:
                blobs = records[one].blobs
                del records[other].blobs[:]
                records[other].blobs.extend(blobs)


@st.composite
def networks(draw):
    drawing = Drawing(draw)
    kinds = st.sampled_from([*AFFINES, *AFFINES, *OTHERS])
    drawing.conv()
    for kind in draw(st.lists(kinds, min_size=2, max_size=14)):
        if kind in AFFINES:
            drawing.affine(kind)
        else:
            drawing.other(kind)
    return drawing.net


def assert_same_numbers(runtime, merged, tolerance=2e-3) -> None:
    """As assert_same_function, but a drawn output may be all zeros, and numbers may grow."""
    with runtime.load(*merged.before) as before, runtime.load(*merged.after) as after:
        feeds = feeds_for(before.inputs)
        old, new = before.run(feeds), after.run(feeds)
    assert set(old) == set(new)
    for name, array in old.items():
        assert array.shape == new[name].shape
        assert np.isfinite(array).all()
        difference = np.abs(array - new[name]).max()
        assert difference <= tolerance * max(1e-2, np.abs(array).max()), name


@settings(
    max_examples=EXAMPLES,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(net=networks())
def test_random_networks_keep_their_function(net, pycaffe):
    note(net.text)
    with tempfile.TemporaryDirectory() as folder:
        merged = merge_model(Path(folder), net)
        note(merged.text)
        assert '"BatchNorm"' not in merged.text
        assert_same_numbers(pycaffe, merged)
        again = merge_files(*merged.after)
        for once, twice in zip(merged.after, again.after, strict=True):
            assert once.read_bytes() == twice.read_bytes()
