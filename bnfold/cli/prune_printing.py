"""The report of a pruning on the screen: a table for a person, plain lines for a pipe."""

from __future__ import annotations

from bnfold.cli.accuracy import metric_lines
from bnfold.cli.printing import plural, size_words
from bnfold.cli.terminal import Table, is_for_people, say, say_json, warn
from bnfold.prune_report import PrunedLayer, PruneReport


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
            for layer in report.layers:
                say(" ".join([_verb(layer), f"{layer.layer} ({layer.type}):", *_cells(layer)]))
        say(*_remarks(report), *_summary(report))


def _verb(layer: PrunedLayer) -> str:
    if layer.removed:
        return "pruned"
    return "narrowed" if layer.before != layer.after else "kept"


def _cells(layer: PrunedLayer) -> list[str]:
    """Channels, parameters and operations of a layer, each before and after."""
    before, after = layer.before, layer.after
    cells = [
        f"channels {_change(before.channels, after.channels)}",
        f"parameters {_change(before.parameters, after.parameters)}",
    ]
    if before.operations is not None and after.operations is not None:
        cells.append(f"operations {_change(before.operations, after.operations)}")
    return cells


def _change(before: int, after: int) -> str:
    return f"{before:,}" if before == after else f"{before:,} -> {after:,}"


def _remarks(report: PruneReport) -> list[str]:
    """What could not go and why, and where the result is not exact."""
    lines = [
        f"stays {stays.layer}: {plural(stays.count, 'channel')}: {stays.reason.text} "
        f"[{stays.reason.code.value}]"
        for stays in report.stays
    ]
    lines += [
        f"border {border.layer}: where its window meets padding, outputs are off by up to "
        f"{border.bound:.3g}; elsewhere exact"
        for border in report.borders
    ]
    return lines


def _summary(report: PruneReport) -> list[str]:
    before, after = report.before, report.after
    line = f"removed {report.removed:,} of {plural(report.channels, 'channel')}"
    if report.highest is not None:
        line += f", |gamma| up to {report.highest:.3g}"
    lines = [line]
    if before.parameters is not None and after.parameters is not None:
        line = f"parameters {before.parameters:,} -> {after.parameters:,}"
        line += f", operations {before.operations / 1e6:,.1f} M -> {after.operations / 1e6:,.1f} M"
        if before.weights_bytes is not None and after.weights_bytes is not None:
            was, now = size_words(before.weights_bytes), size_words(after.weights_bytes)
            line += f", weights {was} -> {now}"
        lines.append(line)
    if report.merged is not None:
        lines.append(f"folded: layers {before.layers} -> {after.layers}")
    measured = getattr(report, "accuracy", None)
    if measured is not None:
        lines += metric_lines(measured)
    if report.output_model is not None:
        lines.append(f"wrote {report.output_model} and {report.output_weights}")
    return lines


def _table(report: PruneReport) -> Table:
    numbers = ("channels", "parameters", "operations")
    table = Table(("line", "layer", *numbers), ["line", *numbers], free=False)
    for layer in report.layers:
        before, after = layer.before, layer.after
        operations = "?"
        if before.operations is not None and after.operations is not None:
            operations = _change(before.operations, after.operations)
        table.row(
            str(layer.line),
            layer.layer,
            (_change(before.channels, after.channels), "green" if layer.removed else ""),
            _change(before.parameters, after.parameters),
            operations,
        )
    return table
