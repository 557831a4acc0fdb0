"""Outputs appear whole or not at all, and inputs are never touched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from models import Model

import bnfold
from bnfold.caffemodel import open_weights
from bnfold.outputs import Outputs, commit


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


@pytest.mark.parametrize("force", [False, True])
def test_symbolic_link_is_neither_followed_nor_replaced(force, refuses, tmp_path):
    (tmp_path / "other").write_text("mine")
    (tmp_path / "link").symlink_to("other")
    (tmp_path / "dangling").symlink_to("nowhere")
    refuses(["link", "symbolic link", "leads to"], output_model=tmp_path / "link", force=force)
    refuses("symbolic link", output_weights=tmp_path / "dangling", force=force)


def test_folder_behind_a_link_is_written_to(pair, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    bnfold.merge(
        *pair, output_model=tmp_path / "link" / "x", output_weights=tmp_path / "real" / "y"
    )
    assert {path.name for path in (tmp_path / "real").iterdir()} == {"x", "y"}


def test_hidden_name_of_its_own_is_no_output(refuses, tmp_path):
    refuses("choose another", output_model=tmp_path / ".bnfold-new.x")


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
    real, calls = commit._replace, []

    def replace(temporary, target):
        if target.name.startswith(".bnfold-"):
            return real(temporary, target)
        calls.append(target)
        if len(calls) == failing + 1:
            raise OSError(5, "Input/output error", str(target))
        return real(temporary, target)

    monkeypatch.setattr(commit, "_replace", replace)
    refuses("Input/output error", force=existing)
    assert len(calls) == failing + 1


def test_no_permission_in_the_folder(refuses, monkeypatch, tmp_path):
    real = os.open

    def denied(path, flags, *more, **named):
        if flags & os.O_CREAT:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, flags, *more, **named)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", denied)
        target = tmp_path / "net.folded.caffemodel"
        refuses([f"{target}: Permission denied", "check its permissions"])


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGHUP])
def test_termination_in_the_midst_of_a_merge_leaves_nothing(sent, tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    model, weights = network().save(folder)
    before = snapshot(folder)
    # The blob's values come slowly, so that the signal surely arrives while they are written.
    slow = (
        "import sys, time; from bnfold.fold import weights; from bnfold.cli import main\n"
        "def crawl(*_): print('here', flush=True); time.sleep(600)\n"
        "weights._multiply = crawl\n"
        "main()"
    )
    arguments = ["merge", "--model", str(model), "--weights", str(weights)]
    process = subprocess.Popen([sys.executable, "-c", slow, *arguments], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"here\n"
    # The weights, and the locks of both outputs.
    assert len(snapshot(folder)) == 2 + 3
    process.send_signal(sent)
    assert process.wait(timeout=300) == 128 + sent
    process.stdout.close()
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


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize(
    ("source", "mode"), [(0o600, 0o600), (0o640, 0o640), (0o604, 0o604), (0o444, 0o644)]
)
def test_outputs_are_never_more_readable_than_either_input(
    source, mode, index, pair, tmp_path, monkeypatch
):
    pair[index].chmod(source)
    seen = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (seen.append(os.fstat(fd).st_mode), real(fd)))
    report = bnfold.merge(*pair)
    for path in (report.output_model, report.output_weights):
        assert path.stat().st_mode & 0o777 == mode
    assert len(seen) >= 4


def test_outputs_of_another_group_are_not_readable_for_it(pair):
    if os.geteuid() != 0:
        pytest.skip("only root can give a file to another group")
    os.chown(pair[1], 0, 12345)
    pair[1].chmod(0o640)
    report = bnfold.merge(*pair)
    for path in (report.output_model, report.output_weights):
        assert path.stat().st_mode & 0o777 == 0o600


def test_report_is_no_more_readable_than_the_inputs(pair, tmp_path):
    pair[1].chmod(0o600)
    target = tmp_path / "plan.json"
    arguments = ["inspect", "--model", pair[0], "--weights", pair[1], "--json", target, "-q"]
    subprocess.run([sys.executable, "-m", "bnfold", *arguments], check=True)
    assert target.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o600, 0o664, 0o444])
def test_force_keeps_mode_and_owner_of_what_it_replaces(mode, pair):
    report = bnfold.merge(*pair)
    targets = report.output_model, report.output_weights
    owner = (12345, 12346) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    for target in targets:
        os.chown(target, *owner)
        target.chmod(mode)
    bnfold.merge(*pair, force=True)
    for target in targets:
        status = target.stat()
        assert status.st_mode & 0o777 == mode
        assert (status.st_uid, status.st_gid) == owner


def test_file_of_another_user_is_not_replaced_if_it_could_not_be_given_back(
    refuses, tmp_path, monkeypatch
):
    if os.geteuid() != 0:
        pytest.skip("only root can give a file to another user")
    target = tmp_path / "net.folded.prototxt"
    target.write_text("theirs")
    os.chown(target, 12345, 12345)
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    refuses(["another user", "remove it"], force=True)


def test_inputs_may_be_read_only(pair):
    for path in pair:
        path.chmod(0o444)
    assert list(bnfold.merge(*pair).plan.of(bnfold.Fate.FOLDED))


# ---------------------------------------------------------------- others at work


def test_second_merge_onto_the_same_target_is_refused_until_the_first_is_done(pair, tmp_path):
    other = tmp_path / "other"
    with Outputs() as first:
        first.claim([tmp_path / "net.folded.caffemodel", other], pair, force=False)
        with pytest.raises(bnfold.BnfoldError, match="another bnfold is writing"):
            bnfold.merge(*pair)
        with pytest.raises(bnfold.BnfoldError, match="another bnfold is writing"):
            bnfold.merge(*pair, output_model=other, output_weights=tmp_path / "w", force=True)
        bnfold.merge(*pair, output_model=tmp_path / "m", output_weights=tmp_path / "w")
    bnfold.merge(*pair)
    assert not list(tmp_path.glob(".*"))


def test_many_merges_onto_one_pair_leave_the_whole_of_one(tmp_path):
    pairs = []
    for channels in (3, 4, 5, 6):
        net = Model(seed=channels).input("data", (1, 3, 8, 8)).conv("c", "data", channels)
        pairs.append(net.batch_norm("b", "c").save(tmp_path, f"net{channels}"))
    outputs = ["--output-model", tmp_path / "m", "--output-weights", tmp_path / "w", "--force"]
    commands = [
        [sys.executable, "-m", "bnfold", "merge", "--model", m, "--weights", w, *outputs]
        for m, w in pairs
    ]
    runs = [subprocess.Popen(c, stderr=subprocess.PIPE, stdout=-1) for c in commands]
    errors = [run.communicate()[1].decode() for run in runs]
    codes = [run.returncode for run in runs]
    assert 0 in codes
    for code, error in zip(codes, errors, strict=True):
        assert code == 0 or (code == 2 and "another bnfold is writing" in error)
    assert f"num_output: {_outputs_of(tmp_path / 'w')} " in (tmp_path / "m").read_text()
    assert not list(tmp_path.glob(".*"))


def _outputs_of(weights: Path) -> int:
    with open_weights(weights) as stored:
        return stored.records[0].blobs[0].shape[0]


def test_file_that_appears_meanwhile_is_not_replaced_without_force(pair, tmp_path):
    targets = [tmp_path / "m", tmp_path / "w"]

    def write():
        with Outputs() as outputs:
            outputs.claim(targets, pair, force=False)
            for target in targets:
                outputs.write(target, b"new")
            targets[1].write_bytes(b"from elsewhere")

    with pytest.raises(bnfold.BnfoldError, match="exists"):
        write()
    assert not targets[0].exists()
    assert targets[1].read_bytes() == b"from elsewhere"
    assert not list(tmp_path.glob(".*"))


def test_file_system_without_hard_links_is_undone_as_well(pair, tmp_path, monkeypatch):
    def none(*_, **__):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", none)
    bnfold.merge(*pair)
    folded = tmp_path / "net.folded.prototxt", tmp_path / "net.folded.caffemodel"
    folded[1].write_text("old")
    real = commit._replace

    def failing(hidden, target):
        if target == folded[0]:
            raise OSError(5, "Input/output error", str(target))
        real(hidden, target)

    monkeypatch.setattr(commit, "_replace", failing)
    with pytest.raises(bnfold.BnfoldError, match="Input/output"):
        bnfold.merge(*pair, force=True)
    assert folded[1].read_text() == "old"
    assert not list(tmp_path.glob(".*"))
