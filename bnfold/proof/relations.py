"""Relations: what a value of the folded network is, in terms of one of the original's.

    folded[c] = alpha[c] * original[row[c]] + beta[c]

at every place, or at every so manieth. This is Lemma 1 of docs/proof.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bnfold.aliases import Array, Vector
from bnfold.proof.forms import NOISE, Form
from bnfold.proof.roots import Roots

CONSTANT = -1
"""In place of a row of the original: the channel is a constant, `beta`."""


ABSENT = -2
"""In place of a row of the original: the original has nothing that depends on the channel."""


@dataclass(frozen=True, eq=False)
class Relation:
    """What a value is in terms of another.

    Attributes:
        row: for each channel, which one of the other it belongs to, or CONSTANT.
        alpha, alpha_error: the factors, and how far off they may be.
        beta, beta_error, magnitude: the shifts, how far off, and what they were made from.
        stride: every how manieth place it has, along each axis behind the channels; () for all.
        is_whole: whether all channels of the other are there, in order.
        deviation: the largest share of the allowed error that was taken to be rounding.
        spread: where the rows are places of channels of the other, how many places each has.
    """

    row: Array
    alpha: Vector
    alpha_error: Vector
    beta: Vector
    beta_error: Vector
    magnitude: Vector
    stride: tuple[int, ...]
    is_whole: bool
    deviation: float = 0.0
    spread: int = 0

    @property
    def is_same(self) -> bool:
        """Whether both values are the same."""
        return self.is_whole and not self.stride and self.is_scaled_by_one

    @property
    def is_scaled_by_one(self) -> bool:
        """Whether each channel is one of the other's, unchanged."""
        return self.is_shiftless and bool(
            np.all((self.alpha == 1) & (self.alpha_error == 0) & (self.row != CONSTANT))
        )

    @property
    def is_shiftless(self) -> bool:
        """Whether no channel that varies has a shift."""
        return not np.any((self.beta != 0) & (self.row != CONSTANT))

    def over(self, channels: int) -> Relation:
        """The relation of one channel, for so many."""
        return replace(
            self,
            row=np.arange(channels),
            alpha=np.repeat(self.alpha, channels),
            alpha_error=np.repeat(self.alpha_error, channels),
            beta=np.repeat(self.beta, channels),
            beta_error=np.repeat(self.beta_error, channels),
            magnitude=np.repeat(self.magnitude, channels),
        )

    def first_unequal(self) -> int:
        """The first channel that is not the same one of the other."""
        count = np.arange(self.row.size)
        bad = (self.row != count) | (self.alpha != 1) | (self.beta != 0) | (self.alpha_error != 0)
        return int(np.argmax(bad)) if bad.any() else 0


def relate(f: Form, v: Form, roots: Roots, ulps: float) -> Relation | None:
    """How `f`, of the folded network, follows from `v`, of the original; None if it does not.

    Args:
        f, v: the values.
        roots: all roots.
        ulps: by how many units in the last place a stored number may be off.
    """
    if f is v:
        one, zero = np.ones(f.size), np.zeros(f.size)
        return Relation(np.arange(f.size), one, zero, zero, zero, zero, (), True)
    aligned = _aligned(f, v, roots)
    if aligned is None:
        return None
    f, v, spread = aligned
    found = _related(f, v, roots, ulps)
    fixed = found is None or bool(np.any(found.row == CONSTANT))
    if fixed and f.channels is not None and v.channels is not None:
        found = _related(f.settled(roots), v.settled(roots), roots, ulps) or found
    return None if found is None else replace(found, spread=spread)


def turned(f: Form, v: Form, roots: Roots, ulps: float) -> Relation | None:
    """How `f` follows from `v` where it is `v` that follows from `f`; None if it does not.

    A channel of `f` that no channel of `v` depends on is ABSENT.
    """
    found = relate(v, f, roots, ulps)
    if found is None or found.stride or found.spread or f.channels is None:
        return None
    rows = np.flatnonzero(found.row != CONSTANT)
    ours = found.row[rows]
    if np.unique(ours).size < ours.size or np.any(f.counts == 0):
        return None
    row, count = np.full(f.size, ABSENT), f.size
    alpha, beta, magnitude = np.ones(count), np.zeros(count), np.zeros(count)
    alpha_error, beta_error = np.zeros(count), np.zeros(count)
    a, b = found.alpha[rows], found.beta[rows]
    row[ours], alpha[ours], beta[ours] = rows, 1 / a, -b / a
    alpha_error[ours] = found.alpha_error[rows] / a**2
    beta_error[ours] = found.beta_error[rows] / np.abs(a) + np.abs(beta[ours]) * alpha_error[ours]
    magnitude[ours] = found.magnitude[rows] / np.abs(a)
    return Relation(
        row, alpha, alpha_error, beta, beta_error, magnitude, (), False, found.deviation
    )


def _aligned(f: Form, v: Form, roots: Roots) -> tuple[Form, Form, int] | None:
    """Both with rows for the same things: channels, or places of channels."""
    if f.channels is None and v.channels is not None:
        f = f.sized(v.channels) or f
    if v.channels is None and f.channels is not None:
        v = v.sized(f.channels) or v
    if (f.channels is None) != (v.channels is None):
        return None
    if f.is_flat == v.is_flat:
        return f, v, 0
    if f.channels is None or v.channels is None:
        return None
    lazy, other = (f, v) if f.is_flat else (v, f)
    assert lazy.channels is not None
    assert other.channels is not None
    places, rest = divmod(other.channels, max(lazy.channels, 1))
    if rest or not places:
        return None
    spread = lazy.flattened(places, roots)
    if spread is None:
        return None
    return (spread, v, 0) if f.is_flat else (f, spread, places)


def _related(f: Form, v: Form, roots: Roots, ulps: float) -> Relation | None:
    stride = _stride(f, v, roots)
    if stride is None:
        return None
    if stride:
        v = v.every(stride, roots)
    if f.channels == v.channels and _same_entries(f, v):
        row = np.arange(f.size)
        mapped = v
    else:
        found = _rows(f, v)
        if found is None:
            return None
        row = _constant_rows(f, v, found, ulps)
        mapped = v.taken(np.where(row == CONSTANT, 0, row))
        mapped = _emptied(mapped, row == CONSTANT)
        if not _same_entries(f, mapped):
            return None
    relation = _compared(f, mapped, row, ulps)
    if relation is None:
        return None
    is_whole = f.channels == v.channels and bool(np.all(row == np.arange(f.size)))
    return replace(relation, stride=stride, is_whole=is_whole)


def _same_entries(f: Form, v: Form) -> bool:
    return np.array_equal(f.rows, v.rows) and np.array_equal(f.keys, v.keys)


def _emptied(form: Form, rows: Array) -> Form:
    """With some rows that are zero."""
    kept = np.flatnonzero(~rows[form.rows])
    b = np.where(rows, 0.0, form.b)
    return replace(form._entries(kept), b=b, eb=np.where(rows, 0.0, form.eb))


def _stride(f: Form, v: Form, roots: Roots) -> tuple[int, ...] | None:
    """Every how manieth place of `v` the places of `f` are; () for all, None if they are not."""
    ours = {roots[n].stride for n in f.numbers}
    its = {roots[n].stride for n in v.numbers}
    if ours == its or not ours or not its:
        return ()
    if any(roots[n].is_flat for n in f.numbers | v.numbers):
        return None
    if len(ours) > 1 or len(its) > 1:
        return None
    (mine,), (other,) = ours, its
    other = other or (1,) * len(mine)
    if not mine or len(mine) != len(other):
        return None
    quotients = [divmod(m, o) for m, o in zip(mine, other, strict=True)]
    return None if any(rest for _, rest in quotients) else tuple(q for q, _ in quotients)


def _rows(f: Form, v: Form) -> Array | None:
    """To each row of `f` the row of `v` with the same entries; None if one has none."""
    f_counts, v_counts = f.counts, v.counts
    f_first = np.cumsum(f_counts) - f_counts
    v_first = np.cumsum(v_counts) - v_counts
    has = np.flatnonzero(v_counts)
    keys = v.keys[v_first[has]]
    order = np.argsort(keys, kind="stable")
    row = np.full(f.size, CONSTANT)
    ours = np.flatnonzero(f_counts)
    if not ours.size:
        return row
    if not has.size:
        return None
    wanted = f.keys[f_first[ours]]
    place = np.searchsorted(keys[order], wanted)
    inside = place < keys.size
    if not inside.all() or not np.array_equal(keys[order][place], wanted):
        return None
    row[ours] = has[order[place]]
    # Where a channel stands several times, take it where it stands in both.
    same = np.flatnonzero(ours < v.size)
    here = ours[same]
    stands = (v_counts[here] == f_counts[here]) & (v_counts[here] > 0)
    here, want = here[stands], wanted[same][stands]
    agreed = v.keys[v_first[here]] == want
    row[here[agreed]] = here[agreed]
    if not np.array_equal(v_counts[row[ours]], f_counts[ours]):
        return None
    return row


def _constant_rows(f: Form, v: Form, row: Array, ulps: float) -> Array:
    """Rows with constants of `f` matched, in order, with the same constants of `v`."""
    fixed = np.flatnonzero(v.counts == 0)
    last = -1
    row = row.copy()
    for place in np.flatnonzero((row == CONSTANT) & (f.b != 0)):
        left = fixed[fixed > last]
        off = np.abs(f.b[place] - v.b[left]) - ulps * f.eb[place]
        near = np.flatnonzero(off <= NOISE * (f.mb[place] + v.mb[left]))
        if near.size:
            last = row[place] = left[near[0]]
    return row


def _compared(f: Form, v: Form, row: Array, ulps: float) -> Relation | None:
    """The relation of two forms with the same entries, row by row."""
    count = f.size
    alpha, alpha_error = np.ones(count), np.zeros(count)
    if f.rows.size:
        safe = np.where(v.a == 0, 1.0, v.a)
        ratio = f.a / safe
        error = (f.ea + np.abs(ratio) * v.ea) / np.abs(safe)
        best = _largest(np.abs(v.a), f.rows, count)
        rows = f.rows
        alpha[rows[best]], alpha_error[rows[best]] = ratio[best], error[best]
        off = np.abs(ratio - alpha[rows])
        allowed = ulps * (error + alpha_error[rows]) + NOISE * np.abs(ratio)
        if np.any(off > allowed) or np.any(v.a == 0):
            return None
    alpha, alpha_error, one = _snapped(alpha, alpha_error, np.abs(alpha), 1.0, ulps)
    beta = f.b - alpha * v.b
    error = f.eb + np.abs(alpha) * v.eb + alpha_error * np.abs(v.b)
    magnitude = f.mb + np.abs(alpha) * v.mb
    snapped, snapped_error, two = _snapped(beta, error, magnitude, 0.0, ulps)
    # Of a channel that is a constant in both, its own number says more than its difference.
    row = np.where((f.counts == 0) & (snapped != 0), CONSTANT, row)
    is_constant = row == CONSTANT
    beta = np.where(is_constant, f.b, snapped)
    error = np.where(is_constant, f.eb, snapped_error)
    magnitude = np.where(is_constant, f.mb, magnitude)
    return Relation(row, alpha, alpha_error, beta, error, magnitude, (), False, max(one, two))


def applied(relation: Relation, v: Form, roots: Roots) -> Form:
    """The value that stands in a relation to another: alpha * v[row] + beta."""
    is_constant = relation.row == CONSTANT
    if relation.spread:
        v = v.flattened(relation.spread, roots) or v
    if v.channels is None:
        form = replace(v)
    else:
        form = _emptied(v.taken(np.where(is_constant, 0, relation.row)), is_constant)
    if relation.stride:
        form = form.every(relation.stride, roots)
    alpha, error = relation.alpha[form.rows], relation.alpha_error[form.rows]
    b = np.where(is_constant, 0.0, form.b) * relation.alpha + relation.beta
    return replace(
        form,
        a=form.a * alpha,
        ea=form.ea * np.abs(alpha) + np.abs(form.a) * error,
        b=b,
        eb=np.abs(form.b) * relation.alpha_error + relation.beta_error,
        mb=np.abs(form.b * relation.alpha) + relation.magnitude,
    ).tidied()


def _largest(sizes: Vector, rows: Array, count: int) -> Array:
    """For each row that has entries, the number of the largest."""
    if np.array_equal(rows, np.arange(rows.size)):
        return np.arange(rows.size)
    order = np.lexsort((-sizes, rows))
    first = np.ones(rows.size, bool)
    first[1:] = rows[order][1:] != rows[order][:-1]
    return np.asarray(order[first])


def _snapped(
    values: Vector, errors: Vector, magnitudes: Vector, target: float, ulps: float
) -> tuple[Vector, Vector, float]:
    """Values, taken for a target where rounding may have made the difference; and how much of it.

    Lemma 1: a number that is only known to lie in an interval may be chosen anywhere in it.
    """
    off = np.abs(values - target)
    noise = NOISE * magnitudes
    hit = off <= ulps * errors + noise
    above = np.where(
        hit & (errors > 0), np.maximum(off - noise, 0) / np.where(errors > 0, errors, 1), 0
    )
    return (
        np.where(hit, target, values),
        np.where(hit, 0.0, errors),
        float(above.max(initial=0.0)),
    )
