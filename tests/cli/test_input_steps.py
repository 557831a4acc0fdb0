"""`--input-mean` and its like on the command line: of merge, verify and accuracy."""

from __future__ import annotations

import shutil

import pytest
from conftest import EXAMPLE
from models import Model

SCALE = ("--input-scale", "0.00390625")


@pytest.fixture
def pair(tmp_path):
    folder = shutil.copytree(EXAMPLE, tmp_path / "digits")
    return folder / "deploy.prototxt", folder / "digits.caffemodel"


def test_report_says_where_each_part_went(run, tmp_path):
    net = Model(seed=3).input("data", (1, 3, 8, 8)).conv("c", "data", 5, words="pad: 1")
    options = ("--input-mean", "104,117,123", "--input-swap", *SCALE)
    ran = run("merge", *net.save(tmp_path), *options)
    assert ran.code == 0, ran
    assert (
        "input data takes raw pixels: order of channels and scale into c; Scale data/raw does the "
        "rest: Convolution layer 'c' pads by 1"
    ) in ran.out
    assert "'data' takes raw pixels, with Scale data/raw behind it" in ran.out


def test_accuracy_feeds_the_folded_network_pixels(run, pair, opencv):
    assert run("merge", *pair, *SCALE).code == 0
    images = ("--images", pair[0].parent / "val.txt", "--runtime", "opencv", "--limit", "40")
    ran = run("accuracy", *pair, *images, *SCALE)
    assert ran.code == 0, ran
    # Both fed the same, the folded network takes gray for black.
    ran = run("accuracy", *pair, *images, "--scale", "0.00390625")
    assert ran.code == 1, ran


def test_verify_takes_the_options_of_the_merge(run, pair, opencv):
    assert run("merge", *pair, *SCALE).code == 0
    assert run("verify", *pair, *SCALE, "--runtime", "opencv").code == 0
    assert run("verify", *pair, "--runtime", "opencv").code == 1
    images = ("--images", pair[0].parent / "val.txt")
    assert run("verify", *pair, *SCALE, *images, "--runtime", "opencv").code == 0


@pytest.mark.parametrize("command", ["merge", "verify"])
@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--input-mean", "1,two"), "no list of numbers; give one, or 104,117,123"),
        (("--input-mean", "1,2"), "has 2 values, and 'data' 1 channel;"),
        (("--input-scale", "nan"), "give a finite number that is not 0"),
        (("--input-swap",), "order of 3 channels round, and 'data' has 1"),
        (("--input-blob", "data"), "what is to be done to it?"),
        (("--input-scale", "2", "--input-blob", "dat"), "did you mean 'data'?"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(
    run, refused, pair, opencv, command, options, says
):
    if command == "verify":
        assert run("merge", *pair).code == 0
    refused(command, *pair, *options, says=says)


def test_accuracy_refuses_another_input_than_that_of_the_images(run, refused, pair, opencv):
    assert run("merge", *pair).code == 0
    images = ("--images", pair[0].parent / "val.txt")
    refused("accuracy", *pair, *images, *SCALE, "--input-blob", "other", says="no input is named")
