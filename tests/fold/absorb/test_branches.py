"""A run behind branches that meet goes into every one of them, or stays where it is."""

from __future__ import annotations

import pytest
from folding import merge_model

from ..networks import start

CAFFE = ("pycaffe",)


def two(left=5, right=3):
    return start().conv("l", "data", left, 1).conv("r", "data", right, 1, bias=False)


def same():
    return two(5, 5)


# ---------------------------------------------------------------- Concat


@pytest.mark.parametrize(
    "words", ["", "concat_param { axis: -3 }", "concat_param { concat_dim: 1 }"]
)
def test_each_branch_of_a_concat_takes_its_slice(words, merger):
    net = two().concat("j", "l r", words).batch_norm("b", "j").scale("s", "j")
    merger.folds(net, "b", "s", into="l r", through="j")


def test_concats_of_concats_and_what_anything_passes(merger):
    net = two().concat("j", "l r")
    net.plain("Pooling", "p", "j", words="pooling_param { pool: AVE kernel_size: 3 }")
    net.plain("Pooling", "q", "data", words="pooling_param { pool: AVE kernel_size: 3 }")
    net.conv("t", "q", 2, 1).concat("k", "p t")
    merger.folds(net.scale("s", "k"), "s", into="l r t", through="k p j")


def test_concat_on_another_axis_asks_each_branch_for_all_of_it(merger):
    net = same().concat("j", "l r", "concat_param { axis: 2 }")
    net.channels["j"] = 5
    merger.folds(net.batch_norm("b", "j"), "b", into="l r", through="j")


def test_concat_on_the_batch(merger):
    net = same().concat("j", "l r", "concat_param { axis: 0 }")
    net.channels["j"] = 5
    merger.folds(net.scale("s", "j"), "s", into="l r", through="j")


def test_one_branch_that_cannot_take_its_slice_keeps_all_from_it(merger):
    net = two().relu("q", "r").concat("j", "l r").batch_norm("b", "j")
    merger.refuses(net, "b", "sign-or-shift", "ReLU layer 'q'")


def test_branch_that_comes_from_the_input_takes_nothing(merger):
    net = start().conv("l", "data", 5, 1).concat("j", "l data").batch_norm("b", "j")
    merger.refuses(net, "b", "other-reader", "'data'")


def test_concat_that_joins_one_value_to_itself(merger):
    net = start().conv("l", "data", 5, 1).concat("j", "l l").scale("s", "j")
    merger.refuses(net, "s", "other-reader", "Concat layer 'j'")


def test_branch_whose_channels_nobody_knows(tmp_path):
    net = start().conv("l", "data", 5, 1).plain("Mystery", "m", "data").concat("j", "l m")
    merged = merge_model(tmp_path, net.scale("s", "j"))
    assert merged.reasons["s"].code == "unknown-shape"
    assert "each bottom brings to Concat layer 'j'" in merged.reasons["s"].text


def test_axis_from_the_end_of_a_value_of_unknown_rank(tmp_path):
    net = start().plain("Mystery", "m", "data").plain("Mystery", "n", "data")
    net.concat("j", "m n", "concat_param { axis: -3 }")
    merged = merge_model(tmp_path, net.scale("s", "j"))
    assert merged.reasons["s"].code == "unknown-shape"
    assert "axis that Concat layer 'j' joins" in merged.reasons["s"].text


def test_branches_may_be_runs_of_their_own(merger):
    net = start().plain("TanH", "t", "data").scale("s1", "t").conv("r", "data", 3, 1)
    net.concat("j", "t r").batch_norm("b", "j").plain("TanH", "end", "j")
    merged = merger(net, {"s1": "scale", "b": "folded"})
    assert merged.outcome("b").into == ("s1", "r")


# ---------------------------------------------------------------- Eltwise


def summed(net, words=""):
    return net.plain("Eltwise", "e", "l r", words=f"eltwise_param {{ operation: SUM {words} }}")


@pytest.mark.parametrize(
    "coefficients",
    ["", "coeff: 1 coeff: -1", "coeff: 0.25 coeff: 2", "coeff: 0 coeff: -0.5", "coeff: 2 coeff: 0"],
)
def test_both_terms_of_a_sum_take_the_scale_and_one_the_shift(coefficients, merger):
    net = summed(same(), coefficients).batch_norm("b", "e").scale("s", "e")
    merged = merger.folds(net, "b", "s", into="l r", through="e")
    # Of two convolutions, one had no bias and needs none, unless the shift is for it.
    second = coefficients.startswith("coeff: 0 ")
    assert merged.outcome("b").gains_bias == (("r",) if second else ())


def test_sum_of_nothing_takes_no_shift(merger):
    net = summed(same(), "coeff: 0 coeff: 0").scale("s", "e")
    merger.refuses(net, "s", "no-host", "coefficients", branches=False)


def test_both_bottoms_of_a_maximum_take_all_of_it(merger):
    net = same().plain("Eltwise", "e", "l r", words="eltwise_param { operation: MAX }")
    merger.folds(net.scale("s", "e", positive=True), "s", into="l r", through="e")


def test_negative_scale_does_not_pass_a_maximum(merger):
    net = same().plain("Eltwise", "e", "l r", words="eltwise_param { operation: MAX }")
    merger.refuses(net.scale("s", "e"), "s", "sign-or-shift", "Eltwise layer 'e'")


def test_nothing_passes_a_product(merger):
    net = same().plain("Eltwise", "e", "l r", words="eltwise_param { operation: PROD }")
    merger.refuses(net.scale("s", "e", bias=False), "s", "no-host", "multiplies")


def test_sum_of_a_value_that_goes_on_elsewhere(merger):
    net = summed(same()).relu("shortcut", "l", "shortcut").scale("s", "e")
    merger.refuses(net, "s", "other-reader", "'l'", "ReLU layer 'shortcut'")


def test_sum_of_a_value_with_itself(merger):
    net = start().conv("l", "data", 5, 1).plain("Eltwise", "e", "l l")
    merger.refuses(net.scale("s", "e"), "s", "other-reader", "Eltwise layer 'e'", branches=False)
