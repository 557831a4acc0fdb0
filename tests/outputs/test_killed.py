"""Killed at any moment: all outputs or none, for whoever uses bnfold next."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import warnings

import pytest
from models import Model

import bnfold
from bnfold.outputs import Outputs, settle

from .killing import killed_at

OLD = (b"old model", b"old weights", b"old report")
NEW = (b"new model, longer", b"new weights, longer", b"new report, longer")


def content(paths):
    return tuple(path.read_bytes() if path.exists() else None for path in paths)


def hidden(folder):
    return sorted(path.name for path in folder.rglob(".*"))


def write(targets, inputs):
    with Outputs() as outputs:
        outputs.claim(targets, inputs, force=True)
        for target, new in zip(targets, NEW, strict=False):
            outputs.write(target, new)


def everywhere(start, work):
    """Start anew and be killed at the first call, the second, and so on; yields after each."""
    number = 0
    while True:
        start()
        killed = killed_at(number, work)
        yield number
        if not killed:
            return
        number += 1


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "input"
    path.write_text("input")
    return path


def settled(paths):
    """Settle files as a command does that reads them; gives what was said."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        settle(paths)
    return [str(warning.message) for warning in said]


@pytest.mark.parametrize("folders", [("a", "a"), ("a", "b"), ("a", "b", "a")])
@pytest.mark.parametrize("fresh", [False, True])
def test_killed_at_any_call_all_outputs_are_old_or_all_are_new(fresh, folders, source, tmp_path):
    targets = [tmp_path / folder / f"f{index}" for index, folder in enumerate(folders)]
    for folder in {*folders}:
        (tmp_path / folder).mkdir()
    before = (None,) * len(targets) if fresh else OLD[: len(targets)]
    after = NEW[: len(targets)]

    def start():
        for target, old in zip(targets, before, strict=True):
            target.unlink(missing_ok=True)
            if old is not None:
                target.write_bytes(old)

    ends, mixed = set(), 0
    for number in everywhere(start, lambda: write(targets, [source])):
        was = content(targets)
        said = settled([targets[number % len(targets)]])
        now = content(targets)
        assert now in (before, after), number
        if was not in (before, after):
            mixed += 1
            assert len(said) == 1
            assert "interrupted" in said[0]
            assert "\n" not in said[0]
            assert all(str(target) in said[0] for target in targets)
        ends.add(now)
    # The last run was not killed.
    assert now == after
    assert ends == {before, after}
    assert mixed >= len(targets) - 1
    assert number > 20
    assert hidden(tmp_path) == []


def test_old_and_new_of_one_size_and_time_are_told_apart(source, tmp_path):
    targets = [tmp_path / "model", tmp_path / "weights"]
    moment = 1_000_000_000_000_000_000

    def fill(kind):
        for target in targets:
            target.write_bytes(kind)
            os.utime(target, ns=(moment, moment))

    def work():
        with Outputs() as outputs:
            outputs.claim(targets, [source], force=True)
            for target in targets:
                with outputs.open(target) as descriptor:
                    os.write(descriptor, b"new")
                    os.utime(descriptor, ns=(moment, moment))

    mixed = 0
    for number in everywhere(lambda: fill(b"old"), work):
        mixed += len({*content(targets)}) - 1
        settled(targets)
        assert content(targets) in ((b"old",) * 2, (b"new",) * 2), number
    assert mixed


def test_killed_while_settling_the_next_command_settles_it(source, tmp_path):
    targets = [tmp_path / "model", tmp_path / "weights"]
    halves = []

    def start():
        for target, old in zip(targets, OLD, strict=False):
            target.write_bytes(old)

    # First find where to be killed so that the pair is half replaced.
    for number in everywhere(start, lambda: write(targets, [source])):
        if content(targets) not in (OLD[:2], NEW[:2]):
            halves.append(number)
        settled(targets)
    for half in halves:

        def begin(half=half):
            start()
            assert killed_at(half, lambda: write(targets, [source]))
            assert content(targets) not in (OLD[:2], NEW[:2])

        for number in everywhere(begin, lambda: settle([targets[0]])):
            settled([targets[1]])
            assert content(targets) in (OLD[:2], NEW[:2]), number


def test_what_killed_runs_leave_goes_with_the_next_run_on_the_same_targets(source, tmp_path):
    targets = [tmp_path / "model", tmp_path / "weights"]
    littered = 0
    for _ in everywhere(lambda: None, lambda: write(targets, [source])):
        littered += bool(hidden(tmp_path))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            write(targets, [source])
        assert hidden(tmp_path) == []
    assert littered > 10


# ---------------------------------------------------------------- the command


@pytest.fixture(scope="module")
def half_made(tmp_path_factory):
    """A folder with a folded pair whose model is new and whose weights are old, after a kill."""
    folder = tmp_path_factory.mktemp("half")
    net = Model(seed=1).input("data", (1, 3, 8, 8)).conv("c", "data", 4, bias=False)
    pair = net.batch_norm("b", "c").scale("s", "c").save(folder)
    bnfold.merge(*pair, collapse=False, keep=["*"])
    folded = folder / "net.folded.prototxt", folder / "net.folded.caffemodel"
    old = content(folded)
    for number in range(1000):
        assert killed_at(number, lambda: bnfold.merge(*pair, force=True), ["replace"])
        if content(folded) != old:
            break
        for path in folder.glob(".bnfold-*"):
            path.unlink()
    now = content(folded)
    assert (now[0] == old[0]) != (now[1] == old[1])
    return folder


@pytest.fixture
def half(half_made, tmp_path):
    """The pair, and the folded one of which half is replaced: its journals go where it goes."""
    shutil.copytree(half_made, tmp_path, dirs_exist_ok=True)
    ends = ("prototxt", "caffemodel")
    return tuple(
        tuple(tmp_path / f"{stem}.{end}" for end in ends) for stem in ("net", "net.folded")
    )


COMMANDS = {
    "merge": lambda pair, folded: ["merge", *files(pair), "--force"],
    "inspect": lambda pair, folded: ["inspect", "--model", folded[0]],
    "merge of it": lambda pair, folded: ["merge", *files(folded), "--dry-run"],
    "verify": lambda pair, folded: ["verify", *files(pair)],
    "bench": lambda pair, folded: ["bench", *files(pair), "--repeats", "1"],
    "prune": lambda pair, folded: ["prune", *files(folded), "--ratio", "0.1", "--dry-run"],
}


def files(pair):
    return ["--model", pair[0], "--weights", pair[1]]


@pytest.mark.parametrize("name", COMMANDS)
def test_next_command_finishes_the_pair_and_says_so_in_a_line(name, half, opencv):
    pair, folded = half
    command = [sys.executable, "-m", "bnfold", *COMMANDS[name](*half)]
    done = subprocess.run(command, capture_output=True, text=True)
    lines = [line for line in done.stderr.splitlines() if "interrupted" in line]
    assert len(lines) == 1, done
    assert lines[0].startswith("bnfold: warning: ")
    assert done.returncode == 0, done
    assert hidden(folded[0].parent) == []
    assert bnfold.verify(*pair, options=bnfold.VerifyOptions(runtime="opencv")).passed


def test_accuracy_settles_the_pair_before_it_reads_it(half, tmp_path):
    pair, _ = half
    with (
        pytest.warns(bnfold.InterruptedWarning, match="finished its work"),
        pytest.raises(bnfold.BnfoldError),
    ):
        bnfold.accuracy(*pair, images=tmp_path / "nowhere")
    assert hidden(tmp_path) == []


def test_half_replaced_pair_in_a_folder_that_cannot_be_written_is_not_used(half, monkeypatch):
    _, folded = half
    real = os.open

    def denied(path, flags, *more, **named):
        if flags & os.O_CREAT:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(bnfold.BnfoldError, match=r"folded\.prototxt: .*interrupted.*Permission"):
        bnfold.inspect(*folded)
