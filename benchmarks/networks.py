"""Networks of the size people ship, with random weights, for the benchmarks.

Values neither vanish nor overflow on their way through them: outputs can be compared, and no time
goes to numbers too small for the processor's fast path. This file imports no numpy, since the
memory of commands is measured from processes that import it (see merge.py).
"""

from __future__ import annotations

import os
import random
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import prod, sqrt
from pathlib import Path
from typing import BinaryIO, NamedTuple


class Blob(NamedTuple):
    """The shape of a blob, the range of its values, and how many zeros it ends with."""

    shape: tuple[int, ...]
    low: float = -0.1
    high: float = 0.1
    zeros: int = 0


@dataclass
class Network:
    """A network under construction: the words of its prototxt, and its blobs' shapes by layer."""

    texts: list[str]
    channels: int = 3
    bottom: str = "data"
    blobs: dict[str, list[Blob]] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str) -> Network:
        """A network with an image as its input."""
        shape = "shape: { dim: 1 dim: 3 dim: 224 dim: 224 }"
        return cls([f'name: "{name}"\n', *_block("data", "Input", "", "data", "input", shape)])

    def layer(self, name: str, kind: str, top: str, param: str = "", words: str = "") -> None:
        """Add a layer behind the last one, without blobs; in place if `top` is its bottom."""
        self.texts += _block(name, kind, f'  bottom: "{self.bottom}"\n', top, param, words)
        self.bottom = top

    def conv(
        self, name: str, outputs: int, kernel: int, words: str = "", *, bias: bool = True
    ) -> None:
        """Add a convolution."""
        words += "" if bias else " bias_term: false"
        words = f"num_output: {outputs} kernel_size: {kernel} {words}"
        self.layer(name, "Convolution", name, "convolution", words)
        weight = _weight(outputs, self.channels, kernel, kernel)
        self.blobs[name] = [weight, Blob((outputs,))] if bias else [weight]
        self.channels = outputs

    def norm(self, name: str, *, relu: bool = True) -> None:
        """Add batch normalisation, in place, named after `name`."""
        here = self.bottom
        self.layer(f"bn{name}", "BatchNorm", here, "batch_norm", "use_global_stats: true")
        self.layer(f"scale{name}", "Scale", here, "scale", "bias_term: true")
        each = (self.channels,)
        self.blobs[f"bn{name}"] = [Blob(each), Blob(each, 0.5, 1.5), Blob((1,), 1, 1)]
        self.blobs[f"scale{name}"] = [Blob(each, 0.5, 1), Blob(each)]
        if relu:
            self.layer(f"relu{name}", "ReLU", here)

    def inner_product(self, name: str, outputs: int, inputs: int) -> None:
        """Add a plain inner product."""
        self.layer(name, "InnerProduct", name, "inner_product", f"num_output: {outputs}")
        self.blobs[name] = [_weight(outputs, inputs), Blob((outputs,))]

    def save(self, folder: Path, stem: str) -> tuple[Path, Path]:
        """Write both files and wait until they are on the disk; return their paths."""
        model, weights = folder / f"{stem}.prototxt", folder / f"{stem}.caffemodel"
        model.write_text("".join(self.texts))
        pools = Pools()
        with weights.open("wb") as file:
            for layer, blobs in self.blobs.items():
                _write_record(file, layer, blobs, pools)
            file.flush()
            os.fsync(file.fileno())
        return model, weights


def resnet50() -> Network:
    """ResNet-50 as its authors published it for Caffe (KaimingHe/deep-residual-networks)."""
    net = Network.of("ResNet-50")
    net.conv("conv1", 64, 7, "pad: 3 stride: 2")
    net.norm("_conv1")
    net.layer("pool1", "Pooling", "pool1", "pooling", "kernel_size: 3 stride: 2 pool: MAX")
    for stage, (width, units) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3)), 2):
        for unit in range(units):
            _residual(net, f"{stage}{chr(ord('a') + unit)}", width, stage, unit)
    net.layer("pool5", "Pooling", "pool5", "pooling", "kernel_size: 7 stride: 1 pool: AVE")
    net.inner_product("fc1000", 1000, 2048)
    net.layer("prob", "Softmax", "prob")
    return net


def _residual(net: Network, unit: str, width: int, stage: int, number: int) -> None:
    """Add three convolutions, and what goes past them."""
    bottom, channels = net.bottom, net.channels
    stride = 2 if number == 0 and stage > 2 else 1
    past = bottom
    if number == 0:
        past = f"res{unit}_branch1"
        net.conv(past, 4 * width, 1, f"pad: 0 stride: {stride}", bias=False)
        net.norm(f"{unit}_branch1", relu=False)
        net.bottom, net.channels = bottom, channels
    for name, outputs, kernel, step in (
        ("2a", width, 1, stride),
        ("2b", width, 3, 1),
        ("2c", 4 * width, 1, 1),
    ):
        words = f"pad: {kernel // 2} stride: {step}"
        net.conv(f"res{unit}_branch{name}", outputs, kernel, words, bias=False)
        net.norm(f"{unit}_branch{name}", relu=name != "2c")
    net.texts.append(
        f'layer {{\n  name: "res{unit}"\n  type: "Eltwise"\n  bottom: "{past}"\n'
        f'  bottom: "{net.bottom}"\n  top: "res{unit}"\n}}\n'
    )
    net.bottom = f"res{unit}"
    net.layer(f"res{unit}_relu", "ReLU", net.bottom)


def vgg16() -> Network:
    """VGG16 with batch normalisation behind each convolution."""
    net = Network.of("VGG16-BN")
    for stage, (width, convs) in enumerate(((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)), 1):
        for number in range(1, convs + 1):
            net.conv(f"conv{stage}_{number}", width, 3, "pad: 1")
            net.norm(f"{stage}_{number}")
        name = f"pool{stage}"
        net.layer(name, "Pooling", name, "pooling", "pool: MAX kernel_size: 2 stride: 2")
    for name, outputs, inputs in (("fc6", 4096, 25088), ("fc7", 4096, 4096), ("fc8", 1000, 4096)):
        net.inner_product(name, outputs, inputs)
        if name != "fc8":
            net.layer(f"relu_{name}", "ReLU", name)
            net.layer(f"drop_{name}", "Dropout", name, "dropout", "dropout_ratio: 0.5")
    net.layer("prob", "Softmax", "prob")
    return net


def _block(name: str, kind: str, bottom: str, top: str, param: str, words: str) -> Iterator[str]:
    """Yield the lines of a layer in a prototxt."""
    yield f'layer {{\n  name: "{name}"\n  type: "{kind}"\n{bottom}  top: "{top}"\n'
    if param:
        inner = words.replace("} ", "}\n    ")
        yield f"  {param}_param {{\n    {inner}\n  }}\n"
    yield "}\n"


class Pools:
    """Random values of any range; a blob of any size repeats the pool of its range."""

    def __init__(self) -> None:
        rng = random.Random(0)
        # A prime, so that no two rows of a matrix are the same and no two classes tie.
        self._even = [rng.random() for _ in range(65_521)]
        self._pools: dict[tuple[float, float], bytes] = {}

    def of(self, low: float, high: float) -> bytes:
        """Evenly distributed float32 values."""
        if (low, high) not in self._pools:
            values = array("f", (low + (high - low) * value for value in self._even))
            self._pools[low, high] = values.tobytes()
        return self._pools[low, high]


def _weight(outputs: int, *inputs: int) -> Blob:
    """Weights that keep the size of values from layer to layer where a ReLU follows.

    Source: K. He et al., "Delving Deep into Rectifiers" (2015), equation 10.
    """
    bound = sqrt(6 / prod(inputs))
    return Blob((outputs, *inputs), -bound, bound)


def _write_record(file: BinaryIO, layer: str, blobs: Sequence[Blob], pools: Pools) -> None:
    """Write a layer of a caffemodel, which holds name and blobs; the rest is in the prototxt.

    Field numbers are those of Caffe's schema: layer 100; name 1, blobs 7; data 5, shape 7, dim 1.
    """
    name = _head(1, len(layer)) + layer.encode()
    heads: list[bytes] = []
    sizes = [4 * prod(blob.shape) for blob in blobs]
    for blob, size in zip(blobs, sizes, strict=True):
        dims = b"".join(map(_varint, blob.shape))
        dims = _head(1, len(dims)) + dims
        head = _head(7, len(dims)) + dims + _head(5, size)
        heads.append(_head(7, len(head) + size) + head)
    file.write(_head(100, len(name) + sum(map(len, heads)) + sum(sizes)) + name)
    for blob, head, size in zip(blobs, heads, sizes, strict=True):
        pool = pools.of(blob.low, blob.high)
        file.write(head)
        random_part = size - 4 * blob.zeros
        for _ in range(random_part // len(pool)):
            file.write(pool)
        file.write(pool[: random_part % len(pool)])
        file.write(bytes(4 * blob.zeros))


def _head(number: int, length: int) -> bytes:
    """Tag and length of a field with bytes in it, as protobuf writes them."""
    return _varint(number << 3 | 2) + _varint(length)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
