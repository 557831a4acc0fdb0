"""What may not be folded: the smallest network for each reason, and what is said of it.

Every test checks that the function is the same and that the layer in question is still there.
"""

from __future__ import annotations

import numpy as np
import pytest
from folding import assert_same_function, merge_model
from models import Model, blob

import bnfold

from ..networks import start

ALL = ("pycaffe", "opencv")
CAFFE = ("pycaffe",)


class Refusal:
    """Merges a model and checks what was said of one layer that stays."""

    def __init__(self, folder, runtime):
        self.folder = folder
        self.runtime = runtime

    def __call__(self, net: Model, layer: str, code: str, *words: str, folded=(), engines=ALL):
        # Without the collapse what may not be folded is what nothing happens to.
        merged = merge_model(self.folder, net, engine_caffe=False, collapse=False)
        assert merged.folded == list(folded)
        assert merged.fates[layer] == "kept"
        reason = merged.reasons[layer]
        assert reason.code is bnfold.Code(code)
        assert reason.code.value == code
        for word in words:
            assert word in reason.text
        assert f'name: "{layer}"' in merged.text
        if not folded:
            assert merged.text == net.text
            assert merged.after[1].read_bytes() == merged.before[1].read_bytes()
        if self.runtime.name in engines:
            assert_same_function(self.runtime, merged)
        return merged


@pytest.fixture
def refuses(tmp_path, runtime):
    return Refusal(tmp_path, runtime)


# ---------------------------------------------------------------- readers


def test_value_with_another_reader_before_an_in_place_batch_norm(refuses):
    net = start().conv("c", "data", 5).relu("early", "c", "early").batch_norm("b", "c")
    net.relu("late", "c", "late")
    # Official Caffe does not load this: it splits 'c' for its two readers, so that the
    # BatchNorm's top is no longer its bottom.
    refuses(net, "b", "other-reader", "'c'", "ReLU layer 'early'", engines=("opencv",))


def test_reader_after_an_in_place_batch_norm_is_no_obstacle(tmp_path, runtime):
    net = start().conv("c", "data", 5).batch_norm("b", "c").relu("r1", "c", "r1")
    merged = merge_model(tmp_path, net.relu("r2", "c", "r2"))
    assert merged.folded == ["b"]
    assert_same_function(runtime, merged)


def test_value_with_another_reader_after_a_batch_norm_that_is_not_in_place(refuses):
    net = start().conv("c", "data", 5).batch_norm("b", "c", "b").relu("r", "b")
    refuses(net.relu("other", "c", "raw"), "b", "other-reader", "'c'", "ReLU layer 'other'")


def test_value_in_the_middle_of_a_chain_that_has_another_reader(refuses):
    net = start().conv("c", "data", 5).batch_norm("b", "c", "b").relu("r", "b", "r")
    net.scale("s", "b", "s")
    refuses(net, "s", "other-reader", "'b'", "ReLU layer 'r'", folded=["b"])


def test_two_batch_norms_on_one_value_name_each_other(refuses):
    net = start().conv("c", "data", 5).batch_norm("b1", "c", "b1").batch_norm("b2", "c", "b2")
    merged = refuses(net, "b1", "other-reader", "BatchNorm layer 'b2'")
    assert "'b1'" in merged.reasons["b2"].text


def test_value_that_the_same_layer_reads_twice(refuses):
    net = start().conv("c", "data", 5)
    net.layer('name: "sum" type: "Eltwise" bottom: "c" bottom: "c" top: "sum"')
    refuses(net.batch_norm("b", "c", "b"), "b", "other-reader", "Eltwise layer 'sum'")


def test_value_that_a_layer_of_the_other_phase_reads(refuses):
    net = start().conv("c", "data", 5)
    net.layer('name: "watch" type: "Silence" bottom: "c" include { phase: TRAIN }')
    refuses(net.batch_norm("b", "c"), "b", "outside-reader", "'c'", "Silence layer 'watch'")


def test_value_that_only_the_other_phase_reads_past_an_in_place_batch_norm(refuses):
    # In phase TRAIN the BatchNorm is absent, so the reader sees what the convolution gave.
    net = start().conv("c", "data", 5).batch_norm("b", "c", outer="include { phase: TEST }")
    net.layer('name: "watch" type: "Silence" bottom: "c" include { phase: TRAIN }')
    refuses(net.relu("r", "c"), "b", "outside-reader", "Silence layer 'watch'")


def test_reader_of_the_other_phase_behind_the_chain_is_no_obstacle(tmp_path):
    net = start().conv("c", "data", 5).batch_norm("b", "c").relu("r", "c")
    net.layer('name: "watch" type: "Silence" bottom: "c" include { phase: TRAIN }')
    assert merge_model(tmp_path, net).folded == ["b"]


# ---------------------------------------------------------------- sharing


def test_weights_that_another_convolution_shares_by_param_name(refuses):
    net = start().conv("c", "data", 5, bias=False, outer='param { name: "w" }').batch_norm("b", "c")
    net.conv("twin", "data", 5, bias=False, outer='param { name: "w" }').relu("r", "twin")
    record = next(r for r in net.net.layer if r.name == "twin")
    del record.blobs[:]
    record.blobs.extend(net.net.layer[0].blobs)
    refuses(net, "b", "shared-weights", "Convolution layer 'twin'", "param name")


def test_statistics_shared_by_param_name_of_which_the_file_has_two_versions(refuses):
    named = " ".join(f'param {{ name: "bn{i}" }}' for i in range(3))
    net = start().conv("c", "data", 5).batch_norm("b", "c", outer=named)
    net.conv("d", "data", 5).batch_norm("e", "d", outer=named)
    # Caffe loads both into the one blob, so that the last one holds; OpenCV shares nothing.
    merged = refuses(net, "b", "shared-weights", "BatchNorm layer 'e'", "other numbers")
    assert merged.reasons["e"].code == "shared-weights"


def test_param_name_that_nobody_else_has_is_no_obstacle(tmp_path):
    net = start().conv("c", "data", 5, outer='param { name: "w" lr_mult: 1 }')
    merged = merge_model(tmp_path, net.batch_norm("b", "c"))
    assert merged.folded == ["b"]


def test_convolution_of_several_tops(refuses):
    net = start().layer(
        'name: "c" type: "Convolution" bottom: "data" bottom: "more" top: "c1" top: "c2"\n'
        "  convolution_param { num_output: 5 kernel_size: 3 bias_term: false }",
        "c",
        [np.random.default_rng(0).normal(0, 0.2, (5, 4, 3, 3))],
    )
    net.texts.insert(
        2,
        'layer { name: "more" type: "Input" top: "more"\n'
        "  input_param { shape { dim: [2, 4, 9, 7] } } }\n",
    )
    net.channels["c1"] = 5
    refuses(
        net.batch_norm("b", "c1"),
        "b",
        "shared-weights",
        "Convolution layer 'c'",
        "2 tops",
        engines=CAFFE,
    )


def test_host_whose_name_a_layer_of_the_other_phase_also_has(refuses):
    net = start()
    net.layer(
        'name: "c" type: "Convolution" bottom: "data" top: "c" include { phase: TRAIN }\n'
        "  convolution_param { num_output: 5 kernel_size: 3 }"
    )
    net.conv("c", "data", 5, outer="include { phase: TEST }").batch_norm("b", "c")
    # OpenCV reads no phases.
    refuses(net, "b", "same-name", "'c'", "line 5", engines=CAFFE)


def test_batch_norm_whose_name_a_layer_of_the_other_phase_also_has(tmp_path):
    net = start().conv("c", "data", 5)
    net.batch_norm("b", "c", outer="include { phase: TEST }", words="use_global_stats: true")
    net.layer(
        'name: "b" type: "BatchNorm" bottom: "data" top: "d" include { phase: TRAIN }\n'
        "  batch_norm_param { use_global_stats: false }"
    )
    merged = merge_model(tmp_path, net)
    assert merged.text == net.text
    here, outside = (kept.reason for kept in merged.report.plan.outcomes)
    assert (here.code, outside.code) == ("same-name", "outside-phase")
    assert "'b'" in here.text
    assert "line 13" in here.text


# ---------------------------------------------------------------- what the layer computes


def test_use_global_stats_false(refuses):
    net = start().conv("c", "data", 5).batch_norm("b", "c", words="use_global_stats: false")
    refuses(net, "b", "batch-statistics", "use_global_stats is false", engines=CAFFE)


def test_layer_that_is_in_phase_train_by_its_own_word(refuses):
    net = start().conv("c", "data", 5).batch_norm("b", "c", outer="phase: TRAIN")
    refuses(net, "b", "batch-statistics", "`phase: TRAIN`", engines=CAFFE)


def test_scale_after_a_batch_norm_that_is_kept_names_it(refuses):
    net = start().conv("c", "data", 5).batch_norm("b", "c", words="use_global_stats: false")
    refuses(net.scale("s", "c"), "s", "no-host", "BatchNorm layer 'b' is in the", engines=CAFFE)


SCALE_AXES = {
    "axis: 2": (9,),
    "axis: 0": (2,),
    "axis: -1": (7,),
    "num_axes: 2": (5, 9),
    "axis: 1 num_axes: -1": (5, 9, 7),
    "axis: 0 num_axes: 2": (2, 5),
}


@pytest.mark.parametrize("words", SCALE_AXES)
def test_scale_that_does_not_act_per_channel(words, tmp_path, refuses):
    net = start().conv("c", "data", 5, words="pad: 1")
    net.layer(
        f'name: "s" type: "Scale" bottom: "c" top: "s" scale_param {{ {words} }}',
        "s",
        [np.random.default_rng(1).uniform(0.5, 2, SCALE_AXES[words])],
    )
    merged = refuses(net, "s", "not-per-channel", "axis", "channels", engines=CAFFE)
    assert "num_axes" in merged.reasons["s"].text


def test_scale_of_the_outputs_of_an_inner_product_may_say_minus_one(tmp_path, runtime):
    net = start().inner_product("f", "data", 6, 252).scale("s", "f", words="axis: -1")
    merged = merge_model(tmp_path, net)
    assert merged.folded == ["s"]
    if runtime.name == "pycaffe":
        assert_same_function(runtime, merged)


def test_inner_product_on_another_axis(refuses):
    net = start((2, 4, 9, 7))
    net.layer(
        'name: "f" type: "InnerProduct" bottom: "data" top: "f"\n'
        "  inner_product_param { num_output: 5 axis: 2 bias_term: false }",
        "f",
        [np.random.default_rng(1).normal(0, 0.1, (5, 63))],
    )
    # Channels are still the four of the image, and the outputs stand on axis 2.
    net.channels["f"] = 4
    refuses(net.batch_norm("b", "f"), "b", "not-per-channel", "InnerProduct layer 'f'", "axis: 2")


def test_scale_with_two_bottoms(refuses):
    net = start().conv("c", "data", 5)
    net.layer(
        'name: "pool" type: "Pooling" bottom: "data" top: "pool"\n'
        "  pooling_param { pool: AVE global_pooling: true }"
    )
    net.channels["pool"] = 4
    net.conv("gate", "pool", 5, 1)
    net.layer(
        'name: "gated" type: "Reshape" bottom: "gate" top: "flat"\n'
        "  reshape_param { shape { dim: 0 dim: -1 } }"
    )
    net.layer('name: "s" type: "Scale" bottom: "c" bottom: "flat" top: "s" scale_param { axis: 0 }')
    refuses(net, "s", "two-bottoms", "'c' and 'flat'", engines=CAFFE)


# ---------------------------------------------------------------- no host


def test_batch_norm_on_the_input_of_the_network(refuses):
    net = start().batch_norm("b", "data", "b").conv("c", "b", 5, words="pad: 1")
    refuses(net, "b", "no-host", "'data'", "Input")


def test_batch_norm_on_a_legacy_input(refuses):
    net = Model(seed=3)
    net.texts.append('input: "data"\ninput_shape { dim: 2 dim: 4 dim: 9 dim: 7 }\n')
    net.channels["data"] = 4
    refuses(net.batch_norm("b", "data", "b"), "b", "no-host", "'data'", "an input of the network")


def test_batch_norm_after_a_layer_that_nothing_passes_names_it(refuses):
    net = start().conv("c", "data", 5).layer('name: "t" type: "TanH" bottom: "c" top: "t"')
    net.channels["t"] = 5
    refuses(net.batch_norm("b", "t"), "b", "no-host", "TanH layer 't' is in the way")


def test_batch_norm_after_a_relu(refuses):
    net = start().conv("c", "data", 5).relu("r", "c").batch_norm("b", "c")
    refuses(net, "b", "sign-or-shift", "ReLU layer 'r'", "positive scale and no shift")


def test_batch_norm_after_a_layer_type_nobody_knows(tmp_path):
    net = start().layer('name: "x" type: "Mystery" bottom: "data" top: "x" mystery_param { a: 1 }')
    net.channels["x"] = 4
    merged = merge_model(tmp_path, net.batch_norm("b", "x"))
    assert merged.reasons["b"].code == "no-host"
    assert "Mystery layer 'x'" in merged.reasons["b"].text


def test_layer_outside_the_phase(refuses):
    net = start().conv("c", "data", 5)
    net.texts.append(
        'layer { name: "b" type: "BatchNorm" bottom: "c" top: "c" include { phase: TRAIN } }\n'
    )
    record = net.net.layer.add(name="b")
    record.blobs.extend(blob(b) for b in (np.ones(5), np.ones(5), np.ones(1)))
    refuses(net.relu("r", "c"), "b", "outside-phase", "phase TEST")
