"""Outputs appear whole or not at all, and inputs are never touched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from models import Model

import bnfold
from bnfold import outputs


def network() -> Model:
    net = Model(seed=1).input("data", (1, 3, 8, 8))
    return net.conv("c", "data", 4, bias=False).batch_norm("b", "c").scale("s", "c")


def snapshot(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def pair(tmp_path):
    return network().save(tmp_path)


@pytest.fixture
def refuses(pair, tmp_path):
    """A merge that must fail and leave the folder exactly as it was."""

    def refuses(says, **options):
        before = snapshot(tmp_path)
        with pytest.raises(bnfold.BnfoldError) as caught:
            bnfold.merge(*pair, **options)
        assert snapshot(tmp_path) == before
        message = str(caught.value)
        assert "\n" not in message
        for word in [says] if isinstance(says, str) else says:
            assert word in message

    return refuses


def test_outputs_stand_beside_the_inputs_by_default(pair, tmp_path):
    report = bnfold.merge(*pair)
    assert report.output_model == tmp_path / "net.folded.prototxt"
    assert report.output_weights == tmp_path / "net.folded.caffemodel"
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        "net.prototxt",
        "net.caffemodel",
        "net.folded.prototxt",
        "net.folded.caffemodel",
    }


@pytest.mark.parametrize(
    ("name", "folded"),
    [
        ("deploy.prototxt", "deploy.folded.prototxt"),
        ("train.v2.prototxt", "train.v2.folded.prototxt"),
        ("deploy", "deploy.folded"),
    ],
)
def test_default_name_puts_folded_before_the_suffix(name, folded, pair, tmp_path):
    model = pair[0].rename(tmp_path / name)
    assert bnfold.merge(model, pair[1]).output_model == tmp_path / folded


def test_outputs_go_where_they_are_told(pair, tmp_path):
    (tmp_path / "out").mkdir()
    targets = tmp_path / "out" / "a.txt", tmp_path / "out" / "b.bin"
    bnfold.merge(*pair, output_model=targets[0], output_weights=str(targets[1]))
    assert sorted((tmp_path / "out").iterdir()) == sorted(targets)


def test_relative_paths_work_from_the_folder_itself(pair, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bnfold.merge("net.prototxt", "net.caffemodel")
    assert Path("net.folded.prototxt").is_file()


# ---------------------------------------------------------------- what may not be written


@pytest.mark.parametrize("which", ["output_model", "output_weights"])
def test_output_that_exists_is_replaced_only_by_force(which, pair, refuses, tmp_path):
    target = tmp_path / "there"
    target.write_text("mine")
    refuses([str(target), "exists", "--force"], **{which: target})
    bnfold.merge(*pair, **{which: target}, force=True)
    assert target.read_bytes() != b"mine"
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("index", [0, 1])
def test_output_that_is_an_input_is_never_written(
    index, force, pair, refuses, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    source = pair[index]
    hard, soft, dangling = tmp_path / "hard", tmp_path / "soft", tmp_path / "two"
    os.link(source, hard)
    soft.symlink_to(source.name)
    dangling.symlink_to(soft)
    (tmp_path / "sub").mkdir()
    detour, relative = tmp_path / "sub" / ".." / source.name, os.path.relpath(source)
    spellings = [source, f"{tmp_path}/./{source.name}", detour, relative, hard, soft, dangling]
    for spelling in spellings:
        for which in ("output_model", "output_weights"):
            refuses("never overwritten", **{which: spelling}, force=force)


def test_input_by_a_link_is_known_as_itself(pair, tmp_path):
    link = tmp_path / "link.prototxt"
    link.symlink_to(pair[0].name)
    with pytest.raises(bnfold.BnfoldError, match="never overwritten"):
        bnfold.merge(link, pair[1], output_model=pair[0], force=True)


def test_both_outputs_of_one_name(refuses, tmp_path):
    (tmp_path / "sub").mkdir()
    refuses("both", output_model=tmp_path / "x", output_weights=tmp_path / "sub" / ".." / "x")


def test_folder_that_does_not_exist(refuses, tmp_path):
    refuses("does not exist", output_model=tmp_path / "nowhere" / "x")
    refuses("is not a folder", output_weights=tmp_path / "net.prototxt" / "x")


@pytest.mark.parametrize("force", [False, True])
def test_output_that_is_a_folder_or_a_device(force, refuses, tmp_path):
    (tmp_path / "folder").mkdir()
    refuses("not a file", output_model=tmp_path / "folder", force=force)
    refuses("not a file", output_weights="/dev/null", force=force)


def test_link_that_goes_in_a_circle(refuses, tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    refuses("exists", output_model=tmp_path / "loop")


def test_force_replaces_a_link_and_not_what_it_leads_to(pair, tmp_path):
    other = tmp_path / "other"
    other.write_text("mine")
    (tmp_path / "link").symlink_to("other")
    bnfold.merge(*pair, output_model=tmp_path / "link", force=True)
    assert other.read_text() == "mine"
    assert not (tmp_path / "link").is_symlink()


# ---------------------------------------------------------------- failing midway


def test_nan_that_is_found_while_streaming_leaves_nothing(pair, refuses):
    net = network()
    # The last value of the last layer that is written: the rest is on disk by then.
    net.inner_product("f", "c", 3, 144).scale("t", "f")
    record = next(r for r in net.net.layer if r.name == "f")
    record.blobs[0].data[-1] = np.nan
    net.save(pair[0].parent)
    refuses("NaN")
    refuses("NaN", dry_run=True)


def test_full_disk_leaves_nothing_and_names_the_output(refuses, monkeypatch, tmp_path):
    def full(descriptor, data):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        target = tmp_path / "net.folded.caffemodel"
        refuses([f"{target}: No space left on device", "make room"])


def test_really_full_disk(pair, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4k,nr_inodes=100", "none", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this system does not let a small disk be mounted")
    try:
        net = Model(seed=1).input("data", (1, 3, 8, 8)).conv("c", "data", 400).batch_norm("b", "c")
        model, weights = net.save(tmp_path)
        target = disk / "x.caffemodel"
        with pytest.raises(bnfold.BnfoldError, match=f"{target}: No space left"):
            bnfold.merge(model, weights, output_weights=target)
        assert not any(disk.iterdir())
        assert not (tmp_path / "net.folded.prototxt").exists()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("existing", [False, True])
@pytest.mark.parametrize("failing", [0, 1])
def test_rename_that_fails_undoes_the_other(failing, existing, refuses, monkeypatch, tmp_path):
    if existing:
        (tmp_path / "net.folded.prototxt").write_text("old model")
        (tmp_path / "net.folded.caffemodel").write_text("old weights")
    real, calls = outputs._replace, []

    def replace(temporary, target):
        calls.append(target)
        if len(calls) == failing + 1:
            raise OSError(5, "Input/output error", str(target))
        return real(temporary, target)

    monkeypatch.setattr(outputs, "_replace", replace)
    refuses("Input/output error", force=existing)
    assert len(calls) == failing + 1


def test_no_permission_in_the_folder(refuses, monkeypatch, tmp_path):
    real = os.open

    def denied(path, flags, *more, **named):
        if flags & os.O_CREAT:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, flags, *more, **named)

    with monkeypatch.context() as patched:
        patched.setattr(outputs.os, "open", denied)
        target = tmp_path / "net.folded.caffemodel"
        refuses([f"{target}: Permission denied", "check its permissions"])


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGHUP])
def test_termination_in_the_midst_of_a_merge_leaves_nothing(sent, tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    model, weights = network().save(folder)
    before = snapshot(folder)
    # The blob's values come slowly, so that the signal surely arrives while they are written.
    slow = (
        "import sys, time; from bnfold.fold import weights; from bnfold.cli import main\n"
        "def crawl(*_): print('here', flush=True); time.sleep(60)\n"
        "weights._multiply = crawl\n"
        "main()"
    )
    arguments = ["merge", "--model", str(model), "--weights", str(weights)]
    process = subprocess.Popen([sys.executable, "-c", slow, *arguments], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"here\n"
    assert len(snapshot(folder)) == 3
    process.send_signal(sent)
    start = time.monotonic()
    assert process.wait(timeout=20) == 128 + sent
    process.stdout.close()
    assert time.monotonic() - start < 20
    assert snapshot(folder) == before


# ---------------------------------------------------------------- dry runs, permissions


def test_dry_run_writes_nothing_and_reports_the_same_plan(pair, tmp_path):
    before = snapshot(tmp_path)
    rehearsed = bnfold.merge(*pair, dry_run=True)
    assert snapshot(tmp_path) == before
    done = bnfold.merge(*pair)
    assert rehearsed.plan == done.plan
    assert (rehearsed.output_model, rehearsed.output_weights) == (None, None)
    assert rehearsed.after.parameters == done.after.parameters


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_follow_the_umask(mask, mode, pair):
    old = os.umask(mask)
    try:
        report = bnfold.merge(*pair)
    finally:
        os.umask(old)
    for path in (report.output_model, report.output_weights):
        assert path.stat().st_mode & 0o777 == mode


def test_inputs_may_be_read_only(pair):
    for path in pair:
        path.chmod(0o444)
    assert list(bnfold.merge(*pair).plan.of(bnfold.Fate.FOLDED))
