"""What the command says of parallel branches, and the options that choose."""

from __future__ import annotations

import json
import re

import pytest
from models import Model


@pytest.fixture
def pair(tmp_path):
    """A sum of which two branches merge and one stays, and a Concat of two convolutions."""
    net = Model(seed=3).input("data", (1, 4, 5, 5))
    net.conv("wide", "data", 4, 3, bias=False, words="pad: 1").conv("point", "data", 4, 1)
    net.conv("gated", "data", 4, 1).relu("relu", "gated")
    net.layer('name: "sum" type: "Eltwise" bottom: "wide" bottom: "point" bottom: "gated" top: "s"')
    net.conv("left", "data", 4, 1).conv("right", "data", 4, 1)
    net.layer('name: "cat" type: "Concat" bottom: "left" bottom: "right" top: "cat"')
    return net.save(tmp_path)


@pytest.fixture
def merge(run, pair, tmp_path):
    def merge(*options):
        return run("merge", "--model", pair[0], "--weights", pair[1], *options)

    return merge


def test_lines_say_what_merged_and_what_stays(merge):
    ran = merge()
    assert ran.code == 0
    lines = [line for line in ran.out.splitlines() if re.search(r"\bbranches (at|merged)", line)]
    assert lines[0].startswith("merged branches at sum (Eltwise) from wide, point into wide, ")
    assert lines[0].endswith("a 3x3 convolution, with a new bias")
    assert lines[1].startswith("kept branches at sum (Eltwise) from relu: ReLU layer 'relu'")
    assert lines[1].endswith("[not-linear]")
    assert lines[2:] == ["2 parallel branches merged into 1 convolution"]


def test_no_branches_leaves_them(merge, pair):
    ran = merge("--no-branches", "--no-engine-caffe")
    assert "branches at" not in ran.out
    folded = pair[0].with_name("net.folded.prototxt")
    assert folded.read_bytes() == pair[0].read_bytes()


def test_concat_branches_merges_what_a_concat_joins(merge):
    report = json.loads(merge("--concat-branches", "--json", "-").out)
    found = {(b["layer"], b["fate"]): b["branches"] for b in report["branches"]}
    assert found == {
        ("sum", "merged"): ["wide", "point"],
        ("sum", "kept"): ["relu"],
        ("cat", "merged"): ["left", "right"],
    }


def test_inspect_takes_the_same_options(run, pair):
    ran = run("inspect", "--model", pair[0], "--no-branches", "--concat-branches")
    assert "merged branches at cat (Concat) from left, right into left, a 1x1" in ran.out
    assert "at sum" not in ran.out
