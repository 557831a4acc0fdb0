"""A process that gives files to a target and tells what came of it, in bounded time and memory."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import shutil
import tempfile
import time
import traceback
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType

SECONDS = 10.0
"""As long as one input may take, of a processor's time; a busy machine takes longer."""
_WAIT = 6 * SECONDS
"""As long as one input may take by the clock, whatever it does."""
MEMORY = 1 << 30
"""As much memory as an input may take, beyond what the process had before."""
_LIFE = 2000
"""Inputs after which a process is replaced."""


class Worker:
    """Runs targets in a process of its own, and in a new one where that dies. A context manager."""

    def __init__(self) -> None:
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None
        self._age = 0
        self._folder = tempfile.TemporaryDirectory(prefix="bnfold-fuzz-")

    def judge(self, target: str, files: Mapping[str, bytes]) -> str:
        """What is wrong with how a target takes these files: a line, the same for the same fault.

        "" if nothing is: it worked, or there was a BnfoldError of one line.
        """
        if self._pipe is None or self._age >= _LIFE:
            self._begin()
        assert self._pipe is not None
        self._age += 1
        self._pipe.send((target, dict(files)))
        start, end = self._worked(), time.monotonic() + _WAIT
        try:
            while time.monotonic() < end and self._worked() - start < SECONDS:
                if self._pipe.poll(1.0):
                    return str(self._pipe.recv())
            verdict = f"{target}: not done after {SECONDS:.0f} s"
        except EOFError:
            assert self._process is not None
            self._process.join()
            verdict = f"{target}: the process died with {self._process.exitcode}"
        self.close()
        return verdict

    def _worked(self) -> float:
        """The processor's time that the process has taken so far, in seconds: proc(5)."""
        assert self._process is not None
        words = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def _begin(self) -> None:
        self.close()
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, self._folder.name), daemon=True)
        self._process.start()
        other.close()
        self._pipe.recv()
        self._age = 0

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
        if self._pipe is not None:
            self._pipe.close()
        self._process = self._pipe = None

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
        self._folder.cleanup()


def _serve(pipe: Connection, folder: str) -> None:
    from . import targets

    targets.warm()
    # Virtual memory is what can be bounded; engines and threads have reserved much of it by now.
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    pipe.send("ready")
    with contextlib.suppress(EOFError):
        while True:
            target, files = pipe.recv()
            pipe.send(_judge(targets.TARGETS[target], target, files, Path(folder)))


def _judge(call: object, target: str, files: Mapping[str, bytes], top: Path) -> str:
    from bnfold import BnfoldError

    assert callable(call)
    folder = Path(tempfile.mkdtemp(dir=top))
    try:
        for name, data in files.items():
            (folder / name).write_bytes(data)
        call(folder)
    except BnfoldError as error:
        if not str(error).isprintable() and len(str(error).splitlines()) != 1:
            return f"{target}: the message of a BnfoldError is not one line"
    except BaseException as error:
        frames = traceback.extract_tb(error.__traceback__)
        mine = [frame for frame in frames if "/bnfold/" in frame.filename] or list(frames)
        where = f"{Path(mine[-1].filename).name}:{mine[-1].name}"
        return f"{target}: {type(error).__name__} in {where}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return ""
