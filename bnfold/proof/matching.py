"""Finding what a weighted layer of the folded network is, in terms of the original's.

Two questions are asked of a pair of layers. With a value in mind that the folded layer should
compute, each coefficient follows from the original's, and is held against it. Without one, the
factor of each output is found first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bnfold.aliases import Array, Vector
from bnfold.proof.coefficients import (
    Pairing,
    Spot,
    Tally,
    check,
    constants,
    find_scale,
    fingerprints,
    reads_nothing,
)
from bnfold.proof.forms import NOISE, Form, whole
from bnfold.proof.relations import CONSTANT, Relation, applied, relate, turned
from bnfold.proof.roots import Root, Roots
from bnfold.proof.weighted import Layout, Weighted

_ALIKE = 1e-4
"""How far apart sums over the weights of two outputs may be that look alike."""


@dataclass(frozen=True, eq=False)
class Mismatch:
    """Why a layer of the folded network does not compute what it was thought to.

    Attributes:
        why: as the end of a sentence; "" where the spot says it all.
        spot: the number that is wrong, if the two layers belong together.
    """

    why: str
    spot: Spot | None = None


@dataclass(frozen=True, eq=False)
class Proved:
    """What a layer of the folded network computes, with what was looked at to know it."""

    form: Form
    tally: Tally


@dataclass(frozen=True, eq=False)
class _Joint:
    """A layer of each network that could belong together, with the way to compare them.

    Attributes:
        pairing: the layers.
        stride: every how manieth place of the original's output ours has.
        other: for each output of the original's layer what is added to what varies, if what varies
            is what ours reads; how far off that may be; and the magnitudes it is made of.
        fixed: what our bias and the inputs that are constant add to our outputs, likewise.
    """

    pairing: Pairing
    stride: tuple[int, ...]
    other: tuple[Vector, ...]
    fixed: tuple[Vector, ...]


@dataclass(frozen=True)
class Matcher:
    """Compares weighted layers.

    Attributes:
        roots: all roots.
        ulps: by how many units in the last place a stored number may be off.
    """

    roots: Roots
    ulps: float

    def expected(self, ours: Weighted, value: Form) -> Proved | Mismatch:
        """Whether a layer computes a value of the original, whose rows are single outputs of
        weighted layers.
        """
        rows = self._rows(ours, value)
        if isinstance(rows, Mismatch):
            return rows
        found, tally = fixed_outputs(ours, ours.form.settled(self.roots)), Tally()
        fixed = rows == CONSTANT
        wanted = value.taken(np.where(fixed, 0, rows))
        stride: tuple[int, ...] = ()
        for number in sorted(value.numbers):
            root = self.roots[number]
            hit = (wanted.roots == number) & ~fixed[wanted.rows]
            row = np.full(ours.outputs, CONSTANT)
            row[wanted.rows[hit]] = wanted.columns[hit]
            scale = np.ones(ours.outputs)
            scale[wanted.rows[hit]] = wanted.a[hit]
            joint = self._joint(ours, root, row)
            if isinstance(joint, Mismatch):
                return joint
            stride = joint.stride
            spot = check(joint.pairing, scale, self.ulps, tally)
            if spot is not None:
                return Mismatch("", spot)
            spot = self._shifts(joint, row, scale, wanted, tally)
            if spot is not None:
                return Mismatch("", spot)
        if not value.numbers and not fixed.all():
            return Mismatch("no weighted layer of the original makes this value")
        return Proved(self._made(value, rows, stride, found), tally)

    def _made(
        self, value: Form, rows: Array, stride: tuple[int, ...], fixed: tuple[Vector, ...]
    ) -> Form:
        zero = np.zeros(rows.size)
        is_fixed = rows == CONSTANT
        relation = Relation(
            rows,
            zero + 1,
            zero,
            np.where(is_fixed, fixed[0], 0.0),
            np.where(is_fixed, fixed[1], 0.0),
            np.where(is_fixed, fixed[2], 0.0),
            stride if any(step != 1 for step in stride) else (),
            False,
        )
        return applied(relation, value, self.roots)

    def _shifts(
        self, joint: _Joint, row: Array, scale: Vector, wanted: Form, tally: Tally
    ) -> Spot | None:
        """Hold the constants of both against each other, in the rows of this pair."""
        found, error, magnitude = joint.fixed
        rows = row != CONSTANT
        its, its_error, its_magnitude = (x[np.where(rows, row, 0)] for x in joint.other)
        expected = scale * its + wanted.b
        error = error + np.abs(scale) * its_error
        magnitude = magnitude + np.abs(scale) * its_magnitude + wanted.mb
        return _held(found, expected, error, magnitude, rows, self.ulps, tally)

    def found(self, ours: Weighted, root: Root) -> Proved | Mismatch:
        """What a layer computes in terms of one root, whatever the factors are."""
        rows = self._rows(ours, whole(root))
        if isinstance(rows, Mismatch):
            return rows
        joint = self._joint(ours, root, rows)
        if isinstance(joint, Mismatch):
            return joint
        scale = find_scale(joint.pairing, self.ulps)
        if isinstance(scale, Spot):
            return Mismatch("", scale)
        alpha, alpha_error, is_free = scale
        total, error, magnitude = joint.fixed
        fixed = (rows == CONSTANT) | is_free
        its, its_error, its_magnitude = (
            np.where(fixed, 0.0, x[np.where(fixed, 0, rows)]) for x in joint.other
        )
        relation = Relation(
            np.where(fixed, CONSTANT, rows),
            np.where(fixed, 1.0, alpha),
            np.where(fixed, 0.0, alpha_error),
            total - alpha * its,
            error + alpha_error * np.abs(its) + np.abs(alpha) * its_error,
            magnitude + np.abs(alpha) * its_magnitude,
            joint.stride if any(step != 1 for step in joint.stride) else (),
            False,
        )
        return Proved(applied(relation, whole(root), self.roots), Tally(self.ulps / 2))

    # ------------------------------------------------------------ which channels belong together

    def _rows(self, ours: Weighted, value: Form) -> Array | Mismatch:
        """For each output of ours the row of a value that it should be."""
        if value.channels is None or value.is_flat or np.any(value.counts > 1):
            return Mismatch("it is no single layer of the original")
        if value.channels == ours.outputs and bool(np.all(value.counts == 1)):
            return np.arange(ours.outputs)
        rows = self._found_rows(ours, value)
        if rows is None:
            return Mismatch(
                f"it has {ours.outputs} outputs, and '{self._label(value)}' of the original has "
                f"{value.channels}"
            )
        return rows

    def _found_rows(self, ours: Weighted, value: Form) -> Array | None:
        """The rows of a value that look like our outputs, in order; others were left out.

        What looks alike is held against each other in full later.
        """
        known = ours.constants(ours.form.settled(self.roots))
        fixed = np.zeros(ours.outputs, bool) if known is None else known[0]
        mine: tuple[Array, Array] | None = None
        theirs = np.zeros((2, value.size))
        for number in value.numbers:
            its = self.roots[number].base.weighted
            column = None if its is None else relate(ours.form, its.form, self.roots, self.ulps)
            if its is None or column is None:
                return None
            weights = _random(its.inputs)
            hit = value.roots == number
            prints = fingerprints(its, weights, _seen(column, its.inputs))
            theirs[:, value.rows[hit]] = prints[:, value.columns[hit]] * value.a[hit]
            if mine is None:
                rows = np.where(column.row < 0, 0, column.row)
                factors = np.where(column.row < 0, 0.0, column.alpha)
                mine = fingerprints(ours, weights[rows], factors), prints
        return None if mine is None else _in_order(mine[0], theirs, fixed)

    def _label(self, value: Form) -> str:
        return ", ".join(sorted({self.roots[n].label for n in value.numbers})[:3])

    def _joint(self, ours: Weighted, root: Root, row: Array) -> _Joint | Mismatch:
        """Whether two layers can be compared, and how."""
        its = root.base.weighted
        if its is None or root.is_flat:
            return Mismatch(f"'{root.label}' is computed by no weighted layer")
        column = relate(ours.form, its.form, self.roots, self.ulps)
        if column is None:
            column = turned(ours.form, its.form, self.roots, self.ulps)
        if column is None or _has_twice(column.row[column.row >= 0]):
            return Mismatch(f"it reads something else than {its.layer} of the original does")
        stride = _stride(ours, its, column, root.stride)
        if stride is None:
            return Mismatch(f"its window is not that of {its.layer} of the original")
        pairing = Pairing(ours, its, row, column)
        values = self._lost_values(pairing)
        if isinstance(values, Mismatch):
            return values
        trouble = _padding(ours, its, column, values)
        if trouble is not None:
            return trouble
        return _Joint(pairing, stride, _others(pairing, values), _fixed(pairing))

    def _lost_values(self, pairing: Pairing) -> Vector | Mismatch:
        """The constants that the original reads in channels that ours does not have."""
        its, column = pairing.its, pairing.column
        values = np.zeros(its.inputs)
        seen = np.zeros(its.inputs, bool)
        seen[column.row[column.row >= 0]] = True
        if not seen.all():
            settled = its.form.settled(self.roots)
            missing = ~seen & (settled.counts > 0)
            used = np.zeros(its.outputs, bool)
            used[pairing.row[pairing.row != CONSTANT]] = True
            if missing.any() and not reads_nothing(its, missing, used):
                return Mismatch(
                    f"it reads fewer channels than {its.layer} of the original, and channel "
                    f"{int(np.argmax(missing))} is no constant"
                )
            values[~seen & ~missing] = settled.b[~seen & ~missing]
        if not _covered(pairing, seen):
            return Mismatch(f"its groups are not those of {its.layer} of the original")
        return values


def _has_twice(rows: Array) -> bool:
    return np.unique(rows).size < rows.size


def _others(pairing: Pairing, lost: Vector) -> tuple[Vector, ...]:
    """What the original's layer adds to `K x` if `x` is what ours reads: see _Joint.

    With ours reading `y = alpha x + beta`, it computes `K y / alpha + (w - K beta / alpha)`.
    """
    its, column = pairing.its, pairing.column
    varies = column.row >= 0
    rows = column.row[varies]
    shift, error = lost.copy(), np.zeros(its.inputs)
    shift[rows] = -(column.beta / column.alpha)[varies]
    error[rows] = (column.beta_error / np.abs(column.alpha))[varies]
    bias = its.biases()
    magnitude = np.abs(bias) + its.sums(np.abs(shift), absolute=True)
    return bias + its.sums(shift), its.sums(error, absolute=True), magnitude


def _fixed(pairing: Pairing) -> tuple[Vector, ...]:
    """What our bias and the constants that ours reads add to our outputs: see _Joint."""
    column = pairing.column
    fixed = column.row == CONSTANT
    return constants(
        pairing.ours, np.where(fixed, column.beta, 0.0), np.where(fixed, column.beta_error, 0.0)
    )


def fixed_outputs(ours: Weighted, settled: Form) -> tuple[Vector, ...]:
    """What the outputs are that no input changes: the constants, their errors and magnitudes."""
    is_fixed = settled.counts == 0
    b, eb = np.where(is_fixed, settled.b, 0.0), np.where(is_fixed, settled.eb, 0.0)
    return constants(ours, b, eb)


def _random(count: int) -> Vector:
    """Numbers by which inputs are told apart, the same ones each time."""
    return np.random.default_rng(count).uniform(1.0, 2.0, count)


def _seen(column: Relation, count: int) -> Vector:
    """One for each input of the original's layer that ours has as well, zero for the others."""
    seen = np.zeros(count)
    seen[column.row[column.row >= 0]] = 1.0
    return seen


def _in_order(mine: Array, theirs: Array, fixed: Array) -> Array | None:
    """To each of our outputs that varies the next of the other's that looks like it.

    What looks alike has the same fingerprints, or both in one proportion.
    """
    for is_scaled in (False, True):
        rows = np.full(fixed.size, CONSTANT)
        last = -1
        for place in np.flatnonzero(~fixed):
            one, two = mine[:, place]
            first, second = theirs[:, last + 1 :]
            off = np.abs(one * second - two * first) if is_scaled else np.abs(first - one)
            size = np.abs(two * first) if is_scaled else np.abs(one)
            near = np.flatnonzero((off <= _ALIKE * size) & ((first != 0) | (second != 0)))
            if not near.size:
                break
            last += 1 + int(near[0])
            rows[place] = last
        else:
            return rows
    return None


def _covered(pairing: Pairing, seen: Array) -> bool:
    """Whether each output of ours reads all channels that its counterpart reads, but the lost."""
    ours, its = pairing.ours, pairing.its
    if ours.group == its.group == 1 or ours.group == 1:
        return True
    mine = pairing.column.row.reshape(ours.group, -1)
    rows = pairing.row.reshape(ours.group, -1)
    wide = its.inputs // its.group
    counts = seen.reshape(its.group, -1).sum(axis=1)
    for row, inputs in zip(rows, mine, strict=True):
        groups = np.unique(its.group_of_output(row[row != CONSTANT]))
        for group in groups:
            inside = (inputs >= 0) & (inputs // wide == group)
            if np.unique(inputs[inside]).size != counts[group]:
                return False
    return True


def _stride(
    ours: Weighted, its: Weighted, column: Relation, own: tuple[int, ...]
) -> tuple[int, ...] | None:
    """Every how manieth place of the original's output ours has; None if the windows differ.

    Of the output itself, or of every so manieth place of it already, as `own` says.
    """
    a, b = ours.window, its.window
    turned = Layout.DECONVOLUTION in (ours.layout, its.layout)
    if turned and ours.layout is not its.layout:
        return None
    if a.kernel != b.kernel or a.extra != b.extra:
        return None
    axes = len(a.kernel)
    flat = (Layout.INNER, Layout.TRANSPOSED)
    if ours.layout in flat or its.layout in flat:
        both = ours.layout in flat and its.layout in flat
        return () if both and not (column.stride or own) else None
    reads = column.stride or (1,) * axes
    if len(reads) != axes or (turned and (column.stride or own)):
        return None
    dilated = tuple(d * r for d, r in zip(a.dilation, reads, strict=True))
    padded = tuple(p * r for p, r in zip(a.pad, reads, strict=True))
    same_dilation = all(
        k == 1 or x == y for k, x, y in zip(a.kernel, dilated, b.dilation, strict=True)
    )
    if not same_dilation or padded != b.pad:
        return None
    strides = tuple(s * r for s, r in zip(a.stride, reads, strict=True))
    if turned:
        return () if strides == b.stride else None
    its_strides = [s * o for s, o in zip(b.stride, own or (1,) * axes, strict=True)]
    quotients = [divmod(x, y) for x, y in zip(strides, its_strides, strict=True)]
    return None if any(rest for _, rest in quotients) else tuple(q for q, _ in quotients)


def _padding(ours: Weighted, its: Weighted, column: Relation, lost: Vector) -> Mismatch | None:
    """Why constants cannot be added up where windows lie on padding, if they do."""
    if ours.is_even and its.is_even:
        return None
    if column.beta.any():
        return Mismatch(
            f"its input is shifted in channel {int(np.argmax(column.beta != 0))}, and a shift "
            "cannot pass zero padding"
        )
    if lost.any():
        return Mismatch("a constant that is not zero cannot pass zero padding")
    return None


def _held(
    found: Vector,
    expected: Vector,
    error: Vector,
    magnitude: Vector,
    rows: Array,
    ulps: float,
    tally: Tally,
) -> Spot | None:
    """Hold biases against what they must be."""
    gap = np.abs(found - expected)
    noise = 8 * NOISE * magnitude
    bad = rows & ~(gap <= ulps * error + noise) & ~(np.isnan(found) & np.isnan(expected))
    share = np.where(error > 0, np.maximum(gap - noise, 0) / np.where(error > 0, error, 1), 0.0)
    if bad.any():
        at = int(np.argmax(bad))
        off = float(share[at]) if error[at] > 0 else float("inf")
        return Spot(at, f"bias [{at}]", float(expected[at]), float(found[at]), off)
    tally.deviation = max(tally.deviation, float(share[rows].max(initial=0.0)))
    return None
