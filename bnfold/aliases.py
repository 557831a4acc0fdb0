"""Names of types that several rooms use, each defined here and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

PathLike: TypeAlias = "str | os.PathLike[str]"
"""The path of a file, as `open` takes it."""

ArrayShape: TypeAlias = tuple[int, ...]
"""The lengths of an array's axes; those of a value that is not computed yet are a `graph.Shape`."""

Array: TypeAlias = npt.NDArray[Any]
"""An array of any numbers."""

Floats: TypeAlias = npt.NDArray[np.float32]
"""An array of float32."""

Vector: TypeAlias = npt.NDArray[np.float64]
"""A float64 number for each channel: shape `(channels,)`."""

Progress: TypeAlias = Callable[[int, int], None]
"""Told after each batch of a long run how many are done, and of how many."""
