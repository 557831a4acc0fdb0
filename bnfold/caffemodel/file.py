"""Reading a weights file by position.

The file is read where it is asked about and not mapped (but for a moment, see `heads`): mapped
pages count as resident memory for as long as the kernel pleases, a read buffer for as long as it
is held.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import CaffemodelError, problem

_NEAR = 4096


class WeightsFile:
    """A regular file opened for reading, with its size at that moment. A context manager."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open `path`. Raises OSError as open() does, and CaffemodelError for what is no file."""
        self.path = os.fsdecode(path)
        self._near = 0, b""  # what was read last: where, and the bytes
        # Opening a pipe would wait for its other end, without O_NONBLOCK.
        flags = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
        self._fd: int | None = os.open(path, flags)
        status = os.fstat(self._fd)
        self.size = status.st_size
        self.identity = (status.st_dev, status.st_ino)
        self._state = status.st_size, status.st_mtime_ns
        if not stat.S_ISREG(status.st_mode):
            self.close()
            kind = "a directory" if stat.S_ISDIR(status.st_mode) else "not a regular file"
            raise problem(self.path, f"this is {kind}", do="give the path of a .caffemodel file")

    @property
    def fd(self) -> int:
        """The file descriptor. Raises ValueError once closed."""
        if self._fd is None:
            raise ValueError(f"{self.path} is closed")
        return self._fd

    def at(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from byte `offset`. Raises CaffemodelError if they are not there."""
        # Names, shapes and heads lie close together: most are in what was read last.
        start, near = self._near
        skip = offset - start
        if skip >= 0 and skip + size <= len(near):
            return near[skip : skip + size]
        data = os.pread(self.fd, max(size, min(_NEAR, self.size - offset)), offset)
        if len(data) <= _NEAR:
            self._near = offset, data
        if len(data) >= size:
            return data[:size]
        buffer = bytearray(size)
        self.into(offset, memoryview(buffer))
        return bytes(buffer)

    def into(self, offset: int, buffer: memoryview) -> None:
        """Fill `buffer` with the bytes from `offset` on. Raises CaffemodelError if they end."""
        done = 0
        while done < len(buffer):
            count = os.preadv(self.fd, [buffer[done:]], offset + done)
            if count == 0:
                raise self.shrank(offset + done)
            done += count

    def heads(self, offset: int, row: int, into: npt.NDArray[Any]) -> None:
        """Fill each row of `into` with the first bytes of a row of `row` bytes from `offset` on.

        The one place that maps the file, and lets go at once: on a ResNet-50's 100 MB this takes
        15 ms, and reading all of it to look at the start of each filter 40.
        """
        import mmap

        start = offset // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY
        end = offset + len(into) * row
        if os.fstat(self.fd).st_size < end:
            raise self.shrank(end)
        with mmap.mmap(self.fd, end - start, access=mmap.ACCESS_READ, offset=start) as mapped:
            octets = np.frombuffer(mapped, np.uint8, len(into) * row, offset - start)
            wanted = into.view(np.uint8).reshape(len(into), -1)
            wanted[:] = octets.reshape(len(into), row)[:, : wanted.shape[1]]
            del octets  # The map cannot be closed while there is a view of it.

    def shrank(self, offset: int) -> CaffemodelError:
        """Return the error for a file that ends at `offset` and did not when it was opened."""
        return problem(
            self.path,
            "the file became shorter while it was read",
            offset=offset,
            do="leave it alone and retry",
        )

    @contextlib.contextmanager
    def unchanged(self) -> Iterator[None]:
        """Do something with the file that makes no sense if its content has become another.

        Raises CaffemodelError if the file was written to since it was opened, also in place of what
        was raised because of that.
        """
        try:
            yield
        except CaffemodelError:
            raise
        except Exception:
            self._refuse_change()
            raise
        self._refuse_change()

    def _refuse_change(self) -> None:
        status = os.fstat(self.fd)
        if (status.st_size, status.st_mtime_ns) != self._state:
            what = "the file was written to while it was read"
            raise problem(self.path, what, do="leave it alone and retry") from None

    def close(self) -> None:
        """Close the file; closing twice is fine."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
            self._near = 0, b""

    def __enter__(self) -> WeightsFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
