"""Every reason why a constant channel stays, by its smallest network; its function unchanged."""

from __future__ import annotations

import numpy as np
import pytest
from folding import assert_same_function, merge_model

import bnfold

from .nets import Net, prune, start

Code = bnfold.Code


def dead(*, act: str = "Sigmoid") -> Net:
    """A convolution with a constant channel that is not zero."""
    return start().block("c1", "data", 4, act=act).set_zero("c1/s", [1])


def padded():
    return dead().conv("c2", "c1", 3, words="pad: 1")


def behind_a_padded_depthwise_layer():
    net = dead().conv("d", "c1", 4, group=4, words="pad: 1").act("a", "d", "TanH")
    return net.conv("c2", "d", 3)


def behind_an_average_over_padding():
    return dead().pool("p", "c1", "pool: AVE kernel_size: 3 pad: 1").conv("c2", "p", 3, 1)


def behind_a_pooling_with_a_window_behind_the_end():
    net = dead().pool("p", "c1", "pool: MAX kernel_size: 1 stride: 4").act("a", "p", "Sigmoid")
    return net.conv("c2", "p", 3, 1)


def spread_by_a_deconvolution():
    return dead().conv("d", "c1", 3, 2, kind="Deconvolution", words="stride: 2")


def an_output_of_the_network():
    return dead()


def a_slice():
    net = dead().layer(
        'name: "sl" type: "Slice" bottom: "c1" top: "l" top: "r" slice_param { slice_point: 2 }'
    )
    net.channels.update(l=2, r=2)
    return net.conv("c2", "l", 3).conv("c3", "r", 3)


def a_reshape_to_written_sizes():
    net = dead().layer(
        'name: "re" type: "Reshape" bottom: "c1" top: "re" '
        "reshape_param { shape { dim: 0 dim: 70 dim: 2 dim: 1 } }"
    )
    net.channels["re"] = 70
    return net.conv("c2", "re", 3, 1)


def a_permutation():
    net = dead().layer(
        'name: "pe" type: "Permute" bottom: "c1" top: "pe" '
        "permute_param { order: 0 order: 2 order: 3 order: 1 }"
    )
    net.channels["pe"] = 7
    return net.conv("c2", "pe", 3, 1)


def a_normalisation_across_channels():
    net = dead().layer('name: "n" type: "LRN" bottom: "c1" top: "n" lrn_param { local_size: 3 }')
    net.channels["n"] = 4
    return net.conv("c2", "n", 3)


def a_sum_with_a_branch_that_varies():
    net = dead().block("b", "data", 4).join("sum", "Eltwise", "c1", "b")
    return net.conv("c2", "sum", 3)


def a_sum_with_the_input():
    net = dead().conv("crop", "data", 4, 3).relu("rc", "crop").join("s", "Eltwise", "c1", "crop")
    return net.conv("c2", "s", 3)


def an_inner_product_on_another_axis():
    return dead().inner_product("ip", "c1", 3, 5, words="axis: 3")


def shared_weights():
    net = dead()
    net.conv("c2", "c1", 3, outer='param { name: "w" } param { name: "b" }')
    net.conv("c3", "c1", 3, outer='param { name: "w" } param { name: "b" }')
    for index in (0, 1):
        net.store("c3", net.blob_of("c2", index), index)
    return net


def groups_of_which_one_has_no_constant():
    net = start().conv("c1", "data", 4, group=2).set_zero("c1", [1]).relu("r", "c1")
    return net.conv("c2", "c1", 3)


def the_last_channel():
    return start().conv("c1", "data", 2).set_zero("c1", [0, 1]).conv("c2", "c1", 3)


PINS = {
    padded: Code.PADDING,
    behind_a_padded_depthwise_layer: Code.PADDING,
    behind_an_average_over_padding: Code.PADDING,
    behind_a_pooling_with_a_window_behind_the_end: Code.NOT_CONSTANT,
    spread_by_a_deconvolution: Code.PADDING,
    an_output_of_the_network: Code.NETWORK_OUTPUT,
    a_slice: Code.FIXED,
    a_reshape_to_written_sizes: Code.FIXED,
    a_permutation: Code.UNKNOWN_LAYER,
    a_normalisation_across_channels: Code.FIXED,
    a_sum_with_a_branch_that_varies: Code.NOT_CONSTANT,
    a_sum_with_the_input: Code.NOT_CONSTANT,
    an_inner_product_on_another_axis: Code.FIXED,
    shared_weights: Code.SHARED_WEIGHTS,
    groups_of_which_one_has_no_constant: Code.NOT_CONSTANT,
}


@pytest.mark.parametrize("builder", PINS, ids=lambda builder: builder.__name__)
def test_a_constant_stays_with_its_reason(builder, tmp_path):
    merged = merge_model(tmp_path, builder())
    (one,) = merged.report.plan.of_type(bnfold.DeadChannels)
    assert one.layer == "c1"
    assert one.channels == (1,)
    assert one.reason is not None
    assert one.reason.code is PINS[builder]
    assert "\n" not in one.reason.text


@pytest.mark.parametrize("builder", PINS, ids=lambda builder: builder.__name__)
def test_the_network_is_the_one_that_comes_without_the_rewrite(builder, tmp_path, pycaffe):
    merged = merge_model(tmp_path, builder())
    assert_same_function(pycaffe, merged)
    with_it = [path.read_bytes() for path in merged.after]
    without = merge_model(tmp_path, builder(), dead_channels=False, force=True)
    assert [path.read_bytes() for path in without.after] == with_it


def test_zeros_on_another_axis_are_no_channels(tmp_path, pycaffe):
    net = start().conv("c1", "data", 4).inner_product("ip", "c1", 4, 5, words="axis: 3")
    net.set_zero("ip", [1]).conv("o", "ip", 3, 1)
    merged = merge_model(tmp_path, net)
    assert not merged.report.plan.of_type(bnfold.DeadChannels)
    assert_same_function(pycaffe, merged)


def test_a_layer_keeps_one_channel(tmp_path):
    first, second = merge_model(tmp_path, the_last_channel()).report.plan.of_type(
        bnfold.DeadChannels
    )
    assert (first.channels, first.reason) == ((1,), None)
    assert second.channels == (0,)
    assert second.reason is not None
    assert second.reason.code is Code.LAST_CHANNEL


def test_a_reader_outside_the_phase_keeps_it(tmp_path):
    net = dead().layer('name: "t" type: "ReLU" bottom: "c1" top: "t" include { phase: TRAIN }')
    (one,) = merge_model(tmp_path, net.conv("c2", "c1", 3)).report.plan.of_type(bnfold.DeadChannels)
    assert one.reason is not None
    assert one.reason.code is Code.OUTSIDE_READER


@pytest.mark.parametrize("choice", [{"keep": ["c1"]}, {"keep": ["c2"]}, {"only": ["data"]}])
def test_what_the_user_keeps_stays(choice, tmp_path):
    net = start().conv("c1", "data", 4).set_zero("c1", [1]).conv("c2", "c1", 3)
    (one,) = merge_model(tmp_path, net, **choice).report.plan.of_type(bnfold.DeadChannels)
    assert one.reason is not None
    assert one.reason.code is Code.CHOSEN


def test_a_nan_in_a_filter_is_not_zero(tmp_path):
    net = start().conv("c1", "data", 4).conv("c2", "c1", 3)
    weight = net.blob_of("c1")
    weight[1] = 0
    weight[1, 0, 0, 0] = np.nan
    assert not merge_model(tmp_path, net.store("c1", weight)).report.plan.of_type(
        bnfold.DeadChannels
    )


def test_a_filter_that_scaling_makes_zero_in_float32_is_zero(tmp_path):
    net = start().conv("c1", "data", 4, bias=False).scale("s", "c1").conv("c2", "c1", 3)
    weight, scale = net.blob_of("c1"), net.blob_of("s")
    weight[2], scale[2] = 1e-30, 1e-30
    net.store("c1", weight).store("s", scale)
    (one,) = merge_model(tmp_path, net).report.plan.of_type(bnfold.DeadChannels)
    assert one.channels == (2,)


def test_one_value_at_the_end_of_a_filter_keeps_it(tmp_path):
    net = start().conv("c1", "data", 4).set_zero("c1", [1, 2]).conv("c2", "c1", 3)
    weight = net.blob_of("c1")
    weight[1, -1, -1, -1] = 1e-20
    (one,) = merge_model(tmp_path, net.store("c1", weight)).report.plan.of_type(bnfold.DeadChannels)
    assert one.channels == (2,)


class TestPruning:
    """What a pruning by name refuses, and what a pruning by rank leaves and reports."""

    @pytest.mark.parametrize(
        ("channels", "words"),
        [
            ({"c9": [0]}, "'c9': no such layer"),
            ({"c1": [4]}, "channel 4 of 'c1': it has channels 0 to 3"),
            ({"o": [0]}, "channel 0 of 'o' cannot be removed: 'o' is an output of the network"),
            ({"c1": range(4)}, "'c1': no channel would be left"),
        ],
    )
    def test_channels_by_name(self, channels, words, tmp_path):
        with pytest.raises(bnfold.BnfoldError, match=words):
            prune(tmp_path, start().block("c1", "data", 4).conv("o", "c1", 3), channels=channels)
        assert not list(tmp_path.glob("*pruned*"))

    def test_a_layer_without_a_batch_norm(self, tmp_path):
        net = start().conv("c1", "data", 4).relu("r", "c1").conv("o", "c1", 3)
        with pytest.raises(bnfold.BnfoldError, match="no batch norm with a scale stands between"):
            prune(tmp_path, net, channels={"c1": [0]})

    @pytest.mark.parametrize(
        "options",
        [{}, {"ratio": 0.1, "threshold": 0.1}, {"ratio": 1.0}, {"threshold": -1.0},
         {"ratio": 0.1, "round_to": 0}, {"ratio": 0.1, "min_channels": 0},
         {"ratio": 0.1, "exclude": ["x"]}],
    )  # fmt: skip
    def test_options_that_make_no_sense(self, options, tmp_path):
        with pytest.raises(bnfold.BnfoldError):
            prune(tmp_path, start().block("c1", "data", 4).conv("o", "c1", 3), **options)

    def test_heads_stay_and_say_why(self, tmp_path):
        net = start().block("c1", "data", 4).block("head", "c1", 6)
        net.layer(
            'name: "pe" type: "Permute" bottom: "head" top: "pe" '
            "permute_param { order: 0 order: 2 }"
        )
        report = prune(tmp_path, net, threshold=100.0).report
        assert {one.layer: len(one.removed) for one in report.layers} == {"c1": 3, "head": 0}
        (stays,) = [stays for stays in report.stays if stays.layer == "head"]
        assert stays.count == 6
        assert stays.reason.code is Code.UNKNOWN_LAYER
