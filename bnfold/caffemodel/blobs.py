"""Blobs: arrays that are read when asked, a stretch at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]

# BVLC caffe, include/caffe/blob.hpp (kMaxBlobAxes).
MAX_AXES = 32


@runtime_checkable
class BlobSource(Protocol):
    """What a blob will be: its values are computed when the writer asks for them.

    shape: the lengths of its axes; () is one value.
    dtype: float32, float64 or float16, little-endian; decides how it is stored.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the axes."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the values."""
        ...

    def chunks(self, max_items: int) -> Iterator[Array]:
        """Yield the values flat and in order, 1 to `max_items` at a time, each array of `dtype`.

        Together they are as many as the shape says. May be called more than once.
        """
        ...


class ArrayBlob:
    """A BlobSource that holds its values: for biases and other small blobs."""

    def __init__(self, array: npt.ArrayLike, dtype: npt.DTypeLike | None = None) -> None:
        """Hold `array`, converted to `dtype` if given."""
        self._array: Array = np.ascontiguousarray(array, dtype).reshape(np.shape(array))
        self.shape: tuple[int, ...] = self._array.shape
        self.dtype: np.dtype[Any] = self._array.dtype

    def chunks(self, max_items: int) -> Iterator[Array]:
        """Yield the values flat and in order, at most `max_items` at a time."""
        flat = self._array.reshape(-1)
        for start in range(0, flat.size, max_items):
            yield flat[start : start + max_items]


class Blob(ABC):
    """One blob of a layer record, still in the file. Is a BlobSource.

    shape: the lengths of its axes; () is one value.
    dtype: how the values are given: float32, float64 or float16, little-endian.
    size: the number of values.
    layer, index: the layer's name and the blob's place among its blobs.
    """

    __slots__ = ()

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    size: int
    layer: str
    index: int

    @abstractmethod
    def check(self) -> None:
        """Raise CaffemodelError if the values cannot be read, because of how they are stored.

        Such a blob does no harm to those who only copy it.
        """

    @abstractmethod
    def read(self, start: int = 0, stop: int | None = None) -> Array:
        """Return the values [start:stop) flat, in a new array of `dtype`. Slices as a list does.

        Raises CaffemodelError as `check` does.
        """

    def array(self) -> Array:
        """Return all values in an array of `shape` and `dtype`. For blobs known to be small."""
        return self.read().reshape(self.shape)

    def chunks(self, max_items: int) -> Iterator[Array]:
        """Yield the values flat and in order, at most `max_items` at a time, in new arrays."""
        for start in range(0, self.size, max_items):
            yield self.read(start, min(start + max_items, self.size))

    def row_heads(self, row: int, width: int) -> Array:
        """Return the first `width` values of each `row` values, shape (size // row, width).

        For a quick look at all rows of a large blob. Raises CaffemodelError as `check` does.
        """
        width = min(width, row)
        heads = [self.read(start, start + width) for start in range(0, self.size, row)]
        return np.array(heads, self.dtype).reshape(-1, width)

    def __repr__(self) -> str:
        return f"<Blob {self.index} of {self.layer!r}: {self.dtype} {self.shape}>"
