"""Verifications on the screen: a table for a person, plain lines for a pipe, JSON for a program."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from bnfold.checks.verification import Compared, Verification


def json_bytes(found: Verification) -> bytes:
    """The JSON document of a verification."""
    import json

    return (json.dumps(found.to_json(), indent=2, allow_nan=False) + "\n").encode()


def show(found: Verification, *, to_json: bool, quiet: bool) -> None:
    """Print a verification to standard output, and its notes to standard error."""
    for note in found.notes:
        click.echo(f"bnfold: warning: {note}", err=True)
    if to_json:
        click.echo(json_bytes(found), nl=False)
    elif quiet:
        return
    elif sys.stdout.isatty():
        _show_table(found)
    else:
        for line in _lines(found):
            click.echo(line)


def verdict(found: Verification) -> str:
    """One line: whether, on what, in what, and how near."""
    if found.mismatches:
        return "not the same function: inputs or outputs do not match"
    judged = found.judged
    count = f"{len(found.outputs)} output" + ("s" if len(found.outputs) != 1 else "")
    worst = max(judged, key=lambda c: c.difference.badness)
    near = (
        f"largest difference {worst.difference.relative:.2g} of a value's magnitude "
        f"(tolerance {worst.tolerance:.2g})"
    )
    if found.passed:
        return f"same function: {count}, {found.images} inputs, {near}, in {found.engine}"
    if found.outputs_agree:
        return f"not the same layers: {count} agree, a layer does not, in {found.engine}"
    return f"not the same function: {count}, {found.images} inputs, {near}, in {found.engine}"


@contextlib.contextmanager
def progress_bar(what: str, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error if that is a terminal; gives what to tell (done, total)."""
    if quiet or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (what, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _rows(found: Verification) -> Iterator[tuple[str, Compared]]:
    for kind, values in (
        ("output", found.outputs),
        ("scores", found.scores),
        ("layer", found.layers or ()),
    ):
        for compared in values:
            yield kind, compared


def _lines(found: Verification) -> Iterator[str]:
    yield f"engine {found.engine}"
    yield f"inputs {found.inputs}"
    for kind, compared in _rows(found):
        pair = compared.pair
        place = f" {_name(compared)} ({pair.type}, line {pair.line})"
        cosine, top1 = _angle(compared), _top1(compared)
        words = [_word(compared), str(compared)]
        words += [f"cosine {cosine}"] * bool(cosine) + [f"top-1 {top1}"] * bool(top1)
        yield f"{kind}{place}: {', '.join(words)}"
    for name in found.altered:
        yield f"left out {name}: folding is meant to change it"
    yield verdict(found)


def _show_table(found: Verification) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    console.print(escape(f"{found.engine}\n{found.inputs}\n"))
    table = Table(box=None, pad_edge=False, header_style="bold")
    right = {"line", "apart", "relative", "tolerance", "cosine", "top-1"}
    titles = ("", "value", "line", "apart", "relative", "tolerance", "cosine", "top-1", "")
    for title in titles:
        table.add_column(
            title,
            justify="right" if title in right else "left",
            no_wrap=title in right,
            overflow="fold",
        )
    for kind, compared in _rows(found):
        d = compared.difference
        numbers = d.other_shape is None
        color = "green" if compared.within else "red"
        table.add_row(
            kind,
            escape(_name(compared)),
            str(compared.pair.line),
            f"{d.absolute:.2g}" if numbers else "",
            f"{d.relative:.2g}" if numbers else "",
            f"{compared.tolerance:.2g}",
            _angle(compared),
            _top1(compared),
            f"[{color}]{_word(compared)}[/]" + ("" if d.badness < float("inf") else f" {compared}"),
        )
    for name in found.altered:
        table.add_row("layer", escape(name), *[""] * 6, "left out: folding is meant to change it")
    if table.row_count:
        console.print(table)
        console.print()
    console.print(escape(verdict(found)))


def _name(compared: Compared) -> str:
    pair = compared.pair
    name = pair.name if pair.name == pair.layer else f"{pair.layer} -> {pair.name}"
    return f"{name} (was {pair.end})" if pair.end else name


def _word(compared: Compared) -> str:
    return "agrees" if compared.within else "DIFFERS"


def _angle(compared: Compared) -> str:
    return "" if compared.difference.other_shape else f"{compared.difference.cosine:.7f}"


def _top1(compared: Compared) -> str:
    top1 = compared.difference.top1
    return "" if top1 is None else f"{top1.same}/{top1.total}"
