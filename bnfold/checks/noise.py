"""Inputs for measuring time, which does not depend on what they show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

SEED = 0


def noise(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, npt.NDArray[Any]]:
    """Return normally distributed float32 arrays of the given shapes, the same ones every time."""
    rng = np.random.default_rng(SEED)
    return {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}
