"""Differences against numpy's own count, also where numbers are none."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bnfold.checks.equality.difference import RunningDifference, Top1


def compared(*runs):
    total = RunningDifference()
    for before, after in runs:
        total.add(np.asarray(before, np.float32), np.asarray(after, np.float32))
    return total.result()


@pytest.mark.parametrize("shape", [(2, 3), (2, 5, 1, 1), (3, 7, 90, 80)])
def test_numbers_against_numpy(shape):
    rng = np.random.default_rng(1)
    runs = [rng.normal(0, 1, (2, *shape)).astype(np.float32) for _ in range(3)]
    found = compared(*runs)
    old, new = (np.stack([run[i] for run in runs]).astype(np.float64) for i in (0, 1))
    apart = np.abs(old - new)
    assert found.absolute == apart.max()
    assert found.magnitude == np.abs(old).max()
    assert found.relative == apart.max() / np.abs(old).max()
    assert (found.run, *found.where) == np.unravel_index(apart.argmax(), apart.shape)
    assert found.channel == found.where[1]
    assert found.mean == pytest.approx(apart.mean(), rel=1e-12)
    assert found.median == pytest.approx(np.quantile(apart, 0.5, method="inverted_cdf"), rel=0.03)
    assert found.p99 == pytest.approx(np.quantile(apart, 0.99, method="inverted_cdf"), rel=0.03)
    decibels = 10 * math.log10((old**2).sum() / (apart**2).sum())
    assert found.sqnr == pytest.approx(decibels, abs=1e-9)
    angle = (old * new).sum() / math.sqrt((old**2).sum() * (new**2).sum())
    assert found.cosine == pytest.approx(angle, abs=1e-12)
    if math.prod(shape[2:]) == 1:
        rows = (old.reshape(-1, shape[1]), new.reshape(-1, shape[1]))
        same = int((rows[0].argmax(1) == rows[1].argmax(1)).sum())
        assert found.top1 == Top1(same, 3 * shape[0])
    else:
        assert found.top1 is None


def test_equal_values_have_no_place():
    found = compared(([[1, 2]], [[1, 2]]))
    assert (found.mean, found.median, found.p99, found.sqnr) == (0, 0, 0, math.inf)
    assert (found.relative, found.where) == (0, None)
    assert found.cosine == pytest.approx(1)
    assert found.within(0)


def test_zeros():
    assert compared(([0.0], [0.0])).within(0)
    found = compared(([0.0], [1e-9]))
    assert found.relative == math.inf
    assert not found.within(1e9)
    assert found.cosine == 0


@pytest.mark.parametrize(
    ("before", "after", "nan", "unlike"),
    [
        ([math.nan, 1], [math.nan, 1], 1, 0),
        ([2, 1], [math.nan, 1], 1, 0),
        ([math.inf, 1], [3, 1], 0, 1),
        ([math.inf, 1], [-math.inf, 1], 0, 1),
    ],
)
def test_what_is_no_number_is_counted_and_never_within(before, after, nan, unlike):
    found = compared((before, after))
    assert (found.nan, found.unlike) == (nan, unlike)
    assert found.absolute == 0
    assert not found.within(1e9)


def test_infinities_that_are_alike_agree():
    assert compared(([-math.inf, 1], [-math.inf, 1])).within(0)


def test_other_shapes_are_never_within():
    found = compared((np.zeros((1, 2)), np.zeros((1, 3))))
    assert (found.shape, found.other_shape) == ((1, 2), (1, 3))
    assert not found.within(1e9)
