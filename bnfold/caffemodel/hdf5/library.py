"""The way to h5py: its import, its files, its errors."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from typing import Any

from ..errors import CaffemodelError, problem

# What h5py makes of HDF5's error stack, and numpy of a type it has no name for.
_RAISED = (
    OSError, LookupError, ValueError, RuntimeError, TypeError, ArithmeticError, MemoryError,
)  # fmt: skip
DAMAGED = "the file is damaged or cut off: fetch it again"


def load(path: str) -> Any:
    """Import h5py and return it. Raises CaffemodelError about the file at `path` without it."""
    try:
        import h5py
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name == "h5py"
        why = "and h5py is not installed" if missing else f"and h5py does not load ({error})"
        raise problem(
            path, f"this is an HDF5 file, {why}", do="run: pip install 'bnfold[hdf5]'"
        ) from None
    return h5py


class DescriptorFile(io.RawIOBase):
    """A file descriptor as h5py wants its files, which stays open when this is closed.

    HDF5 then sees the very file that was opened, whatever its path leads to by now, and locks
    nothing.

    error: the first OSError, which is kept and not raised: where reading or writing fails in the
        midst of a copy, or writing fails when the file is closed, HDF5 has been seen to end the
        process. It is given zeros to read instead, and `one_error` raises this.
    """

    def __init__(self, fd: int) -> None:
        """Wrap `fd`, which must not be in append mode."""
        super().__init__()
        self._fd = fd
        self._at = 0
        self.error: OSError | None = None

    def readable(self) -> bool:
        """Return True."""
        return True

    def writable(self) -> bool:
        """Return True; writing fails if the descriptor was opened for reading."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position of the next byte."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position, which need not be within the file."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at}.get(whence)
        if base is None:
            base = os.fstat(self._fd).st_size
        self._at = base + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer`; what lies behind the end of the file reads as zeros, as HDF5 has it."""
        view = memoryview(buffer).cast("B")
        done = 0
        with self._kept():
            while done < len(view):
                count = os.preadv(self._fd, [view[done:]], self._at + done)
                if not count:
                    break
                done += count
        view[done:] = bytes(len(view) - done)
        self._at += len(view)
        return len(view)

    def write(self, data: Any) -> int:
        """Write all of `data`."""
        view = memoryview(data).cast("B")
        done = 0
        with self._kept():
            while done < len(view):
                done += os.pwrite(self._fd, view[done:], self._at + done)
        self._at += len(view)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        """Make the file end at `size`, or at the position."""
        size = self._at if size is None else size
        with self._kept():
            os.ftruncate(self._fd, size)
        return size

    @contextlib.contextmanager
    def _kept(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.error = self.error or error


@contextlib.contextmanager
def one_error(
    path: str, *files: DescriptorFile, layer: str | None = None, do: str = DAMAGED
) -> Iterator[None]:
    """Turn whatever h5py raises into a CaffemodelError about the file at `path`.

    An OSError of one of `files` goes before, for that is then the cause.
    """
    try:
        yield
    except _RAISED as error:
        for file in files:
            if file.error is not None:
                raise file.error from None
        if isinstance(error, CaffemodelError):
            raise
        # A KeyError puts its message in quotation marks.
        text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
        words = text.split("\n")[0] or type(error).__name__
        raise problem(path, f"HDF5 says: {words}", layer=layer, do=do) from None
    for file in files:
        if file.error is not None:
            raise file.error
