"""Medians, quartiles and intervals against cases worked out by hand."""

from __future__ import annotations

import random
from statistics import median

import pytest

from bnfold.checks.speed.spread import Interval, median_interval, spread


def test_quartiles_by_hand():
    # Positions 0.25 * 4 = 1 and 0.75 * 4 = 3 of the five in order: no interpolation.
    found = spread([50.0, 10.0, 20.0, 40.0, 30.0])
    assert (found.median, found.lower, found.upper, found.count) == (30, 20, 40, 5)
    # Positions 0.75 and 2.25 of four.
    found = spread([4.0, 1.0, 2.0, 3.0])
    assert (found.median, found.lower, found.upper) == (2.5, 1.75, 3.25)


def test_one_value_is_all_there_is():
    found = spread([7.0])
    assert (found.median, found.lower, found.upper, found.count) == (7, 7, 7, 1)
    assert found.interval == Interval(7, 7, 0.0)


@pytest.mark.parametrize(
    ("count", "low", "missed"),
    [
        (2, 1, 2 / 4),  # Both on one side of the median.
        (5, 1, 2 / 32),  # 0.9375 is all that five can give.
        (6, 1, 2 / 64),
        (9, 2, 2 * (1 + 9) / 512),
        (10, 2, 2 * (1 + 10) / 1024),
        (15, 4, 2 * (1 + 15 + 105 + 455) / 2**15),
    ],
)
def test_interval_by_hand(count, low, missed):
    values = list(range(1, count + 1))
    assert median_interval(values) == Interval(low, count + 1 - low, pytest.approx(1 - missed))


def test_interval_of_very_many():
    # The normal approximation, 1.96 sqrt(n) / 2 places to each side of the middle.
    count = 10_000
    found = median_interval(list(range(count)))
    assert found.low == pytest.approx(count / 2 - 98, abs=2)
    assert found.low + found.high == count - 1
    assert 0.95 <= found.confidence < 0.952


def test_interval_holds_the_median_as_often_as_it_says():
    rng = random.Random(3)
    held = 0
    for _ in range(2000):
        found = median_interval(sorted(rng.expovariate(1) for _ in range(10)))
        held += found.low <= 0.6931 <= found.high
    assert held / 2000 == pytest.approx(0.9785, abs=0.012)


def test_spread_does_not_depend_on_the_order():
    rng = random.Random(4)
    values = [rng.random() for _ in range(31)]
    assert spread(values) == spread(sorted(values))
    assert spread(values).median == median(values)
