"""Hidden files beside an output: their names, what they hold, and locks that end with a process."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from bnfold.errors import BnfoldError

PREFIX = ".bnfold-"
"""What the name of every hidden file begins with; no output may have such a name."""

_PATIENCE = 5.0
"""How many seconds a command waits for another one that is renaming its outputs."""


class Stamp(NamedTuple):
    """What tells a file from another of its name without reading it.

    Renaming a file keeps both, and so does moving or archiving its folder; writing to it does not.

    Attributes:
        size: in bytes.
        changed: when its content last changed, in nanoseconds since 1970.
    """

    size: int
    changed: int

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        """The stamp of a file by what the system says of it."""
        return cls(status.st_size, status.st_mtime_ns)


def beside(target: Path, word: str) -> Path:
    """The hidden file of a kind that belongs to a target."""
    # The name keeps its end, since Caffe tells HDF5 weights by it.
    return target.with_name(f"{PREFIX}{word}.{target.name}")


def real(target: Path) -> Path:
    """A path without links but its own name, so that all spellings of a target are one."""
    return Path(os.path.realpath(target.parent)) / target.name


def open_regular(path: Path) -> int | None:
    """Open a regular file for reading; None if it is not there, or is none.

    Never waits, as opening a pipe would, and follows no link.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    return None


def stamp_of(path: Path) -> Stamp | None:
    """The stamp of a regular file; None if it is not there, or is none."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return Stamp.of(status) if stat.S_ISREG(status.st_mode) else None


def remove(paths: Iterable[Path]) -> None:
    """Remove hidden files that are there."""
    for path in paths:
        path.unlink(missing_ok=True)


def sync_folders(targets: Iterable[Path]) -> None:
    """Have the names in the targets' folders reach the disk.

    Raises:
        OSError: a folder cannot be opened.
    """
    for folder in sorted({target.parent for target in targets}):
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with contextlib.suppress(OSError):  # not every file system can sync a folder
                os.fsync(descriptor)
        finally:
            os.close(descriptor)


class Locks:
    """Targets that this process alone may write or settle, until it lets go or ends."""

    def __init__(self) -> None:
        self._held: dict[Path, int] = {}

    def take(self, target: Path) -> None:
        """Lock a target; a second time is fine.

        Raises:
            BnfoldError: another process has it.
            OSError: the folder cannot be written to.
        """
        if target not in self._held:
            descriptor = _locked(beside(target, "lock"))
            if descriptor is None:
                raise BnfoldError(f"{target}: another bnfold is writing it; wait until it is done")
            self._held[target] = descriptor

    def release(self) -> None:
        """Let go of all targets."""
        while self._held:
            target, descriptor = self._held.popitem()
            # Removed while it is held: who opens it afterwards makes a new one.
            remove([beside(target, "lock")])
            os.close(descriptor)

    @contextlib.contextmanager
    def awaited(self, targets: Iterable[Path]) -> Iterator[None]:
        """Hold more targets for a while, waiting for other processes that have them.

        Raises:
            BnfoldError: another process does not let go.
            OSError: a folder cannot be written to.
        """
        borrowed, end = Locks(), time.monotonic() + _PATIENCE
        try:
            for target in sorted(set(targets) - set(self._held)):
                while True:
                    try:
                        borrowed.take(target)
                        break
                    except BnfoldError:
                        if time.monotonic() > end:
                            raise
                        time.sleep(0.02)
            yield
        finally:
            borrowed.release()


def _locked(path: Path) -> int | None:
    """Open and lock a file, making it where it is not there; None if another process has it."""
    while True:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        if os.fstat(descriptor).st_nlink > 1:
            # Not made by bnfold: one file under two names would lock itself out.
            remove([path])
            os.close(descriptor)
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError:
            pass  # A file system without locks; there, nothing tells two processes apart.
        with contextlib.suppress(FileNotFoundError):
            # Whoever had it may have removed it between the two calls.
            if os.path.samestat(os.fstat(descriptor), os.lstat(path)):
                return descriptor
        os.close(descriptor)
