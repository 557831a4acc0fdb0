"""Constants that hold inside a feature map, and may be off at its border."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bnfold.aliases import Vector


@dataclass(frozen=True, eq=False)
class Constants:
    """What each channel of a value is constant at.

    Attributes:
        inside: shape (C,), what it is away from borders; NaN where it varies.
        low, high: shape (C,), between which it is everywhere; equal to `inside` where exact.
    """

    inside: Vector
    low: Vector
    high: Vector

    @classmethod
    def exact(cls, values: Vector) -> Constants:
        """Channels that are these values everywhere (NaN: that vary)."""
        return cls(values, values, values)

    @classmethod
    def none(cls, count: int) -> Constants:
        """So many channels that vary."""
        return cls.exact(np.full(count, np.nan))

    @property
    def off(self) -> Vector:
        """How far each is from `inside` somewhere."""
        return np.maximum(self.high - self.inside, self.inside - self.low)

    def over(self, other: Constants) -> Constants:
        """These where they are known, `other` elsewhere."""
        known = np.isfinite(self.inside)
        return Constants(
            np.where(known, self.inside, other.inside),
            np.where(known, self.low, other.low),
            np.where(known, self.high, other.high),
        )

    def known(self) -> Constants:
        """The same, where anything that is not finite varies."""
        finite = np.isfinite(self.inside) & np.isfinite(self.low) & np.isfinite(self.high)
        return Constants(
            *(np.where(finite, part, np.nan) for part in (self.inside, self.low, self.high))
        )
