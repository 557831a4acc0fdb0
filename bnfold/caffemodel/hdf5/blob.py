"""Blobs of an HDF5 file: datasets, read a stretch at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..blobs import Blob, FloatArray
from ..errors import problem
from ..file import WeightsFile
from .library import DAMAGED, DescriptorFile, one_error

Slab = tuple[slice, ...]

# A dataset may be larger than its file: compressed, or with parts that were never written. Beyond
# this many times the file it is a length that was damaged.
_MOST_TIMES = 1 << 16


class Hdf5Blob(Blob):
    """A blob that is stored as a dataset, of any layout. Besides what every Blob has:

    dataset: the h5py.Dataset.
    """

    __slots__ = (
        "_file", "_handle", "_offset", "_trouble",
        "dataset", "dtype", "index", "layer", "shape", "size",
    )  # fmt: skip

    def __init__(
        self,
        h5py: Any,
        file: WeightsFile,
        handle: DescriptorFile,
        dataset: Any,
        layer: str,
        index: int,
    ) -> None:
        """Index `dataset` of `file`, which h5py reads by `handle`.

        Raises CaffemodelError for values that are not within the file, and what h5py raises for
        damage.
        """
        self._file, self._handle = file, handle
        self.dataset, self.layer, self.index = dataset, layer, index
        self.shape: tuple[int, ...] = dataset.shape or ()
        self.size = 0 if dataset.shape is None else math.prod(self.shape)
        self.dtype = np.dtype("<f4")
        self._trouble = ""
        self._offset: int | None = None
        kind = dataset.id.get_type()
        items = kind.get_size()
        stored = self._stored(h5py, items)
        if kind.get_class() == h5py.h5t.FLOAT and items in (2, 4, 8):
            self.dtype = np.dtype(f"<f{items}")
            plain = {2: h5py.h5t.IEEE_F16LE, 4: h5py.h5t.IEEE_F32LE, 8: h5py.h5t.IEEE_F64LE}
            if kind == plain[items]:
                self._offset = stored
        else:
            self._trouble = f"holds {_name(dataset)}, and bnfold reads floats of 16, 32 and 64 bits"
        if dataset.shape is None or (self.size and not dataset.id.get_storage_size()):
            self._trouble = "has a shape but no values"
        elif self.size * items > file.size * _MOST_TIMES:
            self._trouble = f"has the impossible shape {self.shape}"

    def _stored(self, h5py: Any, items: int) -> int | None:
        """Where in the file the values of so many bytes each lie; None if not in one piece."""
        settings = self.dataset.id.get_create_plist()
        if self.dataset.is_virtual or settings.get_external_count():
            raise problem(
                self._file.path,
                f"blob {self.index} keeps its values in another file",
                layer=self.layer,
                do="gather the file with h5repack",
            )
        contiguous = settings.get_layout() == h5py.h5d.CONTIGUOUS
        stored: int | None = self.dataset.id.get_offset() if contiguous and self.size else None
        if stored is not None and stored + self.size * items > self._file.size:
            raise problem(
                self._file.path,
                f"blob {self.index} has the shape {self.shape}, and its values run past the end",
                layer=self.layer,
                offset=stored,
                do=DAMAGED,
            )
        return stored

    def check(self) -> None:
        """Raise CaffemodelError if the values cannot be read: see Blob.check."""
        if self._trouble:
            raise problem(self._file.path, f"blob {self.index} {self._trouble}", layer=self.layer)

    def read(self, start: int = 0, stop: int | None = None) -> FloatArray:
        """Return the values [start:stop): see Blob.read. Also raises CaffemodelError for damage."""
        self.check()
        start, stop, _ = slice(start, stop).indices(self.size)
        out: FloatArray = np.empty(max(stop - start, 0), self.dtype)
        if not out.size:
            return out
        if self._offset is not None:
            place = self._offset + start * self.dtype.itemsize
            self._file.into(place, out.view(np.uint8).data)
            return out
        done = 0
        _ = self._file.fd  # a closed file is the caller's mistake, not damage
        with one_error(self._file.path, self._handle, layer=self.layer):
            for slab in slabs(self.shape, start, stop):
                part = np.asarray(self.dataset[slab], self.dtype).reshape(-1)
                out[done : done + part.size] = part
                done += part.size
        return out


class SharedBlob(Blob):
    """The place of a blob that the file has elsewhere, since another layer owns it: no values."""

    __slots__ = ("_path", "dtype", "index", "layer", "shape", "size")

    def __init__(self, path: str, layer: str, index: int) -> None:
        """Stand for blob `index` of `layer` in the file at `path`."""
        self._path, self.layer, self.index = path, layer, index
        self.shape, self.size, self.dtype = (0,), 0, np.dtype("<f4")

    def check(self) -> None:
        """Raise CaffemodelError: there is nothing to read."""
        raise problem(
            self._path,
            f"blob {self.index} is not in the file (a blob of several layers is with its owner)",
            layer=self.layer,
            do="save the weights as a binary .caffemodel, which has it with each",
        )

    def read(self, start: int = 0, stop: int | None = None) -> FloatArray:
        """Raise CaffemodelError, as `check` does."""
        self.check()
        raise AssertionError


def slabs(shape: tuple[int, ...], start: int, stop: int) -> Iterator[Slab]:
    """Yield selections of an array of `shape` that are, one behind the other, its [start:stop).

    At most two for each axis but the last: HDF5 selects boxes, not stretches.
    """
    if start >= stop:
        return
    if len(shape) < 2:
        yield (slice(start, stop),) if shape else ()
        return
    inner = shape[1:]
    row = math.prod(inner)
    first, skip = divmod(start, row)
    if skip or stop - start < row:
        end = min(stop, (first + 1) * row)
        for slab in slabs(inner, skip, end - first * row):
            yield (slice(first, first + 1), *slab)
        yield from slabs(shape, end, stop)
        return
    last, rest = divmod(stop, row)
    yield (slice(first, last), *(slice(0, length) for length in inner))
    for slab in slabs(inner, 0, rest):
        yield (slice(last, last + 1), *slab)


def _name(dataset: Any) -> str:
    try:
        return f"{dataset.dtype} values"
    except Exception:  # numpy has no name for it
        return "values of another kind"
