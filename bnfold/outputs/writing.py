"""Output files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

from bnfold.errors import BnfoldError

from .commit import commit, remove_litter, settle
from .hidden import PREFIX, Locks, Stamp, beside, real, remove, sync_folders

_LONGEST_TICK = 2_000_000_000
"""The nanoseconds by which a file system may round the time of a change: 2 s in FAT."""


class Outputs:
    """A set of files written beside their targets and renamed together at the end.

    Used as a context manager: leaving it normally puts every file in its place, leaving it
    by an exception (or before the renames) removes all that was written. What is guaranteed when
    the process is killed in between is written down in docs/guarantees.md.
    """

    def __init__(self) -> None:
        self._locks = Locks()
        self._targets: list[Path] = []
        self._inputs: list[os.stat_result] = []
        self._force = False
        self._written: list[Path] = []

    def __enter__(self) -> Outputs:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._commit()
        finally:
            # What a journal speaks of is needed by whoever finds the journal.
            remove(
                beside(target, "new")
                for target in map(real, self._written)
                if not os.path.lexists(beside(target, "commit"))
            )
            self._locks.release()

    def claim(self, targets: Sequence[Path], inputs: Sequence[Path], force: bool) -> None:
        """Say what will be written, before any work is done; what may not be is refused.

        Until this is left, no other bnfold can write these files.

        Args:
            targets: where the outputs will stand.
            inputs: files that are read, and so must stay as they are. An output is readable only
                for those who can read all of them.
            force: whether an existing file may be replaced. It keeps its permissions and owner.

        Raises:
            BnfoldError: a target is an input (also through a link), is another target, exists
                without `force`, is a link or no file, belongs to another user, is being written by
                another process, or its folder is missing; or what an interrupted run left there
                can be neither finished nor undone.
            OSError: a folder cannot be written to.
        """
        for index, target in enumerate(targets):
            _check_name(target, inputs, targets[:index])
        for target in sorted(map(real, targets)):
            with _naming(target):
                self._locks.take(target)
        settle([*inputs, *targets], self._locks, {*map(real, targets)} if force else ())
        for target in targets:
            _check_existing(target, force)
        remove_litter(map(real, targets))
        self._targets, self._force = [*targets], force
        self._inputs = [path.stat() for path in inputs if path.exists()]

    @contextlib.contextmanager
    def open(self, target: Path) -> Iterator[int]:
        """Open a new file beside a claimed target, as a file descriptor; it is synced when closed.

        Raises:
            OSError: the folder cannot be written to, or the disk is full.
        """
        # Noted before it exists: a signal between the two lines must not leave it behind.
        self._written.append(target)
        with _naming(target):
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            # The system takes away what the umask says.
            descriptor = os.open(self.pending(target), flags, self._readable(0o666, None))
            try:
                os.fchmod(descriptor, self._readable(*_mode_and_group(descriptor)))
                yield descriptor
                _inherit(target, descriptor)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def pending(self, target: Path) -> Path:
        """Where the file that is written for `target` is until it takes its name."""
        return beside(target, "new")

    def by_target(self, message: str) -> str:
        """A message that names files as they will be called, not as they are until then."""
        for target in self._written:
            message = message.replace(str(self.pending(target)), str(target))
        return message

    def write(self, target: Path, content: bytes) -> None:
        """Write a small file whole.

        Raises:
            OSError: as for `open`.
        """
        with self.open(target) as descriptor, os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(content)

    def _readable(self, mode: int, group: int | None) -> int:
        """Take from a mode what would let people read who cannot read all of the inputs."""
        for status in self._inputs:
            if not status.st_mode & stat.S_IROTH:
                mode &= ~0o007
            same = group is None or status.st_gid == group
            if not status.st_mode & (stat.S_IRGRP if same else stat.S_IROTH):
                mode &= ~0o070
        return mode

    def _commit(self) -> None:
        """Rename every file to its target; if one rename fails, undo those before it."""
        for target in self._written:
            # Another program may have made one since it was claimed.
            _check_existing(target, self._force)
        if len(self._targets) > 1 and self._written:
            commit(map(real, self._written))
            return
        for target in self._written:
            with _naming(target):
                self.pending(target).replace(target)
                sync_folders([real(target)])


def _check_name(target: Path, inputs: Sequence[Path], others: Sequence[Path]) -> None:
    folder = target.parent
    if not folder.exists():
        raise BnfoldError(f"{target}: the folder {folder} does not exist; make it first")
    if not folder.is_dir():
        raise BnfoldError(f"{target}: {folder} is not a folder")
    if target.name.startswith(PREFIX):
        raise BnfoldError(f"{target}: names of hidden files are bnfold's own; choose another")
    for source in inputs:
        if _same(target, source):
            raise BnfoldError(
                f"{target}: is the input {source} itself; inputs are never overwritten, "
                "choose another output"
            )
    for other in others:
        if _same(target, other):
            raise BnfoldError(f"{target}: both outputs have this name; choose two")
    _check_kind(target)


def _check_kind(target: Path) -> bool:
    """Refuse a target that is there and no file; gives whether it is there."""
    if not os.path.lexists(target):
        return False
    mode = target.lstat().st_mode
    if stat.S_ISLNK(mode):
        raise BnfoldError(
            f"{target}: exists and is a symbolic link, which is neither followed nor replaced; "
            "give the file that it leads to"
        )
    if not stat.S_ISREG(mode):
        raise BnfoldError(f"{target}: exists and is not a file; choose another output")
    return True


def _check_existing(target: Path, force: bool) -> None:
    """Refuse a target that is there and may not be replaced."""
    if not _check_kind(target):
        return
    if not force:
        raise BnfoldError(f"{target}: exists; use --force to replace it")
    if os.geteuid() not in (0, target.lstat().st_uid):
        raise BnfoldError(
            f"{target}: belongs to another user, to whom the new file could not be given; "
            "remove it first, or choose another output"
        )


def _same(one: Path, other: Path) -> bool:
    if one.exists() and other.exists():
        return one.samefile(other)
    # Not Path.resolve, which raises RuntimeError where links go in a circle.
    return os.path.realpath(one) == os.path.realpath(other)


def _inherit(target: Path, descriptor: int) -> None:
    """Give a new file the permissions and the owner of the one that it replaces, if any.

    Its stamp becomes another where both files were written within one tick of the system's clock.

    Raises:
        OSError: its group is none of the user's.
    """
    if not os.path.lexists(target):
        return
    status = os.lstat(target)
    own = os.fstat(descriptor)
    if (own.st_uid, own.st_gid) != (status.st_uid, status.st_gid):
        os.fchown(descriptor, status.st_uid, status.st_gid)
    os.fchmod(descriptor, status.st_mode & 0o777)
    if Stamp.of(own) == Stamp.of(status):
        os.utime(descriptor, ns=(own.st_atime_ns, own.st_mtime_ns + _LONGEST_TICK))


def _mode_and_group(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return stat.S_IMODE(status.st_mode), status.st_gid


@contextlib.contextmanager
def _naming(target: Path) -> Iterator[None]:
    """Have errors name the output that the user asked for: a full disk names no file at all."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(target)) from error
