"""How far long work is: a bar on a terminal, and a line now and then where there is none."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from bnfold.cli.terminal import tell

SECONDS = 10.0
"""How long there is silence in a log."""


class Progress(Protocol):
    """Told how much of how much is done, and what is being done where that changes."""

    def __call__(self, done: float, total: float, what: str | None = None) -> None:
        """Show it."""


@contextmanager
def progress(what: str, quiet: bool, *, unit: str = "") -> Iterator[Progress]:
    """Show on standard error how far some work is.

    Args:
        what: is being done, in a word.
        quiet: show nothing.
        unit: of what is counted; "" where it is a share of 1.
    """
    if quiet:
        yield lambda done, total, what=None: None
    elif sys.stderr.isatty():
        with _bar(unit) as bar:
            task = bar.add_task(what, total=None)

            def show(done: float, total: float, what: str | None = None) -> None:
                bar.update(task, completed=done, total=total, description=what)

            yield show
    else:
        yield _Log(what, unit)


class _Log:
    """Lines for a log, none before `SECONDS` have passed, and then no more than one in that time.

    Args:
        what: is being done.
        unit: of what is counted.
    """

    def __init__(self, what: str, unit: str) -> None:
        self._what = what
        self._unit = unit
        self._last = time.monotonic()

    def __call__(self, done: float, total: float, what: str | None = None) -> None:
        self._what = what or self._what
        now = time.monotonic()
        if now - self._last < SECONDS or not total:
            return
        self._last = now
        count = f"{done:,.0f} of {total:,.0f} {self._unit}, " if self._unit else ""
        tell(f"{self._what}: {count}{done / total:.0%}")


def _bar(unit: str) -> Any:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.completed / task.elapsed if task.elapsed else 0
            return Text(f"{speed:.1f} {unit}/s")

    counted = [MofNCompleteColumn(), Rate()] if unit else [TaskProgressColumn()]
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        *counted,
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
