"""`bnfold attest` as a user meets it, and what strangers put into a statement."""

from __future__ import annotations

import json
import os

import pytest
from models import Model

import bnfold


@pytest.fixture
def said(tmp_path):
    """The statement about a merge, beside its outputs."""
    net = Model(seed=1).input("data", (1, 3, 8, 8)).conv("c", "data", 4, 1).batch_norm("b", "c")
    path = tmp_path / "attestation.json"
    bnfold.merge(*net.save(tmp_path), attest=path, json_file=tmp_path / "merge.json")
    return path


def test_a_statement_that_holds(said, run):
    ran = run("attest", "--check", said)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines()[-1] == f"{said}: holds of 4 files"


@pytest.mark.parametrize("name", ["net.folded.prototxt", "net.folded.caffemodel", "net.caffemodel"])
def test_a_file_that_changed_is_named(name, said, tmp_path, run):
    path = tmp_path / name
    path.write_bytes(path.read_bytes() + b"\n")
    ran = run("attest", "--check", said)
    assert ran.code == 1
    assert ran.err.count("\n") == 1
    assert f"{name}: has changed" in ran.err


FILE = {"name": "x", "digest": {"sha256": "0" * 64}}
GOOD = {
    "_type": "https://in-toto.io/Statement/v1",
    "subject": [FILE],
    "predicateType": "urn:bnfold:merge:v1",
    "predicate": {"inputs": []},
}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{",
        b"\xff\xfe{}",
        b'{"a":' * 100_000,
        *(
            json.dumps({**GOOD, **wrong}).encode()
            for wrong in (
                {"_type": "other"},
                {"predicateType": ["urn:bnfold:merge:v1"]},
                {"predicate": None},
                {"subject": []},
                {"subject": None},
                {"subject": [FILE, 1]},
                {"subject": [{"name": 1, "digest": {"sha256": "0" * 64}}]},
                {"subject": [{"name": "x", "digest": {"sha256": "0" * 63}}]},
                {"subject": [{"name": "x", "digest": "0"}]},
                {"predicate": {"inputs": {"a": 1}}},
            )
        ),
    ],
)
def test_what_is_no_statement_is_refused_in_one_line(content, tmp_path, refused):
    path = tmp_path / "attestation.json"
    path.write_bytes(content)
    assert str(path) in refused("attest", "--check", path)
    refused("attest", path, "--output", tmp_path / "new.json")


@pytest.mark.parametrize("name", ["a\0b", "pipe", ".", "/dev/zero", "\ud800", "\x1b[31m"])
def test_what_a_stranger_names_is_never_waited_for_nor_printed_raw(name, tmp_path, run):
    os.mkfifo(tmp_path / "pipe")
    path = tmp_path / "attestation.json"
    path.write_text(json.dumps({**GOOD, "subject": [{**FILE, "name": name}]}))
    ran = run("attest", "--check", path)
    assert ran.code == 1
    assert "\x1b" not in ran.out + ran.err
    assert "is not here" in ran.err


def test_usage(run, said, tmp_path):
    for arguments in (
        ["attest"],
        ["attest", tmp_path / "merge.json"],
        ["attest", "--check", said, "--output", tmp_path / "x"],
        ["attest", tmp_path / "merge.json", "--check", said],
        ["attest", tmp_path / "merge.json", "--output", said],
        ["attest", tmp_path / "merge.json", "--output", tmp_path / "x", "--json", "-"],
    ):
        ran = run(*arguments)
        assert (ran.code, ran.out) == (2, "")
        assert ran.err.count("\n") == 1
    assert run("attest", tmp_path / "merge.json", "--output", said, "--force").code == 0
