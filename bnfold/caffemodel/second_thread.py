"""Doing one thing after another in a second thread, while the first one goes on."""

from __future__ import annotations

from collections.abc import Callable
from queue import Queue
from threading import Thread
from types import TracebackType

_WAITING = 1
"""How many jobs may wait, each of which holds what it is to write."""


class SecondThread:
    """A thread that does the jobs it is given, in order.

    Used as a context manager: leaving it waits until all is done. What a job raises is raised by
    the next `do` or when this is left, and the jobs behind it are not done; nor are they where this
    is left by an exception.
    """

    def __init__(self) -> None:
        self._jobs: Queue[Callable[[], object] | None] = Queue(_WAITING)
        self._error: BaseException | None = None
        self._thread = Thread(target=self._work, daemon=True)

    def __enter__(self) -> SecondThread:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._error = self._error or error
        try:
            self._end()
        finally:
            # A signal may come while this waits, and what jobs write to is closed when it is left.
            self._end()
        if kind is None and self._error is not None:
            raise self._error

    def do(self, job: Callable[[], object]) -> None:
        """Have a job done when those before it are; waits while there are too many of them.

        Raises:
            BaseException: what a job before it raised.
        """
        if self._error is not None:
            raise self._error
        self._jobs.put(job)

    def _end(self) -> None:
        if self._thread.is_alive():
            self._jobs.put(None)
            self._thread.join()

    def _work(self) -> None:
        while job := self._jobs.get():
            if self._error is None:
                try:
                    job()
                except BaseException as error:
                    self._error = error
