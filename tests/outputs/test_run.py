"""The header of a report: which files it speaks of, and what made it."""

from __future__ import annotations

import hashlib
import json
import os
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from models import Model

import bnfold
from bnfold.outputs.run import Content, File, told


@pytest.fixture
def pair(tmp_path):
    net = Model(seed=1).input("data", (1, 3, 8, 8))
    return net.conv("c", "data", 4, 1).batch_norm("b", "c").save(tmp_path)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_report_that_is_written_names_every_file_with_its_digest(pair, tmp_path):
    report = bnfold.merge(*pair, json_file=tmp_path / "report.json", eps=1e-3)
    said = json.loads((tmp_path / "report.json").read_text())["run"]
    outputs = report.output_model, report.output_weights
    assert [(one["path"], one["sha256"]) for one in said["inputs"]] == [
        (str(path), digest(path)) for path in pair
    ]
    assert [(one["path"], one["sha256"], one["bytes"]) for one in said["outputs"]] == [
        (str(path), digest(path), path.stat().st_size) for path in outputs
    ]
    assert said["options"]["eps"] == 1e-3
    assert report.run.to_json() == said


def test_a_report_in_python_has_its_run_beside_it(pair):
    report = bnfold.merge(*pair)
    assert "run" not in report.to_json()
    assert [file.path for file in report.run.outputs] == [
        report.output_model,
        report.output_weights,
    ]
    assert report.run.outputs[1].sha256 == digest(report.output_weights)


def test_a_dry_run_wrote_nothing(pair):
    assert bnfold.merge(*pair, dry_run=True).run.outputs == ()
    assert bnfold.inspect(pair[0]).run.outputs == ()


def test_the_report_of_a_failed_check_has_its_inputs_and_no_output(tmp_path):
    net = Model(seed=1).input("data", (1, 3, 8, 8)).batch_norm("b", "data")
    pair = net.layer('name: "t" type: "TanH" bottom: "data" top: "t"').save(tmp_path)
    with pytest.raises(bnfold.CheckFailedError) as failed:
        bnfold.merge(*pair, require_complete=True, json_file=tmp_path / "report.json")
    said = json.loads((tmp_path / "report.json").read_text())["run"]
    assert [one["sha256"] for one in said["inputs"]] == [digest(path) for path in pair]
    assert said["outputs"] == []
    assert failed.value.report.run.to_json() == said


def test_a_file_that_changed_since_has_no_digest(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"before")
    file = File.of(path)
    path.write_bytes(b"afterwards")
    assert file.sha256 is None


def test_a_file_has_its_digest_before_and_after_it_took_its_name(tmp_path):
    path, pending = tmp_path / "file", tmp_path / "pending"
    pending.write_bytes(b"content")
    early, late = File.of(path, pending), File.of(path, pending)
    assert early.sha256 == digest(pending)
    pending.rename(path)
    assert late.sha256 == early.sha256


@pytest.mark.parametrize("kind", ["folder", "pipe", "nothing", "no name"])
def test_what_is_no_regular_file_has_no_digest_and_is_not_waited_for(kind, tmp_path):
    path = tmp_path / ("a\0b" if kind == "no name" else kind)
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    assert File.of(path).sha256 is None
    assert Content.of(path) is None


def test_options_of_every_kind_are_values_that_json_has():
    options = told(
        drop=Decimal("0.1"),
        share=Fraction(1, 3),
        phase=bnfold.Phase.TRAIN,
        path=Path("a/b"),
        names=frozenset({"b", "a"}),
        inner=bnfold.VerifyOptions(random=3),
        treat_as={"Mine": "Convolution"},
    )
    assert json.loads(json.dumps(options)) == options
    assert options["drop"] == "0.1"
    assert options["share"] == "1/3"
    assert options["phase"] == "TRAIN"
    assert options["path"] == "a/b"
    assert options["names"] == ["a", "b"]
    assert options["inner"]["random"] == 3
