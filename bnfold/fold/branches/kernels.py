"""Lazy blobs for kernels that several branches share: added up, or one behind the other.

For branches b with kernels K_b, coefficients c_b and places o_b in the merged window,

    K[o, i, t]  =  sum of  c_b K_b[o, i, t - o_b]  over all b

where a kernel is zero outside its own window, and a per-channel scale s stands for a kernel with
one place, whose value is s[o] where i is channel o itself, and zero elsewhere. A kernel in more
groups than the sum is zero between its groups. Rows of output channels are put together one block
at a time, from blocks of the same rows of each branch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from bnfold.aliases import Vector
from bnfold.fold.weights import LazyBlob

Block: TypeAlias = npt.NDArray[np.float64]
Adder: TypeAlias = Callable[[Block, int], None]
"""Adds to a block of rows, given the first of them; called for all rows, in order."""

_PIECE = 1 << 16
"""Values that are asked of a branch at a time."""


class Grid(NamedTuple):
    """The shape of a convolution's weight, by what its axes mean."""

    outputs: int
    inputs: int
    groups: int
    kernel: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """(outputs, inputs / groups, kernel...)."""
        return (self.outputs, self.inputs // self.groups, *self.kernel)

    def starts(self, first: int, count: int, groups: int) -> npt.NDArray[np.intp]:
        """Where in each row the inputs of a branch in finer groups begin; shape (count,)."""
        rows = np.arange(first, first + count)
        mine = rows // (self.outputs // groups) * (self.inputs // groups)
        its = rows // (self.outputs // self.groups) * (self.inputs // self.groups)
        return mine - its


class Part(Protocol):
    """What one branch adds to a kernel."""

    def adder(self, grid: Grid) -> Adder:
        """Begin at the first row of a weight."""


@dataclass(frozen=True, eq=False)
class KernelPart:
    """A convolution's kernel.

    Attributes:
        weight: shape (O, I / groups, k...).
        groups: its own number of groups, a multiple of the sum's.
        place: where in the merged window its own begins, for each axis.
        coefficient: what it is multiplied by.
    """

    weight: LazyBlob
    groups: int
    place: tuple[int, ...]
    coefficient: float

    def adder(self, grid: Grid) -> Adder:
        """Begin at the first row of the weight."""
        stream = _Stream(self.weight.exact_chunks(_PIECE))
        inputs, *kernel = self.weight.shape[1:]
        window = tuple(slice(o, o + k) for o, k in zip(self.place, kernel, strict=True))

        def add(block: Block, first: int) -> None:
            count = len(block)
            values = stream.take(count * inputs * prod(kernel)).reshape(count, inputs, *kernel)
            index: tuple[Any, ...] = (slice(None), slice(None), *window)
            if self.groups != grid.groups:
                columns = grid.starts(first, count, self.groups)[:, None] + np.arange(inputs)
                index = (np.arange(count)[:, None], columns, *window)
            block[index] += self.coefficient * values

        return add


@dataclass(frozen=True, eq=False)
class ScalePart:
    """A factor for each channel, as a kernel with one place.

    Attributes:
        scale: shape (O,), its coefficient included.
        place: where in the merged window it stands, for each axis.
    """

    scale: Vector
    place: tuple[int, ...]

    def adder(self, grid: Grid) -> Adder:
        """Begin at the first row of the weight."""

        def add(block: Block, first: int) -> None:
            count = len(block)
            columns = grid.starts(first, count, grid.outputs)
            index: tuple[Any, ...] = (np.arange(count), columns, *self.place)
            block[index] += self.scale[first : first + count]

        return add


class Summed(LazyBlob):
    """The weight of the convolution that computes the sum of its parts.

    Args:
        grid: its shape.
        parts: the branches; scales ask that there are as many inputs as outputs.
        what: how to name the blob in an error.
    """

    def __init__(self, grid: Grid, parts: Sequence[Part], what: str) -> None:
        super().__init__(grid.shape, np.dtype(np.float64), what)
        self._grid = grid
        self._parts = tuple(parts)

    def exact_chunks(self, max_items: int) -> Iterator[Block]:
        """The values in order, flat, float64, at most `max_items` at a time."""
        height = max(1, max_items // prod(self.shape[1:]))
        adders = [part.adder(self._grid) for part in self._parts]
        for first in range(0, self.shape[0], height):
            block = np.zeros((min(height, self.shape[0] - first), *self.shape[1:]))
            for add in adders:
                add(block, first)
            flat = block.ravel()
            for start in range(0, flat.size, max_items):
                yield flat[start : start + max_items]


class Stacked(LazyBlob):
    """The weight of the convolution whose output channels are those of its parts, in order.

    Args:
        parts: weights of shape (O_b, I, k...), alike but for their outputs.
        what: how to name the blob in an error.
    """

    def __init__(self, parts: Sequence[LazyBlob], what: str) -> None:
        outputs = sum(part.shape[0] for part in parts)
        super().__init__((outputs, *parts[0].shape[1:]), np.dtype(np.float64), what)
        self._parts = tuple(parts)

    def exact_chunks(self, max_items: int) -> Iterator[Block]:
        """The values in order, flat, float64, at most `max_items` at a time."""
        for part in self._parts:
            yield from part.exact_chunks(max_items)


class _Stream:
    """Chunks of any size, given out in the sizes that are asked for."""

    def __init__(self, chunks: Iterator[Block]) -> None:
        self._chunks = chunks
        self._rest: Block = np.zeros(0)

    def take(self, count: int) -> Block:
        found = [self._rest]
        missing = count - self._rest.size
        while missing > 0:
            found.append(next(self._chunks))
            missing -= found[-1].size
        values = np.concatenate(found) if len(found) > 1 else found[0]
        self._rest = values[count:]
        return values[:count]
