"""Layers that multiply by a matrix: what their weights mean.

A weight is looked at as an array of shape (A, B, taps), as it lies in the file. Source: BVLC caffe,
src/caffe/layers/{base_conv,conv,deconv,inner_product}_layer.cpp.

    layout        A         B                taps
    CONVOLUTION   outputs   inputs / group   places of the kernel
    DECONVOLUTION inputs    outputs / group  places of the kernel
    INNER         outputs   inputs           1
    TRANSPOSED    inputs    outputs          1
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, NamedTuple

import numpy as np

from bnfold.aliases import Array, Vector
from bnfold.caffemodel import Blob
from bnfold.proof.forms import Form
from bnfold.proof.layers import Layer, Words
from bnfold.proof.roots import Constants
from bnfold.proof.stored import Stored, squeezed

DEPTHWISE = frozenset(
    {
        *("ConvolutionDepthWise", "ConvolutionDepthwise", "DepthWiseConv", "DepthWiseConvolution"),
        *("DepthwiseConv", "DepthwiseConvolution"),
    }
)
"""What forks call a convolution with one group for each channel."""


TILE = 1 << 16
"""Values that are looked at together: few enough for a processor's cache."""

_HEAD = 8


class Tile(NamedTuple):
    """A part of a weight: the rows [top:bottom) of A and the columns [left:right) of B.

    It is all of B, or a single row.
    """

    top: int
    bottom: int
    left: int
    right: int


class Layout(Enum):
    """How a weight lies in the file."""

    CONVOLUTION = auto()
    DECONVOLUTION = auto()
    INNER = auto()
    TRANSPOSED = auto()

    @property
    def has_rows(self) -> bool:
        """Whether the first axis is the outputs."""
        return self in (Layout.CONVOLUTION, Layout.INNER)


@dataclass(frozen=True)
class Window:
    """Where a kernel reads, one number for each axis behind the channels.

    Attributes:
        extra: what only a fork's layer says of it, as it is written.
    """

    kernel: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    pad: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    extra: tuple[str, ...] = ()

    @property
    def taps(self) -> int:
        """How many places the kernel has."""
        return math.prod(self.kernel)

    @property
    def may_pad(self) -> bool:
        """Whether it may lie on zero padding."""
        return any(self.pad) or bool(self.extra)

    @property
    def is_point(self) -> bool:
        """Whether it reads one place, and never padding."""
        return self.taps == 1 and not self.may_pad

    @property
    def loss(self) -> tuple[int, ...]:
        """By how many places less than it reads it writes, where the stride is 1."""
        each = zip(self.kernel, self.pad, self.dilation, strict=True)
        return tuple(d * (k - 1) - 2 * p for k, p, d in each)

    def offsets(self) -> list[tuple[int, ...]]:
        """For each tap, the place that it reads where the window stands at the first place."""
        each = zip(self.kernel, self.pad, self.dilation, strict=True)
        return list(itertools.product(*(range(-p, d * k - p, d) for k, p, d in each)))


@dataclass(frozen=True, eq=False)
class Weighted:
    """A weighted layer that is applied to a value.

    Attributes:
        layer: the layer.
        layout, window: how the weight lies in the file, and where it reads.
        weight, bias: its blobs; the bias is None if it has none.
        outputs, inputs, group: its channels and their groups.
        form: the value that it reads; flattened for an InnerProduct.
        made: the shape of what it computes, as far as known.
    """

    layer: Layer
    layout: Layout
    window: Window
    weight: Blob
    bias: Blob | None
    outputs: int
    inputs: int
    group: int
    form: Form
    made: tuple[int | None, ...] | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """The weight's (A, B, taps)."""
        if self.layout is Layout.DECONVOLUTION:
            return self.inputs, self.outputs // self.group, self.window.taps
        if self.layout is Layout.TRANSPOSED:
            return self.inputs, self.outputs, 1
        return self.outputs, self.inputs // self.group, self.window.taps

    def tiles(self) -> Iterator[Tile]:
        """Parts of the weight, in its order, each small enough for memory."""
        count, width, taps = self.shape
        step = max(1, TILE // max(1, width * taps))
        across = width if step > 1 else max(1, TILE // max(1, taps))
        for start in range(0, count, step):
            for left in range(0, width, across):
                yield Tile(start, min(start + step, count), left, min(left + across, width))

    def indices(self, tile: Tile) -> tuple[Array, Array]:
        """The output and input channels of a tile, each broadcast over its two axes."""
        a, b = np.arange(tile.top, tile.bottom)[:, None], np.arange(tile.left, tile.right)[None, :]
        if self.layout is Layout.INNER or (self.layout.has_rows and self.group == 1):
            return a, b
        if self.layout is Layout.TRANSPOSED:
            return b, a
        if self.layout is Layout.CONVOLUTION:
            return a, self.group_of_output(a) * self.shape[1] + b
        return self.group_of_input(a) * self.shape[1] + b, a

    def group_of_output(self, channel: Array) -> Array:
        """The group of output channels."""
        return channel // max(self.outputs // self.group, 1)

    def group_of_input(self, channel: Array) -> Array:
        """The group of input channels."""
        return channel // max(self.inputs // self.group, 1)

    def read(self, tile: Tile) -> Array:
        """A tile, shape (rows, columns, taps), as it is stored."""
        _, width, taps = self.shape
        start = (tile.top * width + tile.left) * taps
        stop = ((tile.bottom - 1) * width + tile.right) * taps
        return self.weight.read(start, stop).reshape(tile.bottom - tile.top, -1, taps)

    def biases(self) -> Vector:
        """The bias, or zeros, as float64, shape (outputs,)."""
        if self.bias is None:
            return np.zeros(self.outputs)
        return self.bias.read().astype(np.float64)

    def constants(self, settled: Form) -> Constants | None:
        """Which outputs are constant, since all weights are zero that read what varies.

        Args:
            settled: the value that it reads, with constants counted as shifts.
        """
        fixed = settled.counts == 0
        # Zero padding is no other number than a constant of zero.
        fixed &= (settled.b == 0) | self.is_even
        lives = np.zeros(self.outputs, bool)
        if self.layout.has_rows and not fixed.any():
            _, width, taps = self.shape
            lives = (self.weight.row_heads(width * taps, _HEAD) != 0).any(axis=1)
        for tile in self.tiles():
            out, inner = self.indices(tile)
            if not lives[out].all():
                live = (self.read(tile) != 0).any(axis=2) & ~fixed[inner]
                np.logical_or.at(lives, np.broadcast_to(out, live.shape), live)
        if lives.all():
            return None
        return ~lives, self.biases() + self.sums(np.where(fixed, settled.b, 0.0))

    @property
    def is_even(self) -> bool:
        """Whether a constant in an input adds the same at each place."""
        if self.layout is Layout.DECONVOLUTION:
            return self.window.is_point and all(step == 1 for step in self.window.stride)
        return not self.window.may_pad

    def sums(self, values: Vector, *, absolute: bool = False) -> Vector:
        """What constants in the inputs add to the outputs, where no padding is met.

        With `absolute`, by the magnitudes of the weights.
        """
        total = np.zeros(self.outputs)
        if values.any():
            for tile in self.tiles():
                out, inner = self.indices(tile)
                weights = self.read(tile).astype(np.float64)
                summed = (np.abs(weights) if absolute else weights).sum(axis=2)
                rows = np.broadcast_to(out, summed.shape)
                np.add.at(total, rows, summed * values[inner])
        return total


def read_weighted(layer: Layer, stored: Stored, form: Form, axes: int | None) -> Weighted | None:
    """A layer as the matrix that it multiplies by; None if that cannot be told.

    The value that it reads is not flattened yet; it has `axes` axes, where that is known.

    Raises:
        BnfoldError: its blobs do not fit what it says.
    """
    if layer.kind == "InnerProduct":
        return _inner(layer, stored, form, axes)
    return _convolution(layer, stored, form, axes)


def _acts_on_channels(param: Words, axes: int | None) -> bool:
    axis = param.integer("axis", 1)
    return axis == 1 or (axis < 0 and axes is not None and axis + axes == 1)


def _inner(layer: Layer, stored: Stored, form: Form, axes: int | None) -> Weighted | None:
    param = layer.param("inner_product_param")
    if not _acts_on_channels(param, axes):
        return None
    outputs = param.integer("num_output", 0)
    weight, bias = _two(layer, stored, param.flag("bias_term", True), outputs)
    inputs, rest = divmod(weight.size, max(outputs, 1))
    if rest or outputs < 1 or not inputs:
        raise stored.problem(layer, f"num_output {outputs} does not fit its {weight.size} weights")
    layout = Layout.TRANSPOSED if param.flag("transpose", False) else Layout.INNER
    _check_shape(
        layer,
        stored,
        weight,
        (outputs, inputs) if layout is Layout.INNER else (inputs, outputs),
    )
    return Weighted(layer, layout, Window(), weight, bias, outputs, inputs, 1, form)


def _convolution(layer: Layer, stored: Stored, form: Form, axes: int | None) -> Weighted | None:
    param = layer.param("convolution_param")
    if not _acts_on_channels(param, axes):
        return None
    outputs, group = param.integer("num_output", 0), param.integer("group", 1)
    if layer.kind in DEPTHWISE and not outputs:
        outputs = form.channels or 0
    weight, bias = _two(layer, stored, param.flag("bias_term", True), outputs)
    window = _window(param, max(len(weight.shape) - 2, 0))
    if window is None:
        return None
    is_turned = layer.kind == "Deconvolution"
    if layer.kind in DEPTHWISE:
        group = form.channels or outputs
        if param.integer("group", group) != group:
            # Some forks go by what is written, and some pass over it.
            return None
    if outputs < 1 or group < 1 or outputs % group:
        raise stored.problem(layer, f"num_output {outputs} and group {group} do not fit")
    row = window.taps * (outputs // group if is_turned else outputs)
    inputs, rest = divmod(weight.size, row)
    inputs *= 1 if is_turned else group
    if rest or not inputs or inputs % group:
        raise stored.problem(
            layer,
            f"its {weight.size} weights do not fit num_output {outputs}, group {group} and "
            f"a kernel of {window.taps} places",
        )
    layout = Layout.DECONVOLUTION if is_turned else Layout.CONVOLUTION
    pair = (inputs, outputs // group) if is_turned else (outputs, inputs // group)
    _check_shape(layer, stored, weight, (*pair, *window.kernel))
    return Weighted(layer, layout, window, weight, bias, outputs, inputs, group, form)


def _two(layer: Layer, stored: Stored, has_bias: bool, outputs: int) -> tuple[Blob, Blob | None]:
    blobs = stored.blobs(layer)
    if len(blobs) != 1 + has_bias:
        raise stored.problem(
            layer, f"{len(blobs)} blobs, but its parameters call for {1 + has_bias}"
        )
    if has_bias and blobs[1].size != outputs:
        raise stored.problem(layer, f"its bias has {blobs[1].size} values, expected {outputs}")
    for blob in blobs:
        blob.check()
    return blobs[0], blobs[1] if has_bias else None


def _check_shape(layer: Layer, stored: Stored, weight: Blob, expected: tuple[int, ...]) -> None:
    if squeezed(weight.shape) != squeezed(expected):
        raise stored.problem(layer, f"its weight has shape {weight.shape}, expected {expected}")


_WINDOW = frozenset({"kernel_size", "kernel_h", "kernel_w", "stride", "stride_h", "stride_w"}) | {
    *("pad", "pad_h", "pad_w", "dilation", "num_output", "bias_term", "group", "axis"),
    *("engine", "weight_filler", "bias_filler", "force_nd_im2col"),
}


def _window(param: Words, axes: int) -> Window | None:
    found: list[tuple[int, ...]] = []
    names = (("kernel_size", "kernel", 0), ("stride", "stride", 1), ("pad", "pad", 0))
    for name, short, default in (*names, ("dilation", "", 1)):
        values = param.integers(name)
        if short and {f"{short}_h", f"{short}_w"} & param.names:
            values = [param.integer(f"{short}_{axis}", default) for axis in "hw"]
        if len(values) <= 1:
            values = (values or [default]) * axes
        if len(values) != axes:
            return None
        found.append(tuple(values))
    kernel, stride, pad, dilation = found
    if any(n < 1 for n in (*kernel, *stride, *dilation)) or any(n < 0 for n in pad):
        return None
    extra = tuple(sorted(_spelled(param, name) for name in param.names - _WINDOW))
    return Window(kernel, stride, pad, dilation, extra)


def _spelled(param: Words, name: str) -> str:
    text = param.text
    assert text is not None
    values: list[Any] = [field.value for field in text.all(name)]
    return f"{name}: " + " ".join(getattr(value, "text", "{...}") for value in values)
