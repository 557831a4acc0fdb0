"""What is no file is refused at once, and so is what would bring the machine down."""

from __future__ import annotations

import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
from models import Model

import bnfold
from bnfold.runtimes.choose import THREADS_PER_CORE


@pytest.fixture
def pair(tmp_path):
    net = Model(seed=1).input("data", (1, 3, 8, 8)).conv("c", "data", 4).batch_norm("b", "c")
    model, weights = net.relu("r", "c").inner_product("f", "c", 2, 144).save(tmp_path)
    bnfold.merge(model, weights)
    cv2.imwrite(str(tmp_path / "x.png"), np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "list.txt").write_text("x.png 0\n")
    return model, weights


@pytest.fixture(params=["pipe", "device"])
def special(request, tmp_path):
    """Something that has no end, or no beginning."""
    if request.param == "device":
        return "/dev/zero"
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


ENDS = {"timeout": 30, "capture_output": True, "text": True}


def command(*arguments) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own: one that hangs must not take the tests along."""
    return subprocess.run([sys.executable, "-m", "bnfold", *map(str, arguments)], **ENDS)


def is_refused(*arguments) -> str:
    done = command(*arguments)
    assert done.returncode == 2, done
    assert done.stderr.startswith("bnfold: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_special_files_are_refused_as_networks(special, pair):
    model, weights = pair
    for files in (
        ("inspect", "--model", special),
        ("inspect", "--model", model, "--weights", special),
        ("merge", "--force", "--model", model, "--weights", special),
        ("verify", "--model", special, "--weights", weights, "--folded-model", model,
         "--folded-weights", weights),
        ("bench", "--model", model, "--weights", weights, "--folded-model", special),
        ("prune", "--model", model, "--weights", weights, "--channels", special),
    ):  # fmt: skip
        assert str(special) in is_refused(*files)


@pytest.mark.usefixtures("opencv")
def test_special_files_are_refused_as_sets_of_images(special, pair, tmp_path):
    check = ["accuracy", "--runtime", "opencv", "--model", pair[0], "--weights", pair[1]]
    check += ["--output-blob", "f"]
    assert str(special) in is_refused(*check, "--images", special)
    (tmp_path / "data.mdb").symlink_to(special)
    assert "data.mdb" in is_refused(*check, "--images", tmp_path / "data.mdb")


@pytest.mark.usefixtures("opencv")
def test_special_files_are_refused_as_images_and_what_goes_with_them(special, pair, tmp_path):
    check = ["accuracy", "--runtime", "opencv", "--model", pair[0], "--weights", pair[1]]
    images = ["--images", tmp_path / "list.txt", "--output-blob", "f"]
    for options in (
        ["--images", special],
        [*images, "--mean-file", special],
        [*images, "--preprocess", special],
        [*images, "--labelmap", special, "--annotations", special],
    ):
        is_refused(*check, *options)
    (tmp_path / "list.txt").write_text(f"{special} 0\n")
    is_refused(*check, *images)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "x.png").symlink_to(special)
    is_refused("verify", *check[1:], "--images", tmp_path / "photos")
    (tmp_path / "data.mdb").symlink_to(special)
    is_refused(*check, "--images", tmp_path / "data.mdb")


def test_a_process_substitution_is_read_whole(pair):
    script = 'exec "$0" -m bnfold inspect --model <(cat "$1")'
    done = subprocess.run(["bash", "-c", script, sys.executable, str(pair[0])], **ENDS)
    assert done.returncode == 0, done.stderr
    assert "folded b (BatchNorm) into c" in done.stdout
    script = 'exec "$0" -m bnfold inspect --model <(yes "# line")'
    done = subprocess.run(["bash", "-c", script, sys.executable], **ENDS)
    assert done.returncode == 2
    assert "more than 64 MiB" in done.stderr


def test_more_threads_than_four_for_each_processor_are_refused(pair, refused, tmp_path):
    most = THREADS_PER_CORE * os.cpu_count()
    files = ["--model", pair[0], "--weights", pair[1]]
    images = ["--images", tmp_path / "list.txt", "--output-blob", "f"]
    for arguments in (
        ["bench", *files, "--repeats", "1", "--threads", most + 1],
        ["verify", *files, "--threads", 100000],
        ["merge", *files, "--verify", "--force", "--threads", 100000],
        ["accuracy", *files, *images, "--threads", 100000],
        ["accuracy", *files, *images, "--workers", 100000],
    ):
        refused(*arguments, says=["are too many", f"at most {most}"])


@pytest.mark.parametrize("runtime", ["opencv", "pycaffe"])
def test_a_batch_that_no_memory_holds_is_refused(runtime, pair, refused, engines):
    if engines[runtime] is None:
        pytest.skip(f"{runtime} is not installed")
    files = ["--model", pair[0], "--weights", pair[1], "--runtime", runtime]
    refused("bench", *files, "--batch", 10**9, says="give a smaller one")
    refused("bench", *files, "--batch", 10**30, says="give a smaller one")
