"""The parent's end of the process that runs Caffe: start it, ask it, bury it.

Requests and replies are lines of JSON on two pipes; arrays go through a file in memory that has no
name, so nothing of it can outlive the two processes. pycaffe_child.py is the other end.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import tempfile
import threading
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bnfold.aliases import Floats
from bnfold.import_path import isolated
from bnfold.runtimes.pycaffe_child import ALIGNMENT, read_array, write_array

_CHILD = Path(__file__).with_name("pycaffe_child.py")
_LOG_TAIL = 1 << 18
_THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")

Placed = list[Any]
"""An array in the shared file, as the pipes tell it: its name, shape and offset."""


class ChildDiedError(Exception):
    """The process ended, or was ended, before it had answered.

    Attributes:
        status: how it ended, in words.
        log: the end of what it had printed since the request.
    """

    def __init__(self, status: str, log: str) -> None:
        super().__init__(status)
        self.status = status
        self.log = log


class ChildRefusedError(Exception):
    """The process answered that it could not; it goes on living.

    Attributes:
        kind: the name of the Python exception over there.
    """

    def __init__(self, reason: str, kind: str) -> None:
        super().__init__(reason)
        self.kind = kind


class CaffeProcess:
    """A process with Caffe in it, which ends with `close` or together with this object.

    Args:
        python: the interpreter.
        threads: how many threads its linear algebra may use; None for its own default.
    """

    def __init__(self, python: str, threads: int | None) -> None:
        environment = {**os.environ, "GLOG_logtostderr": "1", "GLOG_minloglevel": "0"}
        if threads is not None:
            environment.update(dict.fromkeys(_THREAD_VARIABLES, str(threads)))
        self._lock = threading.Lock()
        with contextlib.ExitStack() as undo:
            self._arrays = _memory_file(undo)
            self._log = _memory_file(undo)
            _append(self._log)
            their_requests, self._requests = _pipe(undo)
            self._replies, their_replies = _pipe(undo)
            theirs = (their_requests, their_replies, self._arrays)
            self._process = subprocess.Popen(
                isolated(python, str(_CHILD), *map(str, theirs)),
                stdin=subprocess.PIPE,
                stdout=self._log,
                stderr=self._log,
                pass_fds=theirs,
                env=environment,
            )
            undo.pop_all()
        os.close(their_requests)
        os.close(their_replies)
        self._unread = b""
        ours = (self._arrays, self._log, self._requests, self._replies)
        self._end = weakref.finalize(self, _end, self._process, ours, os.getpid())

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process can be asked something."""
        return self._end.alive and self._process.poll() is None

    def close(self) -> None:
        """End the process, at once. Closing twice is the same as once."""
        self._end()

    def ask(self, do: str, *, timeout: float | None = None, **details: Any) -> Any:
        """Send a request and return what the process answers.

        Args:
            do: which request.
            timeout: the seconds to wait for the answer.
            details: what belongs to the request.

        Raises:
            ChildRefusedError: it answered that it could not.
            ChildDiedError: it died of the request, or had to be ended for its silence.
        """
        with self._lock:
            return self._ask(do, timeout, details)

    def run(self, net: int, feeds: dict[str, Floats], places: Sequence[Any]) -> list[Floats]:
        """Run a net on `feeds`, and return the values at `places`. Raises as `ask` does."""
        with self._lock:
            placed = self._place(feeds)
            found = self._ask("run", None, {"net": net, "feeds": placed, "places": list(places)})
            return [self._read(offset, shape) for offset, shape in found]

    def feed(self, net: int, feeds: dict[str, Floats]) -> None:
        """Give a net its inputs. Raises as `ask` does."""
        with self._lock:
            self._ask("feed", None, {"net": net, "feeds": self._place(feeds)})

    def _place(self, feeds: dict[str, Floats]) -> list[Placed]:
        placed, offset = [], 0
        for name, array in feeds.items():
            write_array(self._arrays, offset, array.reshape(-1))
            placed.append([name, list(array.shape), offset])
            offset += -(-array.nbytes // ALIGNMENT) * ALIGNMENT
        return placed

    def _read(self, offset: int, shape: list[int]) -> Floats:
        array = np.empty(shape, np.float32)
        read_array(self._arrays, offset, array.reshape(-1))
        return array

    def _ask(self, do: str, timeout: float | None, details: dict[str, Any]) -> Any:
        if not self.alive:
            raise ChildDiedError("had ended before it was asked", "")
        os.ftruncate(self._log, 0)
        try:
            self._send(json.dumps({"do": do, **details}).encode() + b"\n")
            reply = json.loads(self._line(timeout))
        except (OSError, EOFError):
            # Its log ends a moment after its pipes do.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
            raise self._death(_status(self._process.poll())) from None
        except _NoAnswerError as late:
            raise self._death(str(late)) from None
        except BaseException:
            # An answer that nobody waits for any more would be taken for the next one's.
            self.close()
            raise
        if "failed" in reply:
            raise ChildRefusedError(reply["failed"], reply["kind"])
        return reply["done"]

    def _send(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._requests, data) :]

    def _line(self, timeout: float | None) -> bytes:
        deadline = None if timeout is None else time.monotonic() + timeout
        while b"\n" not in self._unread:
            if deadline is not None:
                left = max(0.0, deadline - time.monotonic())
                if not select.select([self._replies], [], [], left)[0]:
                    raise _NoAnswerError(f"gave no answer for {timeout:g} s")
            data = os.read(self._replies, 1 << 16)
            if not data:
                raise EOFError
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def _death(self, status: str) -> ChildDiedError:
        size = os.fstat(self._log).st_size
        start = max(0, size - _LOG_TAIL)
        log = os.pread(self._log, size - start, start).decode("utf-8", "replace")
        self.close()
        return ChildDiedError(status, log)


class _NoAnswerError(Exception):
    """No answer came in time."""


def _memory_file(undo: contextlib.ExitStack) -> int:
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("bnfold", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    undo.callback(os.close, fd)
    return fd


def _pipe(undo: contextlib.ExitStack) -> tuple[int, int]:
    ends = os.pipe()
    for end in ends:
        undo.callback(os.close, end)
    return ends


def _append(fd: int) -> None:
    import fcntl

    # Truncating the log must not leave a hole before what comes next.
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_APPEND)


def _status(code: int | None) -> str:
    if code is None:
        return "closed its pipes"
    if code >= 0:
        return f"ended with status {code}"
    if -code == signal.SIGKILL:
        return "was killed, by the system for lack of memory perhaps"
    with contextlib.suppress(ValueError):
        return f"died of {signal.Signals(-code).name}"
    return f"died of signal {-code}"


def _end(process: subprocess.Popen[bytes], fds: Sequence[int], owner: int) -> None:
    for fd in fds:
        with contextlib.suppress(OSError):
            os.close(fd)
    if os.getpid() != owner:  # A fork of the parent: the process is not its to end.
        return
    process.kill()
    process.wait()
    if process.stdin:
        process.stdin.close()
