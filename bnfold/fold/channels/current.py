"""Layers as they are after the rewrites so far: blobs, parameters, affines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from bnfold.caffemodel import BlobSource
from bnfold.caffemodel.overlay import ComputedBlob, EditedRecord
from bnfold.fold.affine import Affine, Vector
from bnfold.fold.dialects import Reading
from bnfold.fold.plan import Reason
from bnfold.fold.rewrite import Context
from bnfold.graph import AffineForm, Layer

PIECE = 1 << 16
"""Values that are computed at a time, as in weights.py."""


def blobs_of(layer: Layer) -> tuple[BlobSource, ...]:
    """The blobs that a layer will have."""
    if layer.blobs is not None:
        return layer.blobs
    return () if layer.record is None else tuple(layer.record.blobs)


def size_of(blob: BlobSource) -> int:
    """How many values a blob has."""
    return int(np.prod(blob.shape, dtype=np.int64))


def values_of(blob: BlobSource) -> Vector:
    """All values of a small blob as they are written, flat, as float64."""
    parts = [chunk.astype(np.float64) for chunk in blob.chunks(PIECE)]
    return np.concatenate(parts) if parts else np.zeros(0)


def rows_of(blob: BlobSource, row: int) -> Iterator[tuple[int, npt.NDArray[np.float64]]]:
    """The values as they are written, as float64, in whole rows of `row` values.

    Gives:
        The number of the first row, and some rows, shape (rows, row).
    """
    count = row * max(1, PIECE // row)
    kept = np.zeros(0)
    first = 0
    for chunk in blob.chunks(count):
        values = chunk.astype(np.float64) if not kept.size else np.concatenate([kept, chunk])
        whole = values.size // row
        if whole:
            yield first, values[: whole * row].reshape(whole, row)
        first += whole
        kept = values[whole * row :]


def affine_of(context: Context, layer: Layer) -> Reading | Reason | None:
    """A layer as a per-channel affine function of its first bottom: see `Reader.read`.

    Raises:
        BnfoldError: its blobs do not fit.
    """
    if (
        layer.blobs is not None
        and layer.kind.affine is AffineForm.SCALE
        and len(layer.bottoms) == 1
    ):
        scale, *shift = [values_of(blob) for blob in layer.blobs]
        affine = Affine(scale, shift[0] if shift else np.zeros(scale.size))
        return Reading(affine, scale.size)
    shape = context.shapes.get(layer.bottoms[0]) if layer.bottoms else None
    if layer.blobs is not None:
        layer = _as_written(layer, layer.blobs)
    # What is suspicious was said when the layer was first read.
    return replace(context.reader, warn=_say_nothing).read(layer, shape)


def _as_written(layer: Layer, blobs: Sequence[BlobSource]) -> Layer:
    """A layer with the record that it will have, for those who read records."""
    new = copy(layer)
    made = [ComputedBlob(blob, layer.name, at, is_hdf5=False) for at, blob in enumerate(blobs)]
    new.record = EditedRecord(layer.name, layer.type, (), (), tuple(made))
    return new


def _say_nothing(warning: str) -> None:
    pass


def outputs_of(layer: Layer) -> int:
    """How many channels a layer with weights makes; 0 where that cannot be told."""
    if layer.kind.layout is None:
        return 0
    count = int(layer.current(layer.kind.message).num_output)
    if not count and layer.kind.is_depthwise and blobs_of(layer):
        # These keep their channels, and may leave num_output out.
        return next(iter(blobs_of(layer)[0].shape), 0)
    return count


def groups_of(layer: Layer) -> int:
    """How many groups a convolution or deconvolution has."""
    group = max(1, int(layer.current("convolution_param").group))
    if group == 1 and layer.kind.is_depthwise:
        # These have a group for each channel whether their text says so or not.
        return outputs_of(layer) or 1
    return group
