"""Writing a changed copy of an HDF5 weights file.

First the whole request is put into data, and refused if it cannot be met. Then HDF5 builds the
file: what is kept it copies itself, a buffer at a time; for what is new it only sets room aside. At
last, the new values are computed and written to that room.
"""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from ..blobs import Blob, BlobSource, Rounding
from ..edits import LayerEdit, NewLayer
from ..errors import problem
from ..pieces import Values
from ..requests import (
    checked_source,
    refuse_own_file,
    refuse_unknown,
    rounded,
    rounded_addition,
)
from ..stream import Copier, keep_arrays, write_bytes, write_values
from .blob import Hdf5Blob, SharedBlob
from .build import Builder

if TYPE_CHECKING:
    from ..file import WeightsFile
    from .weights import Hdf5Record, Hdf5Weights

_BUFFER = 1 << 20
_NO_EDIT = LayerEdit()


class New(NamedTuple):
    """A dataset to make: its values, and the dataset it takes the place of, if there is one."""

    values: Values
    old: Any


class Place(NamedTuple):
    """A layer's group to be: name, the old group or None, a dataset or New for each blob."""

    name: str
    old: Any
    blobs: dict[int, Any]


def write_hdf5(
    weights: Hdf5Weights,
    out: int | BinaryIO,
    edits: Mapping[str, LayerEdit],
    additions: Sequence[NewLayer],
    rounding: Rounding | None,
) -> None:
    """Write `weights` with `edits` and `additions` to `out`: see Hdf5Weights.write."""
    file = weights.file
    refuse_unknown(file, weights.records, edits)
    if rounding is not None:
        edits = {
            record.name: rounded(file, record, edits.get(record.name, _NO_EDIT), rounding)
            for record in weights.records
        }
        additions = [rounded_addition(file, layer, rounding) for layer in additions]
    data = [*_data(weights, edits), *_added(file, additions)]
    diff = list(_diff(weights, edits))
    for places in (data, diff):
        _check_names(file, places)
    fd = out if isinstance(out, int) else out.fileno()
    refuse_own_file(file, fd)
    if not isinstance(out, int):
        out.flush()
    changed = any(_changes(record, edits.get(record.name, _NO_EDIT)) for record in weights.records)
    changed = changed or len(diff) < len(weights.diff)
    if not changed and not additions:
        Copier(file, fd).copy(0, file.size)
    elif _is_null(fd):
        for new in _news(data):
            write_values(file, fd, new.values)
    elif _is_empty_file(fd):
        _build(weights, fd, data, diff)
    else:
        with tempfile.TemporaryFile() as whole:
            _build(weights, whole.fileno(), data, diff)
            whole.seek(0)
            while part := whole.read(_BUFFER):
                write_bytes(fd, memoryview(part))
    if not isinstance(out, int) and out.seekable():
        out.seek(0, os.SEEK_CUR)  # so that the file object sees how far the descriptor got


def _changes(record: Hdf5Record, edit: LayerEdit) -> bool:
    """Return whether `edit` says anything that an HDF5 file can hold."""
    if edit.remove or edit.name not in (None, record.name):
        return True
    return edit.blobs is not None and list(map(id, edit.blobs)) != list(map(id, record.blobs))


def _data(weights: Hdf5Weights, edits: Mapping[str, LayerEdit]) -> Iterator[Place]:
    for record in weights.records:
        edit = edits.get(record.name, _NO_EDIT)
        if edit.remove:
            continue
        sources = record.blobs if edit.blobs is None else edit.blobs
        blobs: dict[int, Any] = {}
        for index, source in enumerate(sources):
            own = _own(record, source)
            if isinstance(own, Hdf5Blob):
                blobs[index] = own.dataset
            elif own is None:
                old = record.node.datasets.get(index)
                blobs[index] = New(_values(weights.file, record.name, index, source), old)
        yield Place(_name(record.name, edit), record.node.group, blobs)


def _diff(weights: Hdf5Weights, edits: Mapping[str, LayerEdit]) -> Iterator[Place]:
    """Yield the gradients that stay: those of the blobs that do, wherever they go."""
    for node in weights.diff:
        edit = edits.get(node.name, _NO_EDIT)
        record = weights.get(node.name)
        if edit.remove or edit.drop_gradients:
            continue
        blobs = dict(node.datasets)
        if edit.blobs is not None and record is not None:
            owned = [_own(record, source) for source in edit.blobs]
            blobs = {
                index: node.datasets[own.index]
                for index, own in enumerate(owned)
                if own is not None and own.index in node.datasets
            }
        yield Place(_name(node.name, edit), node.group, blobs)


def _name(old: str, edit: LayerEdit) -> str:
    return old if edit.name is None else edit.name


def _added(file: WeightsFile, additions: Sequence[NewLayer]) -> Iterator[Place]:
    for layer in additions:
        blobs = {
            index: New(_values(file, layer.name, index, source), None)
            for index, source in enumerate(layer.blobs)
        }
        yield Place(layer.name, None, blobs)


def _own(record: Hdf5Record, source: BlobSource) -> Blob | None:
    """Return `source` if it is one of the record's blobs."""
    return next((blob for blob in record.blobs if blob is source), None)


def _values(file: WeightsFile, layer: str, index: int, source: BlobSource) -> Values:
    if isinstance(source, SharedBlob):
        source.check()
    _, dtype = checked_source(file, layer, index, source)
    return Values(source, dtype, b"", layer, index)


def _check_names(file: WeightsFile, places: Iterable[Place]) -> None:
    seen = set()
    for place in places:
        parts = place.name.split("/")
        if "" in parts or "." in parts or "\0" in place.name:
            raise problem(file.path, "is a name that HDF5 cannot hold", layer=place.name)
        if place.name in seen:
            raise problem(file.path, "would be in the file twice", layer=place.name)
        seen.add(place.name)


def _news(places: Iterable[Place]) -> Iterator[New]:
    return (blob for place in places for blob in place.blobs.values() if isinstance(blob, New))


def _is_null(fd: int) -> bool:
    status = os.fstat(fd)
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == Path(os.devnull).stat().st_rdev


def _is_empty_file(fd: int) -> bool:
    """Return whether HDF5 can build its file right in `fd`."""
    status = os.fstat(fd)
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    return (
        stat.S_ISREG(status.st_mode)
        and status.st_size == 0
        and os.lseek(fd, 0, os.SEEK_CUR) == 0
        and flags & os.O_ACCMODE == os.O_RDWR
        and not flags & os.O_APPEND
    )


def _build(weights: Hdf5Weights, fd: int, data: list[Place], diff: list[Place]) -> None:
    """Write the file into the empty file `fd`, whose position is at its end then."""
    rooms: list[tuple[int, Values]] = []
    with Builder(weights.h5py, weights.path, weights.root, weights.handle, fd) as builder:
        for (key, old), places in zip(weights.tops.items(), (data, diff), strict=False):
            with builder.layer_errors(None):
                top = builder.group(key, old)
            for place in places:
                _build_layer(builder, top, place, rooms)
        builder.copy_others(weights.tops)
    keep_arrays()
    for offset, values in rooms:
        os.lseek(fd, offset, os.SEEK_SET)
        write_values(weights.file, fd, values)
    os.lseek(fd, 0, os.SEEK_END)


def _build_layer(builder: Builder, top: Any, place: Place, rooms: list[tuple[int, Values]]) -> None:
    with builder.layer_errors(place.name):
        if "/" in place.name and not place.blobs and not (place.old and len(place.old.attrs)):
            return  # see the package's docstring
        group = builder.group(place.name, place.old, top)
        for index, blob in place.blobs.items():
            if not isinstance(blob, New):
                builder.copy_dataset(blob, group, str(index))
                continue
            values = blob.values
            offset = builder.room(group, str(index), values.source.shape, values.dtype, blob.old)
            if offset is not None:
                rooms.append((offset, values))
