"""`--depthwise-as convolution`: what only forks have a type for is a Convolution with `group`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from folding import assert_same_function, merge_model
from models import Model

import bnfold
from bnfold.graph import LAYER_TYPES

from ..networks import start

TYPES = [name for name, kind in LAYER_TYPES.items() if kind.is_depthwise]


@pytest.fixture
def depthwise(former):
    return former(depthwise_as="convolution")


def one(kind: str, words: str = "", group: int = 4, outputs: int = 4, **more) -> Model:
    """A depthwise layer between two convolutions, folded with what follows it."""
    net = start().conv("c", "data", 4, 1).relu("r", "c")
    net.conv("d", "c", outputs, group=group, kind=kind, words=words, **more)
    return net.batch_norm("b", "d").conv("e", "d", 3, 1)


def said_less(net: Model, *words: str) -> Model:
    """The same network, whose text leaves out what a fork takes for granted."""
    for word in words:
        net.texts = [text.replace(word, "", 1) if '"d"' in text else text for text in net.texts]
    return net


@pytest.mark.parametrize("kind", TYPES)
def test_every_depthwise_type_becomes_a_convolution(kind, depthwise):
    merged = depthwise(
        one(kind, "pad: 1 stride: 2"),
        {"d": "Convolution"},
        {"b": "folded"},
        like=one("Convolution", "pad: 1 stride: 2"),
    )
    assert kind not in merged.text
    assert merged.text.count("group: 4") == 1
    (record,) = (record for record in merged.net.layer if record.name == "d")
    assert record.type == "Convolution"


def test_group_and_num_output_are_written_where_the_text_leaves_them_out(depthwise):
    net = said_less(one("ConvolutionDepthwise"), " group: 4", "num_output: 4")
    merged = depthwise(net, {"d": "Convolution"}, {"b": "folded"}, like=one("Convolution"))
    assert "num_output: 4" in merged.text.split('name: "d"')[1].split('name: "e"')[0]


def test_two_outputs_for_each_channel_stay_two(depthwise):
    net, like = (one(kind, outputs=8) for kind in ("DepthwiseConvolution", "Convolution"))
    depthwise(net, {"d": "Convolution"}, {"b": "folded"}, like=like)


def test_a_depthwise_type_of_few_groups_is_a_convolution_of_so_many(depthwise):
    net, like = (one(kind, group=2) for kind in ("DepthwiseConvolution", "Convolution"))
    depthwise(net, {"d": "Convolution"}, {"b": "folded"}, like=like)


def test_a_1x1_one_gets_its_engine_as_every_convolution_does(depthwise):
    kinds = ("DepthwiseConvolution", "Convolution")
    net, like = (start().conv("d", "data", 4, 1, group=4, kind=kind) for kind in kinds)
    merged = depthwise(net, {"d": "Convolution"}, like=like)
    assert "engine: CAFFE" in merged.text


def test_one_channel_needs_no_group(depthwise):
    kinds = ("DepthwiseConvolution", "Convolution")
    net, like = (start((2, 1, 5, 5)).conv("d", "data", 1, kind=kind) for kind in kinds)
    assert "group" not in depthwise(net, {"d": "Convolution"}, like=like).text


def test_a_type_that_the_user_explains_becomes_one_too(tmp_path, runtime):
    # Not by `depthwise`: a second merge would be told of a type that is no more.
    treat_as = {"MyDepthwise": "DepthwiseConvolution"}
    merged = merge_model(
        tmp_path, one("MyDepthwise"), depthwise_as="convolution", treat_as=treat_as
    )
    assert "MyDepthwise" not in merged.text
    like = one("Convolution").save(tmp_path, "like")
    assert_same_function(runtime, replace(merged, before=like))


def test_structure_is_planned_without_weights(tmp_path):
    net = said_less(one("ConvolutionDepthwise"), " group: 4", "num_output: 4")
    model, _ = net.save(tmp_path)
    report = bnfold.inspect(model, depthwise_as="convolution")
    assert "rewritten d (ConvolutionDepthwise) as Convolution" in report.summary()


def test_without_the_option_it_stays(former):
    net = one("DepthwiseConvolution")
    assert "DepthwiseConvolution" in former()(net, {}, {"b": "folded"}, engines=()).text


# ------------------------------------------------------------------------- what stays


def alone(words: str = "", group: int = 4, **more) -> Model:
    return start().conv(
        "d", "data", 4, kind="DepthwiseConvolution", words=words, group=group, **more
    )


def test_a_window_that_only_a_fork_can_write_stays(depthwise):
    depthwise.refuses(alone("pad_left: 1"), "d", "no-equal", "pad_left")


def test_an_activation_inside_stays(depthwise):
    depthwise.refuses(alone("relu: true"), "d", "unknown-layer", "relu")


def test_a_weight_of_another_shape_stays(depthwise):
    # Its text says nothing of groups, and its weight is that of a dense convolution.
    depthwise.refuses(alone(group=1), "d", "no-equal", "16 channels in 4 groups")


def test_a_weight_that_the_file_does_not_have_stays(depthwise):
    net = alone().conv("e", "d", 3, 1, words="engine: CAFFE")
    del net.net.layer[0].blobs[:]
    depthwise.refuses(net, "d", "needs-weights")


def test_channels_that_nothing_tells_stay_unknown(tmp_path):
    net = Model(seed=3)
    net.texts.append('input: "data"\n')
    net.layer(
        'name: "d" type: "DepthwiseConv" bottom: "data" top: "d" '
        "convolution_param { kernel_size: 3 }"
    )
    model, _ = net.save(tmp_path)
    report = bnfold.inspect(model, depthwise_as="convolution")
    assert "[unknown-shape]" in report.summary()


def test_one_of_unknown_channels_and_no_group_stays(depthwise):
    # Of one channel it would be a dense convolution, and nothing tells that it is of four.
    net = start().plain("Mystery", "m", "data")
    net = net.conv("d", "m", 4, group=4, kind="DepthwiseConvolution")
    depthwise.refuses(said_less(net, " group: 4"), "d", "unknown-shape")


def test_one_of_unknown_channels_and_a_group_is_a_convolution(depthwise):
    net = start().plain("Mystery", "m", "data")
    net = net.conv("d", "m", 4, group=4, kind="DepthwiseConvolution")
    assert "DepthwiseConvolution" not in depthwise(net, {"d": "Convolution"}, engines=()).text


def test_one_along_another_axis_stays(depthwise):
    net = start((2, 3, 4, 5)).conv("c", "data", 3, 1, words="engine: CAFFE")
    net.channels["c"] = 4
    net.conv(
        "d", "c", 4, "kernel_size: 1", spatial=(1,), group=4, kind="DepthwiseConv", words="axis: 2"
    )
    depthwise.refuses(net, "d", "not-per-channel", "axis: 2")


def test_one_in_place_stays(depthwise):
    net = start((2, 4, 9, 7)).conv("c", "data", 4)
    depthwise.refuses(
        net.conv("d", "c", 4, 1, top="c", group=4, kind="DepthwiseConvolution"),
        "d",
        "unknown-layer",
        "in place",
    )


def test_one_of_a_v1_file_stays(depthwise):
    net = Model(seed=3, v1=True).input("data", (2, 4, 9, 7)).conv("c", "data", 4)
    net.layer(
        'name: "d" type: DepthwiseConvolution bottom: "c" top: "d" convolution_param '
        "{ num_output: 4 group: 4 kernel_size: 3 }",
        "d",
        [np.ones((4, 1, 3, 3)), np.ones(4)],
    )
    depthwise.refuses(net, "d", "no-scale-type")


def test_one_that_the_user_keeps_stays_without_a_word(depthwise):
    net = alone()
    assert depthwise(net, {}, engines=(), keep=["d"]).text == net.text


def test_another_form_than_there_is_is_refused():
    with pytest.raises(bnfold.BnfoldError, match="--depthwise-as 'scale': must be one of conv"):
        bnfold.MergeOptions(depthwise_as="scale")
