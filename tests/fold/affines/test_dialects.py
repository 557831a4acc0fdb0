"""Every way in which files write a per-channel affine function.

What no engine here has (BN, BatchNorm of four and five blobs) is compared with a network that has
a Scale in its place, whose numbers are computed from the formula, written once more in this test.
"""

from __future__ import annotations

import numpy as np
import pytest
from folding import Merged, assert_same_function, merge_model

import bnfold

from ..networks import start

CAFFE = ("pycaffe",)
C = 5
EPS = float(np.float32(1e-5))


def drawn(**vectors):
    """Vectors of a network's numbers: variances are positive, factors of either sign."""
    rng = np.random.default_rng(11)
    low = {"variance": 0.05, "inverse": 0.5}
    return {
        name: rng.uniform(low[kind], 2, C) if kind in low else rng.normal(0, 1, C)
        for name, kind in vectors.items()
    }


def affine_layer(kind, blobs, words=""):
    net = start().conv("c", "data", C)
    return net.layer(f'name: "b" type: "{kind}" bottom: "c" top: "c" {words}', "b", blobs)


def assert_computes(folder, pycaffe, net, scale, shift, **options):
    """Merged, the network computes what one with a Scale of these numbers does."""
    merged = merge_model(folder, net, **options)
    assert merged.fates == {"b": "folded"}
    (folder / "reference").mkdir()
    reference = affine_layer("Scale", [scale, shift], "scale_param { bias_term: true }")
    before = reference.save(folder / "reference")
    assert_same_function(pycaffe, Merged(merged.report, before, merged.after))


# ---------------------------------------------------------------- BatchNorm of forks


def test_four_blobs_are_statistics_and_a_scale(tmp_path, pycaffe):
    v = drawn(mean="", var="variance", gamma="")
    net = affine_layer("BatchNorm", [v["mean"] * 7, v["var"] * 7, np.array([7.0]), v["gamma"]])
    scale = v["gamma"] / np.sqrt(v["var"] + EPS)
    assert_computes(tmp_path, pycaffe, net, scale, -scale * v["mean"])


def test_five_blobs_are_statistics_a_scale_and_a_bias(tmp_path, pycaffe):
    v = drawn(mean="", var="variance", gamma="", beta="")
    blobs = [v["mean"] * 7, v["var"] * 7, np.array([7.0]), v["gamma"], v["beta"]]
    scale = v["gamma"] / np.sqrt(v["var"] + EPS)
    net = affine_layer("BatchNorm", blobs, "batch_norm_param { scale_bias: true }")
    assert_computes(tmp_path, pycaffe, net, scale, v["beta"] - scale * v["mean"])


def test_eps_is_never_below_1e_5_where_there_are_five_blobs(tmp_path, pycaffe):
    v = drawn(mean="", gamma="", beta="")
    var = np.full(C, 2e-5)
    blobs = [v["mean"], var, np.array([1.0]), v["gamma"], v["beta"]]
    scale = v["gamma"] / np.sqrt(var + EPS)
    net = affine_layer("BatchNorm", blobs, "batch_norm_param { eps: 1e-9 }")
    assert_computes(tmp_path, pycaffe, net, scale, v["beta"] - scale * v["mean"])


# ---------------------------------------------------------------- BN


@pytest.mark.parametrize("shape", [(C,), (1, C, 1, 1)])
@pytest.mark.parametrize(
    ("words", "eps"), [("", EPS), ("bn_param { eps: 0.125 frozen: true }", 0.125)]
)
def test_bn_of_slope_bias_mean_and_variance(shape, words, eps, tmp_path, pycaffe):
    v = drawn(slope="", bias="", mean="", var="variance")
    net = affine_layer("BN", [x.reshape(shape) for x in v.values()], words)
    scale = v["slope"] / np.sqrt(v["var"] + eps)
    assert_computes(tmp_path, pycaffe, net, scale, v["bias"] - scale * v["mean"])


def test_bn_of_slope_bias_mean_and_inverse_deviation_if_the_user_says_so(tmp_path, pycaffe):
    v = drawn(slope="", bias="", mean="", inverse="inverse")
    net = affine_layer("BN", list(v.values()))
    scale = v["slope"] * v["inverse"]
    shift = v["bias"] - scale * v["mean"]
    assert_computes(tmp_path, pycaffe, net, scale, shift, bn_dialect="inverse-std")


def test_bn_of_scale_and_shift_in_mode_inference(tmp_path, pycaffe):
    v = drawn(scale="", shift="")
    net = affine_layer("BN", list(v.values()), "bn_param { bn_mode: INFERENCE }")
    assert_computes(tmp_path, pycaffe, net, v["scale"], v["shift"])


def test_bn_of_two_blobs_uses_the_batch_unless_it_says_inference(tmp_path):
    merged = merge_model(tmp_path, affine_layer("BN", [np.ones(C), np.zeros(C)]))
    assert merged.fates == {"b": "kept"}
    assert merged.reasons["b"].code == "batch-statistics"
    assert "bn_mode: INFERENCE" in merged.reasons["b"].hint


@pytest.mark.parametrize(
    ("count", "words", "seen"),
    [
        (3, "", "it has 3 blobs"),
        (4, "bn_param { bn_mode: INFERENCE }", "bn_mode: INFERENCE but has 4 blobs"),
        (4, "bn_param { var_eps: 1e-10 }", "its bn_param has var_eps"),
    ],
)
def test_bn_of_an_unknown_dialect_is_refused_with_what_was_seen(count, words, seen, tmp_path):
    merged = merge_model(tmp_path, affine_layer("BN", [np.ones(C)] * count, words))
    assert merged.fates == {"b": "kept"}
    reason = merged.reasons["b"]
    assert reason.code == "unknown-dialect"
    assert seen in reason.text
    assert "--bn-dialect" in reason.hint
    assert merged.text == merged.before[0].read_text()


@pytest.mark.parametrize("field", ["scale_filler", "shift_filler"])
def test_fillers_that_only_the_dialect_that_learns_has_tell_it_without_weights(field, tmp_path):
    net = affine_layer("BN", [np.ones(C)] * 2, f"bn_param {{ {field} {{ value: 1 }} }}")
    merged = merge_model(tmp_path, net)
    planned = bnfold.inspect(merged.before[0]).plan.outcomes
    assert [(o.layer, o.fate.value, o.reason) for o in planned] == [
        ("b", "kept", merged.reasons["b"])
    ]
    assert merged.reasons["b"].code == "batch-statistics"


def test_fillers_of_one_dialect_beside_the_blobs_of_the_other(tmp_path):
    words = "bn_param { scale_filler { value: 1 } }"
    merged = merge_model(tmp_path, affine_layer("BN", [np.ones(C)] * 4, words))
    assert merged.reasons["b"].code == "unknown-dialect"
    assert "scale_filler but it has 4 blobs" in merged.reasons["b"].text


def test_bn_of_an_unknown_dialect_folds_once_the_user_says_which(tmp_path, pycaffe):
    v = drawn(slope="", bias="", mean="", var="variance")
    net = affine_layer("BN", list(v.values()), "bn_param { var_eps: 1 }")
    scale = v["slope"] / np.sqrt(v["var"] + EPS)
    shift = v["bias"] - scale * v["mean"]
    assert_computes(tmp_path, pycaffe, net, scale, shift, bn_dialect="variance")


@pytest.mark.parametrize("outer", ["", "phase: TRAIN "])
def test_bn_that_is_not_frozen_uses_the_batch_in_phase_train(outer, tmp_path):
    net = affine_layer("BN", [np.ones(C)] * 4, outer)
    merged = merge_model(tmp_path, net, phase="TEST" if outer else "TRAIN")
    assert merged.reasons["b"].code == "batch-statistics"


# ---------------------------------------------------------------- Bias, Power


@pytest.mark.parametrize(
    "words", ["", "bias_param { axis: 1 num_axes: 1 }", "bias_param { axis: -3 }"]
)
def test_bias_is_a_shift(words, merger):
    net = start().conv("c", "data", C, bias=False)
    net.layer(f'name: "b" type: "Bias" bottom: "c" top: "c" {words}', "b", [np.arange(1.0, 6)])
    merger.folds(net, "b", into="c", engines=CAFFE)


def test_bias_of_one_number_for_all(merger):
    net = start().conv("c", "data", C)
    words = "bias_param { num_axes: 0 }"
    net.layer(f'name: "b" type: "Bias" bottom: "c" top: "c" {words}', "b", [np.array(0.7)])
    merger.folds(net, "b", into="c", engines=CAFFE)


@pytest.mark.parametrize("words", ["scale: -2 shift: 0.3", "shift: 1.5", "scale: 0.5 power: 1"])
def test_power_of_one_is_a_scale_and_a_shift(words, merger):
    net = start().conv("c", "data", C).plain("Power", "p", "c", words=f"power_param {{ {words} }}")
    merger.folds(net, "p", into="c")


def test_power_of_two_is_no_affine_function(merger):
    net = start().conv("c", "data", C)
    net.plain("Power", "p", "c", words="power_param { power: 2 }").batch_norm("b", "p")
    merger.refuses(net, "b", "no-host", "Power layer 'p' is in the way")


# ---------------------------------------------------------------- axes

PER_CHANNEL = {
    "": (C,),
    "axis: 1": (C,),
    "axis: -3": (C,),
    "num_axes: 1": (C,),
    "axis: 1 num_axes: 1": (C,),
    "num_axes: 0": (),
}


@pytest.mark.parametrize("words", PER_CHANNEL)
@pytest.mark.parametrize("bias", [True, False])
def test_scale_of_channels_or_of_all_on_four_axes(words, bias, merger):
    rng = np.random.default_rng(5)
    blobs = [rng.normal(1, 1, PER_CHANNEL[words]) for _ in range(1 + bias)]
    biased = "bias_term: true" if bias else ""
    net = start().conv("c", "data", C)
    net.layer(
        f'name: "s" type: "Scale" bottom: "c" top: "c" scale_param {{ {words} {biased} }}',
        "s",
        blobs,
    )
    merger.folds(net, "s", into="c", engines=CAFFE)


@pytest.mark.parametrize("channels", [1, C])
@pytest.mark.parametrize("other", ["Bias", "Power", "Scale", "Bias of one number"])
@pytest.mark.parametrize("first", [True, False])
def test_scale_of_one_number_as_caffe_saves_it_in_a_run(first, other, channels, merger):
    net = start((2, channels, 4, 3)).plain("TanH", "t", "data")
    bottom = "t"
    for name in ["s", "o"] if first else ["o", "s"]:
        if name == "s":
            words, blobs = 'type: "Scale" scale_param { num_axes: 0 }', [np.array(-1.7)]
        elif other == "Power":
            words, blobs = 'type: "Power" power_param { scale: 2 shift: 1 }', []
        elif other == "Bias":
            words, blobs = 'type: "Bias"', [np.arange(1.0, channels + 1)]
        else:
            kind = other.split()[0]
            words = f'type: "{kind}" {kind.lower()}_param {{ num_axes: 0 }}'
            blobs = [np.array(0.6)]
        net.layer(f'name: "{name}" {words} bottom: "{bottom}" top: "{name}"', name, blobs)
        bottom = name
    for record in net.net.layer:
        for blob in record.blobs:
            if not blob.shape.dim:
                blob.ClearField("shape")
    net.channels[bottom] = channels
    merged = merge_model(merger.folder, net.plain("TanH", "end", bottom))
    assert sorted(merged.fates.values()) in (["merged", "scale"], ["scale"])
    if merger.runtime.name == "pycaffe":
        assert_same_function(merger.runtime, merged)


@pytest.mark.parametrize("words", ["", "axis: 1", "axis: -1", "num_axes: -1", "num_axes: 0"])
def test_scale_on_two_axes(words, merger):
    shape = () if "0" in words else (6,)
    net = start().inner_product("f", "data", 6, 252)
    net.layer(
        f'name: "s" type: "Scale" bottom: "f" top: "f" scale_param {{ {words} }}',
        "s",
        [np.random.default_rng(5).normal(1, 1, shape)],
    )
    merger.folds(net, "s", into="f", engines=CAFFE)


def test_scale_over_axes_of_length_one_behind_the_channels(merger):
    net = start().conv("c", "data", C)
    net.plain("Pooling", "p", "c", words="pooling_param { pool: AVE global_pooling: true }")
    net.layer(
        'name: "s" type: "Scale" bottom: "p" top: "p" scale_param { num_axes: -1 }',
        "s",
        [np.random.default_rng(5).normal(1, 1, (C, 1, 1))],
    )
    merger.folds(net, "s", into="c", through="p", engines=CAFFE)


def test_axis_from_the_end_of_a_value_of_unknown_shape(tmp_path):
    net = start().plain("Mystery", "m", "data").scale("s", "m", words="axis: -3")
    merged = merge_model(tmp_path, net)
    assert merged.fates == {"s": "kept"}
    assert merged.reasons["s"].code == "unknown-shape"
    assert "axis: 1" in merged.reasons["s"].hint


def test_bias_along_the_rows_is_not_per_channel(merger):
    net = start().conv("c", "data", C)
    words = "bias_param { axis: 2 }"
    net.layer(f'name: "b" type: "Bias" bottom: "c" top: "c" {words}', "b", [np.arange(7.0)])
    merged = merger(net, {"b": "kept"}, engines=CAFFE)
    assert merged.reasons["b"].code == "not-per-channel"


@pytest.mark.parametrize("kind", ["BatchNorm", "Scale"])
def test_vectors_and_maps_are_normalised_alike(kind, merger):
    net = start((2, 6)).inner_product("f", "data", 5, 6)
    add = net.batch_norm if kind == "BatchNorm" else net.scale
    merger.folds(add("b", "f"), "b", into="f", engines=CAFFE)


def test_files_that_do_not_belong_together_are_an_error(tmp_path):
    net = start().conv("c", "data", C).scale("s", "c")
    net.channels["c"] = 3
    with pytest.raises(ValueError, match=r"numbers for 5 channels, .* for 3"):
        merge_model(tmp_path, net.batch_norm("b", "c"))
