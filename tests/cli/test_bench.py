"""`bnfold bench` as a user meets it."""

from __future__ import annotations

import json
import re
import sys

import pytest
from models import Model

import bnfold

from .terminals import on_terminal


@pytest.fixture
def pair(tmp_path):
    net = Model(seed=1).input("data", (1, 3, 8, 8))
    net.conv("c", "data", 4).batch_norm("b", "c").scale("s", "c").relu("r", "c")
    files = net.conv("d", "c", 2).save(tmp_path)
    bnfold.merge(*files)
    return files


@pytest.fixture
def options(pair, opencv):
    files = ["--model", str(pair[0]), "--weights", str(pair[1])]
    return ["bench", *files, "--runtime", "opencv", "--repeats", "6"]


NUMBER = r"\d+(\.\d+)?"
TIME = rf"{NUMBER} (us|ms|s) \[{NUMBER}\.\.{NUMBER}\]"


def test_report_in_a_pipe_is_plain_lines(run, options):
    ran = run(*options, "--threads", "1", "--batch", "2")
    assert ran.code == 0
    assert ran.err == ""
    where, sizes, off, on = ran.out.splitlines()
    assert re.fullmatch(r"opencv 4\.[\d.]+.*; threads 1; data 2x3x8x8", where)
    assert re.fullmatch(r"layers 6 -> 4, parameters \d+ -> \d+", sizes)
    for line, name in ((off, "fusion off"), (on, "fusion on")):
        assert re.match(
            rf"{name}: {TIME} -> {TIME}, ratio {NUMBER} \[{NUMBER}\.\.{NUMBER}\], "
            rf"limit {NUMBER}, memory \S+( MB)? -> \S+( MB)?, 6 rounds: ",
            line,
        ), line
    assert on.endswith("; the engine itself had merged 2 of the 2 removed layers")


def test_json(run, options, tmp_path):
    ran = run(*options, "--json", "-")
    assert json.loads(ran.out)["format"] == "bnfold.bench/1"
    target = tmp_path / "bench.json"
    ran = run(*options, "--json", target, "--quiet")
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    assert len(json.loads(target.read_text())["comparisons"]) == 2
    before = target.read_bytes()
    ran = run(*options, "--json", target)
    assert ran.code == 2
    assert "--force" in ran.err
    assert target.read_bytes() == before


def test_what_cannot_be_done_is_one_line(refused, options, pair):
    refused(*options, "--batch", "0", says="--batch")
    refused(*options, "--seconds", "0", says="--seconds")
    refused(*options, "--json", pair[0], says="is the input")
    refused(*options, "--folded-model", "no.prototxt", says=["no.prototxt", "bnfold merge"])


def test_report_on_a_terminal_is_a_table(options):
    command = [sys.executable, "-m", "bnfold", *options]
    done = on_terminal(command, "stdout", columns=80, term="dumb")
    assert done.code == 0
    # Where ten seconds pass, it says how far it is.
    assert re.fullmatch(r"(bnfold: \w+: \d+%\n)*", done.other)
    lines = [line.rstrip() for line in done.plain.splitlines()]
    (head,) = (line for line in lines if "original" in line)
    assert head.split() == ["original", "folded", "ratio", "limit"]
    rows = {line[:10].strip(): line.split() for line in lines}
    assert rows["layers"][1:] == ["6", "4"]
    assert {"parameters", "fusion off", "fusion on", "spread", "memory"} <= set(rows)
    assert all(len(line) <= 80 for line in lines)
