"""The index of an HDF5 weights file."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

from ..blobs import Blob, Rounding
from ..edits import LayerEdit, NewLayer
from ..errors import problem
from ..file import WeightsFile
from ..surface import Weights
from .blob import Hdf5Blob, SharedBlob
from .library import DescriptorFile, load, one_error
from .tree import Node, read_tree

_NOT_WEIGHTS = "give a .caffemodel.h5 file that Caffe saved (Keras has a format of its own)"


class Hdf5Record:
    """One layer's group: see LayerRecord. The format has no types, inputs and outputs.

    node: the group.
    """

    __slots__ = ("blobs", "node")

    type = ""
    bottoms: tuple[str, ...] = ()
    tops: tuple[str, ...] = ()

    def __init__(self, node: Node, blobs: tuple[Blob, ...]) -> None:
        """Hold what was read."""
        self.node = node
        self.blobs = blobs

    @property
    def name(self) -> str:
        """The layer's name."""
        return self.node.name

    def __repr__(self) -> str:
        return f"<LayerRecord {self.name!r}: {len(self.blobs)} blobs>"


class Hdf5Weights(Weights):
    """The layers of an HDF5 file. `name` is "", and no name is there twice.

    h5py: the library.
    file: the file.
    handle, root: what h5py reads the file by, and the h5py.File.
    tops: the h5py.Groups of /data and, if there is one, /diff, by these names.
    diff: the layers' groups of gradients.
    """

    records: tuple[Hdf5Record, ...]
    is_hdf5 = True

    def __init__(self, file: WeightsFile) -> None:
        """Index `file`, which this object then owns. Raises CaffemodelError: see `open_weights`."""
        self.h5py = load(file.path)
        self.file = file
        self.path, self.size = file.path, file.size
        self.name = ""
        self.tops: dict[str, Any] = {}
        self.handle = DescriptorFile(file.fd)
        with contextlib.ExitStack() as undo:
            with one_error(file.path, self.handle):
                self.root = self.h5py.File(self.handle, "r")
            undo.callback(self._close_root)
            with one_error(file.path, self.handle):
                self.records = tuple(self._record(node) for node in self._tree("data"))
                self.diff = self._tree("diff")
            if not self.records:
                raise problem(file.path, "the file holds no layers", do=_NOT_WEIGHTS)
            undo.pop_all()
        self._by_name = {record.name: record for record in self.records}

    def get(self, name: str) -> Hdf5Record | None:
        """Return the record of layer `name`, or None."""
        return self._by_name.get(name)

    def write(
        self,
        out: int | BinaryIO,
        edits: Mapping[str, LayerEdit],
        *,
        additions: Sequence[NewLayer] = (),
        rounding: Rounding | None = None,
    ) -> None:
        """Write a changed copy: see Weights.write.

        Without a change it is the same, byte for byte. Otherwise datasets, attributes and groups
        come out as they are, in a file that is put together anew, and is the same each time. The
        form's own: gradients of blobs that change are left out, and empty groups within groups,
        which Caffe takes for blobs. A descriptor of an empty file, opened for reading and writing,
        is written directly; any other by way of a temporary file.
        """
        from .writer import write_hdf5

        with self.file.unchanged():
            write_hdf5(self, out, edits, additions, rounding)

    def close(self) -> None:
        """Close the file."""
        self._close_root()
        self.file.close()

    def _close_root(self) -> None:
        # Of a damaged file even closing may fail; its memory is all that is lost.
        with contextlib.suppress(Exception):
            self.root.close()

    def _tree(self, key: str) -> list[Node]:
        group: Any = self.root.get(key) if key in self.root else None
        if isinstance(group, self.h5py.Group):
            self.tops[key] = group
            return read_tree(self.h5py, self.path, group)
        if key == "diff":
            return []
        if group is None:
            raise problem(self.path, "this is HDF5, but has no group /data", do=_NOT_WEIGHTS)
        raise problem(
            self.path, "this is HDF5 with data to train on, not with weights", do=_NOT_WEIGHTS
        )

    def _record(self, node: Node) -> Hdf5Record:
        blobs: list[Blob] = []
        with one_error(self.path, self.handle, layer=node.name):
            for index in range(max(node.datasets, default=-1) + 1):
                dataset = node.datasets.get(index)
                if dataset is None:
                    blobs.append(SharedBlob(self.path, node.name, index))
                else:
                    blobs.append(
                        Hdf5Blob(self.h5py, self.file, self.handle, dataset, node.name, index)
                    )
        return Hdf5Record(node, tuple(blobs))
