"""What is no file is refused at once, and so is what would bring the machine down."""

from __future__ import annotations

import json
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


ENDS = {"timeout": 300, "capture_output": True, "text": True}

ALL = """
import json, sys
from bnfold.cli import app

for arguments in json.load(sys.stdin):
    sys.argv = ["bnfold", *arguments]
    code = app._run()
    print("ends with", code, file=sys.stderr, flush=True)
"""


def are_refused(*commands) -> list[str]:
    """Run commands in a process of their own: one that hangs must not take the tests along."""
    texts = json.dumps([[str(argument) for argument in command] for command in commands])
    done = subprocess.run([sys.executable, "-c", ALL], input=texts, **ENDS)
    assert done.returncode == 0, done
    lines = done.stderr.splitlines()
    assert len(lines) == 2 * len(commands), done
    assert set(lines[1::2]) == {"ends with 2"}, done
    assert all(line.startswith("bnfold: ") for line in lines[::2]), done
    return lines[::2]


def test_special_files_are_refused_as_networks(special, pair):
    model, weights = pair
    said = are_refused(
        ("inspect", "--model", special),
        ("inspect", "--model", model, "--weights", special),
        ("merge", "--force", "--model", model, "--weights", special),
        ("verify", "--model", special, "--weights", weights, "--folded-model", model,
         "--folded-weights", weights),
        ("bench", "--model", model, "--weights", weights, "--folded-model", special),
        ("prune", "--model", model, "--weights", weights, "--channels", special),
    )  # fmt: skip
    assert all(str(special) in line for line in said)


@pytest.mark.usefixtures("opencv")
def test_special_files_are_refused_as_sets_of_images(special, pair, tmp_path):
    check = ["accuracy", "--runtime", "opencv", "--model", pair[0], "--weights", pair[1]]
    check += ["--output-blob", "f"]
    (tmp_path / "data.mdb").symlink_to(special)
    images = [[*check, "--images", special], [*check, "--images", tmp_path / "data.mdb"]]
    itself, database = are_refused(*images)
    assert str(special) in itself
    assert "data.mdb" in database


@pytest.mark.usefixtures("opencv")
def test_special_files_are_refused_as_images_and_what_goes_with_them(special, pair, tmp_path):
    check = ["accuracy", "--runtime", "opencv", "--model", pair[0], "--weights", pair[1]]
    images = ["--images", tmp_path / "list.txt", "--output-blob", "f"]
    for name in ("own", "photos"):
        (tmp_path / name).mkdir()
    (tmp_path / "own" / "list.txt").write_text(f"{special} 0\n")
    (tmp_path / "photos" / "x.png").symlink_to(special)
    (tmp_path / "data.mdb").symlink_to(special)
    are_refused(
        [*check, "--images", special],
        [*check, *images, "--mean-file", special],
        [*check, *images, "--preprocess", special],
        [*check, *images, "--labelmap", special, "--annotations", special],
        [*check, "--output-blob", "f", "--images", tmp_path / "own" / "list.txt"],
        ["verify", *check[1:], "--images", tmp_path / "photos"],
        [*check, "--images", tmp_path / "data.mdb"],
    )


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
