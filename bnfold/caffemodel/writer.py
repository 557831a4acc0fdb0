"""Streaming a changed copy of a binary weights file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO

from .blobs import Rounding
from .edits import LayerEdit, NewLayer
from .encode import edited_record, new_record
from .errors import problem
from .file import WeightsFile
from .pieces import Copy, Piece, size_of
from .records import MAX_MESSAGE, BinaryRecord
from .requests import refuse_own_file, refuse_unknown, rounded, rounded_addition
from .stream import STRETCH, Copier, Disk, keep_arrays, write_bytes, write_values

_NO_EDIT = LayerEdit()


def write_weights(
    file: WeightsFile,
    records: Sequence[BinaryRecord],
    out: int | BinaryIO,
    edits: Mapping[str, LayerEdit],
    additions: Sequence[NewLayer],
    rounding: Rounding | None,
) -> None:
    """Write `file` with its `records` changed to `out`: see Weights.write."""
    pieces = list(_join(_plan(file, records, edits, additions, rounding)))
    size = size_of(pieces)
    if size > MAX_MESSAGE:
        raise problem(
            file.path,
            f"the result would have {size} bytes, and Caffe cannot read binary files of 2 GiB and "
            "more",
            do="keep the narrower dtype of its blobs, or store it as HDF5 first",
        )
    fd = out if isinstance(out, int) else out.fileno()
    refuse_own_file(file, fd)
    if not isinstance(out, int):
        out.flush()
    copier = Copier(file, fd)
    disk = Disk(fd)
    disk.reserve(size)
    keep_arrays()
    for piece in pieces:
        if isinstance(piece, bytes):
            write_bytes(fd, memoryview(piece))
        elif isinstance(piece, Copy):
            for start in range(piece.start, piece.end, STRETCH):
                copier.copy(start, min(start + STRETCH, piece.end))
                disk.start()
        else:
            write_values(file, fd, piece)
        disk.start()
    if not isinstance(out, int) and out.seekable():
        out.seek(0, os.SEEK_CUR)  # so that the file object sees how far the descriptor got


def _plan(
    file: WeightsFile,
    records: Sequence[BinaryRecord],
    edits: Mapping[str, LayerEdit],
    additions: Sequence[NewLayer],
    rounding: Rounding | None,
) -> Iterator[Piece]:
    """Yield the pieces of the new file, unjoined."""
    refuse_unknown(file, records, edits)
    done = 0
    for record in records:
        yield Copy(done, record.offset)
        edit = edits.get(record.name, _NO_EDIT)
        if rounding is not None:
            edit = rounded(file, record, edit, rounding)
        if edit is _NO_EDIT:
            yield Copy(record.offset, record.end)
        elif not edit.remove:
            yield from edited_record(file, record, edit)
        done = record.end
    yield Copy(done, file.size)
    legacy = next((r.blobs[0].legacy_shape for r in records if r.blobs), False)
    for layer in additions:
        if rounding is not None:
            layer = rounded_addition(file, layer, rounding)
        yield from new_record(file, layer, records[-1].layout, legacy)


def _join(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """Yield `pieces` with neighbours that can be written at once made one."""
    pending: Piece = b""
    for piece in pieces:
        if isinstance(piece, bytes) and isinstance(pending, bytes):
            pending += piece
        elif isinstance(piece, Copy) and isinstance(pending, Copy) and piece.start == pending.end:
            pending = Copy(pending.start, piece.end)
        elif not isinstance(piece, Copy) or piece.start < piece.end:
            if pending:
                yield pending
            pending = piece
    if pending:
        yield pending
