"""Output files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

from bnfold.errors import BnfoldError


def check_targets(targets: Sequence[Path], inputs: Sequence[Path], force: bool) -> None:
    """Refuse targets that may not be written, before any work is done.

    Args:
        targets: where the outputs will stand.
        inputs: files that are read, and so must stay as they are.
        force: whether an existing file may be replaced.

    Raises:
        BnfoldError: a target is an input (also through a link), is another target, exists
            without `force`, is not a regular file, or its folder is missing.
    """
    for index, target in enumerate(targets):
        _check_folder(target)
        for source in inputs:
            if _same(target, source):
                raise BnfoldError(
                    f"{target}: is the input {source} itself; inputs are never overwritten, "
                    "choose another output"
                )
        for other in targets[:index]:
            if _same(target, other):
                raise BnfoldError(f"{target}: both outputs have this name; choose two")
        if not os.path.lexists(target):
            continue
        mode = target.lstat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)) or target.is_dir():
            raise BnfoldError(f"{target}: exists and is not a file; choose another output")
        if not force:
            raise BnfoldError(f"{target}: exists; use --force to replace it")


def _check_folder(target: Path) -> None:
    folder = target.parent
    if not folder.exists():
        raise BnfoldError(f"{target}: the folder {folder} does not exist; make it first")
    if not folder.is_dir():
        raise BnfoldError(f"{target}: {folder} is not a folder")


def _same(one: Path, other: Path) -> bool:
    if one.exists() and other.exists():
        return one.samefile(other)
    # Not Path.resolve, which raises RuntimeError where links go in a circle.
    return os.path.realpath(one) == os.path.realpath(other)


class Outputs:
    """A set of files written beside their targets and renamed together at the end.

    Used as a context manager: leaving it normally puts every file in its place, leaving it
    by an exception (or before `commit`) removes all that was written.
    """

    def __init__(self) -> None:
        self._pending: list[tuple[Path, Path]] = []

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
            for temporary, _ in self._pending:
                temporary.unlink(missing_ok=True)

    @contextlib.contextmanager
    def open(self, target: Path) -> Iterator[int]:
        """Open a new file beside `target`, as a file descriptor; it is synced when closed.

        Raises:
            OSError: the folder cannot be written to, or the disk is full.
        """
        temporary = _hidden(target, "part")
        # Noted before it exists: a signal between the two lines must not leave it behind.
        self._pending.append((temporary, target))
        with _naming(target):
            descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
            try:
                yield descriptor
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def pending(self, target: Path) -> Path:
        """Where the file that was written for `target` is until it takes its name."""
        return next(temporary for temporary, other in self._pending if other == target)

    def by_target(self, message: str) -> str:
        """A message that names files as they will be called, not as they are until then."""
        for temporary, target in self._pending:
            message = message.replace(str(temporary), str(target))
        return message

    def write(self, target: Path, content: bytes) -> None:
        """Write a small file whole.

        Raises:
            OSError: as for `open`.
        """
        with self.open(target) as descriptor, os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(content)

    def _commit(self) -> None:
        """Rename every file to its target; if one rename fails, undo those before it."""
        done: list[tuple[Path, Path | None]] = []
        try:
            for temporary, target in self._pending:
                done.append((target, _replace(temporary, target)))
        except BaseException:
            for target, old in reversed(done):
                if old is None:
                    target.unlink(missing_ok=True)
                else:
                    old.replace(target)
            raise
        for _, old in done:
            if old is not None:
                old.unlink(missing_ok=True)
        for folder in {target.parent for target, _ in done}:
            _sync_folder(folder)


def _replace(temporary: Path, target: Path) -> Path | None:
    """Rename over a target; what stood there lives on under the name that is returned."""
    old = None
    if os.path.lexists(target):
        old = _hidden(target, "old")
        try:
            os.link(target, old, follow_symlinks=False)
        except OSError:  # a file system without hard links
            target.rename(old)
    try:
        temporary.replace(target)
    except BaseException:
        if old is not None:
            old.replace(target)
        raise
    return old


@contextlib.contextmanager
def _naming(target: Path) -> Iterator[None]:
    """Have errors name the output that the user asked for: a full disk names no file at all."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(target)) from error


def _hidden(target: Path, ending: str) -> Path:
    # The name keeps its end, since Caffe tells HDF5 weights by it. Not the `secrets` module: it
    # brings OpenSSL along, 7 ms in a command of 300.
    return target.with_name(f".{os.urandom(4).hex()}.{ending}.{target.name}")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # not every file system can sync a folder
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
