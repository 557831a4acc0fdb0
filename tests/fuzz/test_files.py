"""A few hundred damaged files of every kind; `make fuzz` judges as many as one likes."""

from __future__ import annotations

from random import Random

from .files import draw
from .targets import TARGETS
from .worker import Worker


def test_nothing_but_one_line_of_error_comes_of_damaged_files():
    rng, targets = Random(8), set()
    with Worker() as worker:
        for _ in range(250):
            case = draw(rng)
            targets.add(case.target)
            assert worker.judge(case.target, case.files) == "", sorted(case.files)
    assert targets == set(TARGETS)


def test_what_goes_wrong_is_told():
    """The judge itself: a target that there is not, which is a KeyError in its process."""
    files = {"net.prototxt": b"layer { ", "net.caffemodel": b""}
    with Worker() as worker:
        assert worker.judge("merge", files) == ""
        assert "process died" in worker.judge("nonsense", files)
        assert worker.judge("merge", files) == ""
