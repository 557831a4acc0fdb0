"""What every drawn layer is made of: names, values to read, numbers."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import numpy as np

from ..wiring import Array, Node

Shape = tuple[int, ...]
MOST_VALUES = 6000


class Pieces:
    """A network that grows layer by layer.

    A value is read by its name; `shapes` holds what can be read, the newest last.

    Args:
        seed: decides everything.
    """

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.numbers = np.random.default_rng(seed)
        self.seed = seed
        self.nodes: list[Node] = []
        self.shapes: dict[str, Shape] = {}
        self.read: set[str] = set()
        self.last = ""
        self.odds_of_dead = self.random.choice([0.0, 0.2, 0.6])
        self.odds_of_in_place = self.random.choice([0.1, 0.5, 0.8])
        self.odds_of_chain = self.random.choice([0.3, 0.6, 0.9])
        self.odds_of_strange = self.random.choice([0.0, 0.0, 0.1])

    def chance(self, odds: float) -> bool:
        return self.random.random() < odds

    def name(self, kind: str) -> str:
        return f"{kind.lower()}{len(self.nodes)}"

    def pick(self, fits: Callable[[Shape], bool] = lambda shape: True) -> str | None:
        """A value: the newest most often."""
        newest = self.shapes.get(self.last)
        if newest is not None and fits(newest) and self.chance(self.odds_of_chain):
            return self.last
        names = [name for name, shape in self.shapes.items() if fits(shape)]
        return self.random.choice(names[-6:]) if names else None

    def top(self, bottom: str, name: str) -> str:
        """In place or not; what already has a reader cannot be worked on in place."""
        if bottom not in self.read and self.chance(self.odds_of_in_place):
            del self.shapes[bottom]
            return bottom
        self.read.add(bottom)
        return name

    def put(self, node: Node, *shapes: Shape | None) -> None:
        """Add a layer; what it writes can be read unless its shape is None."""
        self.nodes.append(node)
        for top, shape in zip(node.tops, shapes, strict=True):
            self.read.discard(top)
            self.shapes.pop(top, None)
            if shape is not None and 0 < math.prod(shape) <= MOST_VALUES:
                self.shapes[top] = shape
                self.last = top

    def storage(self, axes: int = 4) -> str:
        """How weights are stored; Caffes that wrote the legacy form had four axes only."""
        found = self.random.choice(["float"] * 6 + ["double", "legacy", "legacy"])
        return "float" if found == "legacy" and axes != 4 else found

    def signed(self, axis: int, rank: int) -> int:
        """The same axis, counted from either end."""
        return axis - rank if self.chance(0.3) else axis

    def weights(self, shape: Shape, channel_axis: int) -> Array:
        """Weights of a layer that multiplies, of which some filters may be zero."""
        fan = max(1, math.prod(shape) // max(1, shape[channel_axis]))
        drawn = self.numbers.normal(0, 1 / math.sqrt(fan), shape)
        if self.chance(self.odds_of_dead):
            dead = self.numbers.random(shape[channel_axis]) < self.random.choice([0.3, 0.7, 1])
            drawn[(slice(None),) * channel_axis + (dead,)] = 0
        if self.chance(self.odds_of_dead / 3):
            unread = self.numbers.random(shape[1 - channel_axis]) < 0.4
            drawn[(slice(None),) * (1 - channel_axis) + (unread,)] = 0
        return drawn

    def factors(self, shape: Shape) -> Array:
        """Numbers to multiply with, of either sign, of which some may be zero."""
        drawn = self.numbers.uniform(0.5, 1.5, shape)
        if self.chance(0.5):
            drawn = drawn * self.numbers.choice([1, 1, -1], shape)
        if self.chance(self.odds_of_dead):
            drawn = drawn * (self.numbers.random(shape) < 0.6)
        return np.asarray(drawn)

    def shifts(self, shape: Shape) -> Array:
        drawn = self.numbers.normal(0, 0.5, shape)
        if self.chance(0.2):
            drawn = drawn * 0
        if self.chance(0.2):
            drawn = drawn * (self.numbers.random(shape) < 0.5)
        return np.asarray(drawn)
