"""Journals that come in an archive: nothing happens to a file that they have no right to."""

from __future__ import annotations

import os
import zlib

import pytest
from models import Model

import bnfold
from bnfold.outputs import settle


def moment(data: bytes) -> int:
    """When a file of this content was last changed: an archive says that of each, and so here."""
    return 1_000_000_000_000_000_000 + zlib.crc32(data)


def put(path, data: bytes) -> None:
    path.write_bytes(data)
    os.utime(path, ns=(moment(data), moment(data)))


def stamp(data: bytes) -> str:
    return f"{len(data)} {moment(data)}"


def line(path, new: bytes, old: bytes | None) -> str:
    return f"{stamp(new)} {'- -' if old is None else stamp(old)} {path}"


def journal(*lines: str) -> str:
    return "".join(f"{text}\n" for text in ("bnfold commit 1", *lines))


EVIL = b"evil"


@pytest.fixture
def folder(tmp_path):
    """An unpacked model, the user's own files around it, and a hidden evil file for each."""
    (tmp_path / "model").mkdir()
    (tmp_path / "other").mkdir()
    net = Model(seed=1).input("data", (1, 3, 8, 8)).conv("c", "data", 4).batch_norm("b", "c")
    for path in net.save(tmp_path / "model"):
        put(path, path.read_bytes())
    for path in ("other/own", "model/own", "own"):
        put(tmp_path / path, b"the user's own")
    return tmp_path / "model"


@pytest.fixture
def unmoved(folder):
    """Plant journals beside both files of the model; no command may change any file by them."""

    def unmoved(text, *, says="remove it"):
        for name in ("net.prototxt", "net.caffemodel"):
            place = folder / f".bnfold-commit.{name}"
            place.unlink(missing_ok=True)
            place.write_text(text)
        root = folder.parent
        before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
        pair = folder / "net.prototxt", folder / "net.caffemodel"
        for command in (
            lambda: bnfold.inspect(*pair),
            lambda: bnfold.inspect(pair[0]),
            lambda: bnfold.merge(*pair, output_model=root / "m", output_weights=root / "w"),
            lambda: bnfold.verify(*pair, folded_model=pair[0], folded_weights=pair[1]),
        ):
            with pytest.raises(bnfold.BnfoldError) as caught:
                command()
            assert says in str(caught.value)
            assert "\n" not in str(caught.value)
        after = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
        assert after == before

    return unmoved


def plant(path, data=EVIL):
    put(path.with_name(f".bnfold-new.{path.name}"), data)


@pytest.mark.parametrize(
    "path",
    [
        "../own",
        "../other/own",
        "./own",
        "sub/own",
        "..",
        ".",
        "/",
        "\\x2e\\x2e/own",
        "own\\x00",
        ".bnfold-lock.x",
        "{root}/model/../own",
        "{root}//own",
        "{root}/own/",
    ],
)
def test_path_that_leads_out_of_the_folder_is_refused(path, unmoved, folder):
    for own in (folder / "own", folder.parent / "own", folder.parent / "other" / "own"):
        plant(own)
    text = (folder / "net.prototxt").read_bytes()
    path = path.replace("{root}", str(folder.parent))
    unmoved(journal(line("net.prototxt", text, None), line(path, EVIL, b"the user's own")))


def test_file_in_another_folder_is_not_touched_without_a_journal_of_its_own(unmoved, folder):
    own = folder.parent / "other" / "own"
    plant(own)
    plant(folder / "net.prototxt")
    text, weights = ((folder / f"net.{end}").read_bytes() for end in ("prototxt", "caffemodel"))
    lines = [line(own, EVIL, own.read_bytes()), line("net.prototxt", EVIL, text)]
    lines.append(line("net.caffemodel", weights, b"another"))
    unmoved(journal(*lines), says="neither finished nor undone")


def test_file_of_another_name_in_the_folder_is_not_touched_without_its_own(unmoved, folder):
    plant(folder / "own")
    text, weights = ((folder / f"net.{end}").read_bytes() for end in ("prototxt", "caffemodel"))
    own = line("own", EVIL, (folder / "own").read_bytes())
    rest = [line("net.prototxt", text, b"another"), line("net.caffemodel", EVIL, weights)]
    unmoved(journal(own, *rest), says="neither finished nor undone")


@pytest.mark.parametrize("wrong", ["new", "old", "size"])
def test_nothing_is_believed_whose_size_or_time_is_wrong(wrong, unmoved, folder):
    text, weights = ((folder / f"net.{end}").read_bytes() for end in ("prototxt", "caffemodel"))
    plant(folder / "net.prototxt")
    new = b"live" if wrong == "new" else EVIL
    old = text[::-1] if wrong == "old" else text
    entry = line("net.prototxt", new, old)
    if wrong == "size":
        entry = entry.replace(f"{len(EVIL)} ", f"{len(EVIL) + 1} ", 1)
    both = journal(entry, line("net.caffemodel", weights, b"another"))
    unmoved(both, says="neither finished nor undone")


def test_file_that_is_claimed_to_be_new_is_not_deleted(unmoved, folder):
    text, weights = ((folder / f"net.{end}").read_bytes() for end in ("prototxt", "caffemodel"))
    both = journal(line("net.prototxt", text, None), line("net.caffemodel", EVIL, weights))
    unmoved(both, says="neither finished nor undone")


@pytest.mark.parametrize("kind", ["symbolic link", "pipe", "folder"])
def test_hidden_file_that_is_no_regular_file_is_not_used(kind, unmoved, folder):
    text, weights = ((folder / f"net.{end}").read_bytes() for end in ("prototxt", "caffemodel"))
    hidden = folder / ".bnfold-new.net.prototxt"
    own = folder.parent / "own"
    {
        "symbolic link": lambda: hidden.symlink_to(own),
        "pipe": lambda: os.mkfifo(hidden),
        "folder": hidden.mkdir,
    }[kind]()
    entry = line("net.prototxt", own.read_bytes(), text)
    both = journal(entry, line("net.caffemodel", weights, b"another"))
    unmoved(both, says="neither finished nor undone")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bnfold commit 1\n",
        "bnfold commit 2\n",
        "\x00" * 100,
        "bnfold commit 1\n" * 10000,
        "bnfold commit 1\n" + "a" * 100000,
        "é",
        journal(line("net.prototxt", EVIL, None)),
        journal(line("x", EVIL, None), line("y", EVIL, None)),
        journal(*[line("net.prototxt", EVIL, None)] * 2),
        journal(*[line(f"x{i}", EVIL, None) for i in range(2000)]),
        journal(line("net.prototxt", EVIL, None), line("x", EVIL, None)).replace("\n4 ", "\n9e9 "),
    ],
)
def test_journal_of_another_form_is_refused(text, unmoved):
    unmoved(text)


def test_journal_that_is_a_link_or_a_pipe_is_refused(folder):
    place = folder / ".bnfold-commit.net.prototxt"
    for make in (lambda: place.symlink_to("/dev/zero"), lambda: os.mkfifo(place), place.mkdir):
        make()
        with pytest.raises(bnfold.BnfoldError, match="remove it"):
            bnfold.inspect(folder / "net.prototxt")
        place.unlink() if not place.is_dir() else place.rmdir()


def test_journal_of_another_user_is_refused(folder):
    if os.geteuid() != 0:
        pytest.skip("only root can give a file to another user")
    text = journal(line("net.prototxt", EVIL, None), line("net.caffemodel", EVIL, None))
    place = folder / ".bnfold-commit.net.prototxt"
    place.write_text(text)
    os.chown(place, 12345, 12345)
    with pytest.raises(bnfold.BnfoldError, match="another user"):
        bnfold.inspect(folder / "net.prototxt")


def test_planted_links_in_place_of_hidden_files_are_not_written_through(folder):
    own = folder.parent / "own"
    for kind in ("new", "old", "lock", "commit-new"):
        for name in ("net.folded.prototxt", "net.folded.caffemodel"):
            os.link(own, folder / f".bnfold-{kind}.{name}")
    pair = folder / "net.prototxt", folder / "net.caffemodel"
    bnfold.merge(*pair)
    (folder / "net.folded.prototxt").write_text("another")
    for kind in ("new", "old", "commit-new"):
        for name in ("net.folded.prototxt", "net.folded.caffemodel"):
            (folder / f".bnfold-{kind}.{name}").symlink_to(own)
    bnfold.merge(*pair, force=True)
    assert own.read_bytes() == b"the user's own"
    assert own.stat().st_mode & 0o777 == 0o644
    assert not list(folder.glob(".*"))


def test_right_journal_is_believed(folder):
    """What the tests above refuse would work if it were right: they test what they claim to."""
    text, weights = ((folder / f"net.{end}").read_bytes() for end in ("prototxt", "caffemodel"))
    plant(folder / "net.prototxt", b"new text")
    both = journal(line("net.prototxt", b"new text", text), line("net.caffemodel", weights, b"x"))
    for name in ("net.prototxt", "net.caffemodel"):
        (folder / f".bnfold-commit.{name}").write_text(both)
    with pytest.warns(bnfold.InterruptedWarning, match="finished"):
        settle([folder / "net.caffemodel"])
    assert (folder / "net.prototxt").read_bytes() == b"new text"
    assert not list(folder.glob(".*"))


def test_pair_that_cannot_be_settled_is_written_anew_by_force(folder):
    pair = folder / "net.prototxt", folder / "net.caffemodel"
    bnfold.merge(*pair)
    folded = folder / "net.folded.prototxt", folder / "net.folded.caffemodel"
    both = journal(*[line(path.name, EVIL, b"another") for path in folded])
    for path in folded:
        path.with_name(f".bnfold-commit.{path.name}").write_text(both)
    with pytest.raises(bnfold.BnfoldError, match="--force"):
        bnfold.inspect(*folded)
    with pytest.raises(bnfold.BnfoldError, match="--force"):
        bnfold.merge(*pair, output_model=folded[0], output_weights=folder / "x", force=True)
    with pytest.warns(bnfold.InterruptedWarning, match="anew"):
        bnfold.merge(*pair, force=True)
    bnfold.inspect(*folded)
    assert not list(folder.glob(".*"))
