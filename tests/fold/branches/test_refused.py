"""Branches that may not be merged: the smallest network for each reason, and what is said of it."""

from __future__ import annotations

import numpy as np
import pytest
from folding import assert_same_function, merge_model
from models import Model, blob

import bnfold

from .branching import add, conv, start

BOTH = ("pycaffe", "opencv")
CAFFE = ("pycaffe",)


@pytest.fixture
def stays(tmp_path, runtime):
    """Merges a model and checks what was said of the branches that stay."""

    def check(net: Model, code: str, *words: str, engines=BOTH, **options):
        merged = merge_model(tmp_path, net, engine_caffe=False, **options)
        (kept,) = (found for found in merged.report.plan.of_type(bnfold.Branches) if not found.into)
        assert kept.layer == "sum"
        assert kept.reason.code.value == code
        for word in words:
            assert word in kept.reason.text
        merges = any(found.into for found in merged.report.plan.of_type(bnfold.Branches))
        assert merges == (merged.text != net.text)
        if not merges:
            assert merged.after[1].read_bytes() == merged.before[1].read_bytes()
        if runtime.name in engines:
            assert_same_function(runtime, merged)
        return merged

    return check


@pytest.fixture
def silent(tmp_path, runtime):
    """Merges a model that has no parallel branches: nothing happens, and nothing is said."""

    def check(net: Model, engines=BOTH):
        merged = merge_model(tmp_path, net, engine_caffe=False)
        assert merged.report.plan.of_type(bnfold.Branches) == []
        assert merged.text == net.text
        if runtime.name in engines:
            assert_same_function(runtime, merged)

    return check


# ---------------------------------------------------------------- who else is concerned


def test_branch_that_another_layer_reads_too(stays):
    net = start()
    conv(net, "a")
    conv(net, "b", (1, 1))
    add(net, "a", "b").relu("other", "b", "other")
    stays(net, "other-reader", "'b'", "ReLU layer 'other'")


def test_branch_that_a_layer_outside_the_phase_reads(stays):
    net = start()
    conv(net, "a")
    conv(net, "b", (1, 1))
    add(net, "a", "b")
    net.layer('name: "watch" type: "Silence" bottom: "b" include { phase: TRAIN }')
    stays(net, "outside-reader", "'b'", "Silence layer 'watch'", engines=CAFFE)


def test_weights_shared_by_param_name(stays):
    net = start()
    conv(net, "a")
    conv(net, "b", outer='param { name: "w" } param { name: "v" }')
    conv(net, "c", outer='param { name: "w" } param { name: "v" }')
    first, second = (record for record in net.net.layer if record.name in "bc")
    del second.blobs[:]
    second.blobs.extend(first.blobs)
    add(net, "a", "b").relu("r", "c")
    merged = stays(net, "shared-weights", "'b'", "'c'", engines=CAFFE)
    assert merged.report.plan.of_type(bnfold.Branches)[0].branches == ("b",)


def test_layer_of_the_same_name_outside_the_phase(stays):
    net = start()
    net.layer(
        'name: "a" type: "Convolution" bottom: "x" top: "a" include { phase: TRAIN }\n'
        "  convolution_param { num_output: 8 kernel_size: 3 pad: 1 }"
    )
    conv(net, "a", outer="include { phase: TEST }")
    conv(net, "b", (1, 1))
    stays(add(net, "a", "b"), "same-name", "'a'", engines=())


def test_affine_that_could_not_go_into_its_convolution_says_why(stays):
    net = start()
    conv(net, "a")
    shared = 'param { name: "w" }'
    conv(net, "b", bias=False, outer=shared)
    conv(net, "c", bias=False, outer=shared)
    first, second = (record for record in net.net.layer if record.name in "bc")
    del second.blobs[:]
    second.blobs.extend(first.blobs)
    net.scale("s", "b")
    add(net, "a", "b").relu("r", "c")
    stays(net, "shared-weights", "'c'", engines=CAFFE)


@pytest.mark.parametrize("options", [{"keep": ["b"]}, {"keep": ["sum"]}, {"only": ["dat*"]}])
def test_user_chose_that_a_layer_stays(options, stays):
    net = start()
    conv(net, "a")
    conv(net, "b", (1, 1))
    stays(add(net, "a", "b"), "chosen", "--keep or --only", **options)


def test_user_chose_that_all_branches_stay(tmp_path):
    net = start()
    conv(net, "a")
    net.batch_norm("n", "a")
    conv(net, "b", (1, 1))
    merged = merge_model(tmp_path, add(net, "a", "b"), branches=False)
    assert 'type: "Eltwise"' in merged.text
    assert merged.report.plan.of_type(bnfold.Branches) == []
    assert 'type: "BatchNorm"' not in merged.text


def test_value_whose_memory_is_written_over_in_between(stays):
    # In Caffe a Split shares memory, so that the sum reads what the Scale made of 'one'.
    net = start()
    net.layer('name: "fork" type: "Split" bottom: "x" top: "one" top: "two"')
    net.channels["one"] = net.channels["two"] = 8
    conv(net, "a", bottom="two")
    net.layer('name: "act" type: "TanH" bottom: "one" top: "one"')
    conv(net, "far", bottom="one")
    stays(add(net, "a", "two"), "name-taken", "TanH layer 'act'", "'two'", engines=CAFFE)


# ---------------------------------------------------------------- what is computed


@pytest.mark.parametrize(("operation", "word"), [("PROD", "multiplies"), ("MAX", "the largest")])
def test_operation_that_is_no_sum(operation, word, stays):
    net = start()
    conv(net, "a")
    conv(net, "b", (1, 1))
    add(net, "a", "b", words=f"operation: {operation}")
    stays(net, "not-linear", "Eltwise layer 'sum'", word)


@pytest.mark.parametrize("kind", ["ReLU", "TanH", "PReLU", "ELU"])
def test_activation_within_a_branch(kind, stays):
    net = start()
    conv(net, "a")
    conv(net, "b", (1, 1))
    slopes = [np.linspace(0.1, 0.4, 8)] if kind == "PReLU" else []
    net.layer(f'name: "act" type: "{kind}" bottom: "b" top: "b"', "act", slopes)
    add(net, "a", "b")
    stays(net, "not-linear", f"{kind} layer 'act'")


def test_activation_within_one_of_three_branches_leaves_two_to_merge(stays):
    net = start()
    conv(net, "a")
    conv(net, "b", (1, 1))
    net.relu("act", "b")
    merged = stays(add(net, "a", "b", "x"), "not-linear", "ReLU layer 'act'")
    assert [
        found.branches for found in merged.report.plan.of_type(bnfold.Branches) if found.into
    ] == [("a", "x")]


def test_field_of_a_fork_may_mean_anything(tmp_path):
    net = start()
    conv(net, "a", words="pad: 1 relu: true")
    conv(net, "b", (1, 1), words="pad_type: 1")
    merged = merge_model(tmp_path, add(net, "a", "b", "x"), engine_caffe=False)
    assert merged.text == net.text
    found = {b.branches: b.reason for b in merged.report.plan.of_type(bnfold.Branches)}
    assert found["a",].code.value == found["b",].code.value == "not-linear"
    assert "relu" in found["a",].text
    assert "pad_type" in found["b",].text


def test_field_of_a_fork_in_the_sum_may_mean_anything(tmp_path):
    net = start()
    conv(net, "a")
    merged = merge_model(tmp_path, add(net, "a", "x", words="fuse_relu: true"))
    (kept,) = merged.report.plan.of_type(bnfold.Branches)
    assert kept.reason.code.value == "not-linear"
    assert "fuse_relu" in kept.reason.text
    assert merged.text == net.text


def test_operation_that_only_a_fork_has(tmp_path):
    net = start()
    conv(net, "a")
    conv(net, "b", (1, 1))
    merged = merge_model(tmp_path, add(net, "a", "b", words="operation: DIFF"), engine_caffe=False)
    (kept,) = merged.report.plan.of_type(bnfold.Branches)
    assert kept.reason.code.value == "not-linear"
    assert merged.text == net.text


def test_types_that_have_as_many_groups_as_they_say(tmp_path):
    net = start((2, 12, 5, 5))
    conv(net, "a", kind="ConvolutionDepthwise", group=4)
    conv(net, "b", kind="ConvolutionDepthwise", group=6)
    merged = merge_model(tmp_path, add(net, "a", "b"), engine_caffe=False)
    (kept,) = merged.report.plan.of_type(bnfold.Branches)
    assert kept.reason.code.value == "more-work"
    assert merged.text == net.text


def test_sum_that_writes_over_one_of_its_bottoms(tmp_path):
    # What such a layer computes depends on the engine: Caffe clears its top before it adds.
    net = start()
    conv(net, "a")
    conv(net, "b", (1, 1))
    net.layer('name: "sum" type: "Eltwise" bottom: "a" bottom: "b" top: "a"')
    merged = merge_model(tmp_path, net, engine_caffe=False)
    (kept,) = merged.report.plan.of_type(bnfold.Branches)
    assert kept.reason.code.value == "name-taken"
    assert merged.text == net.text


def test_convolution_over_another_axis(stays):
    net = start((2, 4, 8, 9, 7))
    net.channels["x"] = 4
    net.layer(
        'name: "a" type: "Convolution" bottom: "x" top: "a"\n'
        "  convolution_param { num_output: 8 kernel_size: 1 axis: 2 }",
        "a",
        [np.random.default_rng(1).normal(0, 1, (8, 8, 1, 1)), np.ones(8)],
    )
    net.channels["a"] = 8
    stays(add(net, "a", "x"), "not-per-channel", "axis: 2", engines=CAFFE)


def test_convolution_without_weights_in_the_file(tmp_path):
    net = start()
    conv(net, "a")
    net.conv("b", "x", 8, 1)
    del net.net.layer[-1]
    merged = merge_model(tmp_path, add(net, "a", "b"), engine_caffe=False)
    (kept,) = merged.report.plan.of_type(bnfold.Branches)
    assert kept.reason.code.value == "needs-weights"
    assert merged.text == net.text


# ---------------------------------------------------------------- windows that do not meet


def test_strides_that_differ(stays):
    net = start((2, 8, 1, 1))
    conv(net, "a")
    conv(net, "b", (3, 3), words="pad: 1 stride: 2")
    stays(add(net, "a", "b"), "different-windows", "stride 1", "stride 2")


def test_value_itself_beside_a_stride(stays):
    net = start((2, 8, 1, 1))
    conv(net, "a", words="pad: 1 stride: 2")
    stays(add(net, "a", "x"), "different-windows", "stride 2", "'x' itself")


def test_dilations_that_differ(stays):
    net = start()
    conv(net, "a")
    conv(net, "b", words="pad: 2 dilation: 2")
    stays(add(net, "a", "b"), "different-windows", "dilation 1", "dilation 2")


def test_paddings_between_the_taps(stays):
    # One row reads rows 0 and 2 of the padded image, the other row 1.
    net = start((2, 8, 4, 4))
    conv(net, "a", (2, 2), words="dilation: 2 pad: 1 stride: 4")
    conv(net, "b", (1, 1), words="stride: 4")
    stays(add(net, "a", "b"), "different-windows", "kernel 2 with pad 1", "kernel 1 with pad 0")


# ---------------------------------------------------------------- more work than before


def test_groups_of_different_number_where_that_is_more_work(stays):
    net = start()
    conv(net, "dense", (1, 1))
    conv(net, "each", group=8)
    merged = stays(add(net, "dense", "each"), "more-work", "136", "576")
    assert merged.report.plan.of_type(bnfold.Branches)[0].branches in {("dense",), ("each",)}


def test_value_itself_joins_where_groups_do_not(stays):
    net = start()
    conv(net, "dense", (1, 1))
    conv(net, "each", group=8)
    merged = stays(add(net, "dense", "each", "x"), "more-work", "576")
    assert [
        found.branches for found in merged.report.plan.of_type(bnfold.Branches) if found.into
    ] == [("each", "x")]


def test_kernels_of_which_none_covers_the_other(stays):
    # 7x1 and 1x7 would be 7x7: measured in Caffe, that takes three times as long as the two.
    net = start((2, 8, 9, 9))
    conv(net, "column", (7, 1))
    conv(net, "row", (1, 7))
    stays(add(net, "column", "row"), "more-work", "896", "3,136")


# ---------------------------------------------------------------- no parallel branches


def test_branches_of_different_values(silent):
    net = start()
    net.layer('name: "y" type: "TanH" bottom: "data" top: "y"')
    net.channels["y"] = 8
    conv(net, "a")
    conv(net, "b", (1, 1), bottom="y")
    silent(add(net, "a", "b"))


def test_residual_block(silent):
    net = start()
    conv(net, "a")
    net.relu("r", "a")
    conv(net, "b", bottom="a")
    silent(add(net, "b", "x"))


def test_gate(silent):
    net = start()
    conv(net, "a", (1, 1))
    net.layer('name: "gate" type: "Sigmoid" bottom: "a" top: "a"')
    silent(add(net, "x", "a", words="operation: PROD"))


def test_deconvolution_and_inner_product(silent):
    net = start()
    net.conv("a", "x", 8, 1, kind="Deconvolution")
    net.conv("b", "x", 8, 1, kind="Deconvolution")
    silent(add(net, "a", "b", "x"))


def test_two_lone_affines(tmp_path):
    net = start()
    net.scale("s", "x", "s").scale("t", "x", "t")
    merged = merge_model(tmp_path, add(net, "s", "t"))
    assert merged.report.plan.of_type(bnfold.Branches) == []
    assert merged.text == net.text


def test_weights_that_do_not_fit_the_prototxt_are_an_error(tmp_path):
    import bnfold

    net = start()
    conv(net, "a")
    conv(net, "b", (1, 1))
    del net.net.layer[-1].blobs[:]
    net.net.layer[-1].blobs.extend([blob(np.ones((8, 8, 3, 3))), blob(np.ones(8))])
    with pytest.raises(bnfold.BnfoldError, match=r"'b'.*8x8x3x3"):
        merge_model(tmp_path, add(net, "a", "b"))
