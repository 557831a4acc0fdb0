"""What every weights file offers, whatever its format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import BinaryIO, Protocol

from .blobs import Blob, Rounding
from .edits import LayerEdit, NewLayer


class LayerRecord(Protocol):
    """What a weights file says about one layer."""

    @property
    def name(self) -> str:
        """The layer's name."""
        ...

    @property
    def type(self) -> str:
        """The layer's type by its modern name, "V1:57" if it has none; "" if the file has none."""
        ...

    @property
    def bottoms(self) -> tuple[str, ...]:
        """Its inputs. Often empty or stale: Caffe takes them from the prototxt."""
        ...

    @property
    def tops(self) -> tuple[str, ...]:
        """Its outputs, as far to be trusted as its inputs."""
        ...

    @property
    def blobs(self) -> tuple[Blob, ...]:
        """Its blobs, in order, still in the file."""
        ...


class Weights(ABC):
    """The layers of a weights file. The file stays open until `close`; a context manager.

    path: the file.
    size: of the file, in bytes.
    name: the network's name, or "".
    records: the layer records, in the file's order.
    is_hdf5: whether it is an HDF5 file, else a binary one.
    """

    path: str
    size: int
    name: str
    records: Sequence[LayerRecord]
    is_hdf5: bool = False

    @abstractmethod
    def get(self, name: str) -> LayerRecord | None:
        """Return the record whose weights Caffe gives to layer `name`, or None."""

    @abstractmethod
    def write(
        self,
        out: int | BinaryIO,
        edits: Mapping[str, LayerEdit],
        *,
        additions: Sequence[NewLayer] = (),
        rounding: Rounding | None = None,
    ) -> None:
        """Write the file to `out`, with `edits` made to the layers they name and `additions` added.

        out: a file descriptor, or a binary file that has one; written from its current position on.
        edits: by layer name; an edit applies to all records of that name, and one that brings no
            blobs is ignored if there is no such record.
        rounding: the type to store all blobs in, those included that no edit changes: float32 where
            every reader looks for it, or float16. It is told which values became zero.

        Records that are not edited stay as they are, as does all that is no record. Memory
        use does not grow with the file. Raises OSError from writing; CaffemodelError, before a byte
        is written, for an edit that cannot be made, and in the midst of it for a source that yields
        something else than it announced. What has been written by then is of no use.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the file; closing twice is fine. Its blobs cannot be read any more."""

    def __enter__(self) -> Weights:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
