"""The command line itself: the pair as arguments, options that come to nothing, unknown words."""

from __future__ import annotations

import pytest
from models import Model

from bnfold.cli.app import COMMANDS
from bnfold.spelling import distance, nearest

PAIRED = [name for name in COMMANDS if name not in ("attest", "runtimes")]


@pytest.fixture
def pair(tmp_path):
    net = Model(seed=1).input("data", (1, 3, 8, 8))
    return net.conv("c", "data", 4).batch_norm("b", "c").save(tmp_path)


def test_merge_takes_both_files_as_arguments(run, pair):
    assert run("merge", *pair, "--dry-run").code == 0
    assert run("merge", pair[1], "--model", pair[0], "--dry-run").code == 0
    assert run("merge", pair[0], "--weights", pair[1], "--dry-run").code == 0
    assert run("inspect", *pair).out == run("inspect", "--model", pair[0], "--weights", pair[1]).out
    assert run("inspect", pair[0]).code == 0


@pytest.mark.parametrize("command", PAIRED)
def test_every_command_with_a_pair_names_what_is_missing(refused, pair, command):
    rest = ["--images", "x"] if command == "accuracy" else []
    refused(command, *rest, says=["--model", "MODEL WEIGHTS"])
    if command not in ("inspect", "deploy"):
        refused(command, pair[0], *rest, says=["--weights", "MODEL WEIGHTS"])
    refused(command, *pair, "third", *rest, says=["'third'", "two at most"])
    refused(command, *pair, "--model", pair[0], *rest, says="unexpected argument")


@pytest.mark.parametrize("command", PAIRED)
def test_an_empty_path_is_called_empty(refused, pair, command):
    refused(command, "--model", "", "--weights", pair[1], says=["--model", "it is empty"])
    refused(command, "--model", pair[0], "--weights", "", says=["--weights", "it is empty"])
    refused(command, *pair, "--json", "", says=["--json", "it is empty"])


@pytest.mark.parametrize("command", ["merge", "prune"])
@pytest.mark.parametrize("option", ["--output-model", "--output-weights"])
def test_a_dash_is_no_output(refused, pair, command, option):
    refused(command, *pair, option, "-", says=[option, "'-' is no output"])


RUNTIME = [("--runtime", "opencv"), ("--caffe-root", "caffe"), ("--threads", "1")]
PREPROCESS = [
    ("--mean-value", "1"),
    ("--mean-file", "x"),
    ("--scale", "1"),
    ("--raw-scale", "1"),
    ("--resize", "4"),
    ("--crop", "4"),
    ("--channel-order", "bgr"),
    ("--gray",),
    ("--root", "x"),
]
MEASURING = [
    ("--limit", "1"),
    ("--output-blob", "x"),
    ("--annotations", "x"),
    ("--labelmap", "x"),
    ("--max-drop", "1"),
]
USELESS = [
    *[("merge", option, "without --verify") for option in [*RUNTIME, ("--tolerance", "1")]],
    *[("verify", option, "without --images") for option in PREPROCESS],
    *[
        ("prune", ("--ratio", "0.1", *option), "without --images")
        for option in [*RUNTIME, *PREPROCESS, *MEASURING]
    ],
    ("prune", ("--channels", "x", "--round", "4"), "with --channels"),
    ("prune", ("--channels", "x", "--min-channels", "4"), "with --channels"),
    ("bench", ("--repeats", "2", "--seconds", "1"), "with --repeats"),
    ("verify", ("--images", "x", "--tolerance", "1", "--seed", "2"), "with --images and --toler"),
    *[
        (command, ("--force",), "without --json FILE")
        for command in ("inspect", "verify", "bench", "runtimes")
    ],
    ("inspect", ("--force", "--json", "-"), "without --json FILE"),
    ("accuracy", ("--images", "x", "--force"), "without --json FILE"),
    *[
        (command, ("--runtime", "opencv", "--caffe-root", "x"), "with --runtime opencv")
        for command in ("verify", "bench")
    ],
    ("merge", ("--verify", "--runtime", "opencv", "--caffe-root", "x"), "with --runtime opencv"),
    (
        "accuracy",
        ("--images", "x", "--runtime", "opencv", "--caffe-root", "x"),
        "with --runtime opencv",
    ),
]


@pytest.mark.parametrize(("command", "options", "says"), USELESS)
def test_an_option_that_comes_to_nothing_is_refused(refused, pair, command, options, says):
    files = () if command == "runtimes" else pair
    refused(command, *files, *options, says=["no effect", says])


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["merg"], "'merge'"),
        (["insepct"], "'inspect'"),
        (["merge", "--wieghts", "x"], "--weights"),
        (["merge", "--onyl", "x"], "--only"),
        (["merge", "--no-colapse"], "--no-collapse"),
        (["--verson"], "--version"),
    ],
)
def test_a_misspelt_word_is_answered_by_the_nearest(refused, words, meant):
    refused(*words, says=["No such", meant])


def test_nothing_is_suggested_for_a_word_that_is_like_no_other(refused):
    assert "ean" not in refused("transmogrify")
    assert "ean" not in refused("merge", "--transmogrify")


def test_slips_are_counted():
    assert distance("output", "outptu") == 1
    assert distance("", "abc") == 3
    assert distance("kitten", "sitting") == 3
    assert nearest("conv3", ["conv1", "conv2", "pool", "fc"]) == ["conv1", "conv2"]
