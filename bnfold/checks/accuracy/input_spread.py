"""Whether a network is fed what it was trained on, as far as its own statistics tell."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from bnfold.aliases import Floats
from bnfold.caffemodel import open_weights
from bnfold.checks.feeds.random_inputs import told_range
from bnfold.errors import BnfoldError
from bnfold.graph import build
from bnfold.prototxt import load

_FAR = 8.0
"""How many times as wide, or as narrow, inputs may be as those that a network was trained on.

The statistics of a first batch norm tell that of independent pixels, and those of pictures are not.
"""


@dataclass
class InputSpread:
    """The mean and standard deviation of all that is fed."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    channels: int = 1

    def add(self, images: Floats) -> None:
        """Take in a batch, shape (images, channels, ...)."""
        self.count += images.size
        self.total += float(images.sum(dtype="f8"))
        self.squares += float((images.astype("f8") ** 2).sum())
        self.channels = images.shape[1] if images.ndim > 1 else 1

    def unlike(self, model: Path, weights: Path, name: str) -> str:
        """How what was fed differs from what the network was trained on, in words; "" if not.

        Args:
            model, weights: the files of the original network.
            name: the input that takes the images.
        """
        try:
            with open_weights(weights) as stored:
                told = told_range(build(load(model), weights=stored), name, self.channels)
        except BnfoldError:
            return ""
        if told is None or told.integers or not self.count:
            return ""
        mean = self.total / self.count
        deviation = math.sqrt(max(0.0, self.squares / self.count - mean**2))
        expected = told.deviation
        far = max(abs(mean - float(told.mean.mean())), deviation)
        if expected <= 0 or (far <= _FAR * expected and deviation * _FAR >= expected):
            return ""
        trained = f"{float(told.mean.mean()):.3g} ± {expected:.3g} ({told.source})"
        return (
            f"the images come as {mean:.3g} ± {deviation:.3g}, but what '{name}' was trained on "
            f"was {trained}"
        )
