"""Reports on the screen: a table for a person, plain lines for a pipe, JSON for a program."""

from __future__ import annotations

from bnfold.cli.terminal import Table, is_for_people, say, say_json, warn
from bnfold.merging.report import Report
from bnfold.merging.text import closing, rows


def show(report: Report, *, to_json: bool, quiet: bool) -> None:
    """Print a report to standard output, and its warnings to standard error."""
    warn(*report.plan.warnings)
    if to_json:
        say_json(report)
    elif not quiet:
        if not (is_for_people() and _table(report).show()):
            say(*rows(report))
        say(*closing(report))


def _table(report: Report) -> Table:
    table = Table(("line", "layer", "type", "what happens"), right=["line"], free=True)
    for entry in (*report.plan.outcomes, *report.plan.entries):
        verb, rest = entry.what()
        what = [(verb, "green" if entry.done else "yellow"), (rest, "")]
        table.row(str(entry.line), entry.layer, entry.type, what)
    return table
