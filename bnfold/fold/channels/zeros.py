"""Which outputs of a layer have a filter of zeros, as it will be written.

Nearly all filters have a value that is not zero among their first few, so that is where to look
first. A filter whose first values are all zero, or so small that a factor could make them zero in
the type they are stored in, is looked at in full.
"""

from __future__ import annotations

import numpy as np

from bnfold.aliases import Vector
from bnfold.caffemodel import Blob, BlobSource
from bnfold.fold.blobs import rows_of, size_of
from bnfold.fold.channels.ties import Mask
from bnfold.fold.rewrite import Context
from bnfold.fold.weighted import WeightedLayer
from bnfold.fold.weights import Scaled
from bnfold.graph import Layer

_PIECE = 1 << 16
"""Values that are read at a time."""

_PROBE = 16
"""Values of each filter to look at first."""


def zero_outputs(context: Context, layer: Layer) -> Mask:
    """Which outputs of a layer do not depend on its input, shape (num_output,).

    Args:
        context: the network.
        layer: a Convolution, Deconvolution or InnerProduct whose weights fit its text.
    """
    weighted = WeightedLayer.of(layer)
    outputs, weight = weighted.outputs, weighted.weight
    if weighted.rows_are_outputs:
        return _zero_rows(weight, outputs)
    if weighted.is_transposed:
        alive = np.zeros(outputs, np.bool_)
        for _, rows in rows_of(weight, outputs):
            alive |= rows.any(0)
        return ~alive
    return _deconvolution(weighted)


def _zero_rows(weight: BlobSource, count: int) -> Mask:
    row = size_of(weight) // count
    stored = weight.source if isinstance(weight, Scaled) else weight
    if not isinstance(stored, Blob):
        return _in_full(weight, count, row)
    smallest = _smallest(weight, count, row)
    doubtful = _peaks(stored, row) <= smallest
    if isinstance(weight, Scaled) and doubtful.any():
        return doubtful & _in_full(weight, count, row)
    for index in np.flatnonzero(doubtful).tolist():
        doubtful[index] = not _any(stored, index * row, (index + 1) * row)
    return doubtful


def _peaks(stored: Blob, row: int) -> Vector:
    """The largest magnitude among the first values of each row, NaN for a NaN; shape (rows,)."""
    peaks: Vector = np.abs(stored.row_heads(row, _PROBE)).max(1).astype(np.float64)
    return peaks


def _smallest(weight: BlobSource, count: int, row: int) -> Vector:
    """For each row, what a stored value must exceed so that it is not written as zero."""
    floor = np.ones(count)
    if not isinstance(weight, Scaled):
        return np.zeros(count)
    for factors, period in weight.factors:
        size = np.abs(factors)
        if period % row == 0:
            floor *= size[np.arange(count) * row // period % size.size]
        else:
            floor *= size.min()
    least = float(np.finfo(weight.dtype).smallest_subnormal)
    with np.errstate(divide="ignore"):
        return np.asarray(2 * least / floor, np.float64)


def _any(stored: Blob, start: int, stop: int) -> bool:
    pieces = range(start, stop, _PIECE)
    return any(stored.read(at, min(at + _PIECE, stop)).any() for at in pieces)


def _in_full(weight: BlobSource, count: int, row: int) -> Mask:
    zero = np.zeros(count, np.bool_)
    for first, rows in rows_of(weight, row):
        zero[first : first + len(rows)] = ~rows.any(1)
    return zero


def _deconvolution(weighted: WeightedLayer) -> Mask:
    """Row c of the weight has the outputs of the group that input c is in."""
    weight, groups = weighted.weight, weighted.groups
    inputs, makes = weight.shape[0], weighted.outputs // groups
    row = size_of(weight) // inputs
    alive = np.zeros((groups, makes), np.bool_)
    for first, rows in rows_of(weight, row):
        some = rows.reshape(len(rows), makes, -1).any(2)
        group = np.arange(first, first + len(rows)) // (inputs // groups)
        np.logical_or.at(alive, group, some)
    return ~alive.ravel()
