"""Blobs as the weights file has them, checked before anything is computed from them."""

from __future__ import annotations

import numpy as np

from bnfold.caffemodel import Blob
from bnfold.errors import BnfoldError
from bnfold.fold.affine import Vector
from bnfold.graph import Layer

_PIECE = 1 << 18
"""Values that are compared at a time."""


def stored_blobs(layer: Layer, counts: dict[int, str]) -> tuple[Blob, ...]:
    """The blobs that the weights file has for a layer.

    Args:
        layer: the layer.
        counts: how many there may be, each with the words for what they then are.

    Raises:
        BnfoldError: there are none, or not as many as the layer's parameters call for.
    """
    record = layer.record
    if record is None or not record.blobs:
        raise BnfoldError(
            f"{layer} (line {layer.line}) has no weights in the weights file; do the two files "
            "belong together?"
        )
    found = len(record.blobs)
    if found not in counts:
        expected = " or ".join(f"{count}: {what}" for count, what in counts.items())
        raise BnfoldError(
            f"{layer} (line {layer.line}): {found} blob{'s' * (found != 1)} in the weights file, "
            f"but its parameters call for {expected}; do the two files belong together?"
        )
    return record.blobs


def vector(layer: Layer, blob: Blob, size: int | None, what: str) -> Vector:
    """A blob of one number a channel, as float64 of shape (size,).

    Args:
        layer: the layer it belongs to.
        blob: the blob; its axes do not matter, only its order.
        size: how many values it must have; None for as many as there are.
        what: what it holds, for an error.

    Raises:
        BnfoldError: it has another size, or holds a NaN or an infinity.
    """
    if size is not None and blob.size != size:
        raise BnfoldError(
            f"{layer} (line {layer.line}): its {what} blob has {blob.size} "
            f"value{'s' * (blob.size != 1)}, expected {size}; do the two files belong together?"
        )
    values = blob.read().astype(np.float64)
    if not np.isfinite(values).all():
        raise BnfoldError(
            f"{layer}: NaN or infinity in its {what} blob; the weights file is damaged"
        )
    return values


def same_values(one: Blob, other: Blob) -> bool:
    """Whether two blobs hold the same numbers, in the same order."""
    pieces = range(0, one.size, _PIECE)
    return one.size == other.size and all(
        np.array_equal(one.read(at, at + _PIECE), other.read(at, at + _PIECE)) for at in pieces
    )
