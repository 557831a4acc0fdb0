"""Sets of channels that go together, against sets that are joined one pair at a time."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bnfold.fold.channels.ties import Ties
from bnfold.fold.plan import Code, Reason

COUNT = 12
LISTS = st.lists(st.tuples(*[st.integers(0, COUNT - 1)] * 2), max_size=8)


def joined(ties: list[list[tuple[int, int]]]) -> list[set[int]]:
    """The sets of all channels after the ties, found by joining one pair after the other."""
    sets = [{channel} for channel in range(COUNT)]
    for pairs in ties:
        for one, other in pairs:
            a, b = (next(each for each in sets if c in each) for c in (one, other))
            if a is not b:
                sets.remove(b)
                a |= b
    return sets


def tied(ties: list[list[tuple[int, int]]]) -> Ties:
    found = Ties()
    found.add(COUNT)
    for pairs in ties:
        some, others = (np.array([pair[i] for pair in pairs], np.intp) for i in (0, 1))
        found.tie(some, others)
    return found


def reason(text: str) -> Reason:
    return Reason(Code.OTHER_READER, text)


def channels(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.intp)


@given(st.lists(LISTS, max_size=5))
def test_ties_join_the_sets_that_one_pair_after_the_other_joins(ties):
    roots = tied(ties).roots(np.arange(COUNT)).tolist()
    for each in joined(ties):
        assert {roots[channel] for channel in each} == {min(each)}


@given(st.lists(LISTS, max_size=4), st.sets(st.integers(0, COUNT - 1)))
def test_members_of_sets_are_all_channels_that_are_tied_to_them(ties, chosen):
    found = tied(ties)
    roots = set(found.roots(channels(*chosen)).tolist())
    expected = set().union(*(each for each in joined(ties) if each & chosen))
    assert set(np.flatnonzero(found.members(roots)).tolist()) == expected


@given(st.lists(LISTS, max_size=4), st.lists(st.integers(0, COUNT - 1), min_size=1, max_size=6))
def test_a_set_keeps_the_first_reason_that_any_of_its_channels_was_given(ties, pins):
    found = tied(ties)
    for place, channel in enumerate(pins):
        found.pin(channels(channel), reason(f"pin {place}"))
    told = found.reasons()
    for each in joined(ties):
        places = [place for place, channel in enumerate(pins) if channel in each]
        expected = f"pin {places[0]}" if places else None
        assert (told[min(each)].text if min(each) in told else None) == expected


def test_new_channels_are_sets_of_their_own():
    ties = Ties()
    assert ties.add(2).tolist() == [0, 1]
    ties.tie(channels(0), channels(1))
    assert ties.add(2).tolist() == [2, 3]
    assert ties.count == 4
    assert ties.roots(np.arange(4)).tolist() == [0, 0, 2, 3]


def test_a_tie_that_comes_after_a_pin_hands_it_on():
    ties = tied([])
    ties.pin(channels(5), reason("read elsewhere"))
    ties.tie(channels(1), channels(5))
    assert ties.reasons() == {1: reason("read elsewhere")}


def test_reasons_that_are_given_later_come_after_those_of_pins():
    ties = tied([[(0, 1)]])
    ties.pin(channels(1), reason("first"))
    told = ties.reasons([(channels(0, 2), reason("later"))])
    assert told == {0: reason("first"), 2: reason("later")}
    assert ties.reasons() == {0: reason("first")}


def test_no_channels_are_pinned_by_an_empty_list():
    ties = tied([])
    ties.pin(channels(), reason("nothing"))
    assert ties.reasons() == {}
    assert not ties.members([]).any()


def test_a_long_row_of_ties_is_one_set():
    ties = Ties()
    everything = ties.add(5000)
    ties.tie(everything[1:], everything[:-1])
    assert not ties.roots(everything).any()
