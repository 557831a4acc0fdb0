"""Every coefficient of a weighted layer, held against another's: Lemma 3 of docs/proof.md.

Where a layer of the folded network reads `alpha[j] x[j] + beta[j]`, and the original's reads `x`,

    K' (alpha x + beta) + w'  =  r (K x + w) + s     if  K'[c, j, t] = r[c] K[c, j, t] / alpha[j]

and then `s` is what is left of the constants. The weights stream through memory a tile at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bnfold.aliases import Array, Vector
from bnfold.proof.forms import NOISE
from bnfold.proof.relations import ABSENT, CONSTANT, Relation
from bnfold.proof.stored import unit
from bnfold.proof.weighted import Tile, Weighted


@dataclass(frozen=True)
class Spot:
    """A number of the folded file that is not what it must be.

    Attributes:
        channel: the output channel.
        what: which number, "weight [3, 0, 1, 1]" for example.
        expected, found: what it must be, and what it is.
        ulps: how far apart they are, in units of the last place of what is stored.
    """

    channel: int
    what: str
    expected: float
    found: float
    ulps: float


@dataclass
class Tally:
    """How far off rounding put what was looked at, in units of the last place."""

    deviation: float = 0.0


@dataclass(frozen=True, eq=False)
class Pairing:
    """Two weighted layers, and which of their channels belong together.

    Attributes:
        ours, its: the folded network's layer and the original's.
        row: for each output of ours, which one of its it is; CONSTANT for none.
        column: how the value that ours reads follows from the one that the other reads.
    """

    ours: Weighted
    its: Weighted
    row: Array
    column: Relation

    @property
    def is_straight(self) -> bool:
        """Whether all channels of both belong together, in order."""
        same = self.ours.shape == self.its.shape and self.ours.group == self.its.group
        return (
            same
            and self.column.row.size == self.its.inputs
            and bool(np.all(self.row == np.arange(self.its.outputs)))
            and bool(np.all(self.column.row == np.arange(self.its.inputs)))
        )

    def tiles(self) -> Iterator[tuple[Tile, Array, Array, Array | None]]:
        """Tiles of our weight, and in the places of each what the other has: stored values.

        The last of the four is where nothing is to be compared, shape (rows, columns): what reads
        a constant, or makes one; None for nowhere.
        """
        straight = self.is_straight
        for tile in self.ours.tiles():
            if straight:
                yield tile, self.ours.read(tile), self.its.read(tile), None
                continue
            other, skipped = self._gathered(tile)
            if not skipped.all():
                yield tile, self.ours.read(tile), other, skipped

    def _gathered(self, tile: Tile) -> tuple[Array, Array]:
        out, inner = self.ours.indices(tile)
        shape = np.broadcast_shapes(out.shape, inner.shape)
        row = np.broadcast_to(self.row[out], shape)
        column = np.broadcast_to(self.column.row[inner], shape)
        skipped = (row == CONSTANT) | (column == CONSTANT)
        if skipped.all():
            return np.zeros(0), skipped
        its, absent = self.its, column == ABSENT
        a, other = (row, column) if its.layout.has_rows else (column, row)
        nowhere = skipped | absent
        a = np.where(nowhere, np.where(nowhere, 0, a).max(), a)
        group = its.group_of_output(a) if its.layout.has_rows else its.group_of_input(a)
        b = np.where(nowhere, 0, other) - group * its.shape[1]
        is_inside = (b >= 0) & (b < its.shape[1]) & ~absent
        b = np.where(is_inside, b, 0)
        first, last = int(a.min()), int(a.max())
        rows = _read_rows(its, np.unique(a)) if last - first > 4 * shape[0] + 64 else None
        if rows is None:
            whole = its.read(Tile(first, last + 1, 0, its.shape[1]))
            found = whole[a - first, b].astype(np.float64)
        else:
            found = rows[1][np.searchsorted(rows[0], a), b].astype(np.float64)
        found[~is_inside | skipped] = 0.0
        return found, skipped


def _read_rows(weighted: Weighted, numbers: Array) -> tuple[Array, Array]:
    parts = [weighted.read(Tile(int(n), int(n) + 1, 0, weighted.shape[1])) for n in numbers]
    return numbers, np.concatenate(parts)


def check(pairing: Pairing, scale: Vector, ulps: float, tally: Tally) -> Spot | None:
    """Hold every weight against what it must be; gives the first that is not.

    Args:
        pairing: the layers.
        scale: the factor of each output of ours.
        ulps: by how many units in the last place a weight may be off.
        tally: keeps the largest deviation.
    """
    column, column_error = _column(pairing.column)
    is_plain = not column_error.any()
    trivial = bool(np.all(scale == 1) and np.all(column == 1))
    for tile, mine, other, skipped in pairing.tiles():
        out, inner = pairing.ours.indices(tile)
        if trivial and mine.dtype == other.dtype and np.array_equal(mine, other):
            continue
        factor = scale[out] * column[inner]
        with np.errstate(over="ignore", invalid="ignore"):
            expected = other * factor[..., None]
            off = expected.astype(mine.dtype) != mine
        if skipped is not None:
            off &= ~skipped[..., None]
        tally.deviation = max(tally.deviation, 0.0 if trivial else 0.5)
        if not off.any():
            continue
        error = column_error[np.broadcast_to(inner, factor.shape)] if not is_plain else None
        spot = _inspected(pairing.ours, tile, mine, expected, off, error, ulps, tally)
        if spot is not None:
            return spot
    return None


def _column(relation: Relation) -> tuple[Vector, Vector]:
    """For each input of ours the factor of the weights that read it, and its share of error."""
    return 1.0 / relation.alpha, relation.alpha_error / np.abs(relation.alpha)


def _inspected(
    ours: Weighted,
    tile: Tile,
    mine: Array,
    expected: Array,
    off: Array,
    error: Array | None,
    ulps: float,
    tally: Tally,
) -> Spot | None:
    """Look closely at the weights that are not the nearest number to what they must be."""
    where = np.nonzero(off)
    found, wanted = mine[where].astype(np.float64), expected[where]
    share = np.zeros(found.size) if error is None else error[where[:2]]
    one = unit(found, mine.dtype)
    with np.errstate(invalid="ignore"):
        gap = np.abs(found - wanted) - np.abs(wanted) * (NOISE + ulps * share)
        apart = np.maximum(gap, 0) / one
        bad = ~(apart <= ulps) & ~(np.isnan(found) & np.isnan(wanted))
    if bad.any():
        at = int(np.argmax(bad))
        place = tuple(int(axis[at]) for axis in where)
        return _spot(ours, tile, place, wanted[at], found[at], apart[at])
    tally.deviation = max(tally.deviation, float(np.nanmax(apart, initial=0.0)))
    return None


def _spot(
    ours: Weighted, tile: Tile, place: tuple[int, ...], expected: float, found: float, ulps: float
) -> Spot:
    row, column, tap = place
    out, _ = ours.indices(tile)
    channel = int(
        np.broadcast_to(out, (tile.bottom - tile.top, tile.right - tile.left))[row, column]
    )
    index = [tile.top + row, tile.left + column]
    if ours.window.taps > 1:
        index += [int(x) for x in np.unravel_index(tap, ours.window.kernel)]
    return Spot(channel, f"weight {index}", float(expected), float(found), float(ulps))


def find_scale(pairing: Pairing, ulps: float) -> tuple[Vector, Vector, Array] | Spot:
    """The factor of each output of ours that makes every weight what it must be.

    For each weight the factors that do so are an interval; those of an output's weights must have
    a point in common (Lemma 3).

    Gives:
        The factors; how far off each may be, for one unit in the last place; and which outputs
        have no weights but zeros, so that any factor would do. Or a weight that fits no factor
        that the others allow.
    """
    count = pairing.ours.outputs
    low, high = np.full(count, -np.inf), np.full(count, np.inf)
    column, column_error = _column(pairing.column)
    for tile, mine, other, skipped in pairing.tiles():
        out, inner = pairing.ours.indices(tile)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            expected = other * column[inner][..., None]
            share = column_error[inner][..., None]
            slack = ulps * unit(mine.astype(np.float64), mine.dtype)
            slack = slack + np.abs(mine) * (ulps * share + NOISE)
            one, two = (mine - slack) / expected, (mine + slack) / expected
        least, most = np.minimum(one, two), np.maximum(one, two)
        nothing = (expected == 0) & (np.abs(mine) <= slack)
        if skipped is not None:
            nothing |= skipped[..., None]
        least = np.where(nothing, -np.inf, least).max(axis=2)
        most = np.where(nothing, np.inf, most).min(axis=2)
        wrong = (((expected == 0) & (np.abs(mine) > slack)) | ~np.isfinite(mine)) & ~nothing
        wrong = wrong.any(axis=2)
        least, most = np.where(wrong, np.inf, least), np.where(wrong, -np.inf, most)
        rows = np.broadcast_to(out, least.shape)
        np.maximum.at(low, rows, least)
        np.minimum.at(high, rows, most)
    is_free = np.isinf(low) & np.isinf(high) & (low < high)
    if np.any(~(low <= high)):
        return _misfit(pairing, int(np.argmax(~(low <= high))), ulps)
    low, high = np.where(is_free, 1.0, low), np.where(is_free, 1.0, high)
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        return Spot(int(np.argmax(~np.isfinite(low + high))), "weight", np.nan, np.nan, np.inf)
    return (low + high) / 2, (high - low) / 2 / ulps, is_free


def _misfit(pairing: Pairing, channel: int, ulps: float) -> Spot:
    """The weight of an output that is farthest from the factor that most of them have."""
    column, _ = _column(pairing.column)
    ratios: list[Vector] = []
    for tile, mine, other, skipped in pairing.tiles():
        out, inner = pairing.ours.indices(tile)
        hit = np.broadcast_to(out == channel, mine.shape[:2])
        if skipped is not None:
            hit = hit & ~skipped
        expected = (other * column[inner][..., None])[hit]
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios.append((mine[hit] / expected)[np.isfinite(expected) & (expected != 0)])
    every = np.concatenate(ratios) if ratios else np.zeros(0)
    middle = float(np.median(every)) if every.size else 0.0
    scale = np.zeros(pairing.ours.outputs)
    scale[channel] = middle
    return _farthest(pairing, scale, channel)


def _farthest(pairing: Pairing, scale: Vector, channel: int) -> Spot:
    column, _ = _column(pairing.column)
    worst = Spot(channel, "weight", np.nan, np.nan, 0.0)
    for tile, mine, other, skipped in pairing.tiles():
        out, inner = pairing.ours.indices(tile)
        expected = other * (scale[out] * column[inner])[..., None]
        hit = np.broadcast_to((out == channel)[..., None], mine.shape)
        if skipped is not None:
            hit = hit & ~skipped[..., None]
        gap = np.abs(mine - expected) / unit(mine.astype(np.float64), mine.dtype)
        gap = np.where(hit & ~np.isnan(gap), gap, -1.0)
        place = np.unravel_index(int(np.argmax(gap)), gap.shape)
        if gap[place] > worst.ulps:
            at = tuple(int(axis) for axis in place)
            worst = _spot(pairing.ours, tile, at, expected[place], mine[place], gap[place])
    return worst


def constants(ours: Weighted, shift: Vector, shift_error: Vector) -> tuple[Vector, ...]:
    """What a layer of the folded network makes of constants that are added to what it reads.

    Args:
        ours: the layer; its bias counts as well.
        shift, shift_error: for each input the constant, and by how much one unit in the last place
            moves it.

    Returns:
        For each output the constant; by how much one unit moves it; the magnitudes it is made of.
    """
    total = ours.biases()
    error = np.zeros(ours.outputs) if ours.bias is None else unit(total, ours.bias.dtype)
    magnitude = np.abs(total)
    if shift.any() or shift_error.any():
        eps = float(np.finfo(ours.weight.dtype).eps)
        for tile in ours.tiles():
            out, inner = ours.indices(tile)
            values = ours.read(tile).astype(np.float64)
            size = np.abs(values).sum(axis=2)
            rows = np.broadcast_to(out, size.shape)
            beta, beta_error = shift[inner], shift_error[inner]
            np.add.at(total, rows, values.sum(axis=2) * beta)
            np.add.at(magnitude, rows, size * np.abs(beta))
            np.add.at(error, rows, size * (beta_error + eps * np.abs(beta)))
    return total, error, magnitude


def reads_nothing(its: Weighted, inputs: Array, outputs: Array) -> bool:
    """Whether all weights by which some outputs read some inputs are zero; both are masks."""
    for tile in its.tiles():
        out, inner = its.indices(tile)
        hit = outputs[out] & inputs[inner]
        if hit.any() and (its.read(tile)[hit] != 0).any():
            return False
    return True


def fingerprints(weighted: Weighted, weights: Vector, factors: Vector) -> Array:
    """Two sums over the weights of each output, by which outputs can be recognised: (2, outputs).

    Args:
        weighted: the layer.
        weights: for each input what its weights are multiplied by; the same for inputs that belong
            together.
        factors: for each input what they are multiplied by besides.
    """
    total = np.zeros((2, weighted.outputs))
    taps = np.random.default_rng(weighted.window.taps).uniform(1.0, 2.0, weighted.window.taps)
    for tile in weighted.tiles():
        out, inner = weighted.indices(tile)
        values = weighted.read(tile).astype(np.float64)
        summed = values @ taps
        rows = np.broadcast_to(out, summed.shape)
        np.add.at(total[0], rows, summed * (weights * factors)[inner])
        np.add.at(total[1], rows, summed * (weights**2 * factors)[inner])
    return total
