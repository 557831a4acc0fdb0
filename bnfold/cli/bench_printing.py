"""What `bench` measured, on the screen: a table for a person, plain lines for a pipe, JSON."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

import click

from bnfold.checks.bench_report import BenchReport, Comparison
from bnfold.checks.spread import Spread


class ProgressBar:
    """A bar on standard error while a command measures, where that is a terminal.

    Args:
        quiet: show nothing.
    """

    def __init__(self, quiet: bool) -> None:
        self._progress: Any = None
        if quiet or not sys.stderr.isatty():
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TimeRemainingColumn

        self._progress = Progress(
            "{task.description}",
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._progress.add_task("loading", total=1.0)

    def tell(self, what: str, done: float) -> None:
        """Show what is being measured, and how much of it is done, from 0 to 1."""
        if self._progress is not None:
            self._progress.update(self._task, description=what, completed=done)

    def __enter__(self) -> ProgressBar:
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._progress is not None:
            self._progress.stop()


def json_bytes(report: BenchReport) -> bytes:
    """The JSON document of a report."""
    import json

    return (json.dumps(report.to_json(), indent=2) + "\n").encode()


def show(report: BenchReport, *, to_json: bool, quiet: bool) -> None:
    """Print a report to standard output."""
    if to_json:
        click.echo(json_bytes(report), nl=False)
    elif quiet:
        return
    elif sys.stdout.isatty():
        _show_table(report)
    else:
        for line in _lines(report):
            click.echo(line)


def _lines(report: BenchReport) -> list[str]:
    before, after = report.before, report.after
    sizes = f"{before.parameters:,} -> {after.parameters:,}"
    lines = [
        _where(report),
        f"layers {before.layers} -> {after.layers}, parameters {sizes}",
    ]
    for found in report.comparisons:
        original, folded = found.original, found.folded
        lines.append(
            f"{_setting(found)}: {_time(original.seconds)} [{_quartiles(original.seconds)}] -> "
            f"{_time(folded.seconds)} [{_quartiles(folded.seconds)}], ratio "
            f"{found.ratio.median:.3f} [{_interval(found.ratio)}], limit {_limit(found)}, memory "
            f"{_memory(original.peak_memory)} -> {_memory(folded.peak_memory)}, "
            f"{found.ratio.count} rounds: {_verdict(found, report)}"
        )
    return lines


def _show_table(report: BenchReport) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    console.print(escape(_where(report)))
    console.print()
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    for title in ("original", "folded", "ratio", "limit"):
        table.add_column(title, justify="right")
    before, after = report.before, report.after
    table.add_row("layers", str(before.layers), str(after.layers))
    table.add_row("parameters", f"{before.parameters:,}", f"{after.parameters:,}")
    for found in report.comparisons:
        original, folded = found.original, found.folded
        times = [_time(original.seconds), _time(folded.seconds), f"{found.ratio.median:.3f}"]
        table.add_row(_setting(found), *times, _limit(found))
        ranges = [_quartiles(original.seconds), _quartiles(folded.seconds), _interval(found.ratio)]
        table.add_row("  spread", *ranges)
        table.add_row("  memory", _memory(original.peak_memory), _memory(folded.peak_memory))
    console.print(table)
    console.print()
    for found in report.comparisons:
        console.print(
            escape(f"{_setting(found)}, {found.ratio.count} rounds: {_verdict(found, report)}")
        )


def _where(report: BenchReport) -> str:
    inputs = ", ".join(
        f"{name} {'x'.join(map(str, shape))}" for name, shape in report.inputs.items()
    )
    threads = "threads as it likes" if report.threads is None else f"threads {report.threads}"
    return f"{report.why}; {threads}; {inputs}"


def _setting(found: Comparison) -> str:
    return {None: "time", False: "fusion off", True: "fusion on"}[found.fusion]


def _verdict(found: Comparison, report: BenchReport) -> str:
    """What the ratio says, and what the engine had done by itself."""
    ratio = found.ratio
    if ratio.interval.high < 1:
        words = f"folded takes {1 - ratio.median:.1%} less time"
    elif ratio.interval.low > 1:
        words = f"folded takes {ratio.median - 1:.1%} more time"
    else:
        words = "no difference that stands out of the noise"
    if found.fusion and found.merged_by_engine:
        merged = f"{found.merged_by_engine} of the {len(report.removed)} removed layers"
        words += f"; the engine itself had merged {merged}"
    return words


def _time(seconds: Spread) -> str:
    unit, factor, digits = _unit(seconds)
    return f"{seconds.median * factor:.{digits}f} {unit}"


def _quartiles(seconds: Spread) -> str:
    """The quartiles, in the unit of the median."""
    _, factor, digits = _unit(seconds)
    return f"{seconds.lower * factor:.{digits}f}..{seconds.upper * factor:.{digits}f}"


def _unit(seconds: Spread) -> tuple[str, float, int]:
    """The unit for a time, what to multiply it by, and digits for three that count."""
    unit, factor = next(
        (
            (unit, factor)
            for unit, factor in (("s", 1.0), ("ms", 1e3))
            if seconds.median * factor > 1
        ),
        ("us", 1e6),
    )
    value = seconds.median * factor
    return unit, factor, 0 if value >= 100 else 1 if value >= 10 else 2


def _interval(ratio: Spread) -> str:
    return f"{ratio.interval.low:.3f}..{ratio.interval.high:.3f}"


def _limit(found: Comparison) -> str:
    return "unknown" if found.limit is None else f"{found.limit.median:.3f}"


def _memory(size: int | None) -> str:
    return "unknown" if size is None else f"{size / 1e6:.0f} MB"
