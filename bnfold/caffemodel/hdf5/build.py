"""Putting an HDF5 file together: groups, copies of datasets, room for new ones."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

import numpy as np

from ..errors import problem
from .library import DescriptorFile, one_error
from .tree import to_bytes

_FAILED = "check the file with h5dump, or fetch it again"


class Builder:
    """A new HDF5 file in an empty file's descriptor, made from an old one. A context manager.

    In the oldest form that its contents allow, for Caffe is built with old libraries, too, and
    without times, so that the same request gives the same bytes.
    """

    def __init__(self, h5py: Any, path: str, old: Any, source: DescriptorFile, fd: int) -> None:
        """Make a file from the h5py.File `old`, which is at `path` and read by `source`.

        Within `layer_errors`, the methods raise CaffemodelError for damage and OSError from the
        disk; this does so by itself.
        """
        self._h5py, self._path, self._old = h5py, path, old
        self._source, self._handle = source, DescriptorFile(fd)
        self._copied: dict[tuple[int, int], bytes] = {}
        with self.layer_errors(None):
            self._file = h5py.File(self._handle, "w", libver=("earliest", "latest"))

    def layer_errors(self, layer: str | None) -> AbstractContextManager[None]:
        """Turn what HDF5 raises into OSError or CaffemodelError about `layer`."""
        return one_error(self._path, self._source, self._handle, layer=layer, do=_FAILED)

    def group(self, name: str, old: Any, top: Any = None) -> Any:
        """Return the new group `name` below `top`, with the attributes of the group `old`."""
        group = (self._file if top is None else top).require_group(to_bytes(name))
        if old is not None:
            self._copy_attributes(old, group)
        return group

    def copy_dataset(self, dataset: Any, group: Any, name: str) -> None:
        """Copy `dataset` as it is; one that was copied before becomes a link to that copy."""
        info = self._h5py.h5o.get_info(dataset.id)
        place = info.fileno, info.addr
        key = name.encode()
        first = self._copied.get(place)
        if first is not None:
            group[key] = self._file[first]
            return
        if dataset.chunks is not None:
            # HDF5 2.0 ends the process (a double free) when it copies chunks that are damaged, and
            # only complains when it reads them. Caffe writes none.
            for box in dataset.iter_chunks():
                dataset[box]
        self._h5py.h5o.copy(dataset.id, b".", group.id, key)
        self._copied[place] = self._h5py.h5i.get_name(group.id) + b"/" + key

    def room(
        self, group: Any, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], old: Any
    ) -> int | None:
        """Make a dataset with the attributes of the dataset `old`, and no values yet.

        Returns where in the file its values belong, in one stretch; None if it has none.
        """
        h5d, h5p, h5s, h5t = (getattr(self._h5py, part) for part in ("h5d", "h5p", "h5s", "h5t"))
        how = h5p.create(h5p.DATASET_CREATE)
        how.set_layout(h5d.CONTIGUOUS)
        how.set_alloc_time(h5d.ALLOC_TIME_EARLY)
        how.set_fill_time(h5d.FILL_TIME_NEVER)
        how.set_obj_track_times(False)
        space = h5s.create_simple(shape) if shape else h5s.create(h5s.SCALAR)
        made = h5d.create(group.id, name.encode(), h5t.py_create(dtype), space, how)
        if old is not None:
            self._copy_attributes(old, self._h5py.Dataset(made))
        offset: int | None = made.get_offset()
        return offset

    def copy_others(self, but: Iterable[str]) -> None:
        """Copy the root's attributes, and all it holds but the groups named."""
        h5o, h5l = self._h5py.h5o, self._h5py.h5l
        done = set(map(to_bytes, but))
        with self.layer_errors(None):
            self._copy_attributes(self._old, self._file)
            old, new = self._old.id, self._file.id
            for key in old:
                kind = old.links.get_info(key).type
                if key in done:
                    continue
                if kind == h5l.TYPE_HARD:
                    h5o.copy(old, key, new, key)
                elif kind == h5l.TYPE_SOFT:
                    new.links.create_soft(key, old.links.get_val(key))
                else:
                    new.links.create_external(key, *old.links.get_val(key))

    def _copy_attributes(self, old: Any, new: Any) -> None:
        for key in list(old.attrs):
            dtype = old.attrs.get_id(key).dtype
            if self._h5py.check_ref_dtype(dtype) is not None:
                raise problem(
                    self._path, f"attribute {key!r} of {old.name} leads to another object",
                    do="remove it; references do not survive in a new file",
                )  # fmt: skip
            value = old.attrs[key]
            if isinstance(value, self._h5py.Empty):
                new.attrs[key] = value
            else:
                new.attrs.create(key, value, dtype=dtype)

    def __enter__(self) -> Builder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            with self.layer_errors(None):
                self._file.close()
            return
        with contextlib.suppress(Exception):
            self._file.close()
