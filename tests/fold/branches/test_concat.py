"""Convolutions that a Concat joins become one, where the user asks for it."""

from __future__ import annotations

import numpy as np
import pytest
from folding import assert_same_function, merge_files, merge_model
from models import Model

import bnfold

from .branching import add, conv, start


def concat(net: Model, *bottoms: str, top: str = "joined", words: str = "") -> Model:
    names = " ".join(f'bottom: "{name}"' for name in bottoms)
    param = f" concat_param {{ {words} }}" if words else ""
    net.layer(f'name: "{top}" type: "Concat" {names} top: "{top}"{param}')
    net.channels[top] = sum(net.channels[name] for name in bottoms)
    return net


def merge(folder, net: Model, **options):
    return merge_model(folder, net, engine_caffe=False, concat_branches=True, **options)


def kept(merged) -> dict[tuple[str, ...], bnfold.Reason]:
    return {b.branches: b.reason for b in merged.report.plan.of_type(bnfold.Branches) if b.reason}


def test_it_is_done_only_where_the_user_asks(tmp_path):
    net = start()
    conv(net, "a", (1, 1))
    conv(net, "b", (1, 1))
    merged = merge_model(tmp_path, concat(net, "a", "b"), engine_caffe=False)
    assert merged.text == net.text
    assert merged.report.plan.of_type(bnfold.Branches) == []


@pytest.mark.parametrize("words", ["", "axis: 1", "axis: -3", "concat_dim: 1"])
def test_parallel_1x1_become_one_convolution(words, tmp_path, pycaffe):
    net = start()
    conv(net, "a", (1, 1), outputs=3)
    conv(net, "b", (1, 1), outputs=5, bias=False)
    conv(net, "c", (1, 1), outputs=2)
    merged = merge(tmp_path, concat(net, "c", "a", "b", words=words))
    assert "Concat" not in merged.text
    assert "num_output: 10" in merged.text
    (found,) = merged.report.plan.of_type(bnfold.Branches)
    assert (found.branches, found.into, found.kernel) == (("c", "a", "b"), "a", (1, 1))
    assert_same_function(pycaffe, merged)
    stored = {r.name: [np.array(b.data) for b in r.blobs] for r in net.net.layer}
    expected = np.concatenate([stored[name][0] for name in "cab"])
    assert (merged.blobs("a")[0] == expected).all()
    again = merge_files(*merged.after, concat_branches=True, engine_caffe=False)
    assert [p.read_bytes() for p in again.after] == [p.read_bytes() for p in merged.after]


def test_batch_norms_behind_them_go_in_first(tmp_path, runtime):
    net = start()
    for name in "ab":
        conv(net, name, bias=False)
        net.batch_norm(f"{name}_bn", name).scale(f"{name}_scale", name)
    concat(net, "a", "b").relu("r", "joined")
    conv(net, "next", (1, 1), bottom="joined")
    merged = merge(tmp_path, net)
    assert merged.text.count('type: "Convolution"') == 2
    assert "bias_term" not in merged.text
    assert_same_function(runtime, merged)


def test_only_neighbours_merge_and_others_keep_the_concat(tmp_path, runtime):
    net = start()
    for name in "abcd":
        conv(net, name, (1, 1), outputs=ord(name) - 94)
    conv(net, "wide", (3, 3))
    merged = merge(tmp_path, concat(net, "a", "b", "wide", "x", "c", "d"))
    assert 'bottom: "a" bottom: "wide" bottom: "x" bottom: "c" top' in merged.text
    into = [found.into for found in merged.report.plan.of_type(bnfold.Branches) if found.into]
    assert into == ["a", "c"]
    assert merged.report.after.uncounted == 0
    assert_same_function(runtime, merged)


def test_what_it_made_can_take_in_more(tmp_path, runtime):
    # Behind the Concat stands a sum, whose branches are parallel only once the two are one.
    net = start()
    conv(net, "a", (1, 1))
    conv(net, "b", (1, 1))
    concat(net, "a", "b").batch_norm("n", "joined").scale("s", "joined")
    conv(net, "c", (3, 3), outputs=16)
    conv(net, "d", (1, 1), outputs=16)
    add(net, "joined", "c", "d")
    merged = merge(tmp_path, net)
    assert merged.text.count('type: "Convolution"') == 1
    assert_same_function(runtime, merged)


REFUSED = {
    "other kernel": ({"kernel": (3, 3)}, "different-windows"),
    "other stride": ({"words": "stride: 2"}, "different-windows"),
    "groups": ({"group": 2}, "more-work"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_convolutions_that_differ_stay(what, tmp_path, runtime):
    options, code = dict(REFUSED[what][0]), REFUSED[what][1]
    net = start((2, 8, 1, 1) if "stride" in what else (2, 8, 9, 7))
    conv(net, "a", (1, 1))
    conv(net, "b", options.pop("kernel", (1, 1)), **options)
    merged = merge(tmp_path, concat(net, "a", "b"))
    assert kept(merged)["b",].code.value == code
    assert merged.text == net.text
    assert_same_function(runtime, merged)


def test_other_readers_activations_and_shared_weights_keep_them_apart(tmp_path, pycaffe):
    net = start()
    for name in "abc":
        conv(net, name, (1, 1))
    net.relu("r", "b").relu("side", "c", "side")
    conv(net, "d", (1, 1), outer='param { name: "w" } param { name: "v" }')
    conv(net, "e", (1, 1), outer='param { name: "w" } param { name: "v" }')
    *_, first, second = net.net.layer
    del second.blobs[:]
    second.blobs.extend(first.blobs)
    merged = merge(tmp_path, concat(net, "a", "b", "c", "d", "e"))
    codes = {names: reason.code.value for names, reason in kept(merged).items()}
    assert codes == {
        ("r",): "not-linear",
        ("c",): "other-reader",
        ("d",): "shared-weights",
        ("e",): "shared-weights",
    }
    assert merged.text == net.text
    assert_same_function(pycaffe, merged)


def test_concat_on_another_axis_stays(tmp_path, runtime):
    net = start()
    conv(net, "a", (1, 1))
    conv(net, "b", (1, 1))
    merged = merge(tmp_path, concat(net, "a", "b", words="axis: 2"))
    assert kept(merged)["a", "b"].code.value == "not-per-channel"
    assert merged.text == net.text
    assert_same_function(runtime, merged)


def test_bottom_that_is_joined_twice_stays(tmp_path, pycaffe):
    net = start()
    conv(net, "a", (1, 1))
    conv(net, "b", (1, 1))
    merged = merge(tmp_path, concat(net, "a", "b", "a"))
    assert kept(merged)["a",].code.value == "other-reader"
    assert merged.text == net.text
    assert_same_function(pycaffe, merged)


def test_densely_connected_blocks_are_not_talked_about(tmp_path):
    net = start()
    conv(net, "a")
    merged = merge(tmp_path, concat(net, "x", "a"))
    assert merged.report.plan.of_type(bnfold.Branches) == []
    assert merged.text == net.text
