"""Streaming a changed copy of a weights file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from .edits import LayerEdit, NewLayer
from .encode import edited_record, new_record
from .errors import CaffemodelError, problem
from .file import WeightsFile
from .pieces import Copy, Piece, Pieces, Values, size_of
from .records import LayerRecord

_Octets = npt.NDArray[np.uint8]

# Values are asked for in chunks that fit a processor's cache: 1 MB of float32.
CHUNK_ITEMS = 1 << 18
_LARGEST_ARRAY = 1 << 22
_BUFFER = 1 << 20
# One system call copies this much at most, so that an interrupt is noticed.
_KERNEL_COPY = 1 << 26
# protobuf messages end here, and Caffe reads the file as one.
_MAX_MESSAGE = (1 << 31) - 1


def write_weights(
    file: WeightsFile,
    records: Sequence[LayerRecord],
    out: int | BinaryIO,
    edits: Mapping[str, LayerEdit],
    additions: Sequence[NewLayer],
) -> None:
    """Write `file` with its `records` changed to `out`: see Weights.write."""
    pieces = list(_join(_plan(file, records, edits, additions)))
    size = size_of(pieces)
    if size > _MAX_MESSAGE >= file.size:
        raise problem(
            file.path,
            f"the result would have {size} bytes, and Caffe cannot read files of 2 GiB and more",
            do="keep the narrower dtype of its blobs",
        )
    fd = out if isinstance(out, int) else out.fileno()
    status = os.fstat(fd)
    if (status.st_dev, status.st_ino) == file.identity:
        raise problem(
            file.path, "the file is being read and cannot be written over", do="write elsewhere"
        )
    if not isinstance(out, int):
        out.flush()
    copier = _Copier(file, fd)
    # glibc's malloc maps each array of 128 KB and more anew, and faults in each of its pages, until
    # it has seen a larger one freed (mallopt(3), M_MMAP_THRESHOLD). This one is freed at once and
    # never touched: 94 MB of changed values take 63 ms and 450 faults, not 86 ms and 13,000.
    np.empty(_LARGEST_ARRAY, np.uint8)
    for piece in pieces:
        if isinstance(piece, bytes):
            _write(fd, memoryview(piece))
        elif isinstance(piece, Copy):
            copier.copy(piece.start, piece.end)
        else:
            _write_values(file, fd, piece)
    if not isinstance(out, int) and out.seekable():
        out.seek(0, os.SEEK_CUR)  # so that the file object sees how far the descriptor got


def _plan(
    file: WeightsFile,
    records: Sequence[LayerRecord],
    edits: Mapping[str, LayerEdit],
    additions: Sequence[NewLayer],
) -> Iterator[Piece]:
    """Yield the pieces of the new file, unjoined."""
    _refuse_unknown(file, records, edits, additions)
    last = {record.name: record for record in records}
    behind: dict[int, Pieces] = {}
    legacy = next((r.blobs[0].legacy_shape for r in records if r.blobs), False)
    for layer in additions:
        anchor = records[-1] if layer.after is None else last[layer.after]
        pieces = new_record(file, layer, anchor.layout, legacy)
        place = file.size if layer.after is None else anchor.end
        behind.setdefault(place, []).extend(pieces)
    done = 0
    for record in records:
        yield Copy(done, record.offset)
        edit = edits.get(record.name)
        if edit is None:
            yield Copy(record.offset, record.end)
        elif not edit.remove:
            yield from edited_record(file, record, edit)
        done = record.end
        yield from behind.pop(done, []) if done != file.size else []
    yield Copy(done, file.size)
    yield from behind.pop(file.size, [])


def _refuse_unknown(
    file: WeightsFile,
    records: Sequence[LayerRecord],
    edits: Mapping[str, LayerEdit],
    additions: Sequence[NewLayer],
) -> None:
    """Raise CaffemodelError if weights would get lost for want of a record to put them in."""
    names = {record.name for record in records}
    for name, edit in edits.items():
        if name not in names and edit.blobs and not edit.remove:
            raise problem(file.path, "has no record whose blobs could be replaced", layer=name)
    for layer in additions:
        if layer.after is not None and layer.after not in names:
            raise problem(
                file.path, f"has no record to put {layer.name!r} behind", layer=layer.after
            )


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


def _write(fd: int, data: memoryview) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _write_values(file: WeightsFile, fd: int, values: Values) -> None:
    left = values.items
    for chunk in values.source.chunks(CHUNK_ITEMS):
        if chunk.dtype != values.dtype:
            raise _broken_promise(file, values, f"yields {chunk.dtype}, not {values.dtype}")
        left -= chunk.size
        if left < 0:
            break
        octets = np.ascontiguousarray(chunk).reshape(-1).view(np.uint8)
        if values.head:
            octets = _tagged(octets, values)
        _write(fd, octets.data)
    if left:
        count = "more" if left < 0 else f"{left} fewer"
        raise _broken_promise(file, values, f"yields {count} values than its {values.items}")


def _tagged(octets: _Octets, values: Values) -> _Octets:
    """Return `octets` with the tag of each value before it."""
    head = np.frombuffer(values.head, np.uint8)
    rows = octets.reshape(-1, values.dtype.itemsize)
    out = np.empty((len(rows), head.size + rows.shape[1]), np.uint8)
    out[:, : head.size] = head
    out[:, head.size :] = rows
    return out.reshape(-1)


def _broken_promise(file: WeightsFile, values: Values, what: str) -> CaffemodelError:
    return problem(file.path, f"the new blob {values.blob} {what}", layer=values.layer)


class _Copier:
    """Copies spans of a file to a descriptor, within the kernel where it can."""

    def __init__(self, file: WeightsFile, fd: int) -> None:
        self._file, self._fd = file, fd
        self._ways = [
            way
            for name, way in (
                ("copy_file_range", self._copy_file_range),
                ("sendfile", self._sendfile),
            )
            if hasattr(os, name)
        ]

    def copy(self, start: int, end: int) -> None:
        """Append the bytes [start, end) of the file to the output."""
        while start < end and self._ways:
            count = self._try(start, min(end - start, _KERNEL_COPY))
            start += count
        buffer = memoryview(bytearray(min(end - start, _BUFFER)))
        while start < end:
            part = buffer[: end - start]
            self._file.into(start, part)
            _write(self._fd, part)
            start += len(part)

    def _try(self, start: int, size: int) -> int:
        """Return how many bytes the best way left has copied; give a way up that copies nothing.

        Which of them works depends on both filesystems and on the kind of output: across
        filesystems, to a pipe, in append mode. A real failure to write, as a full disk, shows
        again when the bytes are written one buffer at a time.
        """
        try:
            count = self._ways[0](start, size)
        except OSError:
            count = 0
        if not count:
            del self._ways[0]
        return count

    def _copy_file_range(self, start: int, size: int) -> int:
        return os.copy_file_range(self._file.fd, self._fd, size, offset_src=start)

    def _sendfile(self, start: int, size: int) -> int:
        return os.sendfile(self._fd, self._file.fd, start, size)
