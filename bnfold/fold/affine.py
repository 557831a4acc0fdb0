"""The algebra of per-channel affine functions: `y = scale * x + shift`, in float64.

Everything here is a pure function of arrays. `c` is the channel (axis 1 of a blob):

    y[n, c, ...] = scale[c] * x[n, c, ...] + shift[c]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Vector: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Affine:
    """A per-channel affine function.

    Attributes:
        scale: shape (C,), float64.
        shift: shape (C,), float64.
    """

    scale: Vector
    shift: Vector

    @classmethod
    def identity(cls, channels: int) -> Affine:
        """The function that changes nothing, on `channels` channels."""
        return cls(np.ones(channels), np.zeros(channels))

    def then(self, after: Affine) -> Affine:
        """This function followed by another: `after(self(x))`.

        With self = (a, b) and after = (p, q): p * (a*x + b) + q = (p*a) * x + (p*b + q).
        """
        return Affine(after.scale * self.scale, after.scale * self.shift + after.shift)


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
    scale = 1.0 / np.sqrt(s * variance + eps)
    return Affine(scale, -(s * mean) * scale)
