"""Layers that multiply: convolutions, deconvolutions, inner products."""

from __future__ import annotations

import math
from dataclasses import replace

from ..wiring import Node
from .pieces import Pieces, Shape

Windows = list[tuple[int, int, int, int]]
"""Kernel, padding, stride and dilation for each axis."""


class Hosts(Pieces):
    """Layers that take affines in."""

    def windows(self, sizes: Shape) -> tuple[list[str], Windows]:
        """Words of a window that fits, and its numbers."""
        kernel = [self.random.randint(1, min(3, n)) for n in sizes]
        if self.chance(0.4):
            kernel = [1] * len(sizes)
        pad = [self.random.choice([0, 0, 1]) if k > 1 else 0 for k in kernel]
        stride = [self.random.choice([1, 1, 2]) for _ in sizes]
        dilation = [
            2 if 2 * k - 1 <= n and self.chance(0.2) else 1
            for k, n in zip(kernel, sizes, strict=True)
        ]
        words = self.spelled("kernel_size", "kernel", kernel, None)
        words += self.spelled("pad", "pad", pad, 0) + self.spelled("stride", "stride", stride, 1)
        words += self.spelled("dilation", "", dilation, 1)
        return words, list(zip(kernel, pad, stride, dilation, strict=True))

    def spelled(self, field: str, prefix: str, numbers: list[int], usual: int | None) -> list[str]:
        """The numbers in one of the ways that Caffe reads."""
        if all(number == usual for number in numbers) and self.chance(0.8):
            return []
        if len(set(numbers)) == 1 and self.chance(0.7):
            return [f"{field}: {numbers[0]}"]
        if len(numbers) == 2 and prefix and self.chance(0.3):
            return [
                f"{prefix}_{axis}: {number}" for axis, number in zip("hw", numbers, strict=True)
            ]
        return [f"{field}: {number}" for number in numbers]

    def convolution(self) -> None:
        """A convolution or deconvolution, of any type that a fork has for one."""
        bottom = self.pick(lambda shape: 2 <= len(shape) <= 5)
        if bottom is None:
            return
        shape, name = self.shapes[bottom], self.name("conv")
        rank, axis = len(shape), 1
        if rank > 2 and self.chance(0.15):
            axis = self.random.randrange(1, rank)
        channels = shape[axis]
        group = self.random.choice([g for g in (1, 1, 1, 2, channels) if channels % g == 0])
        outputs = group * self.random.randint(1, 3) if group > 1 else self.random.randint(1, 6)
        kind = self.kind_of_host(depthwise=group == channels)
        words, windows = self.windows(shape[axis + 1 :])
        words.insert(0, f"num_output: {outputs}")
        if group > 1:
            words.append(f"group: {group}")
        if axis != 1 or self.chance(0.1):
            words.append(f"axis: {self.signed(axis, rank)}")
        kernel = tuple(window[0] for window in windows)
        turned = kind == "Deconvolution"
        rows = (channels, outputs // group) if turned else (outputs, channels // group)
        weight = self.weights((*rows, *kernel), int(turned))
        slide = _spread if turned else _slid
        left = tuple(slide(n, *w) for n, w in zip(shape[axis + 1 :], windows, strict=True))
        node = Node(name, kind, (bottom,), (name,), "convolution_param", tuple(words))
        node = replace(node, blobs=(weight,), storage=self.storage(rank))
        self.put_host(node, outputs, (*shape[:axis], outputs, *left))

    def kind_of_host(self, depthwise: bool) -> str:
        """The type of a convolution."""
        if self.odds_of_strange and depthwise and self.chance(0.5):
            return self.random.choice(["DepthwiseConvolution", "ConvolutionDepthwise"])
        if self.odds_of_strange and self.chance(0.2):
            return "MyConvolution"
        return "Convolution" if self.chance(0.85) else "Deconvolution"

    def put_host(self, node: Node, outputs: int, shape: Shape) -> None:
        """Add a layer that multiplies, with or without a bias."""
        words, blobs = list(node.words), list(node.blobs)
        if self.chance(0.6):
            blobs.append(self.shifts((outputs,)))
        else:
            words.append("bias_term: false")
        if self.odds_of_strange and node.type in ("Convolution", "InnerProduct"):
            words += ["relu: true"] * self.chance(0.3)
        # Learning rates, as training files have them.
        rates = ("param { lr_mult: 1 }",) * (self.random.randint(1, len(blobs)))
        outer = rates if self.chance(0.1) else ()
        self.read.add(node.bottoms[0])
        node = replace(node, words=tuple(words), blobs=tuple(blobs), outer=outer)
        self.put(node, shape)

    def inner_product(self) -> None:
        bottom = self.pick(lambda shape: len(shape) > 1)
        if bottom is None:
            return
        shape, name = self.shapes[bottom], self.name("ip")
        axis = 1 if self.chance(0.75) else self.random.randrange(1, len(shape))
        inputs, outputs = math.prod(shape[axis:]), self.random.randint(1, 5)
        words = [f"num_output: {outputs}"]
        weight = self.weights((outputs, inputs), 0)
        if self.chance(0.2):
            words.append("transpose: true")
            weight = weight.T
        if axis != 1 or self.chance(0.2):
            words.append(f"axis: {self.signed(axis, len(shape))}")
        node = Node(name, "InnerProduct", (bottom,), (name,), "inner_product_param", tuple(words))
        node = replace(node, blobs=(weight,), storage=self.storage())
        self.put_host(node, outputs, (*shape[:axis], outputs))

    def siamese(self) -> None:
        """Two layers with one weight, and perhaps the same batch norm behind each."""
        first = self.random.choice(self.nodes)
        made = self.shapes.get(first.tops[0]) if first.tops else None
        if first.type not in ("Convolution", "InnerProduct") or first.outer or made is None:
            return
        read = self.shapes.get(first.bottoms[0])
        mate = self.pick(lambda shape: shape == read)
        if mate is None:
            return
        shared = tuple(f'param {{ name: "{first.name}.{i}" }}' for i in range(len(first.blobs)))
        at = self.nodes.index(first)
        self.nodes[at] = replace(first, outer=shared)
        behind = [node for node in self.nodes[at + 1 :] if node.bottoms == node.tops == first.tops]
        name = self.name("twin")
        self.read.add(mate)
        self.put(replace(self.nodes[at], name=name, bottoms=(mate,), tops=(name,)), made)
        for node in behind:
            if self.chance(0.8):
                again = replace(node, name=self.name("twin"), bottoms=(name,), tops=(name,))
                self.put(again, made)


def _slid(length: int, kernel: int, pad: int, stride: int, dilation: int) -> int:
    """What a convolution leaves of a length."""
    return (length + 2 * pad - (dilation * (kernel - 1) + 1)) // stride + 1


def _spread(length: int, kernel: int, pad: int, stride: int, dilation: int) -> int:
    """What a deconvolution makes of a length."""
    return stride * (length - 1) + dilation * (kernel - 1) + 1 - 2 * pad
