"""Layers that share their weights by `param` name fold alike, or not at all."""

from __future__ import annotations

import numpy as np
import pytest
from folding import merge_model

from ..networks import start

# OpenCV passes over the names and reads each layer's own copy, of which all are the same.
W = 'param { name: "w" }'
WB = 'param { name: "w" } param { name: "bias" }'


def record(net, name):
    return next(r for r in net.net.layer if r.name == name)


def copied(net, source, target, *places):
    """Give blobs of one layer's record the numbers of another's."""
    for place in places:
        record(net, target).blobs[place].CopyFrom(record(net, source).blobs[place])
    return net


def twins(outer, bias=True, **words):
    """Two convolutions of one input and one weight (and bias)."""
    net = start().plain("Sigmoid", "other", "data")
    net.conv("c", "data", 5, outer=outer, bias=bias, **words)
    net.conv("d", "other", 5, outer=outer, bias=bias, **words)
    return copied(net, "c", "d", *range(2 if outer == WB else 1))


@pytest.mark.parametrize("outer", [W, WB])
@pytest.mark.parametrize("bias", [True, False])
def test_same_run_behind_each_goes_into_the_shared_weight_once(outer, bias, merger):
    if outer == WB and not bias:
        outer = W
    net = (
        twins(outer, bias).batch_norm("b", "c").scale("s", "c").batch_norm("e", "d").scale("t", "d")
    )
    copied(net, "b", "e", 0, 1, 2)
    copied(net, "s", "t", 0, 1)
    merged = merger(net, dict.fromkeys("best", "folded"))
    np.testing.assert_array_equal(merged.blobs("c")[0], merged.blobs("d")[0])
    assert merged.outcome("t").into == ("d",)


def test_different_shifts_go_into_biases_of_their_own(merger):
    net = twins(W).scale("s", "c").scale("t", "d")
    merger(copied(net, "s", "t", 0), {"s": "folded", "t": "folded"})


def test_different_shifts_do_not_go_into_a_shared_bias(merger):
    net = twins(WB).scale("s", "c").scale("t", "d")
    merged = merger(copied(net, "s", "t", 0), {"s": "kept", "t": "kept"})
    assert merged.reasons["s"].code == "shared-weights"


def test_bias_that_would_be_shared_if_there_were_one(merger):
    # The second name has no blob yet; a bias each would make it one blob for two shifts.
    # Caffe does not load names without blobs, but OpenCV does, and forks may.
    net = start().plain("Sigmoid", "other", "data")
    net.conv("c", "data", 5, outer=WB, bias=False).conv("d", "other", 5, outer=WB, bias=False)
    copied(net, "c", "d", 0).scale("s", "c").scale("t", "d")
    copied(net, "s", "t", 0)
    merger(net, {"s": "kept", "t": "kept"}, engines=("opencv",))


def test_different_scales_do_not_go_into_a_shared_weight(merger):
    net = twins(W).scale("s", "c", bias=False).scale("t", "d", bias=False)
    record(net, "t").blobs[0].data[0] += 0.5
    merged = merger(net, {"s": "kept", "t": "kept"})
    assert merged.reasons["s"].code == "shared-weights"
    assert "Convolution layer 'd'" in merged.reasons["s"].text


def test_sharer_that_no_run_follows_keeps_the_weight_from_all(merger):
    net = twins(W).scale("s", "c")
    merged = merger(net, {"s": "kept"})
    assert merged.reasons["s"].code == "shared-weights"


def test_sharer_of_the_other_phase_keeps_the_weight_from_all(tmp_path):
    net = start().conv("c", "data", 5, outer=W).scale("s", "c")
    net.layer(
        f'name: "d" type: "Convolution" bottom: "data" top: "d" {W} include {{ phase: TRAIN }}\n'
        "  convolution_param { num_output: 5 kernel_size: 3 }"
    )
    assert merge_model(tmp_path, net).reasons["s"].code == "shared-weights"


def test_copies_that_differ_in_the_file_are_left_alone(tmp_path):
    net = twins(W).scale("s", "c").scale("t", "d")
    copied(net, "s", "t", 0, 1)
    record(net, "d").blobs[0].data[0] += 1
    assert merge_model(tmp_path, net).fates == {"s": "kept", "t": "kept"}


def test_sharer_of_which_the_file_has_no_copy_is_left_alone(tmp_path):
    net = twins(W).scale("s", "c").scale("t", "d")
    copied(net, "s", "t", 0, 1)
    net.net.layer.remove(record(net, "d"))
    assert merge_model(tmp_path, net).fates == {"s": "kept", "t": "kept"}


def test_matrix_that_one_layer_reads_turned_is_left_alone(merger):
    # What scales the rows for the one scales the columns for the other.
    net = start((2, 6)).plain("Sigmoid", "other", "data")
    net.inner_product("c", "data", 6, 6, outer=W, bias=False)
    net.inner_product("d", "other", 6, 6, outer=W, bias=False, transpose=True)
    copied(net, "c", "d", 0).scale("s", "c", bias=False).scale("t", "d", bias=False)
    merger(copied(net, "s", "t", 0), {"s": "kept", "t": "kept"}, engines=("pycaffe",))


def test_deconvolutions_of_different_groups_are_left_alone(merger):
    net = start().plain("Sigmoid", "other", "data")
    deconvolution = {"kind": "Deconvolution", "outer": W, "bias": False}
    net.conv("c", "data", 2, **deconvolution).conv("d", "other", 4, group=2, **deconvolution)
    copied(net, "c", "d", 0).scale("s", "c", bias=False).scale("t", "d", bias=False)
    merger(net, {"s": "kept", "t": "kept"})


def test_batch_norms_that_share_their_statistics_fold_each_into_its_own(merger):
    named = " ".join(f'param {{ name: "bn{i}" }}' for i in range(3))
    net = start().conv("c", "data", 5).batch_norm("b", "c", outer=named)
    net.conv("d", "data", 5).batch_norm("e", "d", outer=named)
    merger(copied(net, "b", "e", 0, 1, 2), {"b": "folded", "e": "folded"})


def test_shared_weights_need_numbers_to_tell(tmp_path):
    import bnfold

    net = twins(W).scale("s", "c").scale("t", "d")
    model, _ = copied(net, "s", "t", 0, 1).save(tmp_path)
    fates = {o.layer: o.fate.value for o in bnfold.inspect(model).plan.outcomes}
    assert fates == {"s": "kept", "t": "kept"}
