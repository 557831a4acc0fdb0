"""Lazy blobs: what a layer's weights will be, computed piece by piece when the writer asks.

Arithmetic is float64 throughout; each value is rounded once, when it is written.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from bnfold.aliases import Vector
from bnfold.caffemodel import BlobSource
from bnfold.errors import BnfoldError

_PIECE = 1 << 16
"""Values that are computed at a time: as stored and in float64 they fit into a core's cache."""


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
    """A blob of one value a channel, such as a bias.

    Args:
        count: how many values.
        compute: gives them, float64 of shape (count,); called once, when they are needed.
        dtype: the type they are stored in.
        what: how to name the blob in an error.
    """

    def __init__(
        self, count: int, compute: Callable[[], Vector], dtype: np.dtype[Any], what: str
    ) -> None:
        super().__init__((count,), dtype, what)
        self._compute = compute
        self._before: tuple[Dense, Callable[[Vector], Vector]] | None = None

    @classmethod
    def of(cls, values: Vector, dtype: np.dtype[Any], what: str) -> Dense:
        """A blob whose values, shape (count,), are known already."""
        return cls(values.size, lambda: values, dtype, what)

    @cached_property
    def values(self) -> Vector:
        """The values, not rounded."""
        # What was folded into one layer can be as much as the network is long.
        functions: list[Callable[[Vector], Vector]] = []
        first = self
        while first._before is not None:
            first, function = first._before
            functions.append(function)
        values = first._compute()
        for function in reversed(functions):
            values = function(values)
        return values

    def mapped(self, function: Callable[[Vector], Vector]) -> Dense:
        """The same blob with a function of its values."""
        found = Dense(self.shape[0], self._compute, self.dtype, self.what)
        found._before = self, function
        return found

    def exact_chunks(self, max_items: int) -> Iterator[npt.NDArray[np.float64]]:
        """The values in order, flat, float64, at most `max_items` at a time."""
        for start in range(0, self.values.size, max_items):
            yield self.values[start : start + max_items]


class Repeated(LazyBlob):
    """A blob of the same few values again and again, such as one kernel for each channel.

    Args:
        shape: its axes.
        values: float64, flat; the blob begins with them, and goes on with the first of them again.
        what: how to name the blob in an error.
        dtype: the type they are stored in.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        values: Vector,
        what: str,
        dtype: np.dtype[Any] = np.dtype(np.float32),  # noqa: B008
    ) -> None:
        super().__init__(shape, dtype, what)
        self._values = values

    def exact_chunks(self, max_items: int) -> Iterator[npt.NDArray[np.float64]]:
        """The values in order, flat, float64, at most `max_items` at a time."""
        count = math.prod(self.shape)
        for start in range(0, count, max_items):
            stop = min(start + max_items, count)
            yield self._values[np.arange(start, stop) % self._values.size]


class Reshaped(LazyBlob):
    """The values of another blob, in order, with other axes."""

    def __init__(
        self, source: BlobSource, shape: tuple[int, ...], dtype: np.dtype[Any], what: str
    ) -> None:
        super().__init__(shape, dtype, what)
        self._source = source

    def exact_chunks(self, max_items: int) -> Iterator[npt.NDArray[np.float64]]:
        """The values in order, flat, float64, at most `max_items` at a time."""
        if isinstance(self._source, LazyBlob):
            yield from self._source.exact_chunks(max_items)
        else:
            for chunk in self._source.chunks(max_items):
                yield chunk.astype(np.float64, copy=False)


@dataclass(frozen=True, eq=False)
class ChannelMap:
    """Which channel a value of a blob belongs to, by its place in the flat blob.

    Value i belongs to channel `table[(i // period) % len(table)]`.

    Attributes:
        table: shape (rows,), integers.
        period: how many values in a row share an entry.
    """

    table: npt.NDArray[np.intp]
    period: int

    def channels(self, start: int, count: int) -> npt.NDArray[np.intp]:
        """The channels of `count` values from `start` on."""
        index = np.arange(start, start + count)
        return self.table[index // self.period % self.table.size]


class Scaled(LazyBlob):
    """A stored blob times factors that depend on a value's place.

    Args:
        source: the blob as stored.
        factors: vectors with their periods; value i is multiplied by
            `vector[(i // period) % len(vector)]` of each.
        dtype: the type the result is stored in.
        what: how to name the blob in an error.
    """

    def __init__(
        self,
        source: BlobSource,
        factors: tuple[tuple[Vector, int], ...],
        dtype: np.dtype[Any],
        what: str,
    ) -> None:
        super().__init__(source.shape, dtype, what)
        self._source = source
        self._factors = factors

    @property
    def source(self) -> BlobSource:
        """The blob as stored."""
        return self._source

    @property
    def factors(self) -> tuple[tuple[Vector, int], ...]:
        """The vectors with their periods."""
        return self._factors

    def times(self, scale: Vector, channels: ChannelMap) -> Scaled:
        """The same blob, each value multiplied once more, by its channel's factor."""
        vector, period = scale[channels.table], channels.period
        factors = list(self._factors)
        for index, (known, known_period) in enumerate(factors):
            if known_period == period and known.size == vector.size:
                factors[index] = (known * vector, period)
                break
        else:
            factors.append((vector, period))
        return Scaled(self._source, tuple(factors), self.dtype, self.what)

    def weighted_sums(
        self, weights: Vector, inputs: ChannelMap, outputs: ChannelMap, count: int
    ) -> Vector:
        """For each output channel, the sum of its values, each times its input's weight.

        This is what a constant input of `weights` adds to every output.
        """
        sums = np.zeros(count)
        start = 0
        for chunk in self.exact_chunks(_PIECE):
            products = chunk * weights[inputs.channels(start, chunk.size)]
            sums += np.bincount(outputs.channels(start, chunk.size), products, count)
            start += chunk.size
        return sums

    def exact_chunks(self, max_items: int) -> Iterator[npt.NDArray[np.float64]]:
        """The values in order, flat, float64, at most `max_items` at a time."""
        start = 0
        for chunk in self._source.chunks(min(max_items, self._piece())):
            values = chunk.astype(np.float64)
            for vector, period in self._factors:
                _multiply(values, start, vector, period)
            yield values
            start += chunk.size

    def _piece(self) -> int:
        """A whole number of the longest rows that is near the piece size."""
        longest = max((period for _, period in self._factors), default=1)
        return longest * max(1, _PIECE // longest)


def _multiply(values: npt.NDArray[np.float64], start: int, vector: Vector, period: int) -> None:
    """Multiply values in place by their factors; the first of them has the number `start`."""
    if start % period == 0 and values.size % period == 0:
        rows = values.reshape(-1, period)
        first = start // period
        rows *= vector[np.arange(first, first + len(rows)) % vector.size, None]
    else:
        values *= vector[np.arange(start, start + values.size) // period % vector.size]
