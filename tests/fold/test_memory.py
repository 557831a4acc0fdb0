"""Values of different names that lie in one memory, where one of them is worked on in place.

Caffe lets a Split, Flatten, Reshape or Concat of one hand its bottom's memory on.
"""

from __future__ import annotations

import pytest

from .networks import start

ONE_MEMORY = {
    "Split": "",
    "Concat": "",
    "Reshape": "reshape_param { shape { dim: 0 dim: 0 dim: 0 dim: 0 } }",
}


@pytest.mark.parametrize("kind", ONE_MEMORY)
def test_batch_norm_in_place_that_shows_under_another_name_stays_there(kind, merger):
    net = start().conv("k", "data", 4, 1).plain("TanH", "c", "k")
    net.plain(kind, "f", "c", words=ONE_MEMORY[kind]).batch_norm("b", "f")
    net.conv("d", "f", 3, 1).relu("late", "c", "late")
    # Behind the BatchNorm, 'c' is normalised, too.
    merged = merger(net, {"b": "scale"})
    assert merged.reasons["b"].code == "other-reader"
    assert "ReLU layer 'late'" in merged.reasons["b"].text


def test_batch_norm_in_place_behind_all_other_readers_goes(merger):
    net = start().conv("k", "data", 4, 1).plain("TanH", "c", "k").relu("early", "c", "early")
    net.plain("Split", "f", "c").batch_norm("b", "f")
    merger.folds(net.conv("d", "f", 3, 1), "b", into="d")


def test_scale_whose_reader_is_worked_on_in_place_does_not_let_it_near_the_original(merger):
    net = start().conv("k", "data", 4, 1).plain("TanH", "c", "k")
    net.scale("s", "c", "x", positive=True, bias=False).plain("Split", "f", "x").relu("r", "f")
    net.conv("d", "f", 3, 1).conv("e", "c", 3, 1)
    # Without the Scale, 'f' would be the memory of 'c', and the ReLU would work on both.
    merged = merger(net, {"s": "kept"})
    assert "'c' would share its memory" in merged.reasons["s"].text


def test_scale_stays_where_its_input_is_written_over_before_its_output_is_read(merger):
    net = start().conv("k", "data", 4, 1).plain("TanH", "c", "k").plain("Split", "f", "c")
    net.scale("s", "c", "x").relu("r", "f").conv("d", "x", 3, 1)
    merged = merger(net, {"s": "kept"})
    assert merged.reasons["s"].code == "other-reader"
    assert "'c' would share its memory" in merged.reasons["s"].text


def test_identity_that_keeps_two_memories_apart_stays(merger):
    net = start().conv("k", "data", 4, 1).plain("TanH", "c", "k")
    net.layer('name: "p" type: "Split" bottom: "c" top: "a" top: "b"')
    net.channels.update(a=4, b=4)
    net.plain("Power", "one", "a", "x").relu("r", "b").conv("d", "x", 3, 1).conv("e", "b", 3, 1)
    merged = merger(net, {})
    assert 'type: "Power"' in merged.text


def test_run_is_not_made_one_behind_what_writes_over_its_input(merger):
    net = start().conv("k", "data", 4, 1).plain("TanH", "c", "k").plain("Split", "f", "c")
    net.batch_norm("b", "c", "x").relu("r", "f").scale("s", "x", "y").plain("TanH", "t", "y")
    # The first of the two becomes the Scale, in front of the ReLU.
    merger(net, {"b": "scale", "s": "merged"})
