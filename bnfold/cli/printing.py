"""Reports on the screen: a table for a person, plain lines for a pipe, JSON for a program."""

from __future__ import annotations

import sys
from itertools import groupby
from typing import Any, Protocol

import click

from bnfold.report import Report


class Reported(Protocol):
    """A report of any command."""

    def to_json(self) -> dict[str, Any]:
        """The report as one JSON object."""
        ...


def json_bytes(report: Reported) -> bytes:
    """The JSON document of a report."""
    import json

    return (json.dumps(report.to_json(), indent=2) + "\n").encode()


def show(report: Report, *, to_json: bool, quiet: bool) -> None:
    """Print a report to standard output, and its warnings to standard error."""
    for warning in report.plan.warnings:
        click.echo(f"bnfold: warning: {warning}", err=True)
    if to_json:
        click.echo(json_bytes(report), nl=False)
    elif quiet:
        return
    elif sys.stdout.isatty():
        _show_table(report)
    else:
        for line in [*_rows(report), *summary(report)]:
            click.echo(line)


def _rows(report: Report) -> list[str]:
    plan = report.plan
    return [
        *(f"fold {f.layer} ({f.type}) into {f.into} ({f.into_type})" for f in plan.folded),
        *(f"keep {k.layer} ({k.type}): {k.reason.text} [{k.reason.code.value}]" for k in plan.kept),
        *(
            f"engine {e.layer}: CAFFE" + (f" instead of {e.replaced}" if e.replaced else "")
            for e in plan.engines
        ),
    ]


def summary(report: Report) -> list[str]:
    """The closing lines: how much was folded, sizes before and after, what was written."""
    plan, before, after = report.plan, report.before, report.after
    hosts = len({fold.into for fold in plan.folded})
    what = (
        f"folded {len(plan.folded)} of {len(plan.folded) + len(plan.kept)} "
        f"BatchNorm and Scale layers into {_plural(hosts, 'layer')}, kept {len(plan.kept)}; "
        f"engine CAFFE set on {_plural(len(plan.engines), 'convolution')}"
    )
    lines = [what, f"layers {before.layers} -> {after.layers}"]
    if before.parameters is not None and after.parameters is not None:
        lines[-1] += f", parameters {before.parameters:,} -> {after.parameters:,}"
    if before.weights_bytes is not None and after.weights_bytes is not None:
        lines[-1] += f", weights {_size(before.weights_bytes)} -> {_size(after.weights_bytes)}"
    if report.output_model is not None:
        lines.append(f"wrote {report.output_model} and {report.output_weights}")
    return lines


def _show_table(report: Report) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    plan = report.plan
    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("line", "layer", "type", "what happens"):
        table.add_column(title, justify="right" if title == "line" else "left")
    for into, folds in groupby(plan.folded, key=lambda fold: fold.into):
        for fold in folds:
            bias = ", which gains a bias" if fold.adds_bias else ""
            what = f"[green]folded into[/] {escape(into)} ({escape(fold.into_type)}){bias}"
            table.add_row(str(fold.line), escape(fold.layer), escape(fold.type), what)
    for kept in plan.kept:
        what = f"[yellow]kept[/]: {escape(kept.reason.text)}"
        table.add_row(str(kept.line), escape(kept.layer), escape(kept.type), what)
    for change in plan.engines:
        was = f" (was {change.replaced})" if change.replaced else ""
        what = f"[cyan]engine: CAFFE[/]{was}"
        table.add_row(str(change.line), escape(change.layer), "Convolution", what)
    if table.row_count:
        console.print(table)
        console.print()
    for line in summary(report):
        console.print(escape(line))


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _size(size: int) -> str:
    """A size in bytes for people, in decimal units."""
    value = float(size)
    for unit in ("bytes", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.2f} GB"
