"""`bnfold verify` and `bnfold merge --verify`: what is printed, what is written, how they end."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest
from models import Model

import bnfold
from tests.checks.mistakes import EXAMPLE, edit, nudge
from tests.cli.conftest import snapshot


@pytest.fixture
def pair(tmp_path):
    for name in ("deploy.prototxt", "digits.caffemodel"):
        shutil.copy(EXAMPLE / name, tmp_path)
    return tmp_path / "deploy.prototxt", tmp_path / "digits.caffemodel"


@pytest.fixture
def arguments(pair):
    return ["--model", pair[0], "--weights", pair[1]]


@pytest.fixture
def folded(pair):
    report = bnfold.merge(*pair)
    return report.output_model, report.output_weights


def test_a_good_fold_in_each_engine(run, arguments, folded, runtime):
    ran = run("verify", *arguments, "--runtime", runtime.name)
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0] == f"engine {runtime.name} {runtime.version}"
    assert lines[1].startswith("inputs 8 random inputs, seed 0: data normally distributed")
    assert lines[2].startswith("output prob (Softmax, line ")
    assert lines[3].startswith("scores fc6 (InnerProduct, line ")
    assert lines[-1].startswith("same function: 1 output, 8 inputs")
    assert not any(line.startswith("layer") for line in lines)


def test_layers_are_listed_with_the_end_of_the_chain_they_replaced(run, arguments, folded):
    ran = run("verify", *arguments, "--layers", "--runtime", "opencv")
    layers = [line for line in ran.out.splitlines() if line.startswith("layer ")]
    assert layers[0].startswith("layer conv1 (was conv1/scale) (Convolution, line ")
    assert layers[-1].startswith("layer prob (Softmax")
    assert all(": agrees, " in line and ", cosine 1.0" in line for line in layers)


def test_a_bad_fold_ends_with_1_and_the_layer(run, arguments, folded, runtime):
    edit(folded[1], "conv3", nudge)
    ran = run("verify", *arguments, "--runtime", runtime.name)
    assert ran.code == 1
    assert ran.err.count("\n") == 1
    assert ran.err.startswith(f"bnfold: {folded[0]}: not the same function as ")
    assert "part at layer 'conv3' (Convolution, line 41 of deploy.folded.prototxt" in ran.err
    assert "channel 5 differs most" in ran.err
    assert "DIFFERS" in ran.out
    quiet = run("verify", *arguments, "--runtime", runtime.name, "--quiet")
    assert (quiet.code, quiet.out, quiet.err) == (1, "", ran.err)


def test_json(run, arguments, folded, tmp_path):
    edit(folded[1], "conv3", nudge)
    to_file = run("verify", *arguments, "--runtime", "opencv", "--json", tmp_path / "v.json")
    assert to_file.code == 1
    ran = run("verify", *arguments, "--runtime", "opencv", "--json", "-")
    assert ran.code == 1
    found = json.loads(ran.out)
    assert found == json.loads((tmp_path / "v.json").read_text())
    assert list(found) == [
        "format", "run", "passed", "failure", "model", "weights", "folded_model",
        "folded_weights", "engine", "inputs", "images", "tolerance", "mismatches", "outputs",
        "scores", "layers",
        "parted", "altered", "notes",
    ]  # fmt: skip
    assert found["format"] == "bnfold.verify/1"
    assert found["passed"] is False
    assert found["failure"] in ran.err
    assert found["parted"]["layer"] == "conv3"
    assert found["parted"]["channel"] == 5
    assert set(found["outputs"][0]) == {
        "name", "layer", "type", "line", "compared_with", "agrees", "absolute", "relative",
        "tolerance", "magnitude", "mean", "median", "p99", "sqnr", "cosine", "top1", "nan",
        "unlike", "shape", "folded_shape", "channel", "where", "run",
    }  # fmt: skip


def test_a_json_file_that_exists_is_not_replaced(run, arguments, folded, tmp_path):
    (tmp_path / "v.json").write_text("mine")
    ran = run("verify", *arguments, "--json", tmp_path / "v.json")
    assert ran.code == 2
    assert "--force" in ran.err
    assert (tmp_path / "v.json").read_text() == "mine"


def test_a_fold_that_is_not_there(refused, arguments):
    refused("verify", *arguments, says=["deploy.folded.prototxt", "bnfold merge --model"])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--images", "x", "--random", "3"], "exclude each other"),
        (["--scale", "2"], "effect without --images"),
        (["--tolerance", "-1"], "give 0 or more"),
        (["--tolerance", "prob=-1"], "give 0 or more"),
        (["--tolerance", "prob=much"], "'much' is no number"),
        (["--tolerance", "1", "--tolerance", "2"], "is given twice"),
        (["--tolerance", "prob=1", "--tolerance", "prob=2"], "of 'prob' is given twice"),
        (["--random", "0"], "--random"),
    ],
)
def test_options_that_cannot_be(refused, arguments, folded, options, says):
    refused("verify", *arguments, *options, says=says)


def test_a_network_that_no_engine_takes_ends_in_one_line(run, arguments, folded, runtime):
    for path in (arguments[1], folded[0]):
        path.write_text(path.read_text().replace('type: "Pooling"', 'type: "Puddling"'))
    ran = run("verify", *arguments, "--runtime", runtime.name)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.count("\n") == 1
    assert "layer 'pool3'" in ran.err
    assert "Puddling" in ran.err
    assert "try" in ran.err


def test_a_weights_file_that_is_cut_off_ends_in_one_line(refused, arguments, folded, runtime):
    folded[1].write_bytes(folded[1].read_bytes()[:-1000])
    refused("verify", *arguments, "--runtime", runtime.name, says=str(folded[1]))


# ---------------------------------------------------------------- merge --verify


def test_merge_verifies_before_the_outputs_take_their_names(run, arguments, pair, runtime):
    ran = run("merge", *arguments, "--verify", "--runtime", runtime.name)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines()[-1].startswith("verified: same function: 1 output, 8 inputs")
    assert {path.name for path in pair[0].parent.iterdir()} == {
        "deploy.prototxt", "digits.caffemodel", "deploy.folded.prototxt",
        "digits.folded.caffemodel",
    }  # fmt: skip


def test_merge_with_json_carries_the_verification(run, arguments):
    ran = run("merge", *arguments, "--verify", "--runtime", "opencv", "--json", "-")
    found = json.loads(ran.out)["verification"]
    assert found["passed"]
    assert found["folded_model"].endswith("deploy.folded.prototxt")


@pytest.mark.parametrize("force", [False, True])
def test_a_merge_that_fails_verification_leaves_its_report_and_nothing_else(
    run, arguments, tmp_path, runtime, force
):
    if force:
        (tmp_path / "deploy.folded.prototxt").write_text("an older one")
    before = snapshot(tmp_path)
    options = ["--force"] if force else []
    options += ["--runtime", runtime.name, "--tolerance", "0", "--json", tmp_path / "r.json"]
    ran = run("merge", *arguments, "--verify", *options)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.count("\n") == 1
    assert f"{tmp_path / 'deploy.folded.prototxt'}: not the same function" in ran.err
    assert "no network was written" in ran.err
    assert ".part" not in ran.err
    assert json.loads((tmp_path / "r.json").read_text())["output_model"] is None
    (tmp_path / "r.json").unlink()
    assert snapshot(tmp_path) == before


def test_a_merge_that_no_engine_can_verify_leaves_nothing_behind(refused, arguments):
    model = arguments[1]
    model.write_text(model.read_text().replace('type: "Pooling"', 'type: "Puddling"'))
    line = refused("merge", *arguments, "--verify", "--runtime", "opencv", says="'pool3'")
    assert ".part" not in line


@pytest.mark.parametrize("options", [["--dry-run"], ["--phase", "TRAIN"]])
def test_merges_that_cannot_be_verified(refused, arguments, options):
    refused("merge", *arguments, "--verify", *options, says="--verify")


def test_a_tolerance_by_name_is_for_that_value_only(run, refused, arguments, folded, opencv):
    edit(folded[1], "conv3", nudge)
    failing = ["verify", *arguments, "--runtime", "opencv"]
    assert run(*failing).code == 1
    ran = run(*failing, "--tolerance", "prob=1", "--json", "-")
    assert ran.code == 1
    values = json.loads(ran.out)
    limits = {one["name"]: one["tolerance"] for one in [*values["outputs"], *values["scores"]]}
    assert limits["prob"] == 1
    assert limits["fc6"] != 1
    assert run(*failing, "--tolerance", "prob=1", "--tolerance", "fc6=1").code == 0
    assert run(*failing, "--tolerance", "1", "--tolerance", "fc6=1e-12").code == 1
    refused(*failing, "--tolerance", "porb=1", says=["'porb'", "did you mean 'prob'"])


def test_tolerance_without_verify(refused, arguments):
    refused("merge", *arguments, "--tolerance", "1", says="--verify")


# ---------------------------------------------------------------- no engine at all

_BLOCKED = """
import sys
for name in ("cv2", "caffe"):
    sys.modules[name] = None
import bnfold.runtimes.caffe_process as host
started = host.CaffeProcess.ask
def ask(self, do, timeout=None, **details):
    if do == "start":
        raise host.ChildRefusedError("No module named 'caffe'", "ImportError")
    return started(self, do, timeout, **details)
host.CaffeProcess.ask = ask
from bnfold.cli import main
main()
"""


def test_without_any_engine_merge_works_and_verify_says_what_to_install(arguments, pair):
    def bare(*words):
        command = [sys.executable, "-c", _BLOCKED, *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert bare("merge", *arguments).returncode == 0
    for words in (
        ["verify", *arguments],
        ["merge", *arguments, "--force", "--verify"],
    ):
        ran = bare(*words)
        assert ran.returncode == 2
        assert ran.stderr.count("\n") == 1
        assert "no runtime is installed" in ran.stderr
        assert "pip install 'bnfold[opencv]'" in ran.stderr
        assert "make pycaffe" in ran.stderr
    ran = bare("runtimes")
    assert ran.returncode == 0
    assert [line.split(": ")[0] for line in ran.stdout.splitlines()] == [
        "pycaffe not usable",
        "opencv not usable",
    ]
    assert "pip install 'bnfold[opencv]'" in ran.stdout


def test_a_failed_merge_gives_its_report(run, arguments, pair, tmp_path):
    failing = ["merge", *arguments, "--verify", "--runtime", "opencv", "--tolerance", "1e-12"]
    ran = run(*failing, "--json", "-")
    assert ran.code == 1
    report = json.loads(ran.out)
    assert report["verification"]["passed"] is False
    assert report["output_model"] is report["output_weights"] is None
    target = tmp_path / "report.json"
    assert run(*failing, "--json", target).code == 1
    assert json.loads(target.read_text()) == report
    assert run(*failing, "--json", target).code == 2  # it is there now
    assert run(*failing, "--json", target, "--force").code == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [*(path.name for path in pair), "report.json"]
    )
    options = bnfold.VerifyOptions(runtime="opencv", tolerance=1e-12)
    with pytest.raises(bnfold.CheckFailedError) as failed:
        bnfold.merge(*pair, verify=options)
    without_run = {key: value for key, value in report.items() if key != "run"}
    assert failed.value.report.to_json() == without_run


# ---------------------------------------------------------------- merge --require-complete


def test_a_merge_that_must_be_complete_and_is_not_writes_nothing(run, tmp_path):
    net = Model(seed=1).input("data", (1, 3, 8, 8)).plain("TanH", "t", "data").scale("s", "t")
    net.plain("TanH", "u", "t").scale("v", "u").plain("TanH", "w", "u")
    files = net.save(tmp_path)
    for more in ([], ["--dry-run"]):
        ran = run("merge", *files, "--require-complete", "--json", "-", *more)
        assert ran.code == 1
        assert "Scale layer 's' (line 8) and 1 more stay: " in ran.err
        assert "no network was written" in ran.err
        assert {one["fate"] for one in json.loads(ran.out)["layers"]} == {"kept"}
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(p.name for p in files)
    with pytest.raises(bnfold.CheckFailedError) as failed:
        bnfold.merge(*files, require_complete=True)
    assert [one.layer for one in failed.value.report.standing] == ["s", "v"]
    assert run("merge", *files).code == 0


def test_a_merge_that_must_be_complete_and_is(run, arguments):
    assert run("merge", *arguments, "--require-complete").code == 0


def test_an_error_about_the_nudged_copy_names_the_weights(
    run, arguments, pair, folded, monkeypatch
):
    def no_room(name, models, **options):
        raise bnfold.BnfoldError(f"{models[2][1]}: it does not fit into memory")

    monkeypatch.setattr("bnfold.checks.equality.judging.pick", no_room)
    ran = run("verify", *arguments)
    assert ran.code == 2
    assert ran.err == f"bnfold: {pair[1]}: it does not fit into memory\n"
