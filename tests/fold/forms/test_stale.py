"""`--portable`: fields that stock Caffe does not know go where they compute nothing."""

from __future__ import annotations

import pytest
from folding import Merged, assert_same_function, merge_files, merge_model
from models import Model

from bnfold.fold.forms.stale import StaleField

from ..networks import start

PLAIN = {"engine_caffe": False, "collapse": False}


def taken(merged: Merged) -> list[tuple[str, str]]:
    """The fields that are gone, by layer."""
    return [(one.layer, one.field) for one in merged.report.plan.of_type(StaleField)]


def left(merged: Merged) -> list[tuple[str | None, str | None]]:
    """What stock Caffe does not know of the result."""
    return [(one.layer, one.field) for one in merged.report.unportable]


@pytest.fixture
def portable(tmp_path):
    """Merges for stock Caffe, and a second time, which changes no byte."""

    def portable(net: Model, **options) -> Merged:
        merged = merge_model(tmp_path, net, portable="warn", **PLAIN, **options)
        again = merge_files(*merged.after, portable="warn", **PLAIN, **options)
        for once, twice in zip(merged.after, again.after, strict=True):
            assert once.read_bytes() == twice.read_bytes()
        return merged

    return portable


def network(words: str = "", outer: str = "") -> Model:
    return start().conv("c", "data", 3, words=words, outer=outer)


HARMLESS = {
    "engine of another Caffe": ("engine: MKL2017", "", "convolution_param.engine"),
    "number of an engine": ("engine: 3", "", "convolution_param.engine"),
    "field of a filler": ('weight_filler { type: "msra" more: 1 }', "",
                          "convolution_param.weight_filler.more"),
    "filler of a fork": ("more_filler { value: 1 }", "", "convolution_param.more_filler"),
    "engine of the layer": ("", 'engine: "MKLDNN"', "engine"),
    "type to compute in": ("", "forward_type: FLOAT16", "forward_type"),
    "field of a param": ("", "param { lr_mult: 1 more: 2 }", "param.more"),
    "parameters of another type": ("", "bn_param { eps: 0.1 }", "bn_param"),
    "a field in parameters of another type": ("", "relu_param { more: 1 }", "relu_param.more"),
}  # fmt: skip


@pytest.mark.parametrize("what", HARMLESS)
def test_a_field_that_computes_nothing_goes(what, portable, pycaffe):
    words, outer, field = HARMLESS[what]
    net = network(words, outer)
    merged = portable(net)
    assert taken(merged) == [("c", field)]
    assert left(merged) == []
    pycaffe.load(*merged.after).close()


HARMFUL = {
    "an unknown field": ("pad_left: 1", "", "convolution_param.pad_left"),
    "an unknown message": ("", "more_param { a: 1 }", "more_param"),
    "an unknown plain field": ("", "more: 1", "more"),
    "a wrong value of a param": ("", "param { share_mode: LOOSE }", "param.share_mode"),
    "a rule": ("", "exclude { more: 1 phase: TRAIN }", "exclude.more"),
}


@pytest.mark.parametrize("what", HARMFUL)
def test_a_field_that_may_mean_anything_stays_and_is_named(what, portable):
    words, outer, field = HARMFUL[what]
    net = network(words, outer)
    merged = portable(net)
    assert merged.text == net.text
    assert taken(merged) == []
    assert left(merged) == [("c", field)]


def test_a_filler_that_draws_the_weights_stays(portable):
    net = network().layer(
        'name: "new" type: "InnerProduct" bottom: "c" top: "n" '
        'inner_product_param { num_output: 2 weight_filler { type: "msra" more: 1 } }'
    )
    merged = portable(net)
    assert taken(merged) == []
    assert left(merged) == [("new", "inner_product_param.weight_filler.more")]


def test_fields_of_the_network(portable, pycaffe):
    net = network()
    net.texts.insert(1, 'engine: "MKL2017"\ndefault_forward_type: FLOAT16\n')
    merged = portable(net)
    assert taken(merged) == [("", "engine"), ("", "default_forward_type")]
    assert merged.text == network().text
    pycaffe.load(*merged.after).close()


def test_a_field_of_the_network_that_nobody_knows(portable):
    net = network()
    net.texts.insert(1, "quantize_param { bits: 8 }\n")
    merged = portable(net)
    assert merged.text == net.text
    assert left(merged) == [(None, "quantize_param")]


def test_layers_of_the_other_phase_lose_all_but_their_rules(portable, pycaffe):
    words = "include { phase: TRAIN } mystery: 1 data_param { shuffle: true }"
    net = network()
    net.texts.insert(1, f'layer {{\n  name: "d" type: "Data" top: "data" {words}\n}}\n')
    merged = portable(net)
    assert taken(merged) == [("d", "mystery"), ("d", "data_param.shuffle")]
    assert left(merged) == []
    pycaffe.load(*merged.after).close()


def pooled(words: str, length: int = 7) -> Model:
    net = start((2, 3, length, length)).conv("c", "data", 3, 1)
    return net.layer(f'name: "p" type: "Pooling" bottom: "c" top: "p" pooling_param {{ {words} }}')


SAME = {
    "as always": ("pool: MAX kernel_size: 2 stride: 2 ceil_mode: true", 7),
    "as always, in another word": ("pool: MAX kernel_size: 2 stride: 2 round_mode: CEIL", 7),
    "that fits": ("pool: MAX kernel_size: 3 stride: 2 ceil_mode: false", 7),
    "that fits with padding": ("pool: AVE kernel_size: 3 stride: 2 pad: 1 round_mode: FLOOR", 7),
    "over all": ("pool: AVE global_pooling: true ceil_mode: false", 7),
}


@pytest.mark.parametrize("what", SAME)
def test_rounding_that_is_the_same_either_way_goes(what, portable, pycaffe):
    words, length = SAME[what]
    net = pooled(words, length)
    merged = portable(net)
    (field,) = [field for _, field in taken(merged)]
    assert field.removeprefix("pooling_param.") in ("ceil_mode", "round_mode")
    assert left(merged) == []
    sized = [one for one in merged.report.plan.warnings if "rounded down" in one]
    assert bool(sized) == ("fits" in what)
    before = merged.before
    if "round_mode" in words:
        # The Caffe of the tests has the other word for it.
        other = net.text.replace("round_mode: CEIL", "ceil_mode: true")
        before[0].write_text(other.replace("round_mode: FLOOR", "ceil_mode: false"))
    assert_same_function(pycaffe, merged)


def test_layers_that_the_user_keeps(portable):
    net = network("engine: MKL2017")
    merged = portable(net, keep=["c"])
    assert merged.text == net.text
    assert left(merged) == [("c", "convolution_param.engine")]


def test_half_floats_become_plain(tmp_path, pycaffe):
    net = Model(seed=3, storage="half").input("data", (2, 4, 9, 7)).conv("c", "data", 3)
    merged = merge_model(tmp_path, net, portable="refuse")
    assert merged.report.unportable == ()
    pycaffe.load(*merged.after).close()
    kept = merge_model(tmp_path, net, portable="warn", keep_dtype=True, force=True)
    assert left(kept) == [("c", None)]


def test_the_report_says_what_went(portable):
    merged = portable(network("engine: MKL2017"))
    assert "took convolution_param.engine out of c (Convolution)" in merged.report.lines()
    assert "1 field taken out that stock Caffe does not know" in merged.report.lines()
