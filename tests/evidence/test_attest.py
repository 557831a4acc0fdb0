"""Statements about a release: what they say, and whether it still holds."""

from __future__ import annotations

import hashlib
import json
import shutil

import pytest
from models import Model

import bnfold


def network() -> Model:
    net = Model(seed=1).input("data", (1, 3, 8, 8)).conv("c", "data", 4, 1).batch_norm("b", "c")
    # Nothing passes a TanH, whatever the numbers are.
    net.layer('name: "t" type: "TanH" bottom: "c" top: "c"').batch_norm("stays", "c", "end")
    return net.layer('name: "u" type: "TanH" bottom: "end" top: "end"')


@pytest.fixture
def pair(tmp_path):
    return network().save(tmp_path)


@pytest.fixture
def said(pair, tmp_path):
    """The statement about a merge, beside its outputs."""
    path = tmp_path / "attestation.json"
    bnfold.merge(*pair, attest=path, json_file=tmp_path / "merge.json", eps=1e-3)
    return path


def digest(path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_statement_names_outputs_and_inputs_with_their_digests(said, pair, tmp_path):
    content = json.loads(said.read_text())
    assert content["_type"] == "https://in-toto.io/Statement/v1"
    names = ["net.folded.prototxt", "net.folded.caffemodel"]
    assert content["subject"] == [
        {"name": name, "digest": {"sha256": digest(tmp_path / name)}} for name in names
    ]
    assert content["predicate"]["inputs"] == [
        {"name": path.name, "digest": {"sha256": digest(path)}} for path in pair
    ]


def test_statement_says_what_was_folded_and_with_which_options(said):
    predicate = json.loads(said.read_text())["predicate"]
    assert predicate["bnfold"] == bnfold.__version__
    assert predicate["options"]["eps"] == 1e-3
    assert set(vars(bnfold.MergeOptions())) <= set(predicate["options"])
    assert predicate["folded"]["fates"] == {"folded": 1, "scale": 1}
    assert predicate["folded"]["kept"] == [
        {"layer": "stays", "type": "BatchNorm", "code": "no-host"}
    ]
    assert predicate["results"] == []


def test_the_same_merge_gives_the_same_statement(said, pair):
    before = said.read_bytes()
    bnfold.merge(*pair, attest=said, eps=1e-3, force=True)
    assert said.read_bytes() == before


def test_statement_in_another_folder_names_files_from_there(pair, tmp_path):
    (tmp_path / "evidence").mkdir()
    path = tmp_path / "evidence" / "attestation.json"
    bnfold.merge(*pair, attest=path)
    names = [one["name"] for one in json.loads(path.read_text())["subject"]]
    assert names == ["../net.folded.prototxt", "../net.folded.caffemodel"]
    assert bnfold.check_attestation(path).passed


def test_statement_moves_with_its_folder(said, tmp_path, tmp_path_factory):
    there = shutil.copytree(tmp_path, tmp_path_factory.mktemp("there") / "release")
    found = bnfold.check_attestation(there / said.name)
    assert found.passed
    assert [file.state.value for file in found.files] == ["same"] * 4


def test_a_missing_output_fails_and_a_missing_input_is_told(said, pair, tmp_path):
    pair[1].unlink()
    found = bnfold.check_attestation(said)
    assert found.passed
    assert "input net.caffemodel: is not here" in found.summary()
    (tmp_path / "net.folded.caffemodel").unlink()
    found = bnfold.check_attestation(said)
    assert not found.passed
    assert "net.folded.caffemodel: is not here" in found.failure


def test_results_of_checks_are_in_toto_test_results(said, pair, tmp_path, opencv):
    options = bnfold.VerifyOptions(runtime="opencv", random=1)
    bnfold.merge(*pair, attest=said, verify=options, force=True)
    (result,) = json.loads(said.read_text())["predicate"]["results"]
    assert result["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    assert result["predicate"]["result"] == "PASSED"
    assert result["predicate"]["passedTests"] == ["verify"]
    assert result["measured"]["outputs"][0]["agrees"] is True


def test_the_certificate_of_a_proof_is_a_result(said, pair, tmp_path):
    bnfold.merge(
        *pair, attest=said, prove=True, eps=1e-3, json_file=tmp_path / "p.json", force=True
    )
    (result,) = json.loads(said.read_text())["predicate"]["results"]
    proof = json.loads((tmp_path / "p.json").read_text())["proof"]
    assert result["predicate"]["result"] == "PASSED"
    assert result["predicate"]["passedTests"] == ["prove"]
    assert result["measured"]["coefficients"] == proof["coefficients"] > 0
    assert result["measured"]["deviation"] == proof["deviation"]


def test_a_proof_that_breaks_is_attested_as_failed(said, pair, tmp_path):
    bnfold.prove(*pair, json_file=tmp_path / "prove.json")  # with the usual eps, not with 1e-3
    path = bnfold.attest([tmp_path / "merge.json", tmp_path / "prove.json"], tmp_path / "new.json")
    (result,) = json.loads(path.read_text())["predicate"]["results"]
    assert result["measured"]["verdict"] == "broken"
    assert result["predicate"]["result"] == "FAILED"
    assert result["predicate"]["failedTests"] == ["prove"]


def test_reports_of_several_commands_make_one_statement(said, pair, tmp_path, opencv):
    options = bnfold.VerifyOptions(runtime="opencv", random=1)
    bnfold.verify(*pair, options=options, json_file=tmp_path / "verify.json")
    whole = tmp_path / "whole.json"
    bnfold.attest([tmp_path / "merge.json", tmp_path / "verify.json"], whole)
    one, other = (json.loads(path.read_text()) for path in (whole, said))
    (result,) = one["predicate"].pop("results")
    other["predicate"].pop("results")
    assert one == other
    configured = {file["digest"]["sha256"] for file in result["predicate"]["configuration"]}
    assert digest(tmp_path / "net.folded.caffemodel") in configured


def test_a_check_that_failed_is_attested_as_failed(pair, tmp_path, opencv):
    bnfold.merge(*pair, eps=0.5, json_file=tmp_path / "merge.json")
    options = bnfold.VerifyOptions(runtime="opencv", random=1)
    assert not bnfold.verify(*pair, options=options, json_file=tmp_path / "verify.json").passed
    path = bnfold.attest(
        [tmp_path / "merge.json", tmp_path / "verify.json"], tmp_path / "said.json"
    )
    (result,) = json.loads(path.read_text())["predicate"]["results"]
    assert result["predicate"]["result"] == "FAILED"
    assert result["predicate"]["failedTests"] == ["verify"]


def test_a_check_of_other_files_is_refused(pair, said, tmp_path, opencv):
    options = bnfold.VerifyOptions(runtime="opencv", random=1)
    bnfold.verify(*pair, options=options, json_file=tmp_path / "verify.json")
    bnfold.merge(*pair, keep=["b"], json_file=tmp_path / "other.json", force=True)
    with pytest.raises(bnfold.BnfoldError, match="is not about what"):
        bnfold.attest([tmp_path / "other.json", tmp_path / "verify.json"], tmp_path / "new.json")
    assert not (tmp_path / "new.json").exists()


def test_a_merge_that_fails_leaves_no_statement(pair, tmp_path):
    before = sorted(tmp_path.iterdir())
    with pytest.raises(bnfold.CheckFailedError):
        bnfold.merge(*pair, attest=tmp_path / "attestation.json", require_complete=True)
    assert sorted(tmp_path.iterdir()) == before


def test_a_dry_run_has_nothing_to_attest(pair, tmp_path):
    with pytest.raises(bnfold.BnfoldError, match="dry run"):
        bnfold.merge(*pair, attest=tmp_path / "attestation.json", dry_run=True)
    bnfold.merge(*pair, dry_run=True, json_file=tmp_path / "dry.json")
    with pytest.raises(bnfold.BnfoldError, match="wrote no network"):
        bnfold.attest([tmp_path / "dry.json"], tmp_path / "attestation.json")
