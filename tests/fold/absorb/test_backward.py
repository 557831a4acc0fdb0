"""A run of affine layers goes into what feeds it, past the layers that let it."""

from __future__ import annotations

import numpy as np
import pytest
from folding import assert_same_function, merge_files, merge_model

from ..networks import start

ALL = ("pycaffe", "opencv")
CAFFE = ("pycaffe",)
MAX = "pooling_param { pool: MAX kernel_size: 3 stride: 2 pad: 1 }"
AVE = "pooling_param { pool: AVE kernel_size: 3 stride: 2 }"
PADDED = "pooling_param { pool: AVE kernel_size: 3 stride: 2 pad: 1 }"


def test_affines_in_a_row_are_one(merger):
    net = start().conv("c", "data", 5).scale("s1", "c", "x").batch_norm("b", "x", "y")
    net.plain("Power", "p", "y", words="power_param { scale: -0.5 shift: 0.25 }")
    merged = merger.folds(net.scale("s2", "p", "z", bias=False), "s1", "b", "p", "s2", into="c")
    assert 'top: "z"' in merged.text


# ---------------------------------------------------------------- past what only hands on

HANDS_ON = {
    "Dropout": "dropout_param { dropout_ratio: 0.3 }",
    "Split": "",
    "Concat": "",
    "Flatten": "flatten_param { axis: 2 }",
    "Reshape": "reshape_param { shape { dim: 0 dim: 0 dim: -1 } }",
}


@pytest.mark.parametrize("kind", HANDS_ON)
def test_anything_passes_a_layer_that_only_hands_on(kind, merger):
    net = start().conv("c", "data", 5).plain(kind, "p", "c", words=HANDS_ON[kind])
    merger.folds(net.scale("s", "p"), "s", into="c", through="p")


def test_reshape_may_copy_channels_or_write_them_down(merger):
    words = "reshape_param { shape { dim: -1 dim: 5 dim: 35 } }"
    net = start().conv("c", "data", 5).plain("Reshape", "p", "c", words=words)
    merger.folds(net.scale("s", "p"), "s", into="c", through="p", engines=CAFFE)


def test_flatten_of_one_value_a_channel(merger):
    net = start().conv("c", "data", 5, "kernel_h: 9 kernel_w: 7", spatial=(9, 7))
    net.plain("Flatten", "p", "c").batch_norm("b", "p", "b")
    merger.folds(net.inner_product("f", "b", 3, 5), "b", into="c", through="p")


@pytest.mark.parametrize("kind", ["Flatten", "Reshape"])
def test_layer_that_mixes_channels_with_other_axes_lets_nothing_back(kind, merger):
    words = "reshape_param { shape { dim: 0 dim: 7 dim: 25 } }" if kind == "Reshape" else ""
    net = start().conv("c", "data", 5).plain(kind, "p", "c", words=words)
    net.channels["p"] = 7 if kind == "Reshape" else 175
    # Ahead is nothing, so that it can only go back.
    merger.refuses(
        net.scale("s", "p", "s"), "s", "not-per-channel", f"{kind} layer 'p'", engines=CAFFE
    )


def test_reshape_that_writes_the_batch_size_down_lets_nothing_pass(merger):
    words = "reshape_param { shape { dim: 2 dim: 5 dim: -1 } }"
    net = start().conv("c", "data", 5).plain("Reshape", "p", "c", words=words)
    merger.refuses(net.scale("s", "p", "s"), "s", "not-per-channel", "batch size", engines=CAFFE)


def test_reshape_of_an_unknown_shape_lets_nothing_pass(tmp_path):
    net = start().plain("Mystery", "m", "data").conv("c", "m", 5)
    net.plain("Reshape", "p", "c", words="reshape_param { shape { dim: 0 dim: -1 } }")
    net.channels["p"] = 5
    merged = merge_model(tmp_path, net.scale("s", "p", "s"))
    assert merged.reasons["s"].code == "unknown-shape"


def test_dropout_of_a_layer_that_is_in_phase_train_lets_nothing_pass(tmp_path):
    net = start().conv("c", "data", 5).plain("Dropout", "p", "c", words="phase: TRAIN")
    merged = merge_model(tmp_path, net.scale("s", "p", "s"))
    assert merged.reasons["s"].code == "no-host"
    assert "drops values at random" in merged.reasons["s"].text


def test_dropout_with_words_of_a_fork_lets_nothing_pass(tmp_path):
    words = "dropout_param { dropout_ratio: 0.5 scale_train: false }"
    net = start().conv("c", "data", 5).plain("Dropout", "p", "c", words=words)
    merged = merge_model(tmp_path, net.scale("s", "p", "s"))
    assert "scale_train" in merged.reasons["s"].text


def test_split_whose_other_half_is_read_too_lets_nothing_pass(merger):
    net = start().conv("c", "data", 5)
    net.layer('name: "p" type: "Split" bottom: "c" top: "l" top: "r"')
    net.channels["l"] = 5
    merger.refuses(net.scale("s", "l", "s"), "s", "other-reader", "Split layer 'p'", "2 tops")


# ---------------------------------------------------------------- past what looks at the numbers


def test_positive_scale_and_any_shift_pass_max_pooling(merger):
    net = start().conv("c", "data", 5).plain("Pooling", "p", "c", words=MAX)
    merger.folds(net.scale("s", "p", positive=True), "s", into="c", through="p")


def test_negative_scale_does_not_pass_max_pooling(merger):
    net = start().conv("c", "data", 5).plain("Pooling", "p", "c", words=MAX)
    merger.refuses(net.scale("s", "p"), "s", "sign-or-shift", "Pooling layer 'p'")


def test_max_pooling_that_gives_its_mask_out_lets_nothing_pass(merger):
    net = start().conv("c", "data", 5)
    net.layer(
        'name: "p" type: "Pooling" bottom: "c" top: "p" top: "mask"\n'
        "  pooling_param { pool: MAX kernel_size: 2 stride: 2 }"
    )
    net.channels["p"] = 5
    merger.refuses(net.scale("s", "p", positive=True), "s", "other-reader", "2 tops", engines=CAFFE)


def test_anything_passes_ave_pooling_without_padding(merger):
    net = start().conv("c", "data", 5).plain("Pooling", "p", "c", words=AVE)
    merger.folds(net.scale("s", "p"), "s", into="c", through="p")


def test_anything_passes_global_ave_pooling(merger):
    words = "pooling_param { pool: AVE global_pooling: true }"
    net = start().conv("c", "data", 5).plain("Pooling", "p", "c", words=words)
    merger.folds(net.batch_norm("b", "p").scale("s", "p"), "b", "s", into="c", through="p")


def test_scale_alone_passes_ave_pooling_with_padding(merger):
    net = start().conv("c", "data", 5).plain("Pooling", "p", "c", words=PADDED)
    merger.folds(net.scale("s", "p", bias=False), "s", into="c", through="p")


def test_shift_does_not_pass_ave_pooling_with_padding(merger):
    net = start().conv("c", "data", 5).plain("Pooling", "p", "c", words=PADDED)
    merged = merger.refuses(net.scale("s", "p"), "s", "padding", "padded zeros")
    assert "pad: 0" in merged.reasons["s"].hint


BEHIND_THE_END = "pooling_param { pool: MAX kernel_size: 1 stride: 4 }"
"""The last window of seven places begins on the ninth: Caffe rounds the number of windows up."""


def test_max_pooling_whose_last_window_is_empty_lets_nothing_pass(merger):
    net = start().conv("c", "data", 5).plain("Pooling", "p", "c", words=BEHIND_THE_END)
    net.scale("s", "p", positive=True).plain("TanH", "t", "p")  # Not to end in an infinity.
    merged = merger.refuses(net, "s", "padding", "no value in it", engines=CAFFE)
    assert "kernel" in merged.reasons["s"].hint


def test_max_pooling_of_gaps_that_end_on_a_value_lets_an_affine_pass(merger):
    words = "pooling_param { pool: MAX kernel_size: 1 stride: 2 }"
    net = start().conv("c", "data", 5).plain("Pooling", "p", "c", words=words)
    merger.folds(net.scale("s", "p", positive=True), "s", into="c", through="p")


def test_stochastic_pooling_lets_nothing_pass(merger):
    words = "pooling_param { pool: STOCHASTIC kernel_size: 2 stride: 2 }"
    net = start().conv("c", "data", 5).plain("Pooling", "p", "c", words=words)
    merger.refuses(net.scale("s", "p"), "s", "no-host", "at random", engines=())


def test_pooling_with_words_of_a_fork_lets_nothing_pass(tmp_path):
    words = "pooling_param { pool: MAX kernel_size: 2 pad_type: 1 }"
    net = start().conv("c", "data", 5).plain("Pooling", "p", "c", words=words)
    merged = merge_model(tmp_path, net.scale("s", "p", positive=True))
    assert "pad_type" in merged.reasons["s"].text


def rectified(kind):
    net = start().conv("c", "data", 5)
    if kind == "PReLU":
        net.layer('name: "r" type: "PReLU" bottom: "c" top: "c"', "r", [np.linspace(-0.5, 0.5, 5)])
        return net
    words = "relu_param { negative_slope: 0.1 }" if kind == "leaky" else ""
    return net.plain("ReLU", "r", "c", "c", words)


KINDS = ["ReLU", "leaky", "PReLU"]


@pytest.mark.parametrize("kind", KINDS)
def test_positive_scale_passes_a_rectifier(kind, merger):
    net = rectified(kind).scale("s", "c", positive=True, bias=False)
    merger.folds(net, "s", into="c", through="r")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("positive", "bias"), [(False, False), (True, True)])
def test_sign_or_shift_does_not_pass_a_rectifier(kind, positive, bias, merger):
    net = rectified(kind).scale("s", "c", positive=positive, bias=bias)
    merger.refuses(net, "s", "sign-or-shift", "layer 'r'", "positive scale and no shift")


def test_value_on_the_way_that_has_another_reader_stops_it(merger):
    net = start().conv("c", "data", 5).plain("Pooling", "p", "c", words=AVE).relu("r", "c", "r")
    merger.refuses(net.scale("s", "p"), "s", "other-reader", "'c'", "ReLU layer 'r'")


def test_value_on_the_way_that_the_other_phase_reads_stops_it(merger):
    net = start().conv("c", "data", 5).plain("Pooling", "p", "c", words=AVE)
    net.layer('name: "watch" type: "Silence" bottom: "c" include { phase: TRAIN }')
    merger.refuses(net.scale("s", "p"), "s", "outside-reader", "'c'", "Silence layer 'watch'")


def test_run_goes_into_another_run_that_cannot_go_itself(merger):
    net = start().plain("TanH", "t", "data").scale("s1", "t")
    net.plain("Pooling", "p", "t", words=AVE).batch_norm("b", "p").plain("TanH", "end", "p")
    merged = merger(net, {"s1": "scale", "b": "merged"})
    assert merged.outcome("b").into == ("s1",)
    assert merged.text.count('"Scale"') == 1


# ---------------------------------------------------------------- into what


@pytest.mark.parametrize("group", [1, 2, 4])
@pytest.mark.parametrize("bias", [True, False])
def test_deconvolution_takes_it_in_with_its_channels_in_groups(group, bias, merger):
    net = start().conv(
        "c", "data", 8, 3, kind="Deconvolution", group=group, bias=bias, words="stride: 2"
    )
    merger.folds(net.batch_norm("b", "c").scale("s", "c"), "b", "s", into="c")


def test_convolution_may_count_its_axis_from_the_end(merger):
    net = start().conv("c", "data", 5, words="axis: -3").batch_norm("b", "c")
    merger.folds(net, "b", into="c", engines=CAFFE)


def test_convolution_on_another_axis_takes_nothing_in(merger):
    # Of five axes the channels are the second, and the convolution joins those of the third.
    net = start((2, 3, 4, 6, 5)).layer(
        'name: "c" type: "Convolution" bottom: "data" top: "c"\n'
        "  convolution_param { num_output: 5 kernel_size: 3 axis: 2 }",
        "c",
        [np.random.default_rng(0).normal(0, 0.2, (5, 4, 3, 3)), np.zeros(5)],
    )
    net.channels["c"] = 3
    merger.refuses(net.scale("s", "c"), "s", "not-per-channel", "axis: 2", engines=CAFFE)


def test_convolution_with_an_activation_of_its_own_takes_nothing_in(tmp_path):
    net = start().conv("c", "data", 5, words="relu: true").batch_norm("b", "c")
    merged = merge_model(tmp_path, net)
    assert merged.fates == {"b": "scale"}
    assert "relu" in merged.reasons["b"].text


DEPTHWISE = ["ConvolutionDepthwise", "DepthwiseConvolution", "ConvolutionDepthWise"]


@pytest.mark.parametrize("kind", DEPTHWISE)
@pytest.mark.parametrize("words", ["", "group: 4"])
def test_depthwise_types_of_forks_take_it_in(kind, words, tmp_path, pycaffe):
    net = start().conv("c", "data", 4, group=4, kind=kind, words=words and "stride: 1")
    text = net.texts[-1] if words else net.texts[-1].replace("group: 4", "")
    net.texts[-1] = text
    merged = merge_model(tmp_path, net.batch_norm("b", "c").scale("s", "c"))
    assert merged.folded == ["b", "s"]
    in_caffes_words(merged, kind)
    assert_same_function(pycaffe, merged)


def in_caffes_words(merged, kind):
    """Rewrite a fork's depthwise type, which no engine here has, to what it stands for."""
    for path in (merged.before[0], merged.after[0]):
        text = path.read_text().replace(f'"{kind}"', '"Convolution"')
        if "group" not in text:
            text = text.replace("num_output: 4", "num_output: 4 group: 4")
        path.write_text(text)


def test_depthwise_type_may_leave_num_output_out(tmp_path, pycaffe):
    net = start().conv("c", "data", 4, group=4, kind="ConvolutionDepthwise")
    net.texts[-1] = net.texts[-1].replace("num_output: 4", "")
    merged = merge_model(tmp_path, net.batch_norm("b", "c"))
    assert merged.folded == ["b"]
    for path in (merged.before[0], merged.after[0]):
        text = path.read_text().replace("ConvolutionDepthwise", "Convolution")
        path.write_text(text.replace("group: 4", "group: 4 num_output: 4"))
    assert_same_function(pycaffe, merged)


@pytest.mark.parametrize("known", ["Convolution", "ConvolutionDepthwise"])
def test_type_that_nobody_knows_is_offered_and_treated_as_the_user_says(known, tmp_path, pycaffe):
    group = 4 if known == "ConvolutionDepthwise" else 1
    net = start().scale("first", "data", "scaled").conv("c", "scaled", 4, group=group, kind="Odd")
    if group > 1:
        net.texts[-1] = net.texts[-1].replace("group: 4", "")
    model, weights = net.batch_norm("b", "c").save(tmp_path)
    offered = merge_files(model, weights, dry_run=True).report.plan
    assert "--treat-as Odd=Convolution" in offered.outcomes[1].reason.hint
    merged = merge_files(model, weights, treat_as={"Odd": known})
    assert merged.folded == ["first", "b"]
    for path in (merged.before[0], merged.after[0]):
        text = path.read_text().replace('"Odd"', '"Convolution"')
        path.write_text(text.replace("num_output: 4", f"num_output: 4 group: {group}"))
    assert_same_function(pycaffe, merged)
