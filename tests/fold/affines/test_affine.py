"""The algebra of affines: what is told of two in a row, of some channels, of unknown numbers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnfold.fold.affines.affine import Affine, batch_norm, normalise

NUMBERS = st.sampled_from([-2.0, -1.0, -0.5, 0.0, 0.25, 1.0, 3.0])
"""Numbers whose products and sums are exact, so that results are compared bit by bit."""


def vectors(channels: int) -> st.SearchStrategy[np.ndarray]:
    sizes = st.sampled_from([1, channels])
    return sizes.flatmap(lambda n: st.lists(NUMBERS, min_size=n, max_size=n)).map(np.array)


@st.composite
def affines(draw, count: int = 1, unknown: bool = False) -> list[Affine]:
    """Affines of so many channels, or of one number for all; perhaps with unknown vectors."""
    channels = draw(st.integers(1, 5))
    some = vectors(channels)
    if unknown:
        some |= st.none()
    return [Affine(draw(some), draw(some)) for _ in range(count)]


def values(channels: int = 5) -> np.ndarray:
    return np.arange(2 * channels * 3, dtype=np.float64).reshape(2, channels, 3) - 7


def apply(affine: Affine, x: np.ndarray) -> np.ndarray:
    assert affine.scale is not None
    assert affine.shift is not None
    return affine.scale.reshape(-1, 1) * x + affine.shift.reshape(-1, 1)


def width(*some: Affine) -> int:
    return max(affine.channels for affine in some)


def same(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    return one is other if one is None or other is None else bool(np.all(one == other))


# ---------------------------------------------------------------- two in a row


@given(affines(2))
def test_one_after_the_other_is_their_composition(pair):
    first, second = pair
    x = values(width(*pair))
    assert np.array_equal(apply(first.then(second), x), apply(second, apply(first, x)))


@given(affines(3))
def test_which_of_three_are_put_together_first_does_not_matter(three):
    a, b, c = three
    assert a.then(b).then(c).equals(a.then(b.then(c)))


@given(affines())
def test_the_identity_changes_nothing_on_either_side(one):
    (affine,) = one
    identity = Affine(np.ones(1), np.zeros(1))
    assert identity.is_identity
    assert identity.then(affine).equals(affine)
    assert affine.then(identity).equals(affine)


# ---------------------------------------------------------------- unknown numbers


def hidden(affine: Affine, scale: bool, shift: bool) -> Affine:
    return Affine(None if scale else affine.scale, None if shift else affine.shift)


@given(affines(2), st.tuples(*[st.booleans()] * 4))
def test_what_is_told_without_some_numbers_is_true_of_them_all(pair, which):
    known = pair[0].then(pair[1])
    told = hidden(pair[0], *which[:2]).then(hidden(pair[1], *which[2:]))
    assert told.scale is None or same(told.scale, known.scale)
    assert told.shift is None or bool(np.all(told.shift == known.shift))


@given(affines(unknown=True))
def test_a_property_that_is_claimed_holds_whatever_the_unknown_numbers_are(one):
    (affine,) = one
    fills = [np.array([number]) for number in (-1.0, 0.0, 1.0)]
    for scale, shift in itertools.product(fills, fills):
        full = Affine(
            scale if affine.scale is None else affine.scale,
            shift if affine.shift is None else affine.shift,
        )
        for name in ("is_shiftless", "is_positive", "is_identity"):
            assert not getattr(affine, name) or getattr(full, name), name


UNKNOWN = Affine(None, None)


def test_a_shift_is_known_behind_unknown_scales_where_there_is_none_in_front():
    scale_alone = Affine(None, np.zeros(1))
    bias_alone = Affine(np.ones(1), np.array([1.0, 2.0]))
    assert scale_alone.then(scale_alone).is_shiftless
    assert same(scale_alone.then(bias_alone).shift, bias_alone.shift)
    assert bias_alone.then(scale_alone).shift is None
    assert UNKNOWN.then(bias_alone).shift is None


def test_nothing_is_claimed_of_what_is_unknown():
    assert not UNKNOWN.is_known
    assert not UNKNOWN.is_shiftless
    assert not UNKNOWN.is_positive
    assert not UNKNOWN.is_identity
    assert not UNKNOWN.equals(UNKNOWN)
    assert UNKNOWN.channels == 1


def test_a_scale_that_is_no_number_is_not_positive():
    assert not Affine(np.array([1.0, np.nan]), np.zeros(1)).is_positive
    assert not Affine(np.array([1.0, 0.0]), np.zeros(1)).is_positive
    assert not Affine(np.ones(2), np.array([0.0, np.nan])).is_shiftless


# ---------------------------------------------------------------- some channels


@given(affines(), st.data())
def test_the_parts_of_an_affine_are_the_affine_on_parts_of_its_input(one, data):
    (affine,) = one
    x = values()
    spread = affine if affine.channels == 1 else affine.over(affine.channels)
    count = 5 if affine.channels == 1 else affine.channels
    x = x[:, :count]
    cut = data.draw(st.integers(0, count))
    parts = [apply(spread.part(*ends), x[:, slice(*ends)]) for ends in ((0, cut), (cut, count))]
    assert np.array_equal(np.concatenate(parts, 1), apply(affine, x))


@given(affines(), st.integers(1, 4))
def test_repeated_is_what_it_does_behind_a_flatten(one, times):
    (affine,) = one
    channels = affine.channels
    x = values(channels * times)[..., :1].reshape(2, channels, times)
    flat = affine.over(channels).repeated(times)
    expected = apply(affine, x).reshape(2, channels * times, 1)
    assert np.array_equal(apply(flat, x.reshape(2, channels * times, 1)), expected)


@given(affines(unknown=True), st.integers(1, 3))
def test_unknown_numbers_stay_unknown_in_every_part(one, times):
    (affine,) = one
    for form in (
        affine.over(affine.channels),
        affine.over(affine.channels).repeated(times),
        affine.part(0, 1),
    ):
        assert (form.scale is None) == (affine.scale is None)
        assert (form.shift is None) == (affine.shift is None)


def test_one_number_for_all_channels_is_one_for_any_of_them():
    one = Affine(np.array([2.0]), np.array([3.0]))
    assert one.part(4, 9).equals(one)
    assert one.over(7).channels == 7
    assert one.over(7).equals(one)
    assert one.without_shift().equals(Affine(np.array([2.0]), np.zeros(1)))


@given(affines(2))
def test_two_are_equal_where_they_do_the_same(pair):
    x = values(width(*pair))
    alike = all(
        np.array_equal(apply(pair[0], each), apply(pair[1], each)) for each in (x, np.zeros_like(x))
    )
    assert pair[0].equals(pair[1]) == pair[1].equals(pair[0]) == alike


def test_affines_of_different_lengths_are_not_equal():
    two, three = (Affine(np.full(n, 2.0), np.zeros(1)) for n in (2, 3))
    assert not two.equals(three)


# ---------------------------------------------------------------- batch normalisation


@pytest.mark.parametrize("factor", [1.0, 999.982, 0.5])
def test_stored_statistics_are_divided_by_the_factor(factor):
    mean, variance, x = np.array([1.0, -2.0]), np.array([0.5, 4.0]), values(2)
    by_hand = (x - (mean / factor)[:, None]) / np.sqrt((variance / factor)[:, None] + 1e-5)
    np.testing.assert_allclose(apply(batch_norm(mean, variance, factor, 1e-5), x), by_hand, 1e-13)


def test_a_factor_of_zero_makes_all_statistics_zero():
    stored = np.array([1.0, -2.0]), np.array([0.5, 4.0])
    none = normalise(np.zeros(2), np.zeros(2), 0.25)
    assert batch_norm(*stored, 0, 0.25).equals(none)
    assert same(none.scale, np.full(2, 2.0))
