"""A run of affine layers goes into what reads it."""

from __future__ import annotations

import numpy as np
import pytest
from folding import merge_model
from models import Model

from ..networks import start

CAFFE = ("pycaffe",)


def on_data(**options):
    """A network whose input is normalised first, as is commonest."""
    return start(**options).batch_norm("b", "data", "x").scale("s", "x")


CONVOLUTIONS = {
    "plain": {},
    "without a bias": {"bias": False},
    "groups": {"outputs": 6, "group": 2},
    "depthwise": {"outputs": 4, "group": 4, "bias": False},
    "two outputs a channel": {"outputs": 8, "group": 4},
    "dilation": {"words": "dilation: 2"},
    "strides": {"words": "stride_h: 2 stride_w: 3"},
    "not square": {"kernel": "kernel_h: 1 kernel_w: 3", "spatial": (1, 3)},
    "pointwise": {"kernel": 1},
    "padding of zero": {"words": "pad: 0"},
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolution_without_padding_takes_in_scale_and_shift(name, merger):
    words = {"outputs": 5, **CONVOLUTIONS[name]}
    merger.folds(on_data().conv("c", "x", **words), "b", "s", into="c")


@pytest.mark.parametrize(("shape", "kernel"), [((2, 4, 9), (3,)), ((2, 4, 5, 6, 4), (2, 3, 2))])
def test_convolution_of_one_or_three_axes(shape, kernel, merger):
    words = " ".join(f"kernel_size: {k}" for k in kernel)
    net = start(shape).batch_norm("b", "data", "x").scale("s", "x")
    merger.folds(net.conv("c", "x", 5, words, spatial=kernel), "b", "s", into="c", engines=CAFFE)


@pytest.mark.parametrize("transpose", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_inner_product_over_a_map_has_columns_for_each_place_of_a_channel(transpose, bias, merger):
    net = on_data().inner_product("f", "x", 6, 252, transpose=transpose, bias=bias)
    engines = CAFFE if transpose else ("pycaffe", "opencv")
    merger.folds(net, "b", "s", into="f", engines=engines)


def test_inner_product_over_a_vector(merger):
    net = start((2, 6)).scale("s", "data", "x").inner_product("f", "x", 3, 6)
    merger.folds(net, "s", into="f", engines=CAFFE)


@pytest.mark.parametrize("kind", ["Flatten", "Reshape"])
def test_flattening_repeats_the_numbers_of_each_channel(kind, merger):
    words = "reshape_param { shape { dim: 0 dim: -1 } }" if kind == "Reshape" else ""
    net = on_data().plain(kind, "p", "x", words=words).inner_product("f", "p", 6, 252)
    merger.folds(net, "b", "s", into="f", through="p")


def test_run_behind_the_flattening_takes_the_repeated_numbers_in(merger):
    net = on_data().plain("Flatten", "p", "x")
    net.channels["p"] = 252
    merged = merger(net.scale("t", "p"), {"b": "merged", "s": "merged", "t": "scale"})
    assert merged.outcome("s").through == ("p",)


def test_one_number_for_all_channels_passes_any_flattening(merger):
    net = start().plain("Power", "m", "data", words="power_param { scale: 0.02 shift: -1 }")
    net.plain("Flatten", "p", "m").inner_product("f", "p", 6, 252)
    merger.folds(net, "m", into="f", through="p")


# ---------------------------------------------------------------- padding


def test_scale_without_a_shift_does_not_mind_padding(merger):
    net = start().scale("s", "data", "x", bias=False).conv("c", "x", 5, words="pad: 1")
    merger.folds(net, "s", into="c")


@pytest.mark.parametrize(("words", "pad"), [("pad: 1", "by 1"), ("pad_h: 0 pad_w: 2", "by 0x2")])
def test_shift_meets_padded_zeros(words, pad, merger):
    net = start().scale("s", "data", "x").conv("c", "x", 5, words=words)
    merged = merger.refuses(net, "s", "no-host", f"Convolution layer 'c' pads {pad}")
    assert "pad: 0" in merged.reasons["s"].hint


def test_words_of_a_fork_may_pad(tmp_path):
    net = start().scale("s", "data", "x").conv("c", "x", 5, words="pad_mode: SAME")
    merged = merge_model(tmp_path, net)
    assert "pad_mode, which may pad" in merged.reasons["s"].text


def test_deconvolution_takes_in_a_scale_alone(merger):
    net = start().scale("s", "data", "x", bias=False)
    merger.folds(
        net.conv("c", "x", 6, kind="Deconvolution", group=2, words="stride: 2"), "s", into="c"
    )


def test_deconvolution_spreads_a_shift(merger):
    net = start().scale("s", "data", "x").conv("c", "x", 5, 3, kind="Deconvolution")
    merger.refuses(net, "s", "no-host", "Deconvolution layer 'c' spreads its input")


def test_deconvolution_of_one_by_one_takes_in_a_shift(merger):
    net = start().scale("s", "data", "x").conv("c", "x", 6, 1, kind="Deconvolution", group=2)
    merger.folds(net, "s", into="c")


# ---------------------------------------------------------------- past what lets it


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("Pooling", "pooling_param { pool: AVE kernel_size: 3 stride: 2 }"),
        ("Pooling", "pooling_param { pool: MAX kernel_size: 3 stride: 2 pad: 1 }"),
        ("Dropout", ""),
        ("Concat", ""),
    ],
)
def test_positive_scale_and_shift_pass(kind, words, merger):
    net = start().scale("s", "data", "x", positive=True).plain(kind, "p", "x", words=words)
    merger.folds(net.conv("c", "p", 5, 1), "s", into="c", through="p")


def test_positive_scale_passes_a_rectifier(merger):
    net = start().scale("s", "data", "x", positive=True, bias=False).relu("r", "x")
    merger.folds(net.conv("c", "x", 5, words="pad: 1"), "s", into="c", through="r")


@pytest.mark.parametrize(("positive", "bias"), [(False, False), (True, True)])
def test_sign_or_shift_does_not_pass_a_rectifier(positive, bias, merger):
    net = start().scale("s", "data", "x", positive=positive, bias=bias).relu("r", "x")
    merger.refuses(net.conv("c", "x", 5), "s", "no-host", "ahead: only a positive scale")


def test_nothing_passes_a_concat_ahead(merger):
    net = start().scale("s", "data", "x").concat("j", "x data").conv("c", "j", 5, 1)
    merger.refuses(net, "s", "other-reader", "ahead: Concat layer 'j' is in the way")


# ---------------------------------------------------------------- readers, outputs, names


def test_all_readers_take_it_in(merger):
    net = on_data().conv("c", "x", 5).conv("d", "x", 3, 1).inner_product("f", "x", 2, 252)
    merger.folds(net, "b", "s", into="c d f")


def test_one_reader_that_cannot_keeps_all_from_it(merger):
    net = start().batch_norm("b", "data", "x").conv("c", "x", 5).plain("TanH", "t", "x")
    merger.refuses(net, "b", "no-host", "ahead: TanH layer 't' is in the way")


def test_reader_that_reads_it_twice(merger):
    net = start().scale("s", "data", "x").plain("Eltwise", "e", "x x")
    merger.refuses(net, "s", "no-host", "ahead: Eltwise layer 'e' reads 'x' twice")


def test_other_readers_of_what_the_run_reads_are_no_obstacle(merger):
    net = on_data().conv("c", "x", 5).relu("r", "data", "r")
    merger.folds(net, "b", "s", into="c")


def test_output_of_the_network_stays_what_it_is(merger):
    net = start().batch_norm("b", "data", "x")
    merger.refuses(net, "b", "no-host", "ahead: 'x' is an output of the network")


def test_value_on_the_way_that_is_an_output_of_the_network(merger):
    net = (
        start()
        .scale("s", "data", "x")
        .layer('name: "p" type: "Split" bottom: "x" top: "l" top: "r"')
    )
    net.channels["l"] = 4
    merger.refuses(net.conv("c", "l", 5), "s", "no-host", "ahead: 'r' is an output")


def test_reader_of_the_other_phase(merger):
    net = start().scale("s", "data", "x").conv("c", "x", 5)
    net.layer('name: "watch" type: "Silence" bottom: "x" include { phase: TRAIN }')
    merger.refuses(net, "s", "no-host", "'x' is also read by Silence layer 'watch', outside")


@pytest.mark.parametrize("sharing", ["weights", "tops", "name"])
def test_layer_whose_weights_others_use_too(sharing, tmp_path):
    net = start().scale("s", "data", "x")
    if sharing == "weights":
        net.conv("c", "x", 5, outer='param { name: "w" }')
        net.conv("d", "data", 5, outer='param { name: "w" }')
    elif sharing == "tops":
        net.layer(
            'name: "c" type: "Convolution" bottom: "x" bottom: "data" top: "c" top: "d"\n'
            "  convolution_param { num_output: 5 kernel_size: 3 bias_term: false }",
            "c",
            [np.random.default_rng(0).normal(0, 0.2, (5, 4, 3, 3))],
        )
    else:
        net.conv("c", "x", 5, outer="include { phase: TEST }")
        net.layer('name: "c" type: "Convolution" bottom: "data" top: "d" include { phase: TRAIN }')
    reason = merge_model(tmp_path, net).reasons["s"]
    said = {"weights": "shared, by param name", "tops": "2 bottoms", "name": "also named 'c'"}
    assert said[sharing] in reason.text


def test_convolution_on_another_axis_takes_nothing_in(merger):
    net = (
        start((2, 3, 4, 6, 5))
        .scale("s", "data", "x")
        .layer(
            'name: "c" type: "Convolution" bottom: "x" top: "c"\n'
            "  convolution_param { num_output: 5 kernel_size: 3 axis: 2 }",
            "c",
            [np.random.default_rng(0).normal(0, 0.2, (5, 4, 3, 3)), np.zeros(5)],
        )
    )
    merger.refuses(net, "s", "no-host", "axis: 2, so its inputs are not", engines=CAFFE)


def test_inner_product_on_another_axis_takes_nothing_in(merger):
    net = (
        start()
        .scale("s", "data", "x")
        .layer(
            'name: "f" type: "InnerProduct" bottom: "x" top: "f"\n'
            "  inner_product_param { num_output: 5 axis: 2 bias_term: false }",
            "f",
            [np.random.default_rng(1).normal(0, 0.1, (5, 63))],
        )
    )
    merger.refuses(net, "s", "no-host", "axis: 2, so its inputs are not")


def test_input_keeps_its_name_in_place_or_not(merger):
    for top in ("data", "x"):
        net = start().batch_norm("b", "data", top).scale("s", top).conv("c", top, 5)
        merged = merger.folds(net, "b", "s", into="c", force=True)
        assert 'name: "c" type: "Convolution" bottom: "data" top: "c"' in merged.text


def test_name_that_another_layer_has_taken_by_then(merger):
    net = start().plain("TanH", "t", "data").scale("s", "t", "x").relu("r", "t").conv("c", "x", 5)
    net.conv("d", "t", 5)
    # Official Caffe does not load this: it splits 't' for its two readers, so that the
    # ReLU's top is no longer its bottom.
    merged = merger.refuses(
        net, "s", "other-reader", "'t' means another value where", engines=("opencv",)
    )
    assert "ahead" in merged.reasons["s"].text


def test_legacy_input_is_normalised_by_the_first_convolution(merger):
    net = Model(seed=3)
    net.texts.append('input: "data"\ninput_shape { dim: 2 dim: 4 dim: 9 dim: 7 }\n')
    net.channels["data"] = 4
    merger.folds(net.batch_norm("b", "data", "x").conv("c", "x", 5), "b", into="c")


def test_one_convolution_takes_in_what_is_before_it_and_what_is_behind_it(merger):
    net = on_data().conv("c", "x", 6, group=2).batch_norm("e", "c").scale("t", "c")
    merger.folds(net, "b", "s", "e", "t", into="c")


def test_each_run_goes_where_it_can(merger):
    net = on_data().conv("c", "x", 5).plain("TanH", "t", "c").scale("u", "t", "u")
    merged = merger(net.conv("d", "u", 3), dict.fromkeys("bsu", "folded"))
    assert merged.outcome("u").into == ("d",)
