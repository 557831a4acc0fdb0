"""Kernels that are put together block by block: any chunk size gives the same, and few values."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from bnfold.fold.branches.kernels import Grid, KernelPart, ScalePart, Stacked, Summed
from bnfold.fold.weights import LazyBlob

rng = np.random.default_rng(0)


class Held(LazyBlob):
    """A blob whose values are at hand, given out in chunks of its own size."""

    def __init__(self, values, piece=7):
        super().__init__(values.shape, np.dtype(np.float64), "held")
        self.values = values
        self.piece = piece

    def exact_chunks(self, max_items):
        flat = self.values.ravel()
        for start in range(0, flat.size, self.piece):
            yield flat[start : start + self.piece]


def dense(weight, groups: int):
    """A grouped kernel as one in a single group, with zeros between the groups."""
    outputs, inputs, *kernel = weight.shape
    full = np.zeros((outputs, inputs * groups, *kernel))
    for row in range(outputs):
        first = row // (outputs // groups) * inputs
        full[row, first : first + inputs] = weight[row]
    return full


def example():
    """Kernels in 2, 4 and 12 groups and a scale, in a 4x3 window; and their sum in 2 groups."""
    grid = Grid(12, 12, 2, (4, 3))
    parts, expected = [], np.zeros((12, 12, 4, 3))
    for groups, kernel, place, factor in (
        (2, (3, 3), (1, 0), 1.5),
        (4, (1, 3), (2, 0), -1.0),
        (12, (2, 1), (0, 2), 0.25),
    ):
        weight = rng.normal(size=(12, 12 // groups, *kernel))
        parts.append(KernelPart(Held(weight), groups, place, factor))
        (top, left), (height, width) = place, kernel
        at = (slice(None), slice(None), slice(top, top + height), slice(left, left + width))
        expected[at] += factor * dense(weight, groups)
    scale = rng.normal(size=12)
    parts.append(ScalePart(scale, (2, 1)))
    expected[np.arange(12), np.arange(12), 2, 1] += scale
    return Summed(grid, parts, "sum"), expected


@pytest.mark.parametrize("items", [1, 5, 72, 73, 300, 1 << 16])
def test_sum_of_kernels_in_chunks_of_any_size(items):
    blob, expected = example()
    assert blob.shape == (12, 6, 4, 3)
    chunks = list(blob.exact_chunks(items))
    assert max(chunk.size for chunk in chunks) <= items
    found = dense(np.concatenate(chunks).reshape(blob.shape), 2)
    np.testing.assert_allclose(found, expected, rtol=1e-15, atol=1e-15)


def test_it_may_be_asked_more_than_once():
    blob, _ = example()
    first, second = (np.concatenate(list(blob.chunks(100))) for _ in range(2))
    assert (first == second).all()


def test_parts_stand_one_behind_the_other():
    parts = [rng.normal(size=(outputs, 3, 2, 2)) for outputs in (2, 1, 4)]
    blob = Stacked([Held(part) for part in parts], "stack")
    assert blob.shape == (7, 3, 2, 2)
    found = np.concatenate(list(blob.exact_chunks(10))).reshape(blob.shape)
    assert (found == np.concatenate(parts)).all()


def test_only_a_block_of_rows_is_ever_in_memory():
    class Zeros(LazyBlob):
        def exact_chunks(self, max_items):
            for start in range(0, int(np.prod(self.shape)), max_items):
                yield np.zeros(min(max_items, int(np.prod(self.shape)) - start))

    parts = [
        KernelPart(Zeros((1024, 1024, k, k), np.dtype(np.float64), "z"), 1, ((3 - k) // 2,) * 2, 1)
        for k in (3, 1)
    ]
    blob = Summed(Grid(1024, 1024, 1, (3, 3)), parts, "big")
    tracemalloc.start()
    for _ in blob.exact_chunks(1 << 16):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20, "the kernel is 75 MB in float64"
