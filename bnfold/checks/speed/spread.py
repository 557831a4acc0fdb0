"""What can be said of a number that was measured several times: middle, spread, certainty."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A range that holds the true median.

    Attributes:
        low, high: its ends, in the unit of what was measured.
        confidence: the probability with which such a range holds the true median.
    """

    low: float
    high: float
    confidence: float


@dataclass(frozen=True)
class Spread:
    """Values in short.

    Attributes:
        median: the middle one.
        lower, upper: the first and the third quartile.
        interval: where the true median is.
        count: how many values there were.
    """

    median: float
    lower: float
    upper: float
    interval: Interval
    count: int


def spread(values: Sequence[float]) -> Spread:
    """Return the median of some values, their quartiles, and how certain the median is.

    Quartiles are interpolated linearly: definition 7 of R. J. Hyndman and Y. Fan, "Sample
    Quantiles in Statistical Packages", The American Statistician 50 (1996).

    Args:
        values: at least one number.

    >>> found = spread([4.0, 1.0, 2.0, 3.0])
    >>> found.median, found.lower, found.upper
    (2.5, 1.75, 3.25)
    """
    ordered = sorted(values)
    middle = statistics.median(ordered)
    lower = upper = middle
    if len(ordered) > 1:
        lower, _, upper = statistics.quantiles(ordered, n=4, method="inclusive")
    return Spread(middle, lower, upper, median_interval(ordered), len(ordered))


def median_interval(ordered: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Return the narrowest symmetric interval of order statistics for the median.

    From the k-th smallest of n values to the k-th largest, it misses the median with probability
    2 P(B < k), where B is binomial with n trials of probability 1/2; nothing is assumed of how
    the values are distributed. Source: H. A. David and H. N. Nagaraja, "Order Statistics", third
    edition (2003), section 7.1.

    Args:
        ordered: at least one number, in ascending order.
        confidence: the probability to aim at. Fewer than six values cannot give 0.95: then the
            interval holds them all, and says which confidence that is.

    >>> median_interval([1, 2, 3, 4, 5, 6])
    Interval(low=1, high=6, confidence=0.96875)
    """
    count = len(ordered)
    allowed = (1 - confidence) / 2
    below = _binomial_half(count, 0)
    rank = 0
    while rank + 1 < (count + 1) // 2:
        wider = below + _binomial_half(count, rank + 1)
        if wider > allowed:
            break
        below, rank = wider, rank + 1
    return Interval(ordered[rank], ordered[count - 1 - rank], max(0.0, 1 - 2 * below))


def _binomial_half(count: int, hits: int) -> float:
    """The probability of `hits` heads in `count` throws of a coin."""
    if count < 1000:
        return math.ldexp(math.comb(count, hits), -count)
    # The integers would be huge, and this is exact to nine digits.
    ways = math.lgamma(count + 1) - math.lgamma(hits + 1) - math.lgamma(count - hits + 1)
    return math.exp(ways - count * math.log(2))
