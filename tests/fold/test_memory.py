"""Values of different names that lie in one memory, where one of them is worked on in place.

Caffe lets a Split, Flatten, Reshape or Concat of one hand its bottom's memory on.
"""

from __future__ import annotations

import numpy as np
import pytest
from folding import assert_same_function, merge_files, merge_model

import bnfold

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


# ------------------------------------------------------- what goes gives its name, or keeps apart

CAFFE = ("pycaffe",)
"""OpenCV gives every value a memory of its own, so only Caffe can tell about what is shared."""

IDENTITIES = {
    "Power": lambda net: net.plain("Power", "one", "p", "b"),
    "Power behind Flatten": lambda net: net.plain("Flatten", "f", "p").plain(
        "Power", "one", "f", "b"
    ),
    "Scales": lambda net: identity_scales(net, "p", "b"),
    "BatchNorm": lambda net: identity_batch_norm(net, "p", "b"),
}


def identity_scales(net, bottom, top):
    """Two Scales that undo each other."""
    channels = net.channels[bottom]
    for name, read, made, factor in (("one", bottom, "half", 0.5), ("two", "half", top, 2.0)):
        words = f'name: "{name}" type: "Scale" bottom: "{read}" top: "{made}"'
        net.layer(words, name, [np.full(channels, factor)])
    net.channels[top] = channels
    return net


def identity_batch_norm(net, bottom, top):
    """Mean 0 and variance 1, so that with an eps of 0 nothing changes."""
    channels = net.channels[top] = net.channels[bottom]
    words = f'name: "one" type: "BatchNorm" bottom: "{bottom}" top: "{top}"'
    blobs = [np.zeros(channels), np.ones(channels), np.ones(1)]
    return net.layer(f"{words} batch_norm_param {{ eps: 0 }}", "one", blobs)


def fates_of(net, merger, **options):
    """Merge and compare in Caffe, whatever becomes of the affine layers."""
    merged = merge_model(merger.folder, net, **options)
    again = merge_files(*merged.after, **options)
    for once, twice in zip(merged.after, again.after, strict=True):
        assert once.read_bytes() == twice.read_bytes()
    if merger.runtime.name == "pycaffe":
        assert_same_function(merger.runtime, merged)
    return merged


@pytest.mark.parametrize("kind", IDENTITIES)
def test_layer_that_works_in_place_keeps_doing_so_where_that_shows_elsewhere(kind, merger):
    net = start().conv("k", "data", 4, 1, top="a").plain("Split", "p", "a").relu("r", "p")
    IDENTITIES[kind](net)
    if kind == "Power behind Flatten":
        net.plain("Flatten", "a/flat", "a").plain("Concat", "out", "b a/flat")
    else:
        net.plain("Concat", "out", "b a")
    # The Concat finds in 'a' what the ReLU has made of it.
    merged = fates_of(net, merger)
    assert 'top: "p"' in merged.text.split('name: "r"')[1].split("}")[0]


@pytest.mark.parametrize("kind", ["Power", "Scales", "BatchNorm"])
def test_layer_that_changes_nothing_stays_where_it_is_the_copy_that_protects_someone(kind, merger):
    net = start().inner_product("ip", "data", 6, 252).plain("Concat", "p", "ip")
    IDENTITIES[kind](net)
    net.layer('name: "r" type: "PReLU" bottom: "b" top: "b"', "r", [np.full(6, 0.2)])
    net.plain("Softmax", "s", "ip")
    # The PReLU may read 'p' instead of 'b', but it must not write there.
    merged = fates_of(net, merger)
    assert 'top: "b"' in merged.text.split('name: "r"')[1].split("}")[0]


def test_batch_norm_that_is_not_in_place_behind_what_is_goes_into_its_readers(merger):
    net = start().conv("k", "data", 4, 1, top="a").plain("Split", "p", "a").relu("r", "p")
    net.batch_norm("b", "p", "n").conv("d", "n", 3, 1).plain("TanH", "t", "a")
    merger.folds(net, "b", into="d", engines=CAFFE)


def test_identity_whose_output_is_worked_on_behind_a_flatten_stays(merger):
    net = start().inner_product("ip", "data", 6, 252).plain("Concat", "p", "ip")
    net.plain("Power", "one", "p", "b").plain("Flatten", "f", "b").relu("r", "f")
    net.plain("Softmax", "s", "ip")
    merged = merger(net, {}, engines=CAFFE)
    assert 'type: "Power"' in merged.text


def test_scale_in_front_of_a_value_that_is_overwritten_elsewhere_stays(merger):
    net = start().conv("k", "data", 4, 1).plain("TanH", "c", "k").scale("s", "c", "x")
    net.plain("Split", "f", "x").relu("r", "f").conv("d", "x", 3, 1).conv("e", "c", 3, 1)
    # What 'd' reads as 'x' is behind the ReLU.
    merged = merger(net, {"s": "kept"}, engines=CAFFE)
    assert "ReLU layer 'r'" in merged.reasons["s"].text


# ----------------------------------------------------------------- every type that hands it on

HANDS_ON = {
    "Split": "",
    "Concat": "",
    "Slice": "",
    "Reshape": ONE_MEMORY["Reshape"],
    "Permute": "",
    "Permute in order": "permute_param { order: 0 order: 1 }",
}


@pytest.mark.parametrize("kind", HANDS_ON)
def test_work_in_place_behind_every_type_that_hands_its_memory_on_is_seen(kind, merger):
    net = start().conv("k", "data", 4, 1).plain("TanH", "c", "k")
    net.plain(kind.split()[0], "f", "c", words=HANDS_ON[kind]).batch_norm("b", "f")
    net.conv("d", "f", 3, 1).plain("TanH", "late", "c")
    merged = merger(net, {"b": "scale"}, engines=CAFFE)
    assert merged.reasons["b"].code == "other-reader"
    assert "TanH layer 'late'" in merged.reasons["b"].text


def test_permute_that_moves_axes_has_a_memory_of_its_own(merger):
    net = start((2, 4, 4, 4)).conv("k", "data", 4, 1).plain("TanH", "c", "k")
    net.plain("Permute", "f", "c", words="permute_param { order: 0 order: 2 order: 1 }")
    net.batch_norm("b", "f").conv("d", "f", 3, 1).plain("TanH", "late", "c")
    merger.folds(net, "b", into="d", engines=CAFFE)


def test_flatten_hands_its_memory_on(merger):
    net = start().conv("k", "data", 4, 1).plain("TanH", "c", "k").plain("Flatten", "f", "c")
    net.channels["f"] = 252
    net.batch_norm("b", "f").inner_product("d", "f", 3, 252).plain("TanH", "late", "c")
    merged = merger(net, {"b": "scale"}, engines=CAFFE)
    assert "TanH layer 'late'" in merged.reasons["b"].text


def test_layer_of_an_unknown_type_may_hand_its_memory_on(tmp_path):
    net = start().conv("k", "data", 4, 1).plain("TanH", "c", "k").plain("Squeeze", "f", "c")
    net.batch_norm("b", "f").conv("d", "f", 3, 1).plain("TanH", "late", "c")
    assert merge_model(tmp_path, net).fates == {"b": "scale"}


def test_network_output_that_is_worked_on_under_another_name_is_seen(merger):
    net = start().conv("k", "data", 4, 1).plain("TanH", "c", "k")
    net.layer('name: "p" type: "Split" bottom: "c" top: "out" top: "f"')
    net.channels["f"] = 4
    net.batch_norm("b", "f").conv("d", "f", 3, 1)
    merged = merger(net, {"b": "scale"}, engines=CAFFE)
    assert "output" in merged.reasons["b"].text


def test_work_in_place_on_what_is_given_out_again_for_the_next_input_stays(merger):
    net = start()
    shape = "shape { dim: 2 dim: 4 dim: 9 dim: 7 }"
    filler = 'data_filler { type: "constant" value: 0.5 }'
    net.layer(f'name: "m" type: "DummyData" top: "m" dummy_data_param {{ {shape} {filler} }}')
    net.channels["m"] = 4
    net.scale("s", "m").conv("d", "m", 3, 1).conv("e", "data", 3, 1)
    net.plain("Eltwise", "sum", "d e")
    # Caffe fills a constant once, so that the Scale works on it anew in each run.
    merged = merger(net, {"s": "kept"}, engines=CAFFE)
    assert "gives out 'm' again for the next input" in merged.reasons["s"].text


# -------------------------------------------------------------------------- channels and branches


def test_channel_that_someone_writes_over_under_another_name_is_no_constant(merger):
    net = start().conv("k", "data", 5, 1, top="c2").plain("Concat", "cat", "c2")
    (record,) = net.net.layer
    weights = np.array(record.blobs[0].data).reshape(5, 4)
    weights[2] = 0
    record.blobs[0].data[:] = weights.ravel().tolist()
    shift = net.rng.normal(0, 1, 5)
    net.layer('name: "b" type: "Bias" bottom: "cat" top: "cat"', "b", [shift])
    net.conv("d", "c2", 3, 1).conv("e", "cat", 3, 1)
    merged = merger(net, {"b": "kept"}, engines=CAFFE)
    assert all(dead.reason is not None for dead in merged.report.plan.of_type(bnfold.DeadChannels))


def test_branches_that_read_a_value_before_and_behind_work_on_its_memory_stay(merger):
    net = start().conv("k", "data", 4, 1).plain("TanH", "c", "k")
    net.plain("Permute", "f", "c").conv("one", "c", 4, 1).relu("r", "f").conv("two", "c", 4, 1)
    net.plain("Eltwise", "sum", "one two").conv("e", "f", 3, 1)
    merged = merger(net, {}, engines=CAFFE)
    (found,) = merged.report.plan.of_type(bnfold.Branches)
    assert "ReLU layer 'r' writes over the memory of 'c'" in found.reason.text


def test_identity_that_copies_what_another_layer_wrote_over_stays(merger):
    net = start().conv("k", "data", 4, 1)
    net.layer('name: "p" type: "Split" bottom: "k" top: "a" top: "b"')
    net.channels.update(a=4, b=4)
    net.batch_norm("n", "b").plain("Power", "one", "a", "x")
    # Taken out of the way, 'x' is 'a', which is another value until the BatchNorm has run.
    merged = merger(net, {"n": "scale"}, engines=CAFFE)
    assert 'type: "Power"' in merged.text


def test_identities_of_which_one_is_in_the_way_of_the_other_both_go(merger):
    net = start().conv("k", "data", 4, 1).plain("Split", "a", "k").plain("Split", "b", "a")
    net.plain("Power", "in", "b", "b").plain("Power", "one", "a", "x").plain("Concat", "y", "x")
    merged = merger(net, {"in": "dropped", "one": "dropped"}, engines=CAFFE)
    assert 'type: "Power"' not in merged.text


def test_output_that_is_handed_on_between_two_layers_in_place_keeps_them_apart(merger):
    net = start().conv("k", "data", 4, 1).plain("Split", "f", "k").batch_norm("b", "f")
    net.plain("Concat", "g", "f").plain("Permute", "out", "k").scale("s", "g")
    # 'out' is what the BatchNorm wrote when it is made, and what the Scale wrote in the end.
    merger(net, {"b": "scale", "s": "kept"}, engines=CAFFE)


# ------------------------------------------------------- what in place computes something else


def sum_in_place():
    """Caffe's Eltwise clears its top before it adds the bottoms up, and one of them is its top."""
    net = start().conv("k", "data", 4, 1).conv("l", "data", 4, 1).plain("TanH", "c", "k")
    return net.plain("TanH", "d", "l")


def test_identity_behind_a_sum_in_place_stays(merger):
    net = sum_in_place().plain("Eltwise", "e", "c d", "c").plain("Power", "p", "c")
    assert 'type: "Power"' in merger(net, {}, engines=CAFFE).text


def test_identity_in_front_of_a_sum_in_place_stays(merger):
    net = sum_in_place().relu("early", "c", "early").plain("Power", "p", "c")
    net.plain("Eltwise", "e", "p d", "p")
    assert 'type: "Power"' in merger(net, {}, engines=CAFFE).text


def test_batch_norm_does_not_pass_a_sum_in_place(merger):
    net = start().conv("k", "data", 4, 1).conv("l", "data", 4, 1)
    net.plain("Eltwise", "e", "k l", "k").batch_norm("b", "k", "b")
    merged = merger(net, {"b": "scale"}, engines=CAFFE)
    assert "in place" in merged.reasons["b"].text


@pytest.mark.parametrize("operation", ["MAX", "SUM", "PROD"])
@pytest.mark.parametrize("side", ["in front", "behind"])
def test_eltwise_in_place_which_caffe_clears_first_stays_in_place(operation, side, merger):
    words = f"eltwise_param {{ operation: {operation} }}"
    net = start().conv("k", "data", 4, 3).conv("m", "data", 4, 3).relu("r", "k", "c")
    if side == "in front":
        net.plain("Power", "one", "c", "n").plain("Eltwise", "sum", "n m", "n", words)
        net.plain("TanH", "t", "n").plain("TanH", "u", "c")
    else:
        net.plain("Eltwise", "sum", "c m", "c", words).plain("Power", "one", "c", "n")
        net.plain("TanH", "t", "n")
    fates = {"one": "dropped"} if side == "behind" else {}
    merged = merger(net, fates, engines=CAFFE, branches=False)
    names = 'bottom: "n" bottom: "m" top: "n"', 'bottom: "c" bottom: "m" top: "c"'
    assert any(name in merged.text for name in names)
