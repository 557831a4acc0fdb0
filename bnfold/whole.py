"""Reading small files whole, some of them named by other files: none may be endless."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

MOST_BYTES = 1 << 30
"""As large as a file may be that is read whole: COCO has annotations of 450 MB."""


class NotReadableError(OSError):
    """A file that is there and will not be read; `strerror` says why."""


def read_whole(path: Path) -> bytes:
    """Return all bytes of a regular file.

    Raises:
        OSError: it cannot be read, is no regular file, or is larger than MOST_BYTES.
    """
    # Opening a pipe would wait for somebody to write to it.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0))
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        _check_kind(path, status.st_mode)
        if status.st_size > MOST_BYTES:
            size = f"{status.st_size:,} bytes, more than {MOST_BYTES:,}"
            raise NotReadableError(0, f"too large to be read whole ({size})", str(path))
        # A file that grows meanwhile ends where it ended.
        return file.read(status.st_size)


def check_regular(path: Path) -> None:
    """Refuse what is no regular file, for those who open it in their own way.

    Raises:
        OSError: it is none, or cannot be asked about.
    """
    _check_kind(path, path.stat().st_mode)


def _check_kind(path: Path, mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise NotReadableError(0, "not a regular file", str(path))
