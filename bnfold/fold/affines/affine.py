"""The algebra of per-channel affine functions: `y = scale * x + shift`, in float64.

Everything here is a pure function of arrays. `c` is the channel (axis 1 of a blob):

    y[n, c, ...] = scale[c] * x[n, c, ...] + shift[c]

A vector of one value stands for all channels. Where no weights are at hand a vector is None,
unknown; what can be told without it (a Scale without a bias has no shift) still is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bnfold.aliases import Vector as Vector


@dataclass(frozen=True, eq=False)
class Affine:
    """A per-channel affine function.

    Attributes:
        scale: shape (C,) or (1,), float64; None where it is unknown.
        shift: shape (C,) or (1,), float64; None where it is unknown.
    """

    scale: Vector | None
    shift: Vector | None

    @property
    def channels(self) -> int:
        """How many channels it tells apart; 1 where it treats all alike (or is unknown)."""
        return max((v.size for v in (self.scale, self.shift) if v is not None), default=1)

    @property
    def is_known(self) -> bool:
        """Whether its numbers are at hand."""
        return self.scale is not None and self.shift is not None

    @property
    def is_shiftless(self) -> bool:
        """Whether the shift is known to be zero in every channel."""
        return self.shift is not None and not self.shift.any()

    @property
    def is_positive(self) -> bool:
        """Whether the scale is known to be above zero in every channel."""
        return self.scale is not None and bool((self.scale > 0).all())

    @property
    def is_identity(self) -> bool:
        """Whether it is known to change nothing."""
        return self.is_shiftless and self.scale is not None and bool((self.scale == 1).all())

    def then(self, after: Affine) -> Affine:
        """This function followed by another: `after(self(x))`.

        With self = (a, b) and after = (p, q): p * (a*x + b) + q = (p*a) * x + (p*b + q).
        """
        scale = None
        if self.scale is not None and after.scale is not None:
            scale = after.scale * self.scale
        if self.is_shiftless:
            return Affine(scale, after.shift)
        if self.shift is None or after.scale is None or after.shift is None:
            return Affine(scale, None)
        return Affine(scale, after.scale * self.shift + after.shift)

    def over(self, channels: int) -> Affine:
        """The same function with a value for each of so many channels."""
        return Affine(_spread(self.scale, channels), _spread(self.shift, channels))

    def repeated(self, times: int) -> Affine:
        """The function where each channel has become so many channels in a row."""
        scale = None if self.scale is None else np.repeat(self.scale, times)
        return Affine(scale, None if self.shift is None else np.repeat(self.shift, times))

    def part(self, start: int, stop: int) -> Affine:
        """The function on the channels [start, stop) alone."""
        return Affine(_slice(self.scale, start, stop), _slice(self.shift, start, stop))

    def without_shift(self) -> Affine:
        """The scale alone."""
        return Affine(self.scale, np.zeros(1))

    def equals(self, other: Affine) -> bool:
        """Whether both are known and the same, number by number."""
        return all(
            mine is not None
            and its is not None
            and (1 in (mine.size, its.size) or mine.size == its.size)
            and bool(np.all(mine == its))
            for mine, its in ((self.scale, other.scale), (self.shift, other.shift))
        )


def _spread(vector: Vector | None, channels: int) -> Vector | None:
    return None if vector is None else np.broadcast_to(vector, (channels,))


def _slice(vector: Vector | None, start: int, stop: int) -> Vector | None:
    return vector if vector is None or vector.size == 1 else vector[start:stop]


def normalise(mean: Vector, variance: Vector, eps: float) -> Affine:
    """(x - mean) / sqrt(variance + eps), for vectors of shape (C,)."""
    scale = 1.0 / np.sqrt(variance + eps)
    return Affine(scale, -mean * scale)


def batch_norm(mean: Vector, variance: Vector, factor: float, eps: float) -> Affine:
    """What a BatchNorm computes with its stored statistics.

    y = (x - s*mean) / sqrt(s*variance + eps), with s = 1/factor, or 0 where factor is 0.
    Source: BVLC caffe, src/caffe/layers/batch_norm_layer.cpp, `Forward_cpu`.

    Args:
        mean: shape (C,), the first blob: the accumulated means.
        variance: shape (C,), the second blob: the accumulated variances.
        factor: the third blob, the moving-average factor that both are divided by.
        eps: added to the variance.
    """
    s = 0.0 if factor == 0 else 1.0 / factor
    return normalise(s * mean, s * variance, eps)
