"""`--portable`: a pooling that rounds down rounds up, and what that adds is cut off."""

from __future__ import annotations

import pytest
from folding import Merged, assert_same_function, merge_files, merge_model
from models import Model

from bnfold.graph.readers import BVLC, problems
from bnfold.prototxt import parse

from ..networks import start
from .conftest import forms

FORM = {"p": "Pooling, Slice and Silence"}


def pooled(words: str, lengths: tuple[int, int] = (8, 8)) -> Model:
    """A pooling between convolutions."""
    net = start((2, 3, *lengths)).conv("c", "data", 3, 1)
    net.layer(f'name: "p" type: "Pooling" bottom: "c" top: "p" pooling_param {{ {words} }}')
    net.channels["p"] = 3
    return net.conv("d", "p", 2, 1)


@pytest.fixture
def stock(tmp_path):
    """Merges for stock Caffe, which then knows all of it, and a second time, which changes none."""

    def stock(net: Model, expected: dict[str, str]) -> Merged:
        merged = merge_model(tmp_path, net, portable="refuse")
        assert forms(merged) == expected
        assert problems(parse(merged.text), BVLC) == []
        again = merge_files(*merged.after, portable="refuse")
        for once, twice in zip(merged.after, again.after, strict=True):
            assert once.read_bytes() == twice.read_bytes()
        return merged

    return stock


@pytest.mark.parametrize("pool", ["MAX", "AVE"])
@pytest.mark.parametrize("pad", [0, 1])
def test_the_windows_that_are_left_are_those_of_before(pool, pad, stock, runtime):
    words = f"pool: {pool} kernel_size: 3 stride: 2 pad: {pad} ceil_mode: false"
    merged = stock(pooled(words), FORM)
    assert_same_function(runtime, merged)
    assert merged.text.count('type: "Slice"') == merged.text.count('type: "Silence"') == 2
    assert "ceil_mode" not in merged.text
    assert any("cut to the size" in one for one in merged.report.plan.warnings)


def test_only_the_axis_that_differs_is_cut(stock, runtime):
    merged = stock(pooled("pool: MAX kernel_size: 2 stride: 2 ceil_mode: false", (8, 7)), FORM)
    assert_same_function(runtime, merged)
    assert merged.text.count('type: "Slice"') == 1
    assert "axis: 3" in merged.text


def test_the_other_word_for_it(stock, runtime):
    net = pooled("pool: MAX kernel_size: 3 stride: 2 round_mode: FLOOR")
    merged = stock(net, FORM)
    like = pooled("pool: MAX kernel_size: 3 stride: 2 ceil_mode: false")
    pair = like.save(merged.before[0].parent, "like")
    assert_same_function(runtime, Merged(merged.report, pair, merged.after))


def test_the_top_of_the_network_keeps_its_name(stock, runtime):
    net = start((2, 3, 8, 8)).conv("c", "data", 3, 1)
    words = "pool: MAX kernel_size: 3 stride: 2 ceil_mode: false"
    net.layer(f'name: "p" type: "Pooling" bottom: "c" top: "out" pooling_param {{ {words} }}')
    assert_same_function(runtime, stock(net, FORM))


def test_two_poolings_behind_each_other(stock, runtime):
    net = pooled("pool: MAX kernel_size: 2 stride: 2 ceil_mode: false", (15, 15))
    words = "pool: AVE kernel_size: 2 stride: 2 ceil_mode: false"
    net.layer(f'name: "q" type: "Pooling" bottom: "d" top: "q" pooling_param {{ {words} }}')
    both = FORM | {"q": "Pooling, Slice and Silence"}
    assert_same_function(runtime, stock(net, both))


def refused(folder, net: Model, code: str) -> None:
    merged = merge_model(folder, net, portable="warn", tidy=False, engine_caffe=False)
    assert forms(merged) == {"p": code}
    assert merged.text == net.text
    assert [one.layer for one in merged.report.unportable] == ["p"]


def test_a_size_that_is_not_known(tmp_path):
    net = pooled("pool: MAX kernel_size: 2 stride: 2 ceil_mode: false")
    net.texts = [text.replace("dim: 8", "dim: 0") for text in net.texts]
    refused(tmp_path, net, "unknown-shape")


def test_v1_files_have_no_place_for_new_layers(tmp_path):
    net = Model(seed=3, v1=True).input("data", (2, 3, 9, 9))
    words = "pool: MAX kernel_size: 2 stride: 2 ceil_mode: false"
    net.conv("c", "data", 3, 1, words="stride: 1 pad: 0")
    net.layer(f'name: "p" type: POOLING bottom: "c" top: "p" pooling_param {{ {words} }}')
    refused(tmp_path, net, "no-scale-type")
