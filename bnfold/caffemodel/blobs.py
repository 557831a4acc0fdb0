"""Blobs: arrays that are read when asked, a stretch at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from .errors import problem

FloatArray = npt.NDArray[np.floating[Any]]
"""The numbers of a blob: float16, float32 or float64, as they are stored."""

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

    def chunks(self, max_items: int) -> Iterator[FloatArray]:
        """Yield the values flat and in order, 1 to `max_items` at a time, each array of `dtype`.

        Together they are as many as the shape says. May be called more than once.
        """
        ...


class ArrayBlob:
    """A BlobSource that holds its values: for biases and other small blobs."""

    def __init__(self, array: npt.ArrayLike, dtype: npt.DTypeLike | None = None) -> None:
        """Hold `array`, converted to `dtype` if given."""
        self._array: FloatArray = np.ascontiguousarray(array, dtype).reshape(np.shape(array))
        self.shape: tuple[int, ...] = self._array.shape
        self.dtype: np.dtype[Any] = self._array.dtype

    def chunks(self, max_items: int) -> Iterator[FloatArray]:
        """Yield the values flat and in order, at most `max_items` at a time."""
        flat = self._array.reshape(-1)
        for start in range(0, flat.size, max_items):
            yield flat[start : start + max_items]


@runtime_checkable
class ComputedSource(BlobSource, Protocol):
    """A BlobSource that can also give its values as they are computed, not yet rounded."""

    def exact_chunks(self, max_items: int) -> Iterator[npt.NDArray[np.float64]]:
        """Yield the values flat and in order, float64, 1 to `max_items` at a time."""
        ...


class Rounding:
    """The one type that all blobs of a file are to be stored in.

    dtype: float32, or float16.
    vanished: how many values that are not zero became zero, by the layer they were written for.
    """

    def __init__(self, dtype: npt.DTypeLike) -> None:
        """Round to `dtype`."""
        self.dtype: np.dtype[Any] = np.dtype(dtype).newbyteorder("<")
        self._vanished: dict[tuple[str, int], int] = {}

    @property
    def vanished(self) -> Counter[str]:
        """How many values that are not zero became zero, by layer, where there are some."""
        found: Counter[str] = Counter()
        for (layer, _), count in self._vanished.items():
            found[layer] += count
        return +found

    def keeps(self, source: BlobSource) -> bool:
        """Whether a blob is stored in this type already, where readers of it look for it."""
        if isinstance(source, Blob) and self.dtype == np.float32:
            return source.is_plain
        return source.dtype == self.dtype

    def note(self, layer: str, index: int, count: int) -> None:
        """Note how many values of a blob became zero, each time that it is written."""
        self._vanished[layer, index] = count


class Rounded:
    """A BlobSource with the values of another, each rounded once to the type of a Rounding."""

    def __init__(
        self, source: BlobSource, rounding: Rounding, path: str, layer: str, index: int
    ) -> None:
        """Stand for `source`, which is to be blob `index` of `layer` in the file from `path`."""
        self._source, self._rounding = source, rounding
        self._path, self._layer, self._index = path, layer, index
        self.shape: tuple[int, ...] = tuple(source.shape)
        self.dtype = rounding.dtype

    def chunks(self, max_items: int) -> Iterator[FloatArray]:
        """Yield the values flat and in order, at most `max_items` at a time.

        Raises what the source does, and CaffemodelError for a value that the type cannot hold.
        """
        vanished = 0
        for chunk in self._chunks(max_items):
            with np.errstate(over="ignore", invalid="ignore"):
                values = chunk.astype(self.dtype)
            if not np.array_equal(np.isinf(values), np.isinf(chunk)):
                raise problem(
                    self._path,
                    f"blob {self._index} has values up to {np.abs(chunk).max():.3g}, more than "
                    f"{self.dtype.name} holds",
                    layer=self._layer,
                    do=f"leave out --{self.dtype.name}",
                )
            vanished += np.count_nonzero(chunk) - np.count_nonzero(values)
            yield values
        self._rounding.note(self._layer, self._index, vanished)

    def _chunks(self, max_items: int) -> Iterator[FloatArray]:
        if not isinstance(self._source, ComputedSource):
            yield from self._source.chunks(max_items)
            return
        with np.errstate(over="ignore", invalid="ignore"):
            for chunk in self._source.exact_chunks(max_items):
                if not np.isfinite(chunk).all():
                    raise problem(
                        self._path,
                        f"blob {self._index} has NaN or infinity among its values",
                        layer=self._layer,
                        do="the weights file is damaged",
                    )
                yield chunk


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

    @property
    def is_raw(self) -> bool:
        """Whether the values are in raw_data, which NVIDIA's Caffe and OpenCV read, others not."""
        return False

    @property
    def is_plain(self) -> bool:
        """Whether the values are stored as float32, where every reader looks for them."""
        return self.dtype == np.float32

    @abstractmethod
    def check(self) -> None:
        """Raise CaffemodelError if the values cannot be read, because of how they are stored.

        Such a blob does no harm to those who only copy it.
        """

    @abstractmethod
    def read(self, start: int = 0, stop: int | None = None) -> FloatArray:
        """Return the values [start:stop) flat, in a new array of `dtype`. Slices as a list does.

        Raises CaffemodelError as `check` does.
        """

    def array(self) -> FloatArray:
        """Return all values in an array of `shape` and `dtype`. For blobs known to be small."""
        return self.read().reshape(self.shape)

    def chunks(self, max_items: int) -> Iterator[FloatArray]:
        """Yield the values flat and in order, at most `max_items` at a time, in new arrays."""
        for start in range(0, self.size, max_items):
            yield self.read(start, min(start + max_items, self.size))

    def row_heads(self, row: int, width: int) -> FloatArray:
        """Return the first `width` values of each `row` values, shape (size // row, width).

        For a quick look at all rows of a large blob. Raises CaffemodelError as `check` does.
        """
        width = min(width, row)
        heads = [self.read(start, start + width) for start in range(0, self.size, row)]
        return np.array(heads, self.dtype).reshape(-1, width)

    def __repr__(self) -> str:
        return f"<Blob {self.index} of {self.layer!r}: {self.dtype} {self.shape}>"
