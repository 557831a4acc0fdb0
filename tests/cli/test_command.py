"""The command as a user meets it: help, exit codes, reports, JSON."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from models import Model

import bnfold

from .terminals import on_terminal


def network() -> Model:
    net = Model(seed=1).input("data", (1, 3, 8, 8))
    net.conv("c", "data", 4, 1, bias=False, words="engine: CUDNN").batch_norm("b", "c")
    # Nothing passes a TanH, whatever the numbers are.
    net.scale("s", "c").layer('name: "r" type: "TanH" bottom: "c" top: "c"')
    net.batch_norm("stays", "c", "end").layer('name: "t" type: "TanH" bottom: "end" top: "end"')
    return net.conv("d", "end", 2, 1).batch_norm("untrained", "d", factor=0)


@pytest.fixture
def pair(tmp_path):
    return network().save(tmp_path)


@pytest.fixture
def merge(run, pair):
    return lambda *more: run("merge", "--model", pair[0], "--weights", pair[1], *more)


PLAIN = """\
folded b (BatchNorm) into c, with a new bias in c
folded s (Scale) into c, with a new bias in c
scale stays (BatchNorm): TanH layer 'r' is in the way; \
ahead: TanH layer 't' is in the way [no-host]
folded untrained (BatchNorm) into d
engine c: CAFFE instead of CUDNN
engine d: CAFFE
4 affine layers: folded 3, became one Scale 1, into 2 layers; engine CAFFE set on 2 convolutions
"""
SAVINGS = (
    r"each forward pass saves [\d.]+ k of [\d.]+ k floating-point operations "
    r"and [\d.]+ kB of [\d.]+ kB of memory traffic"
)
WARNING = "bnfold: warning: BatchNorm layer 'untrained': its moving-average factor is 0"


def test_report_in_a_pipe_is_plain_lines(merge, pair):
    ran = merge()
    assert ran.code == 0
    assert ran.out.startswith(PLAIN)
    sizes, savings, wrote = ran.out.removeprefix(PLAIN).splitlines()
    assert re.fullmatch(
        r"layers 9 -> 6, affine 4 -> 1, parameters \d+ -> \d+, "
        r"weights [\d.]+ \w+ -> [\d.]+ \w+",
        sizes,
    )
    assert re.fullmatch(SAVINGS, savings)
    outputs = [path.with_name(path.name.replace("net.", "net.folded.")) for path in pair]
    assert wrote == f"wrote {outputs[0]} and {outputs[1]}"
    assert all(path.is_file() for path in outputs)
    assert ran.err.startswith(WARNING)


def test_quiet_prints_warnings_and_nothing_else(merge):
    ran = merge("--quiet")
    assert (ran.code, ran.out) == (0, "")
    assert ran.err.startswith(WARNING)
    assert ran.err.count("\n") == 1


def test_report_on_a_terminal_is_a_table(pair):
    command = [sys.executable, "-m", "bnfold", "inspect", "--model", str(pair[0])]
    done = on_terminal(command, "stdout", columns=140, NO_COLOR="1")
    assert done.code == 0
    lines = done.plain.splitlines()
    assert lines[0].split() == ["line", "layer", "type", "what", "happens"]
    assert any("folded into c, with a new bias in c" in line for line in lines)
    assert any("became one Scale: TanH layer 'r' is in the way" in line for line in lines)
    assert any("engine: CAFFE (was CUDNN)" in line for line in lines)


def test_inspect_shows_the_plan_of_merge_and_writes_nothing(run, merge, pair, tmp_path):
    before = sorted(tmp_path.iterdir())
    ran = run("inspect", "--model", pair[0], "--weights", pair[1])
    assert ran.code == 0
    assert ran.out.startswith(PLAIN)
    assert "wrote" not in ran.out
    assert sorted(tmp_path.iterdir()) == before


def test_inspect_without_weights_plans_from_the_prototxt_alone(run, pair):
    pair[1].unlink()
    ran = run("inspect", "--model", pair[0])
    assert ran.code == 0
    sizes, savings = ran.out.removeprefix(PLAIN).splitlines()
    assert sizes == "layers 9 -> 6, affine 4 -> 1"
    assert re.fullmatch(SAVINGS, savings)
    assert ran.err == ""


# ---------------------------------------------------------------- JSON

KEYS = {
    "format", "run", "model", "weights", "output_model", "output_weights", "phase", "layers",
    "altered", "forms", "engines", "branches", "dead_channels", "warnings", "before", "after",
}  # fmt: skip
COUNTS = {
    "layers", "affine", "operations", "traffic", "uncounted", "parameters", "weights_bytes",
    "raw_blobs",
}  # fmt: skip


def test_json_on_standard_output_is_one_object_and_nothing_else(merge, pair):
    ran = merge("--json", "-")
    report = json.loads(ran.out)
    assert set(report) == KEYS
    assert report["format"] == "bnfold.report/1"
    assert report["model"] == str(pair[0])
    assert report["phase"] == "TEST"
    assert report["layers"][0] == {
        "layer": "b",
        "type": "BatchNorm",
        "line": 9,
        "fate": "folded",
        "into": ["c"],
        "through": [],
        "gains_bias": ["c"],
        "code": None,
        "reason": None,
        "hint": None,
    }
    assert [layer["fate"] for layer in report["layers"]] == ["folded", "folded", "scale", "folded"]
    stays = report["layers"][2]
    assert (stays["code"], stays["hint"]) == ("no-host", None)
    assert "TanH layer 'r'" in stays["reason"]
    assert report["engines"] == [
        {"layer": "c", "line": 5, "replaced": "CUDNN"},
        {"layer": "d", "line": 27, "replaced": None},
    ]
    assert len(report["warnings"]) == 1
    for counts in (report["before"], report["after"]):
        assert set(counts) == COUNTS
    assert report["before"]["weights_bytes"] == pair[1].stat().st_size
    assert report["after"]["affine"] == 1


def test_json_file_holds_the_same_object_beside_the_printed_report(merge, tmp_path):
    ran = merge("--json", tmp_path / "report.json")
    assert ran.out.startswith(PLAIN)
    report = json.loads((tmp_path / "report.json").read_text())
    assert set(report) == KEYS


def test_json_of_inspect_has_no_outputs(run, pair):
    report = json.loads(run("inspect", "--model", pair[0], "--json", "-").out)
    assert set(report) == KEYS
    assert report["weights"] is report["output_model"] is report["output_weights"] is None
    assert report["after"]["weights_bytes"] is None


def test_json_file_that_exists_is_refused_without_force(merge, refused, pair, tmp_path):
    target = tmp_path / "report.json"
    target.write_text("mine")
    for command in ("merge", "inspect"):
        files = ["--model", pair[0], "--weights", pair[1]]
        refused(command, *files, "--json", target, says=[str(target), "--force"])
    refused("merge", *files, "--dry-run", "--json", target, says=[str(target), "--force"])
    assert merge("--json", target, "--force").code == 0
    json.loads(target.read_text())


def test_json_file_that_is_another_output_or_an_input_is_refused(refused, pair, tmp_path):
    files = ["--model", pair[0], "--weights", pair[1]]
    refused("merge", *files, "--json", tmp_path / "net.folded.prototxt", says="both")
    refused("merge", *files, "--json", pair[0], "--force", says="never overwritten")
    refused("inspect", *files, "--json", pair[1], "--force", says="never overwritten")


def test_names_that_are_no_utf8_do_not_break_a_report(run, pair):
    pair[0].write_bytes(pair[0].read_bytes().replace(b'"stays"', b'"caf\xe9 \xe2\x98\x95"'))
    ran = run("inspect", "--model", pair[0])
    assert ran.code == 0
    assert "☕" in ran.out or "\\u2615" in ran.out
    assert json.loads(run("inspect", "--model", pair[0], "--json", "-").out)


# ---------------------------------------------------------------- help, version, usage


@pytest.mark.parametrize("command", [[], ["merge"], ["inspect"]])
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_of_every_command_has_examples(command, option, run):
    ran = run(*command, option)
    assert ran.code == 0
    assert "Examples:\n" in ran.out
    assert "  bnfold " in ran.out.split("Examples:\n")[1]


def test_help_without_a_command(run):
    ran = run()
    assert ran.out == run("--help").out
    assert (ran.code, ran.err) == (0, "")


def test_version(run):
    ran = run("--version")
    assert (ran.code, ran.out, ran.err) == (0, f"bnfold {bnfold.__version__}\n", "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["fold"],
        ["merge"],
        ["merge", "--model", "x"],
        ["merge", "--model", "x", "--weights", "y", "z"],
        ["merge", "--model", "x", "--weights", "y", "--phase", "DREAM"],
        ["inspect", "--modle", "x"],
        ["inspect", "--model"],
    ],
)
def test_bad_usage_is_one_line_and_exit_code_two(arguments, refused):
    assert "Usage:" not in refused(*arguments)


def test_module_runs_as_the_command_does():
    command = [sys.executable, "-m", "bnfold", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"bnfold {bnfold.__version__}\n"


def test_reader_that_goes_away_leaves_no_traceback(pair):
    command = f"{sys.executable} -m bnfold inspect --model {pair[0]} | true"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert done.stderr == ""
