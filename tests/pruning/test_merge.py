"""`prune --merge`: what prune and then merge write, and the weights are written once."""

from __future__ import annotations

import os

import pytest
from fold.channels.nets import Net

import bnfold


def network(storage="float", **words) -> Net:
    net = Net(seed=3, storage=storage, **words)
    net.input("data", (2, 4, 9, 7))
    return net.block("c1", "data", 6).block("c2", "c1", 5, act="Sigmoid").conv("o", "c2", 3)


def twice(pair, tmp_path, **options):
    """Prune into files, and merge these."""
    bnfold.prune(*pair, output_model=tmp_path / "p", output_weights=tmp_path / "p.caffemodel",
                 **options)  # fmt: skip
    bnfold.merge(tmp_path / "p", tmp_path / "p.caffemodel", output_model=tmp_path / "f",
                 output_weights=tmp_path / "f.caffemodel")  # fmt: skip
    return (tmp_path / "f").read_bytes(), (tmp_path / "f.caffemodel").read_bytes()


@pytest.mark.parametrize("storage", ["float", "double", "half", "legacy"])
@pytest.mark.parametrize("channels", [{"c1": [1, 2]}, {"c1": [0], "c2": [0, 4]}])
def test_it_is_what_pruning_and_then_merging_gives(channels, storage, tmp_path):
    pair = network(storage).save(tmp_path)
    expected = twice(pair, tmp_path, channels=channels)
    report = bnfold.prune(*pair, channels=channels, merge=True)
    assert (report.output_model.read_bytes(), report.output_weights.read_bytes()) == expected
    assert report.merged.plan.outcomes


def test_weights_are_written_once_and_in_one_place(tmp_path, monkeypatch):
    pair = network().save(tmp_path)
    (tmp_path / "out").mkdir()
    made, real = [], os.open

    def noted(path, flags, *more, **named):
        if flags & os.O_CREAT and b"caffemodel" in os.fsencode(path):
            made.append(os.path.basename(path))  # noqa: PTH119
        return real(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", noted)
    target = tmp_path / "out" / "x.caffemodel"
    bnfold.prune(*pair, channels={"c1": [1]}, merge=True, output_weights=target)
    assert [name for name in made if "lock" not in name and "commit" not in name] == [
        ".bnfold-new.x.caffemodel"
    ]
