"""What no writer does, whatever the format: checks of a request, made before a byte is written."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .blobs import MAX_AXES, BlobSource, Rounded, Rounding
from .edits import LayerEdit, NewLayer
from .errors import CaffemodelError, problem
from .file import WeightsFile
from .surface import LayerRecord

_DTYPES = tuple(map(np.dtype, ("<f2", "<f4", "<f8")))


def refuse_own_file(file: WeightsFile, fd: int) -> None:
    """Raise CaffemodelError if the descriptor `fd` is the file that is being read."""
    status = os.fstat(fd)
    if (status.st_dev, status.st_ino) == file.identity:
        raise problem(
            file.path, "the file is being read and cannot be written over", do="write elsewhere"
        )


def refuse_unknown(
    file: WeightsFile,
    records: Sequence[LayerRecord],
    edits: Mapping[str, LayerEdit],
) -> None:
    """Raise CaffemodelError if weights would get lost for want of a record to put them in."""
    names = {record.name for record in records}
    for name, edit in edits.items():
        if name not in names and edit.blobs and not edit.remove:
            raise problem(file.path, "has no record whose blobs could be replaced", layer=name)


def rounded(
    file: WeightsFile, record: LayerRecord, edit: LayerEdit, rounding: Rounding
) -> LayerEdit:
    """Return `edit` with all blobs that `record` then has stored in one type."""
    blobs = record.blobs if edit.blobs is None else edit.blobs
    if edit.remove or all(map(rounding.keeps, blobs)):
        return edit
    return edit._replace(blobs=_rounded(file, record.name, blobs, rounding))


def rounded_addition(file: WeightsFile, layer: NewLayer, rounding: Rounding) -> NewLayer:
    """Return a new layer with all its blobs stored in one type."""
    return layer._replace(blobs=_rounded(file, layer.name, layer.blobs, rounding))


def _rounded(
    file: WeightsFile, layer: str, blobs: Sequence[BlobSource], rounding: Rounding
) -> tuple[BlobSource, ...]:
    return tuple(
        source if rounding.keeps(source) else Rounded(source, rounding, file.path, layer, index)
        for index, source in enumerate(blobs)
    )


def checked_source(
    file: WeightsFile, layer: str, index: int, source: BlobSource
) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return the shape and dtype of `source`, which is to be blob `index` of `layer`.

    Raises CaffemodelError if no weights file can hold it.
    """
    dtype = np.dtype(source.dtype)
    shape = tuple(source.shape)
    if dtype not in _DTYPES:
        raise _bad_source(file, layer, index, f"has dtype {dtype}; a caffemodel holds floats")
    if len(shape) > MAX_AXES or any(dim < 0 for dim in shape):
        raise _bad_source(file, layer, index, f"has the impossible shape {shape}")
    return shape, dtype


def _bad_source(file: WeightsFile, layer: str, index: int, what: str) -> CaffemodelError:
    return problem(file.path, f"the new blob {index} {what}", layer=layer)
