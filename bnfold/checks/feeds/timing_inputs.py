"""One batch of inputs for measuring time, which depends little on what they show."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bnfold.aliases import Array, ArrayShape
from bnfold.caffemodel import open_weights
from bnfold.checks.feeds.random_inputs import RandomInputs
from bnfold.graph import build
from bnfold.prototxt import load

SEED = 0


def timing_inputs(model: Path, weights: Path, shapes: Mapping[str, ArrayShape]) -> dict[str, Array]:
    """Return random float32 arrays that suit the network, the same ones every time.

    Args:
        model: the prototxt, which tells what suits each input (see RandomInputs).
        weights: the caffemodel.
        shapes: the shape of each input.

    Raises:
        PrototxtError, CaffemodelError, OSError: a file cannot be read.
    """
    with open_weights(weights) as stored:
        inputs = RandomInputs(build(load(model), weights=stored), shapes, 1, SEED)
    return {name: np.ascontiguousarray(array) for name, array in next(iter(inputs)).items()}
