"""The blobs of a layer, checked before anything is computed from them, and their values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bnfold.aliases import Vector
from bnfold.caffemodel import BlobSource
from bnfold.errors import BnfoldError
from bnfold.graph import Layer

_PIECE = 1 << 18
"""Values that are compared at a time."""

_ROWS = 1 << 16
"""Values that are computed from at a time, as in weights.py."""


def checked_blobs(layer: Layer, counts: dict[int, str]) -> Sequence[BlobSource]:
    """The blobs of a layer, as many as its parameters call for.

    Args:
        layer: the layer.
        counts: how many there may be, each with the words for what they then are.

    Raises:
        BnfoldError: there are none, or not as many as the layer's parameters call for.
    """
    if not layer.blobs:
        raise BnfoldError(
            f"{layer} (line {layer.line}) has no weights in the weights file; do the two files "
            "belong together?"
        )
    found = len(layer.blobs)
    if found not in counts:
        expected = " or ".join(f"{count}: {what}" for count, what in counts.items())
        raise BnfoldError(
            f"{layer} (line {layer.line}): {found} blob{'s' * (found != 1)} in the weights file, "
            f"but its parameters call for {expected}; do the two files belong together?"
        )
    return layer.blobs


def vector(layer: Layer, blob: BlobSource, size: int | None, what: str) -> Vector:
    """A blob of one number a channel, as float64 of shape (size,).

    Args:
        layer: the layer it belongs to.
        blob: the blob; its axes do not matter, only its order.
        size: how many values it must have; None for as many as there are.
        what: what it holds, for an error.

    Raises:
        BnfoldError: it has another size, or holds a NaN or an infinity.
    """
    found = size_of(blob)
    if size is not None and found != size:
        raise BnfoldError(
            f"{layer} (line {layer.line}): its {what} blob has {found} "
            f"value{'s' * (found != 1)}, expected {size}; do the two files belong together?"
        )
    values = values_of(blob)
    if not np.isfinite(values).all():
        raise BnfoldError(
            f"{layer}: NaN or infinity in its {what} blob; the weights file is damaged"
        )
    return values


def same_values(one: BlobSource, other: BlobSource) -> bool:
    """Whether two blobs hold the same numbers, in the same order."""
    if size_of(one) != size_of(other):
        return False
    pairs = zip(_pieces(one), _pieces(other), strict=True)
    return all(np.array_equal(mine, its) for mine, its in pairs)


def _pieces(blob: BlobSource) -> Iterator[npt.NDArray[np.floating[Any]]]:
    """The values in pieces of one length, however many a blob gives at a time."""
    kept: npt.NDArray[np.floating[Any]] = np.zeros(0, blob.dtype)
    for chunk in blob.chunks(_PIECE):
        kept = np.concatenate([kept, chunk]) if kept.size else chunk
        if kept.size >= _PIECE:
            yield kept[:_PIECE]
            kept = kept[_PIECE:]
    if kept.size:
        yield kept


def size_of(blob: BlobSource) -> int:
    """How many values a blob has."""
    return math.prod(blob.shape)


def values_of(blob: BlobSource) -> Vector:
    """All values of a small blob as they are written, flat, as float64."""
    parts = [chunk.astype(np.float64) for chunk in blob.chunks(_ROWS)]
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if parts else np.zeros(0)


def rows_of(blob: BlobSource, row: int) -> Iterator[tuple[int, npt.NDArray[np.float64]]]:
    """The values as they are written, as float64, in whole rows of `row` values.

    Gives:
        The number of the first row, and some rows, shape (rows, row).
    """
    count = row * max(1, _ROWS // row)
    kept = np.zeros(0)
    first = 0
    for chunk in blob.chunks(count):
        values = chunk.astype(np.float64) if not kept.size else np.concatenate([kept, chunk])
        whole = values.size // row
        if whole:
            yield first, values[: whole * row].reshape(whole, row)
        first += whole
        kept = values[whole * row :]
