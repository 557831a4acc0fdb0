"""Forms: values as sums of roots, channel by channel, with bounds on what rounding may have done.

    value[c] = sum of a[e] * root[e][channel[e]] over the entries e of row c  +  b[c]

Everything is a pure function of arrays. `ea` and `eb` say how far `a` and `b` move if each number
that is stored in the folded file moves by one unit in its last place; for what comes from the
original alone they are zero. `mb` adds up the magnitudes that `b` was made from, which bounds what
float64 itself loses.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bnfold.aliases import Array, Vector
from bnfold.proof.roots import Enlargement, Root, Roots

NOISE = 2.0**-47
"""What some dozen operations in float64 may lose of a number, as a share of its magnitude."""

MOST_CHANNELS = 1 << 22
"""A value with more channels than that is only known as a whole."""

_COLUMN_BITS = 32


@dataclass(frozen=True, eq=False)
class Form:
    """A value as a sum of roots; entries are sorted by row, root and channel, and none is zero.

    Attributes:
        channels: how many rows there are; None if that is not known: then the one row stands for
            all, and its entries for the same channel of their roots.
        rows, roots, columns: for each entry, its row, its root's number, and the channel of that.
        a, ea: its factor, and by how much one unit in the last place may move that.
        b, eb, mb: for each row, the shift, by how much one unit may move it, and its magnitude.
        is_flat: whether channels and places are one axis, in this order; rows are channels still.
    """

    channels: int | None
    rows: Array
    roots: Array
    columns: Array
    a: Vector
    ea: Vector
    b: Vector
    eb: Vector
    mb: Vector
    is_flat: bool = False

    @functools.cached_property
    def keys(self) -> Array:
        """For each entry, a number that tells its root and channel."""
        return (self.roots << _COLUMN_BITS) | self.columns

    @property
    def size(self) -> int:
        """How many rows are held."""
        return int(self.b.size)

    @functools.cached_property
    def numbers(self) -> frozenset[int]:
        """The numbers of the roots that it has."""
        return frozenset(np.unique(self.roots).tolist())

    def sized(self, channels: int) -> Form | None:
        """The same with that many rows; None if it has another number of them."""
        if self.channels is not None:
            return self if self.channels == channels else None
        if channels > MOST_CHANNELS:
            return None
        count = self.rows.size
        rows = np.repeat(np.arange(channels), count)
        return replace(
            self,
            channels=channels,
            rows=rows,
            columns=rows.copy(),
            roots=np.tile(self.roots, channels),
            a=np.tile(self.a, channels),
            ea=np.tile(self.ea, channels),
            b=np.repeat(self.b, channels),
            eb=np.repeat(self.eb, channels),
            mb=np.repeat(self.mb, channels),
        )

    def scaled(self, affine: Affine) -> Form | None:
        """What an affine function makes of it; None if the numbers of channels differ."""
        if affine.is_nothing:
            return self
        form = self if affine.size == 1 else self.sized(affine.size)
        if form is None:
            return None
        p, ep = affine.scale[form.rows % affine.size], affine.scale_error[form.rows % affine.size]
        p_b, ep_b = (np.resize(x, form.size) for x in (affine.scale, affine.scale_error))
        q, eq, mq = (
            np.resize(x, form.size) for x in (affine.shift, affine.shift_error, affine.magnitude)
        )
        return replace(
            form,
            a=form.a * p,
            ea=form.ea * np.abs(p) + np.abs(form.a) * ep,
            b=form.b * p_b + q,
            eb=form.eb * np.abs(p_b) + np.abs(form.b) * ep_b + eq,
            mb=form.mb * np.abs(p_b) + mq,
        ).tidied()

    def tidied(self) -> Form:
        """Without entries that are zero, and with one entry for each row, root and channel."""
        form = self
        order = np.lexsort((form.keys, form.rows))
        if not np.array_equal(order, np.arange(order.size)):
            form = form._entries(order)
        keys, rows = form.keys, form.rows
        first = np.ones(keys.size, bool)
        first[1:] = (keys[1:] != keys[:-1]) | (rows[1:] != rows[:-1])
        if not first.all():
            starts = np.flatnonzero(first)
            lost = np.add.reduceat(np.abs(form.a), starts) * NOISE
            a = np.add.reduceat(form.a, starts)
            ea = np.add.reduceat(form.ea, starts)
            # What cancels but for the last bits of float64 is zero.
            a = np.where((np.abs(a) <= lost) & (ea == 0), 0.0, a)
            form = replace(form._entries(starts), a=a, ea=ea + lost)
        kept = form.a != 0
        return form if kept.all() else form._entries(np.flatnonzero(kept))

    def _entries(self, which: Array) -> Form:
        return replace(
            self,
            rows=self.rows[which],
            roots=self.roots[which],
            columns=self.columns[which],
            a=self.a[which],
            ea=self.ea[which],
        )

    def taken(self, rows: Array) -> Form:
        """The rows of these numbers, in this order."""
        counts = self.counts
        starts = np.concatenate([[0], np.cumsum(counts)])
        wanted = counts[rows]
        which = np.repeat(starts[rows] - np.cumsum(wanted) + wanted, wanted) + np.arange(
            int(wanted.sum())
        )
        taken = self._entries(which.astype(np.int64))
        return replace(
            taken,
            channels=int(rows.size),
            rows=np.repeat(np.arange(rows.size), wanted),
            b=self.b[rows],
            eb=self.eb[rows],
            mb=self.mb[rows],
        )

    @functools.cached_property
    def counts(self) -> Array:
        """How many entries each row has."""
        return np.bincount(self.rows, minlength=self.size)

    def every(self, stride: tuple[int, ...], roots: Roots) -> Form:
        """Every so manieth place of it, along each axis behind the channels."""
        return self.renumbered({n: roots[n].every(stride, roots).number for n in self.numbers})

    def larger(self, way: Enlargement, roots: Roots) -> Form:
        """With each axis behind the channels made longer; a constant stays what it is."""
        return self.renumbered({n: roots[n].larger(way, roots).number for n in self.numbers})

    def cut(self, axis: int, start: int, stop: int, roots: Roots) -> Form:
        """The places [start:stop) of it along an axis behind the channels."""
        numbers = {n: roots[n].cut(axis, start, stop, roots).number for n in self.numbers}
        return self.renumbered(numbers)

    def renumbered(self, numbers: dict[int, int]) -> Form:
        """With roots replaced by others."""
        changed = self.roots.copy()
        for old, new in numbers.items():
            changed[self.roots == old] = new
        return replace(self, roots=changed).tidied()

    def flattened(self, places: int, roots: Roots) -> Form | None:
        """With a row for each place of each channel; None if there would be too many."""
        if self.channels is None or self.channels * places > MOST_CHANNELS:
            return None
        numbers = {
            n: roots[n].flat((roots[n].channels or self.channels) * places, roots).number
            for n in self.numbers
        }
        form = self.renumbered(numbers)
        step = np.arange(places)
        return Form(
            self.channels * places,
            (form.rows[:, None] * places + step).ravel(),
            np.repeat(form.roots, places),
            (form.columns[:, None] * places + step).ravel(),
            np.repeat(form.a, places),
            np.repeat(form.ea, places),
            np.repeat(form.b, places),
            np.repeat(form.eb, places),
            np.repeat(form.mb, places),
        ).tidied()

    def settled(self, roots: Roots) -> Form:
        """With the channels of roots that are known to be constant counted as shifts."""
        form = self
        if form.channels is None:
            return form
        for number in sorted(self.numbers):
            known = roots[number].constants
            if known is None:
                continue
            hit = form.roots == number
            hit[hit] = known[0][form.columns[hit]]
            if not hit.any():
                continue
            moved = form.a[hit] * known[1][form.columns[hit]]
            error = form.ea[hit] * np.abs(known[1][form.columns[hit]])
            b, eb, mb = form.b.copy(), form.eb.copy(), form.mb.copy()
            np.add.at(b, form.rows[hit], moved)
            np.add.at(eb, form.rows[hit], error)
            np.add.at(mb, form.rows[hit], np.abs(moved))
            form = replace(form._entries(np.flatnonzero(~hit)), b=b, eb=eb, mb=mb)
        return form


@dataclass(frozen=True, eq=False)
class Affine:
    """`scale * x + shift` for each channel; vectors of one length, 1 for all channels alike.

    Attributes:
        scale, shift: the function.
        scale_error, shift_error: how far they move by one unit in the last place of what is stored.
        magnitude: the magnitudes that the shift was made from.
    """

    scale: Vector
    shift: Vector
    scale_error: Vector
    shift_error: Vector
    magnitude: Vector

    @property
    def size(self) -> int:
        """The length of its vectors."""
        return int(self.scale.size)

    @property
    def is_nothing(self) -> bool:
        """Whether it is surely the identity, for any number of channels."""
        if self.size > 1:
            return False
        rest = self.shift[0], self.scale_error[0], self.shift_error[0]
        return bool(self.scale[0] == 1 and not any(rest))

    def exactly(self) -> Affine:
        """The same, taken at its word."""
        zero = np.zeros(self.size)
        return replace(self, scale_error=zero, shift_error=zero)

    def then(self, after: Affine) -> Affine:
        """This one first."""
        size = max(self.size, after.size)
        p, q, ep, eq, mq = (np.resize(x, size) for x in self._all)
        s, t, es, et, mt = (np.resize(x, size) for x in after._all)
        return Affine(
            p * s,
            q * s + t,
            ep * np.abs(s) + np.abs(p) * es,
            eq * np.abs(s) + np.abs(q) * es + et,
            mq * np.abs(s) + mt,
        )

    @property
    def _all(self) -> tuple[Vector, ...]:
        return self.scale, self.shift, self.scale_error, self.shift_error, self.magnitude


def linear(scale: Vector | float, scale_error: Vector | float = 0.0) -> Affine:
    """The affine function without a shift."""
    p = np.atleast_1d(np.asarray(scale, np.float64))
    zero = np.zeros(p.size)
    return Affine(p, zero, np.broadcast_to(scale_error, p.shape).astype(np.float64), zero, zero)


def whole(root: Root, channels: int | None = None) -> Form:
    """A root as it is."""
    one, zero = np.ones(1), np.zeros(1)
    number, place = np.full(1, root.number), np.zeros(1, np.int64)
    form = Form(None, place, number, place, one, zero, zero, zero, zero)
    count = root.channels if channels is None else channels
    return form if count is None else form.sized(count) or form


def constant(b: Vector, eb: Vector | None = None, mb: Vector | None = None) -> Form:
    """Numbers that no input changes, one for each row."""
    none, empty = np.zeros(0, np.int64), np.zeros(0)
    error = np.zeros(b.size) if eb is None else eb
    return Form(b.size, none, none, none, empty, empty, b, error, np.abs(b) if mb is None else mb)


def total(parts: Sequence[Form]) -> Form | None:
    """The sum; None if the numbers of rows differ."""
    counts = {part.channels for part in parts if part.channels is not None}
    if len(counts) > 1 or len({part.is_flat for part in parts}) > 1:
        return None
    count = counts.pop() if counts else None
    sized = [part if count is None else part.sized(count) for part in parts]
    known = [part for part in sized if part is not None]
    if len(known) < len(parts):
        return None
    joined = {
        name: np.concatenate([getattr(part, name) for part in known])
        for name in ("rows", "roots", "columns", "a", "ea")
    }
    added = {
        name: np.sum([getattr(part, name) for part in known], axis=0) for name in ("b", "eb", "mb")
    }
    return Form(count, **joined, **added, is_flat=parts[0].is_flat).tidied()


def stacked(parts: Sequence[Form]) -> Form | None:
    """The rows of all of them, one below the other; None if a number of rows is not known."""
    sizes = [part.channels for part in parts]
    known = [size for size in sizes if size is not None]
    if len(known) < len(parts) or any(part.is_flat for part in parts):
        return None
    starts = np.cumsum([0, *known])
    if starts[-1] > MOST_CHANNELS:
        return None
    rows = np.concatenate([part.rows + at for part, at in zip(parts, starts, strict=False)])
    joined = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("roots", "columns", "a", "ea", "b", "eb", "mb")
    }
    return Form(channels=int(starts[-1]), rows=rows, is_flat=False, **joined)
