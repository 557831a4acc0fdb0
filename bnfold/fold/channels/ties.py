"""Channels that go together or not at all: sets of them, and what pins a set.

A channel is a number, given out by the layer that makes it. `tie` joins the sets of two lists of
channels, one by one; `pin` says of channels that their whole sets stay, and why. The first reason
that a set is given is the one that it keeps.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

import numpy as np
import numpy.typing as npt

from bnfold.fold.plan import Reason

Channels = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]


class Ties:
    """Disjoint sets of channels, with a reason for each set that must stay."""

    def __init__(self) -> None:
        self._parent: Channels = np.zeros(0, np.intp)
        self._pins: list[tuple[Channels, Reason]] = []

    @property
    def count(self) -> int:
        """How many channels there are."""
        return self._parent.size

    def add(self, count: int) -> Channels:
        """Make so many new channels, each a set of its own; gives their numbers."""
        new = np.arange(self.count, self.count + count)
        self._parent = np.concatenate([self._parent, new])
        return new

    def roots(self, channels: Channels) -> Channels:
        """The number that stands for the set of each channel: that of its first member."""
        found = self._parent[channels]
        while True:
            above = self._parent[found]
            if np.array_equal(above, found):
                return found
            found = above

    def tie(self, some: Channels, others: Channels) -> None:
        """Join the set of each channel of `some` with that of its counterpart in `others`."""
        # A set may occur in several pairs, of which one assignment wins; the next round sees to
        # the rest.
        while True:
            one, other = self.roots(some), self.roots(others)
            differ = one != other
            if not differ.any():
                return
            high = np.maximum(one, other)[differ]
            self._parent[high] = np.minimum(one, other)[differ]

    def pin(self, channels: Channels, reason: Reason) -> None:
        """Have the sets of these channels stay."""
        if channels.size:
            self._pins.append((channels, reason))

    def reasons(self, more: Iterable[tuple[Channels, Reason]] = ()) -> dict[int, Reason]:
        """Why sets stay, by the number that stands for each.

        Args:
            more: channels that must stay for other reasons, which come after those of `pin`.
        """
        found: dict[int, Reason] = {}
        for channels, reason in chain(self._pins, more):
            for root in np.unique(self.roots(channels)).tolist():
                found.setdefault(root, reason)
        return found

    def members(self, roots: Iterable[int]) -> Mask:
        """Which channels are in one of these sets, shape (count,)."""
        marked = np.zeros(self.count, np.bool_)
        marked[list(roots)] = True
        return marked[self.roots(np.arange(self.count))]
