"""Parallel branches that an Eltwise adds up become one convolution of the same function."""

from __future__ import annotations

import numpy as np
import pytest
from folding import assert_same_function, merge_model, read_net
from models import Model

import bnfold

from .branching import add, conv, rep_vgg_block, small_rep_vgg, start


def count(merged, kind: str) -> int:
    return merged.text.count(f'type: "{kind}"')


def kernels(merged) -> dict[str, tuple[int, ...]]:
    return {b.into: b.kernel for b in merged.report.plan.of_type(bnfold.Branches) if b.into}


def merges_all(folder, runtime, net: Model, convolutions: int = 1, engines=None):
    """Merge, and check that so many convolutions are left, no Eltwise, and the same function."""
    merged = merge_model(folder, net)
    assert [b.reason for b in merged.report.plan.of_type(bnfold.Branches) if b.reason] == []
    assert (count(merged, "Convolution"), count(merged, "Eltwise")) == (convolutions, 0)
    names = [record.name for record in read_net(merged.after[1]).layer]
    assert len(names) == convolutions + count(merged, "InnerProduct")
    if engines is None or runtime.name in engines:
        assert_same_function(runtime, merged)
    return merged


# ---------------------------------------------------------------- RepVGG

BLOCKS = {
    "plain": {},
    "strided, and so without identity": {"stride": 2},
    "grouped": {"group": 2},
    "depthwise": {"group": 8},
    "without identity": {"identity": False},
    "to other channels": {"outputs": 6},
}


@pytest.mark.parametrize("block", BLOCKS)
def test_block_of_rep_vgg_becomes_one_convolution(block, tmp_path, runtime):
    net = start()
    options = {"outputs": 8, **BLOCKS[block]}
    rep_vgg_block(net, "block", "x", **options)
    merged = merges_all(tmp_path, runtime, net)
    assert kernels(merged) == {"block/3x3": (3, 3)}
    assert not {"BatchNorm", "Scale"} & {layer.type for layer in read_net(merged.after[1]).layer}


def test_whole_rep_vgg_has_one_convolution_for_each_block(tmp_path, runtime):
    merged = merges_all(tmp_path, runtime, small_rep_vgg(), convolutions=7)
    assert set(kernels(merged).values()) == {(3, 3)}
    before, after = merged.report.before, merged.report.after
    assert after.parameters < before.parameters
    assert after.operations < before.operations


@pytest.mark.parametrize("group", [1, 2, 8])
def test_block_is_what_its_authors_formula_gives(group, tmp_path):
    """W' = W gamma / sigma; 1x1 kernels in the middle; the identity as a 1x1 kernel of ones."""
    net = start()
    rep_vgg_block(net, "b", "x", 8, group=group)
    stored = {
        record.name: [np.array(blob.data, np.float64) for blob in record.blobs]
        for record in net.net.layer
    }
    each = 8 // group

    def normalised(kernel, name):
        mean, variance, factor = stored[f"{name}_bn"]
        gamma, beta = stored[f"{name}_scale"]
        sigma = np.sqrt(variance / factor + np.float64(np.float32(1e-5)))
        ratio = gamma / sigma
        return kernel * ratio[:, None, None, None], beta - mean / factor * ratio

    identity = np.zeros((8, each, 3, 3))
    identity[np.arange(8), np.arange(8) % each, 1, 1] = 1
    padded = np.pad(stored["b/1x1"][0].reshape(8, each, 1, 1), ((0, 0), (0, 0), (1, 1), (1, 1)))
    parts = [
        normalised(stored["b/3x3"][0].reshape(8, each, 3, 3), "b/3x3"),
        normalised(padded, "b/1x1"),
        normalised(identity, "b/id"),
    ]
    weight, bias = (sum(part[i] for part in parts) for i in (0, 1))
    found = merge_model(tmp_path, net).blobs("b/3x3")
    np.testing.assert_allclose(found[0], weight.ravel(), rtol=2e-7, atol=1e-12)
    np.testing.assert_allclose(found[1], bias, rtol=2e-7, atol=1e-12)


# ---------------------------------------------------------------- kernels and where they meet

SETS = {
    "3x3 + 1x1 + the value itself": ([(3, 3), (1, 1)], True, (3, 3)),
    "ACNet: 3x3 + 1x3 + 3x1": ([(3, 3), (1, 3), (3, 1)], False, (3, 3)),
    "several of the same size": ([(3, 3), (3, 3), (3, 3)], True, (3, 3)),
    "1x1 + 1x1 + the value itself": ([(1, 1), (1, 1)], True, (1, 1)),
    "5x5 + 3x3 + 1x5 + 1x1": ([(5, 5), (3, 3), (1, 5), (1, 1)], True, (5, 5)),
    "the widest is not square": ([(1, 1), (5, 3), (1, 3)], False, (5, 3)),
    "none covers the others": ([(1, 3), (3, 1), (3, 1), (1, 3), (3, 3)], False, (3, 3)),
    "one kernel and the value itself": ([(3, 3)], True, (3, 3)),
}


@pytest.mark.parametrize("name", SETS)
def test_kernels_of_many_sizes(name, tmp_path, runtime):
    sizes, identity, kernel = SETS[name]
    net = start()
    tops = [conv(net, f"c{i}", size, bias=i != 1) for i, size in enumerate(sizes)]
    add(net, *tops, *(["x"] if identity else []))
    merged = merges_all(tmp_path, runtime, net)
    assert list(kernels(merged).values()) == [kernel]


def test_the_first_of_the_widest_convolutions_survives(tmp_path):
    net = start()
    for name, size in (("a", (1, 1)), ("b", (3, 3)), ("c", (3, 3))):
        conv(net, name, size)
    merged = merge_model(tmp_path, add(net, "c", "a", "b"))
    assert list(kernels(merged)) == ["b"]


def test_kernels_of_even_length_meet_by_their_padding(tmp_path, runtime):
    net = start((2, 8, 10, 10))
    conv(net, "four", (4, 4), words="pad: 1 stride: 2")
    conv(net, "two", (2, 2), words="stride: 2")
    merged = merges_all(tmp_path, runtime, add(net, "four", "two"))
    assert kernels(merged) == {"four": (4, 4)}


def test_kernels_that_overlap_in_part_make_a_larger_one(tmp_path, runtime):
    # At stride 3 on nine rows both give three; one begins a row further up than the other.
    net = start((2, 8, 9, 9))
    conv(net, "a", (3, 3), words="pad: 1 stride: 3")
    conv(net, "b", (3, 3), words="pad: 0 stride: 3")
    merged = merges_all(tmp_path, runtime, add(net, "a", "b"))
    assert kernels(merged) == {"a": (4, 4)}


def test_a_kernel_that_grows_along_an_axis_needs_the_dilation_written_there(tmp_path, runtime):
    net = start((2, 8, 7, 7))
    conv(net, "a", (1, 1), words="stride: 3 dilation: 2")
    conv(net, "b", (1, 1), words="stride: 3 pad_h: 1 pad_w: 0")
    merged = merges_all(tmp_path, runtime, add(net, "a", "b"))
    assert kernels(merged) == {"a": (2, 1)}
    assert "kernel_size: 2 kernel_size: 1" in merged.text


@pytest.mark.parametrize(
    "words",
    ["pad: 2 dilation: 2", "pad_h: 2 pad_w: 4 dilation: 2 dilation: 4", "stride: 2 pad: 1"],
)
def test_dilation_and_stride(words, tmp_path, runtime):
    net = start()
    conv(net, "wide", words=words)
    conv(net, "wider", words=words)
    stride = "stride: 2" if "stride" in words else ""
    conv(net, "point", (1, 1), words=stride)
    merges_all(tmp_path, runtime, add(net, "wide", "point", "wider"))


def test_dilations_need_agree_only_where_both_kernels_have_taps_to_spread(tmp_path, runtime):
    net = start()
    conv(net, "row", (1, 3), words="pad_h: 0 pad_w: 1 dilation: 1")
    conv(net, "column", (3, 1), words="pad_h: 2 pad_w: 0 dilation: 2")
    conv(net, "square", words="pad_h: 2 pad_w: 1 dilation: 2 dilation: 1")
    merged = merges_all(tmp_path, runtime, add(net, "row", "column", "square", "x"))
    assert kernels(merged) == {"square": (3, 3)}


def test_one_axis_and_three_axes(tmp_path, pycaffe):
    net = start((2, 4, 9))
    net.conv("c", "x", 4, "kernel_size: 3", spatial=(3,), words="pad: 1")
    net.conv("d", "x", 4, "kernel_size: 1", spatial=(1,))
    add(net, "c", "d", "x")
    net.layer(
        'name: "y" type: "Reshape" bottom: "data" top: "y" reshape_param {\n'
        "  shape { dim: 0 dim: 2 dim: 2 dim: 3 dim: 3 } }"
    )
    net.channels["y"] = 2
    net.conv(
        "e",
        "y",
        2,
        "kernel_size: 3 kernel_size: 1 kernel_size: 3",
        spatial=(3, 1, 3),
        words="pad: 1 pad: 0 pad: 1",
    )
    net.conv("f", "y", 2, "kernel_size: 3", spatial=(3, 3, 3), words="pad: 1")
    add(net, "e", "f", "y", top="volume")
    merged = merges_all(tmp_path, pycaffe, net, convolutions=2)
    assert kernels(merged) == {"c": (3,), "f": (3, 3, 3)}


# ---------------------------------------------------------------- what is added, and how


@pytest.mark.parametrize("words", ["coeff: 2 coeff: -0.5 coeff: 0.25", "coeff: [0, 1, -1]"])
def test_coefficients(words, tmp_path, runtime):
    net = start()
    conv(net, "a")
    conv(net, "b", (1, 1))
    engines = None if "[" not in words else ("pycaffe",)
    merges_all(tmp_path, runtime, add(net, "a", "b", "x", words=words), engines=engines)


def test_the_same_input_twice(tmp_path, pycaffe):
    net = start()
    conv(net, "a")
    conv(net, "b", (1, 1))
    merges_all(tmp_path, pycaffe, add(net, "a", "b", "x", "b", "x", "a"))


def test_lone_scale_bias_and_power_are_branches(tmp_path, runtime):
    net = start()
    conv(net, "a", bias=False)
    net.scale("s", "x", "s").batch_norm("n", "x", "n")
    net.layer('name: "p" type: "Power" bottom: "x" top: "p" power_param { scale: -3 shift: 0.5 }')
    merged = merges_all(tmp_path, runtime, add(net, "a", "s", "n", "p"))
    assert [len(merged.blobs("a")), count(merged, "Power")] == [2, 0]
    fates = {o.layer: (o.fate, o.into) for o in merged.report.plan.outcomes}
    assert fates["n"] == (bnfold.Fate.FOLDED, ("a",))


def test_no_bias_appears_where_no_branch_has_one(tmp_path, runtime):
    net = start()
    conv(net, "a", bias=False)
    conv(net, "b", (1, 1), bias=False)
    merged = merges_all(tmp_path, runtime, add(net, "a", "b", "x"))
    assert len(merged.blobs("a")) == 1
    assert "bias_term: false" in merged.text


def test_groups_of_different_number_where_that_is_no_more_work(tmp_path, runtime):
    net = start()
    conv(net, "dense")
    conv(net, "halves", group=2)
    conv(net, "each", (1, 1), group=8)
    merged = merges_all(tmp_path, runtime, add(net, "each", "halves", "dense", "x"))
    assert "group" not in merged.text


def test_branches_in_groups_that_only_coarser_groups_hold(tmp_path, runtime):
    # 4 and 6 groups of 12 channels are parted alike in 2; the 1x1 in 6 is then no extra work.
    net = start((2, 12, 5, 5))
    conv(net, "a", group=2)
    conv(net, "b", (1, 1), group=4)
    conv(net, "c", (3, 3), group=6)
    merged = merges_all(tmp_path, runtime, add(net, "c", "b", "a"))
    assert kernels(merged) == {"a": (3, 3)}
    assert "group: 2" in merged.text


def test_depthwise_type_of_a_fork(tmp_path):
    net = start()
    conv(net, "a", kind="ConvolutionDepthwise", group=8)
    conv(net, "b", (1, 1), group=8)
    merged = merge_model(tmp_path, add(net, "b", "a", "x"))
    assert kernels(merged) == {"a": (3, 3)}
    assert "ConvolutionDepthwise" in merged.text


def test_some_inputs_merge_and_others_stay(tmp_path, runtime):
    net = start()
    conv(net, "a")
    conv(net, "b", (1, 1))
    net.layer('name: "t" type: "TanH" bottom: "x" top: "t"')
    net.channels["t"] = 8
    net.relu("u", "t", "u")
    add(net, "u", "b", "t", "a", words="coeff: 0.5 coeff: -1 coeff: 2 coeff: 3")
    merged = merge_model(tmp_path, net)
    assert 'bottom: "u" bottom: "t" bottom: "a" top: "sum"' in " ".join(merged.text.split())
    assert "coeff: 0.5 coeff: 2 coeff: 1" in merged.text
    assert_same_function(runtime, merged)


def test_what_a_sum_says_of_each_bottom_goes_with_them(tmp_path, pycaffe):
    net = start()
    conv(net, "a")
    conv(net, "b", (1, 1))
    net.relu("u", "x", "u")
    net.layer(
        'name: "sum" type: "Eltwise" bottom: "a" bottom: "b" bottom: "u" top: "sum"\n'
        "  propagate_down: true propagate_down: true propagate_down: false"
    )
    merged = merge_model(tmp_path, net)
    assert 'bottom: "a" bottom: "u"' in merged.text
    assert_same_function(pycaffe, merged)


def test_two_sets_of_branches_in_one_sum(tmp_path, runtime):
    net = start()
    net.relu("y", "data", "y")
    for name, bottom, size in (("a", "x", (3, 3)), ("b", "y", (1, 1)), ("c", "x", (1, 1))):
        conv(net, name, size, bottom=bottom)
    merged = merge_model(tmp_path, add(net, "a", "b", "c", "y"))
    assert 'bottom: "a" bottom: "b" top: "sum"' in merged.text
    assert_same_function(runtime, merged)


def test_sums_of_sums_merge_from_the_inside(tmp_path, runtime):
    net = start()
    for i, size in enumerate([(3, 3), (1, 3), (1, 1)]):
        conv(net, f"c{i}", size)
    add(net, "c0", "c1", top="inner")
    merges_all(tmp_path, runtime, add(net, "c2", "inner", "x"))


def test_batch_norm_behind_the_sum_goes_into_what_the_branches_became(tmp_path, runtime):
    # In front of the merge it cannot pass: one of the branches is the value itself.
    net = start()
    conv(net, "a")
    conv(net, "b", (1, 1))
    add(net, "a", "b", "x").batch_norm("n", "sum").scale("s", "sum")
    merged = merges_all(tmp_path, runtime, net)
    assert count(merged, "Scale") == 0


def test_values_that_in_place_layers_write(tmp_path, runtime):
    net = start()
    net.relu("again", "x").scale("shifted", "x")
    conv(net, "a")
    net.batch_norm("a_bn", "a").scale("a_scale", "a")
    conv(net, "b", (1, 1))
    net.batch_norm("b_bn", "b", "b_bn").scale("b_scale", "b_bn")
    add(net, "a", "b_bn", "x").relu("last", "sum").relu("result", "sum", "result")
    merged = merge_model(tmp_path, net)
    assert (count(merged, "Convolution"), count(merged, "Eltwise")) == (1, 0)
    assert_same_function(runtime, merged)


def test_each_input_is_read_for_the_value_that_others_share(tmp_path, runtime):
    # 'a' is a convolution of 'x', but what is parallel to it is a convolution of 'a'.
    net = start()
    conv(net, "a")
    conv(net, "b", (3, 3), bottom="a")
    merged = merges_all(tmp_path, runtime, add(net, "a", "b"), convolutions=2)
    assert kernels(merged) == {"b": (3, 3)}
