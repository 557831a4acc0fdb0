"""What `bench` measured, on the screen: a table for a person, plain lines for a pipe, JSON."""

from __future__ import annotations

from bnfold.checks.speed.report import BenchReport
from bnfold.checks.speed.text import (
    closing,
    interval,
    limit,
    median,
    memory,
    quartiles,
    setting,
    where,
)
from bnfold.cli.terminal import Table, is_for_people, say, say_json, say_wrapped


def show(report: BenchReport, *, to_json: bool, quiet: bool) -> None:
    """Print a report to standard output."""
    if to_json:
        say_json(report)
    elif not quiet:
        table = _table(report)
        if is_for_people() and table.fits():
            say_wrapped(where(report), "")
            table.show()
            say_wrapped(*(closing(found, report) for found in report.comparisons))
        else:
            say(*report.lines())


def _table(report: BenchReport) -> Table:
    numbers = ("original", "folded", "ratio", "limit")
    table = Table(("", *numbers), numbers, free=False)
    before, after = report.before, report.after
    table.row("layers", str(before.layers), str(after.layers), "", "")
    table.row("parameters", f"{before.parameters:,}", f"{after.parameters:,}", "", "")
    for found in report.comparisons:
        original, folded = found.original, found.folded
        times = [
            median(original.seconds),
            median(folded.seconds),
            f"{found.ratio.median:.3f}",
        ]
        table.row(setting(found), *times, limit(found))
        ranges = [
            quartiles(original.seconds),
            quartiles(folded.seconds),
            interval(found.ratio),
        ]
        table.row("  spread", *ranges, "")
        table.row("  memory", memory(original.peak_memory), memory(folded.peak_memory), "", "")
    return table
