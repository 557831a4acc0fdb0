"""`bnfold prove`: what is printed, how it ends, and files that cannot be used."""

from __future__ import annotations

import shutil

import pytest
from conftest import EXAMPLE


@pytest.fixture
def pair(run, tmp_path):
    """The example and its folded form, in a folder."""
    folder = shutil.copytree(EXAMPLE, tmp_path / "digits")
    assert run("merge", folder / "deploy.prototxt", folder / "digits.caffemodel", "-q").code == 0
    return folder / "deploy.prototxt", folder / "digits.caffemodel"


def test_a_certificate_in_a_line(run, pair):
    ran = run("prove", *pair)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("proved: 4 convolutions, 2 inner products, 18,258 coefficients, ")
    assert run("prove", *pair, "--quiet").out == ""


def test_layers_are_listed_before_it(run, pair):
    lines = run("prove", *pair, "--layers").out.splitlines()
    assert len(lines) == 16
    what = "conv1 (Convolution, line 13) is 'conv1' of the original"
    assert lines[1] == f"{what}, 160 coefficients, 0.50 ulp"


def test_what_is_wrong_is_named_and_the_code_is_1(run, pair):
    ran = run("prove", *pair, "--eps", "0.01")
    assert (ran.code, ran.out) == (1, "")
    assert "deploy.folded.prototxt:13: layer 'conv1' (Convolution): weight [0, 0, 0, 0]" in ran.err


def test_a_missing_step_is_not_proved_and_the_code_is_1(run, pair):
    model = pair[0].with_name("deploy.folded.prototxt")
    model.write_text(model.read_text().replace('type: "Softmax"', 'type: "Sigmoid"'))
    ran = run("prove", *pair)
    assert ran.code == 1
    assert "not proved: layer 'prob' (Sigmoid): no layer of the original does the same" in ran.err


def test_damaged_and_swapped_files_are_one_line(refused, pair):
    folded = pair[1].with_name("digits.folded.caffemodel")
    whole = folded.read_bytes()
    folded.write_bytes(whole[: len(whole) // 2])
    refused("prove", *pair, says="digits.folded.caffemodel")
    folded.write_bytes(pair[1].read_bytes())
    refused("prove", *pair, says="do the two files belong together?")
    refused("prove", *pair[::-1])
    folded.unlink()
    refused("prove", *pair, says="bnfold merge --model")


@pytest.mark.parametrize("ulps", ["0", "-1", "inf", "nan"])
def test_an_allowance_that_makes_no_sense(refused, pair, ulps):
    refused("prove", *pair, "--ulps", ulps, says="must be a number above zero")
