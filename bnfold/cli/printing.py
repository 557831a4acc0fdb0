"""Reports on the screen: a table for a person, plain lines for a pipe, JSON for a program."""

from __future__ import annotations

from bnfold.cli.terminal import Table, is_for_people, say, say_json, warn
from bnfold.fold import Fate
from bnfold.report import Report
from bnfold.report.text import VERBS, closing, of_branches, of_channels, rows, what_became

_COLORS = {
    Fate.FOLDED: "green",
    Fate.MERGED: "green",
    Fate.SCALE: "yellow",
    Fate.DROPPED: "green",
    Fate.KEPT: "yellow",
}


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
    for outcome in report.plan.outcomes:
        what = [(VERBS[outcome.fate], _COLORS[outcome.fate]), (what_became(outcome), "")]
        table.row(str(outcome.line), outcome.layer, outcome.type, what)
    for change in report.plan.engines:
        was = f" (was {change.replaced})" if change.replaced else ""
        what = [("engine: CAFFE", "cyan"), (was, "")]
        table.row(str(change.line), change.layer, "Convolution", what)
    for found in report.plan.branches:
        what = [(f"branches {VERBS[found.fate]}", _COLORS[found.fate]), (of_branches(found), "")]
        table.row(str(found.line), found.layer, found.type, what)
    for dead in report.plan.dead:
        verb = ("dead channels stay", "yellow") if dead.reason else ("dead channels go", "green")
        what = [verb, (f": {of_channels(dead)}", "")]
        table.row(str(dead.line), dead.layer, dead.type, what)
    return table
