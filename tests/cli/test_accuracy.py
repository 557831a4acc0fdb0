"""`bnfold accuracy`: what it prints, its exit codes, its options."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

from tests.checks.pictures import brightest, flat, write_list
from tests.conftest import EXAMPLE

from .terminals import on_terminal

IMAGES = [
    ("red.png", flat(10, 20, 200), 2),
    ("a file.png", flat(110, 100, 10), 0),
    ("wrong.png", flat(200, 10, 20), 2),
    ("green.png", flat(10, 200, 20), 1),
]


@pytest.fixture
def arguments(tmp_path, opencv):
    """A network, and as its folded one a network that is wrong on one more image of four."""
    images = write_list(tmp_path / "val.txt", IMAGES)
    model, weights = brightest(tmp_path)
    brightest(tmp_path, (0.9, 1, 1), "net.folded")
    return [
        "accuracy", "--model", model, "--weights", weights, "--images", images,
        "--runtime", "opencv",
    ]  # fmt: skip


def test_a_drop_fails_and_is_told_in_one_line(run, arguments):
    ran = run(*arguments)
    assert ran.code == 1
    assert ran.err.count("\n") == 1
    assert "top-1 dropped by 25 points, 75.00 % -> 50.00 % (3 -> 2 of 4 images)" in ran.err
    assert "changed a file.png (class 0): 0 at 110.0000 -> 1 at 100.0000\n" in ran.out
    assert "top-1 75.00 % -> 50.00 % (3 -> 2 of 4), 25 points lost\n" in ran.out
    assert "same answer on 3 of 4 images; largest difference of a score 20 (wrong.png)" in ran.out


@pytest.mark.parametrize(("bound", "code"), [("25", 0), ("24.9999999999999999999", 1)])
def test_the_edge_of_the_gate(run, arguments, bound, code):
    assert run(*arguments, "--max-drop", bound).code == code


def test_the_json_has_all_and_is_written_also_when_the_check_fails(run, arguments, tmp_path):
    ran = run(*arguments, "--json", tmp_path / "a.json", "--quiet")
    assert (ran.code, ran.out) == (1, "")
    report = json.loads((tmp_path / "a.json").read_text())
    assert report["changed"][0]["name"] == "a file.png"
    assert json.loads(run(*arguments, "--json", "-").out)["metrics"] == report["metrics"]
    ran = run(*arguments, "--json", tmp_path / "a.json")
    assert ran.code == 2
    assert "--force" in ran.err


def test_options_stand_before_the_file_and_the_file_before_the_model(run, arguments, tmp_path):
    file = tmp_path / "p.toml"
    file.write_text("scale = 0.5\nmean-value = [100, 0, 0]\n")
    report = json.loads(run(*arguments, "--preprocess", file, "--json", "-").out)
    # Blue is now (pixel - 100) / 2 and so never the answer, but for the brightest blue.
    assert [m["right_before"] for m in report["metrics"]] == [2]
    assert report["largest_difference"] == pytest.approx(5)
    more = ("--mean-value", "0", "--scale", "1")
    report = json.loads(run(*arguments, "--preprocess", file, *more, "--json", "-").out)
    assert [m["right_before"] for m in report["metrics"]] == [3]
    by_channel = ("--mean-value", "100,0", "--mean-value", "0", "--scale", "0.5")
    report = json.loads(run(*arguments, *by_channel, "--json", "-").out)
    assert [m["right_before"] for m in report["metrics"]] == [2]


def test_channel_order_raw_scale_and_mean_file(run, arguments, tmp_path):
    np.save(tmp_path / "m.npy", np.zeros(3))
    report = json.loads(
        run(*arguments, "--channel-order", "rgb", "--raw-scale", "510", "--mean-file",
            tmp_path / "m.npy", "--json", "-").out
    )  # fmt: skip
    # Red is class 0 now: of the four only green is right, and "wrong", whose red is least.
    assert report["metrics"][0]["right_before"] == 2
    assert report["largest_difference"] == pytest.approx(40)


def test_bad_images_are_warned_of(run, arguments, tmp_path):
    write_list(tmp_path / "val.txt", [("zero.png", b"", 0), *IMAGES])
    ran = run(*arguments)
    assert ran.code == 2
    assert "zero.png: the file is empty; mend the set, or pass over more with --max-bad" in ran.err
    ran = run(*arguments, "--max-bad", "1", "--max-drop", "30")
    assert ran.code == 0
    assert "warning: passed over zero.png: the file is empty" in ran.err
    assert "1 unreadable ones passed over" in ran.out


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--resize", "4x"), "HEIGHTxWIDTH"),
        (("--mean-value", "a,b"), "no list of numbers"),
        (("--mean-value", "1,2"), "2 mean values for 3 channels"),
        (("--top", "one"), "--top one"),
        (("--top", "4"), "top 4 of 3"),
        (("--max-drop", "x"), "from 0 up"),
        (("--root", "/"), None),
        (("--preprocess", "nowhere.toml"), "nowhere.toml: No such file"),
        (("--folded-weights", "nowhere"), "nowhere: there is no such file; make it with"),
        (("--mean-file", "nowhere"), "nowhere: No such file"),
        (("--labelmap", "nowhere"), "detection networks"),
    ],
)
def test_bad_usage_ends_in_one_line(run, arguments, more, says):
    ran = run(*arguments, *more)
    assert ran.code == 2
    assert ran.err.startswith("bnfold: ")
    assert ran.err.count("\n") == 1
    assert says is None or says in ran.err


def command(arguments):
    return [sys.executable, "-m", "bnfold", *map(str, arguments), "--max-drop", "30"]


def test_there_is_no_progress_in_a_pipe(arguments):
    done = subprocess.run(command(arguments), check=True, capture_output=True, text=True)
    # Where ten seconds pass, a line says how far it is.
    assert re.fullmatch(r"(bnfold: [\w ]+: \d+ of \d+ images, \d+%\n)*", done.stderr)
    assert "\x1b" not in done.stdout
    assert "\r" not in done.stdout


def test_there_is_progress_on_a_terminal(arguments):
    done = on_terminal(command(arguments), "stderr", columns=100)
    assert done.code == 0
    assert "4/4" in done.terminal
    assert "images/s" in done.terminal
    assert "\x1b" not in done.other


def test_quiet_prints_nothing(run, arguments):
    ran = run(*arguments, "--max-drop", "30", "--quiet")
    assert (ran.code, ran.out, ran.err) == (0, "", "")


def test_opencv_that_is_missing_is_named(run, arguments, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    ran = run(*arguments)
    assert ran.code == 2
    assert "pip install 'bnfold[opencv]'" in ran.err


def test_a_least_accuracy_is_a_gate_of_its_own(run, arguments):
    drop = ["--max-drop", "100"]
    assert run(*arguments, *drop, "--min-top1", "50").code == 0
    ran = run(*arguments, *drop, "--min-top1", "50.1", "--json", "-")
    assert ran.code == 1
    assert "top-1 is 50.00 % (2 of 4 images); at least 50.1 % are asked for" in ran.err
    assert json.loads(ran.out)["min_top1"] == 50.1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--min-top1", "101"], "from 0 to 100"),
        (["--min-top1", "many"], "from 0 to 100"),
        (["--min-top1", "50", "--top", "2"], "top-1 is not counted"),
    ],
)
def test_a_least_accuracy_that_cannot_be(run, arguments, options, says):
    ran = run(*arguments, *options)
    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err


def test_an_accuracy_that_guessing_reaches_gets_a_warning(run, arguments):
    drop = ["--max-drop", "100"]
    assert "guessing" not in run(*arguments, *drop).err
    ran = run(*arguments, *drop, "--limit", "1", "--json", "-")
    assert ran.code == 0
    assert "1 of 1 images, which guessing among 3 classes reaches, too: the check proves" in ran.err
    assert json.loads(ran.out)["doubt"] in ran.err


def test_images_without_their_preprocessing_get_a_warning(run, tmp_path, opencv):
    pair = [EXAMPLE / "deploy.prototxt", EXAMPLE / "digits.caffemodel"]
    folded = [tmp_path / "f.prototxt", tmp_path / "f.caffemodel"]
    outputs = ["--output-model", folded[0], "--output-weights", folded[1]]
    assert run("merge", *pair, *outputs).code == 0
    images = ["--images", EXAMPLE / "val.txt", "--limit", "60", "--runtime", "opencv"]
    given = ["--folded-model", folded[0], "--folded-weights", folded[1], *images]
    ran = run("accuracy", *pair, *given)
    assert ran.code == 0
    assert "what 'data' was trained on was 0.27 ± 0.338 (the statistics of BatchNorm" in ran.err
    ran = run("accuracy", *pair, *given, "--preprocess", EXAMPLE / "preprocess.toml")
    assert (ran.code, ran.err) == (0, "")
