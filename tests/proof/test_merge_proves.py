"""`merge --prove`: the finished files are proved before they take their names."""

from __future__ import annotations

import shutil

import pytest
from conftest import EXAMPLE

import bnfold
from bnfold.proof import Ending, Findings
from bnfold.proving import job


@pytest.fixture
def pair(tmp_path):
    folder = shutil.copytree(EXAMPLE, tmp_path / "digits")
    return folder / "deploy.prototxt", folder / "digits.caffemodel"


def test_the_certificate_is_in_the_report(pair):
    report = bnfold.merge(*pair, prove=True)
    assert report.proof.proved
    assert report.proof.folded_weights == report.output_weights
    assert report.summary().splitlines()[-2].startswith("proved: 4 convolutions, ")
    assert report.to_json()["proof"]["verdict"] == "proved"
    assert bnfold.merge(*pair, force=True).proof is None


def test_a_network_that_takes_raw_pixels_now_is_proved(pair):
    report = bnfold.merge(*pair, prove=True, input_mean=(104.0,), input_scale=0.017)
    assert report.proof.proved
    assert report.output_weights.exists()


def test_what_cannot_be_proved_is_written_with_a_warning(pair, monkeypatch):
    ending = Ending(None, "a step is missing")
    monkeypatch.setattr(job, "attempt", lambda *rest: (Findings(), ending))
    report = bnfold.merge(*pair, prove=True)
    assert report.output_weights.exists()
    assert report.plan.warnings[-1].endswith("not proved: a step is missing")
    assert not report.proof.proved


def test_a_proof_that_goes_wrong_keeps_nobody_from_the_network(pair, monkeypatch):
    def fail(*rest):
        raise IndexError("17")

    monkeypatch.setattr(job, "attempt", fail)
    report = bnfold.merge(*pair, prove=True)
    assert report.output_weights.exists()
    assert report.plan.warnings[-1] == "the network was written, and not proved: 17"


def test_there_must_be_something_to_prove(pair):
    with pytest.raises(bnfold.BnfoldError, match="dry run"):
        bnfold.merge(*pair, prove=True, dry_run=True)
