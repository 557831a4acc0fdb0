"""Whatever `merge` writes is proved."""

from __future__ import annotations

import shutil

import pytest
from conftest import EXAMPLE
from fold.branches.branching import small_rep_vgg
from fold.networks import BUILDERS

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
