"""How differences are distributed, over any number of values, in little memory."""

from __future__ import annotations

import numpy as np

from bnfold.aliases import Array

_SHIFT = 47
"""Bits of a float64 that are left out of a bin's number: 5 of the significand's 52 stay."""


class Quantiles:
    """Magnitudes in bins whose width is 1/32 of a power of two, so that a quantile is 3 % off at
    most; the bin of a magnitude is the first bits of its float64.
    """

    def __init__(self) -> None:
        self._counts = np.zeros(0, np.int64)

    def add(self, magnitudes: Array) -> None:
        """Count float64 values of any shape, none of them negative, infinite or NaN."""
        bins = magnitudes.reshape(-1).view(np.int64) >> _SHIFT
        self._counts = np.bincount(bins, minlength=self._counts.size) + np.pad(
            self._counts, (0, max(0, int(bins.max(initial=-1)) + 1 - self._counts.size))
        )

    def quantile(self, share: float) -> float:
        """The magnitude that this share of the values does not exceed; 0 where there are none."""
        total = int(self._counts.sum())
        if not total:
            return 0.0
        rank = min(total, max(1, int(np.ceil(share * total))))
        at = int(np.searchsorted(np.cumsum(self._counts), rank))
        low, high = (np.array([at, at + 1], np.int64) << _SHIFT).view(np.float64)
        return float(low + (high - low) / 2) if at else 0.0
