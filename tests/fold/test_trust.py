"""What one rewrite must not look through, none may: a table of all layer types, and each rewrite.

A layer with a field that only a fork has, or with a phase of its own, may compute anything. Each
type of the table stands in networks that would be rewritten without it, and they must stay as they
are, to the byte.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from folding import Merged, assert_same_function, merge_model
from models import Model

import bnfold
from bnfold.graph import LAYER_TYPES

TYPES = {name: kind for name, kind in LAYER_TYPES.items() if kind.is_understood}
DEPTHWISE_TYPES = {name for name, kind in TYPES.items() if kind.is_depthwise}

C = 4
RNG = np.random.default_rng(11)


def filters(*shape: int) -> list[np.ndarray]:
    """A weight whose filter 2 is zero, and a bias."""
    weight = RNG.normal(0, 1, shape)
    weight[2] = 0
    return [weight, RNG.normal(0, 1, C)]


VECTOR = RNG.uniform(0.5, 1.5, C)
STATISTICS = [VECTOR, VECTOR, np.ones(1)]

WORDS: dict[str, str] = {
    **dict.fromkeys(["Convolution", "Deconvolution"], f"num_output: {C} kernel_size: 1"),
    **dict.fromkeys(sorted(DEPTHWISE_TYPES), f"num_output: {C} kernel_size: 1"),
    "InnerProduct": f"num_output: {C}",
    "Pooling": "pool: AVE kernel_size: 2",
    "Clip": "min: -1 max: 1",
    "Crop": "axis: 2",
    "Flatten": "axis: 2",
    "PriorBox": "min_size: 3",
    "Reshape": "shape { dim: 0 dim: 0 dim: -1 }",
    "Scale": "bias_term: true",
    "Tile": "axis: 2 tiles: 2",
}
"""What the parameters of a type say, where it needs some."""

BLOBS: dict[str, list[np.ndarray]] = {
    **dict.fromkeys(["Convolution", "Deconvolution"], filters(C, C, 1, 1)),
    **dict.fromkeys(sorted(DEPTHWISE_TYPES), filters(C, 1, 1, 1)),
    "InnerProduct": filters(C, C * 36),
    "PReLU": [VECTOR],
    "BatchNorm": STATISTICS,
    "BN": [VECTOR, VECTOR, VECTOR, VECTOR],
    "Scale": [VECTOR, VECTOR],
    "Bias": [VECTOR],
}

WAYS = ("a field of a layer", "a field of its parameters", "a phase of its own")


def put(net: Model, kind: str, bottoms: str, way: str) -> Model:
    """The layer `x` of a type, with what makes it one that nobody knows."""
    message = next(iter(TYPES[kind].params), "")
    words = WORDS.get(kind, "")
    outer = {WAYS[0]: "quantised: true", WAYS[2]: "phase: TRAIN"}.get(way, "")
    if way == WAYS[1]:
        words += " fork_mode: 1"
    inner = f"{message} {{ {words} }}" if message else ""
    bottoms = bottoms if kind in ("Eltwise", "Concat", "Axpy", "Crop") else bottoms.split()[0]
    read = " ".join(f'bottom: "{bottom}"' for bottom in bottoms.split())
    net.layer(f'name: "x" type: "{kind}" {read} top: "x" {outer} {inner}', "x", BLOBS.get(kind, ()))
    net.channels["x"] = C * (len(bottoms.split()) if kind == "Concat" else 1)
    return net


def zeroed(net: Model, name: str, channel: int = 1) -> Model:
    """Make a filter of a convolution zero."""
    (record,) = (r for r in net.net.layer if r.name == name)
    weight = np.array(record.blobs[0].data).reshape(tuple(record.blobs[0].shape.dim))
    weight[channel] = 0
    record.blobs[0].data[:] = weight.ravel().tolist()
    return net


def start() -> Model:
    return Model(seed=3).input("data", (1, C, 6, 6))


def behind_convolutions(kind: str, way: str) -> Model:
    net = start().conv("c", "data", C, 1).conv("e", "data", C, 1)
    return put(net, kind, "c e", way).scale("s", "x", "s", positive=True, bias=False)


def in_front_of_a_convolution(kind: str, way: str) -> Model:
    net = start().scale("s", "data", "s", positive=True, bias=False).plain("TanH", "t", "data")
    return put(net, kind, "s t", way).conv("d", "x", C, 1)


def behind_a_dead_channel(kind: str, way: str) -> Model:
    net = zeroed(zeroed(start().conv("c", "data", C, 1).conv("e", "data", C, 1), "c"), "e")
    return put(net, kind, "c e", way).conv("d", "x", C, 1)


def between_activations(kind: str, way: str) -> Model:
    net = start().plain("TanH", "t", "data").plain("TanH", "u", "data")
    net = put(net, kind, "t u", way).plain("TanH", "end", "x")
    return net.conv("d", "end", C, 1)


def beside_a_convolution(kind: str, way: str) -> Model:
    net = put(start().conv("e", "data", C, 1), kind, "data data", way)
    return net.plain("Eltwise", "sum", "e x")


NETS = (
    behind_convolutions,
    in_front_of_a_convolution,
    behind_a_dead_channel,
    between_activations,
    beside_a_convolution,
)


def side_by_side(nets: Sequence[Model]) -> Model:
    """One network of several that have nothing to do with each other."""
    whole = Model()
    for number, net in enumerate(nets):
        for text in net.texts[1:]:
            whole.texts.append(re.sub(r'\b(name|bottom|top): "', rf'\1: "{number}/', text))
        for record in net.net.layer:
            whole.net.layer.add().CopyFrom(record)
            whole.net.layer[-1].name = f"{number}/{record.name}"
    return whole


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", sorted(set(TYPES) - {"Input"}))
def test_nothing_is_rewritten_around_a_layer_that_may_compute_anything(kind, way, tmp_path):
    if way == WAYS[1] and not TYPES[kind].params:
        pytest.skip("the type has no parameters")
    net = side_by_side([build(kind, way) for build in NETS])
    merged = merge_model(tmp_path, net, engine_caffe=False, concat_branches=True)
    assert merged.text == net.text
    assert merged.net == net.net


REWRITTEN: dict[Callable[[str, str], Model], str] = {
    behind_convolutions: "Dropout Split ReLU PReLU Pooling Concat Eltwise Reshape Flatten "
    "BatchNorm BN Scale Bias Convolution Deconvolution InnerProduct DepthwiseConvolution",
    in_front_of_a_convolution: "Dropout Split ReLU PReLU Pooling Reshape Flatten BatchNorm BN "
    "Scale Bias Convolution Deconvolution InnerProduct DepthwiseConvolution",
    behind_a_dead_channel: "AbsVal BNLL ELU Sigmoid TanH Swish ReLU PReLU Dropout Pooling Split "
    "Concat Eltwise Crop BatchNorm BN Scale Bias Power Convolution Deconvolution InnerProduct "
    "DepthwiseConvolution ReLU6 Mish SiLU HSwish SELU Softplus Clip Exp",
    between_activations: "BatchNorm BN Power",
    beside_a_convolution: "Convolution Scale BatchNorm",
}


@pytest.mark.parametrize(
    ("build", "kind"),
    [(build, kind) for build, kinds in REWRITTEN.items() for kind in kinds.split()],
)
def test_without_it_the_same_networks_are_rewritten(build, kind, tmp_path):
    net = build(kind, "")
    merged = merge_model(tmp_path, net, engine_caffe=False, concat_branches=True)
    assert merged.text != net.text


@pytest.mark.parametrize("way", WAYS)
def test_engine_of_a_convolution_that_may_compute_anything_stays(way, tmp_path):
    net = put(start(), "Convolution", "data", way)
    assert merge_model(tmp_path, net).text == net.text


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["ReLU", "Dropout", "Pooling", "Eltwise", "Concat", "Convolution"])
def test_no_channel_is_pruned_in_front_of_a_layer_that_may_compute_anything(kind, way, tmp_path):
    net = start().conv("c", "data", C, 1).batch_norm("b", "c").scale("s", "c")
    put(net.conv("e", "data", C, 1), kind, "c e", way).conv("d", "x", C, 1)
    with pytest.raises(bnfold.BnfoldError, match="cannot be removed"):
        bnfold.prune(*net.save(tmp_path), channels={"s": [1]}, round_to=1)


# ---------------------------------------------------------------- as Caffe computes them


def respelled(merged: Merged, old: str, new: str) -> Merged:
    """Both networks with words that only a fork has said in words that Caffe has."""
    for path in (merged.before[0], merged.after[0]):
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
    return merged


def test_dropout_of_a_fork_that_scales_in_phase_test(tmp_path, pycaffe):
    net = zeroed(start().conv("c", "data", C, 1), "c")
    net.plain("Dropout", "x", "c", words="dropout_param { scale_train: false }")
    merged = merge_model(tmp_path, net.conv("d", "x", C, 1))
    respelled(merged, "dropout_param { scale_train: false }", "power_param { scale: 0.5 }")
    assert_same_function(pycaffe, respelled(merged, '"Dropout"', '"Power"'))


@pytest.mark.parametrize(
    ("kind", "word"), [("Convolution", "relu: true"), ("Eltwise", "fuse_relu: true")]
)
def test_activation_that_a_fork_applies_within_a_layer(kind, word, tmp_path, pycaffe):
    # The constant is below zero, so it is zero behind the ReLU.
    net = start().conv("c", "data", C, 1).conv("e", "data", C, 1)
    if kind == "Convolution":
        net.conv("x", "c", C, 1, words=word)
    else:
        net.plain("Eltwise", "x", "c e", words=f"eltwise_param {{ {word} }}")
    for name in ["x"] if kind == "Convolution" else ["c", "e"]:
        zeroed(net, name)
        (record,) = (r for r in net.net.layer if r.name == name)
        record.blobs[1].data[1] = -1
    merged = merge_model(tmp_path, net.conv("d", "x", C, 1))
    respelled(merged, word, "")
    respelled(merged, 'bottom: "x"', 'bottom: "y"')
    relu = 'layer { name: "y" type: "ReLU" bottom: "x" top: "y" }\n'
    last = 'layer {\n  name: "d"'
    assert_same_function(pycaffe, respelled(merged, last, relu + last))


def test_average_over_padding_that_only_a_fork_can_say(tmp_path, pycaffe):
    net = zeroed(start().conv("c", "data", C, 1), "c")
    words = "pooling_param { pool: AVE kernel_size: 3 pad_mode: SAME }"
    net.plain("Pooling", "x", "c", words=words).conv("d", "x", C, 1)
    merged = merge_model(tmp_path, net)
    assert_same_function(pycaffe, respelled(merged, "pad_mode: SAME", "pad: 1"))


def test_dropout_with_a_phase_of_its_own_takes_no_channel_for_constant(tmp_path):
    # It drops values at random, so that no two runs are alike.
    net = zeroed(start().conv("c", "data", C, 1), "c")
    net.plain("Dropout", "x", "c", words="phase: TRAIN").conv("d", "x", C, 1)
    assert merge_model(tmp_path, net, engine_caffe=False).text == net.text


def test_a_choice_that_only_a_fork_has_leaves_its_layer_alone_and_no_other(tmp_path):
    net = start().conv("c", "data", C, 1).batch_norm("b", "c").conv("e", "data", C, 1)
    net.layer(
        'name: "x" type: "Eltwise" bottom: "c" bottom: "e" top: "x" '
        "eltwise_param { operation: DIFF }"
    )
    net.channels["x"] = C
    net.scale("s", "x", "s", bias=True)
    merged = merge_model(tmp_path, net)
    assert "b" in merged.folded
    assert "operation: DIFF" in merged.reasons["s"].text
