"""How far two networks' values are apart, added up over any number of runs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bnfold.aliases import Array, ArrayShape
from bnfold.checks.equality.quantiles import Quantiles
from bnfold.graph.axes import is_scores

_CHUNK = 1 << 15
"""Values that are compared at a time: in float64 they fit into a core's cache."""


@dataclass(frozen=True)
class Top1:
    """How often the largest of a vector of scores stands in the same place."""

    same: int
    total: int


@dataclass(frozen=True)
class Difference:
    """Two values of one name, from two networks, over all runs.

    Attributes:
        shape: the shape in the first run; two of them, the second in `other_shape`, where the
            networks do not agree on it, and then nothing else is known.
        other_shape: the folded network's shape where it differs, else None.
        absolute: the largest absolute difference between finite values.
        magnitude: the largest absolute finite value of the original network.
        mean: the mean absolute difference between finite values.
        median, p99: the absolute difference that half, and 99 %, of them do not exceed; up to 3 %.
        sqnr: the ratio of the original's energy to the difference's, in dB; infinite where all are
            equal.
        cosine: the cosine of the angle between the two, as vectors over all runs; 1 for two
            vectors of zeros.
        nan: how many values are NaN in either network.
        unlike: how many values are infinite in one network and another number in the other.
        where: the index of the largest difference, the image first; None where all are equal.
        run: the number of the run it is in, from 0.
        top1: agreement on the largest score, for vectors of scores.
    """

    shape: ArrayShape
    other_shape: ArrayShape | None
    absolute: float
    magnitude: float
    mean: float
    median: float
    p99: float
    sqnr: float
    cosine: float
    nan: int
    unlike: int
    where: tuple[int, ...] | None
    run: int
    top1: Top1 | None

    @property
    def relative(self) -> float:
        """The largest absolute difference, as a share of the largest value of the original."""
        if self.absolute == 0:
            return 0.0
        return self.absolute / self.magnitude if self.magnitude else math.inf

    @property
    def channel(self) -> int | None:
        """The channel (axis 1) in which the difference is largest."""
        return self.where[1] if self.where is not None and len(self.where) > 1 else None

    @property
    def badness(self) -> float:
        """The relative difference; infinite where the two cannot be compared number by number."""
        broken = self.other_shape is not None or self.nan or self.unlike
        return math.inf if broken else self.relative

    def within(self, tolerance: float) -> bool:
        """Whether the two agree: shapes alike, no NaN, infinities alike, the rest near enough."""
        return self.badness <= tolerance


class RunningDifference:
    """The difference of one value, added up run by run in float64, a stretch at a time."""

    def __init__(self) -> None:
        self._runs = 0
        self._shape: ArrayShape = ()
        self._other: ArrayShape | None = None
        self._absolute = self._magnitude = 0.0
        self._products = np.zeros(3)
        self._apart = np.zeros(2)
        self._values = 0
        self._quantiles = Quantiles()
        self._nan = self._unlike = 0
        self._where: tuple[int, ...] | None = None
        self._where_run = 0
        self._same = self._total = 0

    def add(self, before: Array, after: Array) -> float:
        """Compare what the original and the folded network gave in one run.

        Args:
            before: the original's value, of any shape.
            after: the folded network's.

        Returns:
            How far apart they are, to tell runs by: the largest difference in this run as a share
            of the largest value so far, infinite where numbers cannot be compared.
        """
        largest = 0.0
        if self._runs == 0:
            self._shape = before.shape
        if self._other is None and before.shape != after.shape:
            self._shape, self._other = before.shape, after.shape
        if self._other is None:
            one, other = before.reshape(-1), after.reshape(-1)
            for start in range(0, one.size, _CHUNK):
                largest = max(largest, self._stretch(one, other, start, before.shape))
            if is_scores(before.shape):
                rows = (before.shape[0], -1)
                same = before.reshape(rows).argmax(1) == after.reshape(rows).argmax(1)
                self._same += int(same.sum())
                self._total += len(same)
        self._runs += 1
        if self._other is not None or self._nan or self._unlike:
            return math.inf
        return largest / self._magnitude if largest and self._magnitude else largest

    def _stretch(self, one: Array, other: Array, start: int, shape: ArrayShape) -> float:
        a = one[start : start + _CHUNK].astype(np.float64)
        b = other[start : start + _CHUNK].astype(np.float64)
        products = np.array((_dot(a, b), _dot(a, a), _dot(b, b)))
        # No float32 is so large that its square is infinite in float64.
        if not np.isfinite(products).all():
            finite = np.isfinite(a) & np.isfinite(b)
            self._nan += int((np.isnan(a) | np.isnan(b)).sum())
            self._unlike += int((~finite & (a != b) & ~(np.isnan(a) | np.isnan(b))).sum())
            a, b = np.where(finite, a, 0), np.where(finite, b, 0)
            products = np.array((_dot(a, b), _dot(a, a), _dot(b, b)))
        self._products += products
        self._magnitude = max(self._magnitude, float(a.max()), -float(a.min()))
        apart = np.subtract(a, b, out=b)
        np.abs(apart, out=apart)
        self._apart += apart.sum(), _dot(apart, apart)
        self._values += apart.size
        self._quantiles.add(apart)
        at = int(apart.argmax())
        largest = float(apart[at])
        if largest > self._absolute:
            self._absolute = largest
            self._where = tuple(int(i) for i in np.unravel_index(start + at, shape))
            self._where_run = self._runs
        return largest

    def result(self) -> Difference:
        """The difference over everything that was added."""
        both, first, second = (float(x) for x in self._products)
        if first and second:
            cosine = min(1.0, both / (math.sqrt(first) * math.sqrt(second)))
        else:
            cosine = 1.0 if first == second else 0.0
        total, energy = (float(x) for x in self._apart)
        return Difference(
            self._shape,
            self._other,
            self._absolute,
            self._magnitude,
            total / max(1, self._values),
            self._quantiles.quantile(0.5),
            self._quantiles.quantile(0.99),
            _decibels(first, energy),
            cosine,
            self._nan,
            self._unlike,
            self._where,
            self._where_run,
            Top1(self._same, self._total) if self._total else None,
        )


def _dot(one: Array, other: Array) -> float:
    """The sum of products. BLAS would share it among threads, which wait long on a busy machine."""
    return float(np.einsum("i,i", one, other))


def _decibels(signal: float, noise: float) -> float:
    if not noise:
        return math.inf
    return 10 * math.log10(signal / noise) if signal / noise else -math.inf
