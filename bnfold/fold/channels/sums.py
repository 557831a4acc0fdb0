"""What constant inputs give to the outputs of a layer with weights.

With c the constant that channel i of the input is inside, and w the weight:

    inside        y[o]  =  sum over i, taps:  w[o, i, tap] * c[i]

Where a window lies partly on padding, the taps on it meet zeros, and y lacks what they gave:

    |difference|  <=  sum over taps that can lie on padding:  | sum over i: w[o, i, tap] * c[i] |

To that comes, for inputs that are themselves off by up to d[i] somewhere, the sum of |w| * d.
Source of the layouts: BVLC caffe, src/caffe/layers/{base_conv,deconv,inner_product}_layer.cpp.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np

from bnfold.aliases import Vector
from bnfold.fold.blobs import rows_of, size_of, values_of
from bnfold.fold.channels.intervals import Constants
from bnfold.fold.channels.ties import Mask
from bnfold.fold.rewrite import Context
from bnfold.fold.weighted import WeightedLayer
from bnfold.graph import Layer, Layout
from bnfold.graph.trust import window_fields
from bnfold.graph.windows import Windows, convolution_windows, own_spatial_axes


@dataclass(frozen=True)
class Sums:
    """What some input channels give to each output.

    Attributes:
        inside: shape (num_output,), where no window lies on padding.
        off: shape (num_output,), how far from it the sum can be elsewhere; zero where exact.
    """

    inside: Vector
    off: Vector


def sums_of(context: Context, layer: Layer, inputs: Constants, chosen: Mask) -> Sums:
    """What the chosen input channels give to a layer's outputs.

    Args:
        context: the network.
        layer: a Convolution, Deconvolution or InnerProduct; a Deconvolution only where each window
            is one value, or the constants are zero.
        inputs: what its input channels are, shape (C,); finite where chosen.
        chosen: which of them count, shape (C,).
    """
    weighted = WeightedLayer.of(layer)
    outputs, weight, layout = weighted.outputs, weighted.weight, weighted.layout
    value = np.where(chosen, inputs.inside, 0.0)
    off = np.where(chosen, inputs.off, 0.0)
    if not value.any() and not off.any():
        return Sums(np.zeros(outputs), np.zeros(outputs))
    size = size_of(weight)
    if layout is Layout.CONVOLUTION:
        return _convolution(weighted, value, off)
    if layout is Layout.DECONVOLUTION and weighted.groups > 1:
        return _depthwise_deconvolution(weighted, value, off)
    if weighted.rows_are_outputs:
        each = size // outputs // value.size
        return _rows_of_outputs(weighted, np.repeat(value, each), np.repeat(off, each))
    # Rows are inputs, and columns are outputs (of one group, of one tap).
    each = size // outputs // value.size
    value, off = np.repeat(value, each), np.repeat(off, each)
    inside, far = np.zeros(outputs), np.zeros(outputs)
    for first, rows in rows_of(weight, outputs):
        here = slice(first, first + len(rows))
        inside += value[here] @ rows
        far += off[here] @ np.abs(rows)
    return Sums(inside, far)


def _depthwise_deconvolution(weighted: WeightedLayer, value: Vector, off: Vector) -> Sums:
    """One tap, by the rule above, so that the weight is a number for each output."""
    weight = values_of(weighted.weight).reshape(weighted.outputs, -1)[:, 0]
    each = weighted.outputs // value.size
    return Sums(np.repeat(value, each) * weight, np.repeat(off, each) * np.abs(weight))


def _rows_of_outputs(weighted: WeightedLayer, value: Vector, off: Vector) -> Sums:
    inside, far = np.zeros(weighted.outputs), np.zeros(weighted.outputs)
    for first, rows in rows_of(weighted.weight, value.size):
        here = slice(first, first + len(rows))
        inside[here] = rows @ value
        far[here] = np.abs(rows) @ off
    return Sums(inside, far)


def _convolution(weighted: WeightedLayer, value: Vector, off: Vector) -> Sums:
    outputs, groups = weighted.outputs, weighted.groups
    reads, makes = value.size // groups, outputs // groups
    taps = size_of(weighted.weight) // outputs // reads
    border = _border(weighted.layer, taps)
    inside, far = np.zeros(outputs), np.zeros(outputs)
    for first, rows in rows_of(weighted.weight, reads * taps):
        here = np.arange(first, first + len(rows))
        read = (here // makes * reads)[:, None] + np.arange(reads)
        block = rows.reshape(len(rows), reads, taps)
        each = np.einsum("oit,oi->ot", block, value[read])
        inside[here] = each.sum(1)
        far[here] = np.abs(each[:, border]).sum(1)
        far[here] += np.einsum("oit,oi->o", np.abs(block), off[read])
    return Sums(inside, far)


def _border(layer: Layer, taps: int) -> Mask:
    """Which taps of a kernel, flat, can lie on padding."""
    windows = windows_of(layer)
    if windows is None or prod(windows.kernel) != taps:
        return np.ones(taps, np.bool_)
    axes = zip(windows.kernel, windows.pad, windows.dilation, strict=True)
    lines = [
        [min(tap, kernel - 1 - tap) * dilation < pad for tap in range(kernel)]
        for kernel, pad, dilation in axes
    ]
    return np.array([any(tap) for tap in product(*lines)], np.bool_)


def windows_of(layer: Layer) -> Windows | None:
    """The windows of a convolution, or None where they cannot be told in full."""
    if window_fields(layer):
        return None
    return convolution_windows(layer, own_spatial_axes(layer))


def spreads(layer: Layer) -> bool:
    """Whether a Deconvolution gives a constant input differently from place to place."""
    windows = windows_of(layer)
    return windows is None or windows != Windows(*(_all(n, windows) for n in (1, 1, 0, 1)))


def _all(number: int, windows: Windows) -> tuple[int, ...]:
    return (number,) * len(windows.kernel)


def pads(layer: Layer) -> bool:
    """Whether a convolution may meet padding."""
    windows = windows_of(layer)
    return windows is None or any(windows.pad)
