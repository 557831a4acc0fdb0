"""Roots: what values are written in terms of."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from bnfold.aliases import Array, Vector

if TYPE_CHECKING:
    from bnfold.proof.weighted import Weighted

Constants = tuple[Array, Vector]
"""Which channels of a root are the same number at every place and for every input, and that number.

Shapes (channels,), the first boolean; where it is False the number means nothing.
"""


Enlargement = tuple[tuple[str, int], ...]
"""For each axis behind the channels, how it is made longer: "repeated" or "linear", by a factor.

A repeated place stands so many times in a row. A linear axis has its places so far apart, and
between two of them what lies on the line through both.
"""


Ranges = tuple[tuple[int, int, int], ...]
"""Which places there are: an axis, the first place, and the one behind the last."""


class Root:
    """A value that is not expressed by others: an input, what a layer computes, or a view of one.

    Attributes:
        number: its own; roots are told apart by it.
        label: what it is called in a message.
        channels: how many it has; None where that is not known.
        weighted: the weighted layer that computes it, if one does.
        is_positive: whether none of its numbers can be negative.
        base: for a view, the root that it is a view of; else itself.
        stride: for a view, every how manieth place it has, along each axis behind the channels.
        uncut, ranges: for a part of another root, that root and which places of it there are.
        is_flat: for a view, whether each place of each channel is a channel of its own.
    """

    __slots__ = (
        "_constants", "_cuts", "_known", "_larger", "_views", "base", "channels", "is_flat",
        "is_positive", "label", "number", "ranges", "stride", "uncut", "weighted",
    )  # fmt: skip

    def __init__(
        self,
        number: int,
        label: str,
        channels: int | None,
        *,
        weighted: Weighted | None = None,
        is_positive: bool = False,
        constants: Callable[[], Constants | None] | None = None,
    ) -> None:
        self.number, self.label, self.channels = number, label, channels
        self.weighted, self.is_positive = weighted, is_positive
        self.base: Root = self
        self.stride: tuple[int, ...] = ()
        self.is_flat = False
        self._constants = constants
        self._known: Constants | None = None
        self._views: dict[tuple[tuple[int, ...], int], Root] = {}
        self._larger: dict[Enlargement, Root] = {}
        self._cuts: dict[Ranges, Root] = {}
        self.uncut: Root = self
        self.ranges: Ranges = ()

    @property
    def constants(self) -> Constants | None:
        """Its channels that are constant; None if none is known to be."""
        if self._constants is not None:
            ask, self._constants = self._constants, None
            found = ask()
            self._known = found if found is not None and found[0].any() else None
        return self._known

    def every(self, stride: tuple[int, ...], roots: Roots) -> Root:
        """The view that has every so manieth place of this root."""
        if self.stride:
            stride = tuple(mine * its for mine, its in zip(self.stride, stride, strict=True))
        if all(step == 1 for step in stride):
            return self
        return self.base._view(stride, 0, roots)

    def flat(self, count: int, roots: Roots) -> Root:
        """The view that has each place of each channel as a channel of its own, `count` in all."""
        if count == self.channels:
            # Each channel has one place.
            return self
        return self.base._view(self.stride, count, roots)

    def larger(self, way: Enlargement, roots: Roots) -> Root:
        """What becomes of it if each axis behind the channels is made longer in a way."""
        if way not in self._larger:
            self._larger[way] = roots.new(
                self.label,
                self.channels,
                is_positive=self.is_positive,
                constants=lambda: self.constants,
            )
        return self._larger[way]

    def cut(self, axis: int, start: int, stop: int, roots: Roots) -> Root:
        """The places [start:stop) of it along an axis behind the channels."""
        ranges = {known: (first, last) for known, first, last in self.ranges}
        first = ranges.get(axis, (0, 0))[0]
        ranges[axis] = first + start, first + stop
        key = tuple((known, *ends) for known, ends in sorted(ranges.items()))
        if key not in self.uncut._cuts:
            view = roots.new(
                self.label,
                self.channels,
                is_positive=self.is_positive,
                constants=lambda: self.constants,
            )
            view.uncut, view.ranges = self.uncut, key
            self.uncut._cuts[key] = view
        return self.uncut._cuts[key]

    def _view(self, stride: tuple[int, ...], count: int, roots: Roots) -> Root:
        key = (stride, count)
        if key not in self._views:
            view = roots.new(
                self.label,
                count or self.channels,
                is_positive=self.is_positive,
                constants=lambda: self._spread(count),
            )
            view.base, view.stride, view.is_flat = self.base, stride, count > 0
            self._views[key] = view
        return self._views[key]

    def _spread(self, count: int) -> Constants | None:
        """The constants of a view with so many channels."""
        own = self.constants
        if own is None or not count:
            return own
        places, rest = divmod(count, own[0].size)
        return None if rest else (np.repeat(own[0], places), np.repeat(own[1], places))

    def __repr__(self) -> str:
        return f"<Root {self.number} {self.label!r} every {self.stride} flat {self.is_flat}>"


class Roots:
    """All roots of a proof, by their numbers."""

    def __init__(self) -> None:
        self._all: list[Root] = []

    def __getitem__(self, number: int) -> Root:
        return self._all[number]

    def new(
        self,
        label: str,
        channels: int | None,
        *,
        weighted: Weighted | None = None,
        is_positive: bool = False,
        constants: Callable[[], Constants | None] | None = None,
    ) -> Root:
        """A root that did not exist before."""
        root = Root(
            len(self._all),
            label,
            channels,
            weighted=weighted,
            is_positive=is_positive,
            constants=constants,
        )
        self._all.append(root)
        return root
