"""Whatever `merge` writes is proved."""

from __future__ import annotations

import shutil

import pytest
from conftest import EXAMPLE
from fold.branches.branching import small_rep_vgg
from fold.networks import BUILDERS
from models import Model

import bnfold

from .pairs import Pair

OPTIONS = [{}, {"tidy": True}, {"collapse": False}, {"concat_branches": True, "tidy": True}]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("name", BUILDERS)
def test_every_fold_is_proved(tmp_path, name, options):
    proof = Pair.merged(tmp_path, BUILDERS[name](), **options).prove()
    assert proof.failure == ""
    assert proof.deviation <= 0.5 + 1e-6


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_branches_are_proved(tmp_path, options):
    assert Pair.merged(tmp_path, small_rep_vgg(), **options).prove().failure == ""


def test_a_network_is_itself(tmp_path):
    net = BUILDERS["a_longer_run"]()
    proof = Pair.of(tmp_path, net, net).prove()
    assert proof.verdict is bnfold.Verdict.PROVED
    assert proof.deviation == 0


def test_the_certificate_counts_every_number_of_the_folded_network(tmp_path):
    folder = shutil.copytree(EXAMPLE, tmp_path / "digits")
    pair = folder / "deploy.prototxt", folder / "digits.caffemodel"
    report = bnfold.merge(*pair)
    proof = bnfold.prove(*pair)
    assert proof.coefficients == report.after.parameters
    assert proof.lines() == [
        "proved: 4 convolutions, 2 inner products, 18,258 coefficients, largest deviation 0.50 ulp"
    ]
    assert [layer.name for layer in proof.layers] == [
        *("data", "conv1", "conv1/relu", "conv2", "conv2/relu", "conv3", "conv3/relu", "pool3"),
        *("conv4", "conv4/relu", "fc5", "fc5/relu", "drop5", "fc6", "prob"),
    ]


def test_options_of_the_merge_are_those_of_the_proof(tmp_path):
    pair = Pair.merged(tmp_path, BUILDERS["batch_norm_alone"](), eps=1e-3)
    assert pair.prove().verdict is bnfold.Verdict.BROKEN
    assert pair.prove(eps=1e-3).proved


@pytest.mark.parametrize(
    "steps",
    [
        {"input_mean": (1.0, 2.0, 3.0)},
        {"input_mean": 0.3, "input_scale": 0.017, "input_swap": True},
        {"input_swap": True, "input_blob": "data"},
    ],
    ids=str,
)
@pytest.mark.parametrize("words", ["", "pad: 1"])
def test_preprocessing_in_the_network_is_proved(tmp_path, steps, words):
    net = Model(seed=4).input("data", (1, 3, 9, 8)).conv("c", "data", 5, words=words)
    net.batch_norm("b", "c").relu("r", "c").conv("d", "c", 4, 1)
    pair = Pair.merged(tmp_path, net, **steps)
    assert pair.prove(**steps).failure == ""
    assert not pair.prove().proved


FORMS = {
    "depthwise": ("DepthwiseConvolution", {"depthwise_as": "convolution"}),
    "relu6": ("ReLU6", {"portable": "warn"}),
    "clip": ("Clip", {"portable": "warn"}),
    "hswish": ("HSwish", {"portable": "warn"}),
    "swish": ("Swish", {"portable": "warn"}),
    "mish": ("Mish", {"portable": "warn"}),
    "selu": ("SELU", {"portable": "warn"}),
    "upsample": ("Upsample", {"upsample_as": "deconvolution"}),
    "interp": ("Interp", {"upsample_as": "deconvolution"}),
    "scale": ("Scale", {"scale_bias": True}),
}
WORDS = {
    "Clip": "clip_param { min: -1 max: 2.5 }",
    "Swish": "swish_param { beta: 0.7 }",
    "Upsample": "upsample_param { scale: 2 }",
    "Interp": "interp_param { zoom_factor: 3 }",
}


@pytest.mark.parametrize("name", FORMS)
def test_layers_that_are_written_in_another_way_are_proved(tmp_path, name):
    kind, options = FORMS[name]
    net = Model(seed=4).input("data", (1, 4, 6, 5)).conv("c", "data", 4).batch_norm("b", "c")
    if kind == "DepthwiseConvolution":
        net.conv("x", "c", 4, 3, group=4, kind=kind, words="pad: 1")
    elif kind == "Scale":
        net.plain("Sigmoid", "s", "c").scale("x", "s", "x", bias=False)
    else:
        net.plain(kind, "x", "c", words=WORDS.get(kind, ""))
    net.conv("d", "x", 3, 1)
    pair = Pair.merged(tmp_path, net, **options)
    assert pair.folded_model.read_text() != pair.model.read_text()
    assert pair.prove().failure == ""


def test_a_pooling_that_is_rounded_as_it_is_anyway_is_the_same(tmp_path):
    nets = []
    for words in ("kernel_size: 3 stride: 2", "kernel_h: 3 kernel_w: 3 stride: 2 ceil_mode: false"):
        net = Model(seed=4).input("data", (1, 4, 9, 7)).conv("c", "data", 4, 1)
        nets.append(net.plain("Pooling", "p", "c", words=f"pooling_param {{ {words} }}"))
    assert Pair.of(tmp_path, *nets).prove().failure == ""
    nets[1].texts[1] = nets[1].texts[1].replace("dim: 7", "dim: 8")
    nets[0].texts[1] = nets[0].texts[1].replace("dim: 7", "dim: 8")
    assert not Pair.of(tmp_path, *nets).prove().proved
