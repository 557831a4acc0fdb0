"""Sums of weighted layers, held against each other coefficient by coefficient: Lemma 3b.

A layer that was made of several, or several that stand for one, have no counterpart to be compared
with. Here both sides are written out over what they read: for each output channel, one coefficient
for each channel of each root and each place that is read relative to the output's own. Two linear
functions are one if these coefficients are the same. Coefficients of a shift are told apart by
place too where a window may lie on padding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from bnfold.aliases import Array, Vector
from bnfold.proof.coefficients import Spot, Tally
from bnfold.proof.forms import NOISE, Form
from bnfold.proof.relations import CONSTANT, Relation
from bnfold.proof.roots import Roots
from bnfold.proof.stored import unit
from bnfold.proof.weighted import Layout, Tile, Weighted

_CELLS = 1 << 19
_MOST_COLUMNS = 1 << 21
_ALIKE = 1e-6
_ONE = -1
"""In place of a root: the number one at each place that there is, zero on padding."""

Key = tuple[int, tuple[int, ...], tuple[int, ...]]
"""A root, every how manieth place of it is read, and from which one on."""


class _Cannot(Exception):  # noqa: N818
    """The two sides cannot be written out over the same."""


@dataclass
class _Columns:
    """Where the coefficients of each root and place stand in a row."""

    roots: Roots
    axes: int
    starts: dict[Key, int] = field(default_factory=dict)
    total: int = 0

    def start(self, key: Key) -> int:
        """The first column of a root and place."""
        if key not in self.starts:
            count = 1 if key[0] == _ONE else self.roots[key[0]].channels
            if count is None or self.total + count > _MOST_COLUMNS:
                raise _Cannot
            self.starts[key] = self.total
            self.total += count
        return self.starts[key]

    def key(self, number: int, stride: tuple[int, ...], offset: tuple[int, ...]) -> Key:
        """The key of a root, or of a view of it, that is read at a place."""
        if number == _ONE:
            return number, stride, offset
        root = self.roots[number]
        if root.is_flat or not root.stride:
            return number, stride, offset
        if len(root.stride) != len(stride):
            raise _Cannot
        return (
            root.base.number,
            tuple(a * b for a, b in zip(stride, root.stride, strict=True)),
            tuple(a * b for a, b in zip(offset, root.stride, strict=True)),
        )


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows of one side, written out.

    Attributes:
        values, errors: coefficients, and how far one unit in the last place moves them.
        shift, shift_error, magnitude: what is added.
    """

    values: Array
    errors: Array
    shift: Vector
    shift_error: Vector
    magnitude: Vector


@dataclass(frozen=True, eq=False)
class _Side:
    """One side of the comparison.

    Attributes:
        form: what is written out.
        expanded: the numbers of its roots that are replaced by what they read.
        is_stored: whether its numbers may be off by rounding.
    """

    form: Form
    expanded: frozenset[int]
    is_stored: bool
    roots: Roots
    columns: _Columns

    def layers(self) -> Iterator[Weighted]:
        """The layers that are written out."""
        for number in sorted(self.expanded):
            weighted = self.roots[number].base.weighted
            assert weighted is not None
            yield weighted

    def prepare(self) -> None:
        """Settle which columns there are."""
        for number in sorted(self.form.numbers - self.expanded):
            self.columns.start(self._direct(number))
        for number in sorted(self.expanded):
            weighted = self.roots[number].base.weighted
            assert weighted is not None
            for stride, offset in self._taps(number, weighted):
                for inner in sorted(weighted.form.settled(self.roots).numbers):
                    self.columns.start(self.columns.key(inner, stride, offset))
                self.columns.start((_ONE, stride, offset))

    def _direct(self, number: int) -> Key:
        axes = self.columns.axes
        return self.columns.key(number, (1,) * axes, (0,) * axes)

    def _taps(
        self, number: int, weighted: Weighted
    ) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        """For each tap the stride and place that it reads at."""
        if weighted.layout is Layout.INNER:
            return [((1,) * self.columns.axes, (0,) * self.columns.axes)]
        own = self.roots[number].stride or (1,) * len(weighted.window.stride)
        stride = tuple(a * b for a, b in zip(weighted.window.stride, own, strict=True))
        return [(stride, offset) for offset in weighted.window.offsets()]

    def rows(self, start: int, stop: int) -> _Rows:
        """The rows [start:stop), written out."""
        form = self.form.taken(np.arange(start, stop))
        values = np.zeros((stop - start, self.columns.total))
        out = _Rows(values, np.zeros_like(values), form.b.copy(), form.eb.copy(), form.mb.copy())
        for number in sorted(form.numbers):
            hit = form.roots == number
            rows, columns = form.rows[hit], form.columns[hit]
            if number in self.expanded:
                self._expand(out, number, rows, columns, form.a[hit], form.ea[hit])
                continue
            at = self.columns.start(self._direct(number)) + columns
            np.add.at(out.values, (rows, at), form.a[hit])
            np.add.at(out.errors, (rows, at), form.ea[hit])
        return out

    def _expand(
        self, out: _Rows, number: int, rows: Array, channels: Array, a: Vector, ea: Vector
    ) -> None:
        """Add what a weighted layer's outputs are over what it reads."""
        weighted = self.roots[number].base.weighted
        assert weighted is not None
        bias = weighted.biases()[channels]
        np.add.at(out.shift, rows, a * bias)
        np.add.at(out.magnitude, rows, np.abs(a * bias))
        error = ea * np.abs(bias)
        if self.is_stored and weighted.bias is not None:
            error = error + np.abs(a) * unit(bias, weighted.bias.dtype)
        np.add.at(out.shift_error, rows, error)
        form = weighted.form.settled(self.roots)
        taps = self._taps(number, weighted)
        for row, channel, factor, factor_error in zip(rows, channels, a, ea, strict=True):
            first = int(weighted.group_of_output(channel)) * weighted.shape[1]
            kernel = weighted.read(Tile(int(channel), int(channel) + 1, 0, weighted.shape[1]))[0]
            exact = kernel.astype(np.float64)
            moved = np.abs(exact) * factor_error
            if self.is_stored:
                moved = moved + abs(factor) * unit(exact, kernel.dtype)
            part = _part(form, first, weighted.shape[1])
            for tap, (stride, offset) in enumerate(taps):
                self._add(out, int(row), part, first, factor * exact[:, tap], moved[:, tap],
                          stride, offset)  # fmt: skip

    def _add(
        self,
        out: _Rows,
        row: int,
        form: Form,
        first: int,
        kernel: Vector,
        moved: Vector,
        stride: tuple[int, ...],
        offset: tuple[int, ...],
    ) -> None:
        """Add one tap of one row."""
        for number in form.numbers:
            hit = form.roots == number
            inputs = form.rows[hit] - first
            at = self.columns.start(self.columns.key(number, stride, offset)) + form.columns[hit]
            np.add.at(out.values[row], at, kernel[inputs] * form.a[hit])
            error = moved[inputs] * np.abs(form.a[hit]) + np.abs(kernel[inputs]) * form.ea[hit]
            np.add.at(out.errors[row], at, error)
        b = form.b[first : first + kernel.size]
        if b.any() or form.eb.any():
            at = self.columns.start((_ONE, stride, offset))
            eb = form.eb[first : first + kernel.size]
            out.values[row, at] += kernel @ b
            out.errors[row, at] += moved @ np.abs(b) + np.abs(kernel) @ eb
            out.errors[row, at] += NOISE * float(np.abs(kernel) @ np.abs(b))


def _part(form: Form, first: int, count: int) -> Form:
    """The entries of some rows; the rows keep their numbers."""
    if first == 0 and form.size == count:
        return form
    hit = np.flatnonzero((form.rows >= first) & (form.rows < first + count))
    return form._entries(hit)


def relate_expanded(
    f: Form, v: Form, roots: Roots, ulps: float
) -> tuple[Relation, Tally] | Spot | None:
    """How `f`, of the folded network, follows from `v`, row by row, if both are written out.

    Args:
        f: a value that has roots of weighted layers of the folded network.
        v: a value of the original.
        roots: all roots.
        ulps: by how many units in the last place a stored number may be off.

    Returns:
        The relation, and what was looked at; the first number that is wrong, if factors of one
        would do but for some; None if the two cannot be compared.
    """
    if f.channels is None or v.channels is None or f.is_flat != v.is_flat:
        return None
    try:
        if f.channels == v.channels:
            return _Comparison.of(f, v, roots).run(ulps)
        row = _Comparison.of(f, v, roots).alike()
        if row is None:
            return None
        found = _Comparison.of(f, v.taken(np.where(row == CONSTANT, 0, row)), roots).run(ulps)
    except _Cannot:
        return None
    if isinstance(found, Spot):
        return found
    return _with_rows(found[0], row, f), found[1]


def _with_rows(relation: Relation, row: Array, f: Form) -> Relation:
    """A relation to some of the rows of a value, in order."""
    fixed = row == CONSTANT
    return replace(
        relation,
        row=row,
        beta=np.where(fixed, f.b, relation.beta),
        beta_error=np.where(fixed, f.eb, relation.beta_error),
        is_whole=False,
    )


@dataclass(frozen=True, eq=False)
class _Comparison:
    ours: _Side
    its: _Side
    columns: _Columns

    @classmethod
    def of(cls, f: Form, v: Form, roots: Roots) -> _Comparison:
        """Choose what is written out: what is known on one side only."""
        mine, other = _weighted(f, roots), _weighted(v, roots)
        mine, other = mine - v.numbers, other - f.numbers
        for number in mine:
            reader = roots[number].base.weighted
            other -= frozenset() if reader is None else reader.form.numbers
        layers = [roots[n].base.weighted for n in mine | other]
        kinds = {one.layout for one in layers if one is not None}
        axes = {len(one.window.kernel) for one in layers if one is not None}
        if not mine or len(kinds) != 1 or len(axes) != 1:
            raise _Cannot
        if not kinds <= {Layout.CONVOLUTION, Layout.INNER}:
            raise _Cannot
        columns = _Columns(roots, axes.pop())
        found = cls(
            _Side(f, mine, True, roots, columns), _Side(v, other, False, roots, columns), columns
        )
        found.ours.prepare()
        found.its.prepare()
        found._check_sizes()
        return found

    def _check_sizes(self) -> None:
        """Both sides must have as many places: some window of each must lose as many."""
        ours = {(one.window.loss, one.window.stride) for one in self.ours.layers()}
        its = {(one.window.loss, one.window.stride) for one in self.its.layers()}
        made = {one.made for one in (*self.ours.layers(), *self.its.layers())}
        if len(made) == 1 and None not in (made.pop() or (None,))[2:]:
            its |= ours
        if self.its.form.numbers - self.its.expanded:
            axes = self.columns.axes
            its.add(((0,) * axes, (1,) * axes))
        extra = [one.window.extra for side in (self.ours, self.its) for one in side.layers()]
        if not ours <= its or any(extra):
            raise _Cannot

    def run(self, ulps: float) -> tuple[Relation, Tally] | Spot:
        """Compare all rows."""
        count = self.ours.form.size
        alpha, alpha_error = np.ones(count), np.zeros(count)
        beta, beta_error, magnitude = np.zeros(count), np.zeros(count), np.zeros(count)
        tally = Tally()
        step = max(1, _CELLS // max(1, self.columns.total))
        for start in range(0, count, step):
            rows = slice(start, min(start + step, count))
            mine = self._constant_places(self.ours.rows(start, rows.stop))
            other = self._constant_places(self.its.rows(start, rows.stop))
            one, error = _factors(mine, other, ulps)
            spot = _compare(mine, other, one, error, start, ulps, tally)
            if spot is not None:
                return spot
            alpha[rows], alpha_error[rows] = one, error
            beta[rows] = mine.shift - one * other.shift
            beta_error[rows] = mine.shift_error + error * np.abs(other.shift)
            magnitude[rows] = mine.magnitude + np.abs(one) * other.magnitude
        off = np.abs(beta) <= ulps * beta_error + 8 * NOISE * magnitude
        beta, beta_error = np.where(off, 0.0, beta), np.where(off, 0.0, beta_error)
        row = np.arange(count)
        return Relation(
            row, alpha, alpha_error, beta, beta_error, magnitude, (), True, tally.deviation
        ), tally

    def alike(self) -> Array | None:
        """For each of our rows the next of the other's that is in proportion to it."""
        mine, other = self.ours.form.size, self.its.form.size
        if (mine + other) * self.columns.total > 8 * _CELLS:
            raise _Cannot
        f = self._constant_places(self.ours.rows(0, mine)).values
        v = self._constant_places(self.its.rows(0, other)).values
        f = f / np.maximum(np.linalg.norm(f, axis=1, keepdims=True), 1e-300)
        v = v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-300)
        last, row = -1, np.full(mine, CONSTANT)
        for place in range(mine):
            if f[place].any():
                near = np.flatnonzero(np.abs(v[last + 1 :] @ f[place]) > 1 - _ALIKE)
                if not near.size:
                    return None
                last += 1 + int(near[0])
                row[place] = last
        return row

    def _constant_places(self, rows: _Rows) -> _Rows:
        """With the shifts that come from places that are never padding counted as plain ones.

        A window that loses `n` places in all reads inside at each tap from 0 to `n`.
        """
        layers = [*self.ours.layers(), *self.its.layers()]
        loss = [max(lengths) for lengths in zip(*(one.window.loss for one in layers), strict=True)]
        for (number, _, offset), at in self.columns.starts.items():
            inside = all(0 <= o <= n for o, n in zip(offset, loss, strict=True))
            if number == _ONE and (inside or self.columns.axes == 0 or self.is_flat):
                rows.shift[:] += rows.values[:, at]
                rows.magnitude[:] += np.abs(rows.values[:, at])
                rows.shift_error[:] += rows.errors[:, at]
                rows.values[:, at] = 0.0
                rows.errors[:, at] = 0.0
        return rows

    @property
    def is_flat(self) -> bool:
        """Whether all layers read all places at once."""
        return all(one.layout is Layout.INNER for one in self.ours.layers())


def _weighted(form: Form, roots: Roots) -> frozenset[int]:
    return frozenset(n for n in form.numbers if roots[n].base.weighted is not None)


def _factors(mine: _Rows, other: _Rows, ulps: float) -> tuple[Vector, Vector]:
    """The factor of each row, by its largest coefficient; one where rounding allows that."""
    if not mine.values.shape[1]:
        return np.ones(mine.shift.size), np.zeros(mine.shift.size)
    at = np.abs(other.values).argmax(axis=1)[:, None]
    most = np.take_along_axis(other.values, at, 1)[:, 0]
    value = np.take_along_axis(mine.values, at, 1)[:, 0]
    error = np.take_along_axis(mine.errors, at, 1)[:, 0]
    safe = np.where(most == 0, 1.0, most)
    factor = np.where(most == 0, 1.0, value / safe)
    share = np.where(most == 0, 0.0, error / np.abs(safe))
    is_one = np.abs(factor - 1) <= ulps * share + 8 * NOISE
    # A factor of zero would make everything fit.
    lost = factor == 0
    return np.where(is_one | lost, 1.0, factor), np.where(is_one | lost, 0.0, share)


def _compare(
    mine: _Rows,
    other: _Rows,
    factor: Vector,
    factor_error: Vector,
    start: int,
    ulps: float,
    tally: Tally,
) -> Spot | None:
    expected = other.values * factor[:, None]
    gap = np.abs(mine.values - expected)
    noise = 8 * NOISE * (np.abs(mine.values) + np.abs(expected))
    error = mine.errors + np.abs(other.values) * factor_error[:, None]
    bad = ~(gap <= ulps * error + noise)
    share = np.where(error > 0, np.maximum(gap - noise, 0) / np.where(error > 0, error, 1), 0)
    if bad.any():
        row, column = (int(x) for x in np.unravel_index(int(np.argmax(bad)), bad.shape))
        return Spot(
            start + row,
            f"coefficient {column}",
            float(expected[row, column]),
            float(mine.values[row, column]),
            float(share[row, column]),
        )
    tally.deviation = max(tally.deviation, float(share.max(initial=0.0)))
    return None
