"""Lazy blobs: what a layer's weights will be, computed piece by piece when the writer asks.

Arithmetic is float64 throughout; each value is rounded once, when it is written.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from bnfold.caffemodel import BlobSource
from bnfold.errors import BnfoldError
from bnfold.fold.affine import Vector

_PIECE = 1 << 16
"""Values that are computed at a time: in float64 they still fit into a core's cache."""


class LazyBlob(ABC):
    """A blob that is computed when it is written.

    Attributes:
        shape: its axes, as they will be stored.
        dtype: the type it will be stored in.
        what: how to name it in an error.
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any], what: str) -> None:
        self.shape = shape
        self.dtype = dtype
        self.what = what

    @abstractmethod
    def exact_chunks(self, max_items: int) -> Iterator[npt.NDArray[np.float64]]:
        """The values in order, flat, float64, at most `max_items` at a time."""

    def chunks(self, max_items: int) -> Iterator[npt.NDArray[Any]]:
        """The values in order, flat, rounded to `dtype`, at most `max_items` at a time.

        Raises:
            BnfoldError: a value is not a number, infinite, or too large for `dtype`.
        """
        for values, exact in self._rounded(max_items):
            if not np.isfinite(values).all():
                raise BnfoldError(self._misfit(exact))
            yield values

    def _rounded(
        self, max_items: int
    ) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[np.float64]]]:
        exact_chunks = iter(self.exact_chunks(max_items))
        while True:
            with np.errstate(over="ignore", invalid="ignore"):
                exact = next(exact_chunks, None)
                if exact is None:
                    return
                values = exact.astype(self.dtype)
            yield values, exact

    def _misfit(self, exact: npt.NDArray[np.float64]) -> str:
        if not np.isfinite(exact).all():
            return f"{self.what}: NaN or infinity among the values; the weights file is damaged"
        largest = f"{self.what}: folded values reach {np.abs(exact).max():.3g}, more than "
        if self.dtype == np.float16:
            return f"{largest}float16 holds (65504); leave out --keep-dtype to store float32"
        return f"{largest}float32 holds; are the batch norm's variance and eps right?"


class Dense(LazyBlob):
    """A small blob whose values are known already, such as a bias; `values` has any shape."""

    def __init__(self, values: npt.NDArray[np.float64], dtype: np.dtype[Any], what: str) -> None:
        super().__init__(values.shape, dtype, what)
        self.values = values

    def exact_chunks(self, max_items: int) -> Iterator[npt.NDArray[np.float64]]:
        """The values in order, flat, float64, at most `max_items` at a time."""
        flat = self.values.ravel()
        for start in range(0, flat.size, max_items):
            yield flat[start : start + max_items]


class Scaled(LazyBlob):
    """A blob whose slices along one axis are each multiplied by a number.

    Seen flat, it is a matrix of rows of `period` values, and row r is multiplied by
    `scale[r % count]`.

    Args:
        source: the blob as stored.
        scale: shape (count,), float64: a factor for each slice.
        period: values between one slice and the next: the product of the axes after it.
        dtype: the type the result is stored in.
        what: how to name the blob in an error.
    """

    def __init__(
        self, source: BlobSource, scale: Vector, period: int, dtype: np.dtype[Any], what: str
    ) -> None:
        super().__init__(source.shape, dtype, what)
        self._source = source
        self._scale = scale
        self._period = period

    def times(self, scale: Vector) -> Scaled:
        """The same blob with its slices multiplied once more."""
        product = self._scale * scale
        return Scaled(self._source, product, self._period, self.dtype, self.what)

    def exact_chunks(self, max_items: int) -> Iterator[npt.NDArray[np.float64]]:
        """The values in order, flat, float64, at most `max_items` at a time."""
        start = 0
        for chunk in self._source.chunks(min(max_items, self._piece())):
            yield self._multiply(chunk, start)
            start += chunk.size

    def _piece(self) -> int:
        """A whole number of rows that is near the piece size, or one row at the least."""
        return self._period * max(1, _PIECE // self._period)

    def _multiply(self, chunk: npt.NDArray[Any], start: int) -> npt.NDArray[np.float64]:
        period = self._period
        if start % period == 0 and chunk.size % period == 0:
            rows = chunk.reshape(-1, period)
            first = start // period
            which = np.arange(first, first + len(rows)) % self._scale.size
            scaled: npt.NDArray[np.float64] = rows * self._scale[which, None]
            return scaled.ravel()
        which = np.arange(start, start + chunk.size) // period % self._scale.size
        flat: npt.NDArray[np.float64] = chunk * self._scale[which]
        return flat
