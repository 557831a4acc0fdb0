"""The report of a pruning on the screen: a table for a person, plain lines for a pipe."""

from __future__ import annotations

from bnfold.cli.terminal import Table, is_for_people, say, say_json, warn
from bnfold.pruning.report import PruneReport, change


def show(report: PruneReport, *, to_json: bool, quiet: bool) -> None:
    """Print a report to standard output, and its warnings to standard error."""
    warn(*report.warnings)
    measured = getattr(report, "accuracy", None)
    if measured is not None and measured.doubt is not None:
        warn(measured.doubt)
    if to_json:
        say_json(report)
    elif not quiet:
        if not (is_for_people() and _table(report).show()):
            say(*report.rows())
        say(*report.remarks(), *report.closing())


def _table(report: PruneReport) -> Table:
    numbers = ("channels", "parameters", "operations")
    table = Table(("line", "layer", *numbers), ["line", *numbers], free=False)
    for layer in report.layers:
        before, after = layer.before, layer.after
        operations = "?"
        if before.operations is not None and after.operations is not None:
            operations = change(before.operations, after.operations)
        table.row(
            str(layer.line),
            layer.layer,
            (change(before.channels, after.channels), "green" if layer.removed else ""),
            change(before.parameters, after.parameters),
            operations,
        )
    return table
