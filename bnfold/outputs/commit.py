"""Giving several files their names at once, also where the process is killed in between.

No system call renames two files. So a journal beside each target says, before the first rename,
what every target held and what it will hold; it goes after the last. Whoever finds one finishes
the renames, or undoes them, by what the files really hold.

A journal may be planted: models come from strangers, in archives. It is therefore only a claim.
Nothing is renamed or removed by it but a target and its hidden files, whose names follow from the
target's own; in each folder only by the journal that lies there, beside that target; and only
where its size and the time of its last change show that a file is what the journal says.
"""

from __future__ import annotations

import contextlib
import os
import re
import warnings
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from bnfold.errors import BnfoldError, InterruptedWarning

from .hidden import (
    PREFIX,
    Locks,
    Stamp,
    beside,
    open_regular,
    real,
    remove,
    stamp_of,
    sync_folders,
)

_TITLE = "bnfold commit 1"
_LINE = re.compile(r"(\d{1,18}) (-?\d{1,19}) (?:(\d{1,18}) (-?\d{1,19})|- -) (.+)", re.ASCII)
_MOST_FILES = 8
_MOST_BYTES = 1 << 16
_KINDS = ("new", "old", "commit", "commit-new")


class Entry(NamedTuple):
    """A file that changes.

    Attributes:
        target: its name, without links.
        new: what it will hold; until then that is in the hidden file `new` beside it.
        old: what it held before; None if it was not there.
    """

    target: Path
    new: Stamp
    old: Stamp | None

    @classmethod
    def of(cls, target: Path) -> Entry:
        """A target that is to hold what the hidden file beside it holds.

        Raises:
            OSError: that is not there.
        """
        return cls(target, Stamp.of(os.lstat(beside(target, "new"))), stamp_of(target))

    def is_new(self) -> bool:
        """Whether the target holds what it will hold."""
        return stamp_of(self.target) == self.new

    def is_old(self) -> bool:
        """Whether the target holds what it held before, or is missing as it was."""
        if self.old is None:
            return not os.path.lexists(self.target)
        return stamp_of(self.target) == self.old

    def can_come(self) -> bool:
        """Whether the target can still get what it will hold, and nothing else would get lost."""
        free = not os.path.lexists(self.target) or self.is_old()
        return free and stamp_of(beside(self.target, "new")) == self.new

    def can_return(self) -> bool:
        """Whether the target can get back what it held."""
        return self.is_old() or (
            self.old is not None
            and (not os.path.lexists(self.target) or self.is_new())
            and stamp_of(beside(self.target, "old")) == self.old
        )


Entries = tuple[Entry, ...]


def commit(targets: Iterable[Path]) -> None:
    """Give hidden files, which are on disk, the names of their targets: all of them or none.

    Args:
        targets: their names, without links.

    Raises:
        OSError: a file could not be renamed; what was, was undone.
    """
    entries = tuple(map(Entry.of, targets))
    done: list[Entry] = []
    try:
        for entry in entries:
            _keep(entry)
        _write_journals(entries)
        for entry in entries:
            done.append(entry)
            _replace(beside(entry.target, "new"), entry.target)
        sync_folders(entry.target for entry in entries)
    except BaseException:
        for entry in reversed(done):
            _restore(entry)
        _forget(entries)
        raise
    _forget(entries)


def settle(
    paths: Iterable[Path], locks: Locks | None = None, replacing: Collection[Path] = ()
) -> None:
    """Finish or undo what a killed process began to do to these files, and warn that it was so.

    Args:
        paths: files that are about to be read or written.
        locks: those that this process holds already.
        replacing: targets that are about to be replaced, all together: what cannot be settled does
            no harm there, and is left to the commit that comes.

    Raises:
        BnfoldError: it can be neither finished nor undone, a journal is not to be believed, or
            another process is at work on the files.
    """
    for path in paths:
        target = Path(os.path.realpath(path))
        journal = beside(target, "commit")
        if not os.path.lexists(journal):
            continue
        held, entries = Locks() if locks is None else locks, _read(journal)
        try:
            with held.awaited(entry.target for entry in _confirmed(entries)):
                if os.path.lexists(journal):
                    _settle(journal, _read(journal), replacing)
        except OSError as error:
            raise BnfoldError(
                f"{target}: an earlier run was interrupted while it wrote this file, and its work "
                f"cannot be finished: {error.strerror}; check the permissions of its folder"
            ) from error


def _settle(journal: Path, entries: Entries, replacing: Collection[Path]) -> None:
    ours = _confirmed(entries)
    whole = len(ours) == len(entries)
    names = " and ".join(str(entry.target) for entry in entries)
    if all(entry.is_new() for entry in ours):
        line = f"{names}: an earlier run was interrupted when it had written them; they are whole"
    elif whole and all(entry.is_new() or entry.can_come() for entry in ours):
        for entry in ours:
            if not entry.is_new():
                _replace(beside(entry.target, "new"), entry.target)
        sync_folders(entry.target for entry in ours)
        line = f"{names}: an earlier run was interrupted while it wrote them; finished its work"
    elif all(entry.can_return() for entry in ours) and (whole or all(e.is_old() for e in ours)):
        for entry in ours:
            if not entry.is_old():
                _replace(beside(entry.target, "old"), entry.target)
        sync_folders(entry.target for entry in ours)
        line = f"{names}: an earlier run was interrupted while it wrote them; undid its work"
    elif all(entry.target in replacing for entry in entries):
        # Their journals are replaced by those of the commit that comes.
        text = "an earlier run was interrupted while it wrote them; they are written anew"
        warnings.warn(InterruptedWarning(f"{names}: {text}"), stacklevel=2)
        return
    else:
        raise BnfoldError(
            f"{names}: an earlier run was interrupted while it wrote them, and its work can be "
            "neither finished nor undone, so they may not belong together; write them anew with "
            f"--force, or remove {journal} if they do"
        )
    _forget(ours)
    warnings.warn(InterruptedWarning(line), stacklevel=2)


def _confirmed(entries: Entries) -> Entries:
    """The entries that a journal beside their own target has, too."""
    found = []
    for entry in entries:
        with contextlib.suppress(BnfoldError, OSError):
            if _read(beside(entry.target, "commit")) == entries:
                found.append(entry)
    return tuple(found)


def _keep(entry: Entry) -> None:
    """Have what a target holds live on under another name."""
    if entry.old is not None:
        remove([beside(entry.target, "old")])
        try:
            os.link(entry.target, beside(entry.target, "old"), follow_symlinks=False)
        except OSError:  # a file system without hard links
            import shutil

            shutil.copy2(entry.target, beside(entry.target, "old"))


def _replace(hidden: Path, target: Path) -> None:
    hidden.replace(target)


def _restore(entry: Entry) -> None:
    """Undo a rename that was made, or not made."""
    if os.path.lexists(beside(entry.target, "new")):
        return
    if entry.old is None:
        remove([entry.target])
    else:
        beside(entry.target, "old").replace(entry.target)


def _forget(entries: Entries) -> None:
    """Remove the journals, and then what only they could have had a use for."""
    targets = [entry.target for entry in entries]
    remove(beside(target, "commit") for target in targets)
    sync_folders(targets)
    remove_litter(targets)


def remove_litter(targets: Iterable[Path]) -> None:
    """Remove hidden files that a killed process left beside targets, but journals.

    Raises:
        OSError: the folder cannot be written to.
    """
    for target in targets:
        remove(beside(target, kind) for kind in _KINDS if kind != "commit")


def _write_journals(entries: Entries) -> None:
    for entry in entries:
        hidden = beside(entry.target, "commit-new")
        descriptor = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, _text(entries, entry.target.parent))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    for entry in entries:
        _replace(beside(entry.target, "commit-new"), beside(entry.target, "commit"))
    sync_folders(entry.target for entry in entries)


def _text(entries: Sequence[Entry], folder: Path) -> bytes:
    """A journal for a folder: its own files by name, so that it may be moved, others by path."""
    lines = [_TITLE]
    for entry in entries:
        own = entry.target.parent == folder
        path = entry.target.name if own else str(entry.target)
        old = "- -" if entry.old is None else f"{entry.old.size} {entry.old.changed}"
        escaped = path.encode("unicode_escape").decode("ascii")
        lines.append(f"{entry.new.size} {entry.new.changed} {old} {escaped}")
    return "".join(f"{line}\n" for line in lines).encode("ascii")


def _read(journal: Path) -> Entries:
    """What a journal claims.

    Raises:
        BnfoldError: it is not one that bnfold writes.
    """
    descriptor = open_regular(journal)
    if descriptor is None:
        raise _unbelievable(journal, "is no file")
    try:
        if os.fstat(descriptor).st_uid != os.geteuid():
            raise BnfoldError(
                f"{journal}: another user's run was interrupted while it wrote the files beside "
                "this one; run the command as that user, or remove this file"
            )
        content = os.pread(descriptor, _MOST_BYTES, 0)
    finally:
        os.close(descriptor)
    try:
        title, *lines = content.decode("ascii").removesuffix("\n").split("\n")
        entries = tuple(_entry(line, journal.parent) for line in lines)
    except ValueError as error:
        raise _unbelievable(journal, str(error).splitlines()[0]) from None
    targets = [entry.target for entry in entries]
    if title != _TITLE or not 2 <= len(targets) <= _MOST_FILES or len({*targets}) < len(targets):
        raise _unbelievable(journal, "has another form")
    if journal not in [beside(target, "commit") for target in targets]:
        raise _unbelievable(journal, "is about other files")
    return entries


def _entry(line: str, folder: Path) -> Entry:
    match = _LINE.fullmatch(line)
    if match is None:
        raise ValueError("has another form")
    size, changed, old_size, old_changed, escaped = match.groups()
    path = escaped.encode("ascii").decode("unicode_escape")
    name = Path(path).name
    if name in ("", ".", "..") or "\0" in path or name.startswith(PREFIX):
        raise ValueError("names what is no output")
    target = folder / name
    if path != name:
        target = Path(path)
        if not target.is_absolute() or real(target) != target or str(target) != path:
            raise ValueError("has a path that leads elsewhere")
    old = None if old_size is None else Stamp(int(old_size), int(old_changed))
    return Entry(target, Stamp(int(size), int(changed)), old)


def _unbelievable(journal: Path, why: str) -> BnfoldError:
    return BnfoldError(
        f"{journal}: {why}, so bnfold did not write it, and does not believe what it says about "
        "the files beside it; remove it"
    )
