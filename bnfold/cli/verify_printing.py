"""Verifications on the screen: a table for a person, plain lines for a pipe, JSON for a program."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnfold.cli.terminal import Table, is_for_people, say, say_json, say_wrapped, warn

if TYPE_CHECKING:
    from bnfold.checks.verification import Compared, Verification


def show(found: Verification, *, to_json: bool, quiet: bool) -> None:
    """Print a verification to standard output, and its notes to standard error."""
    warn(*found.notes)
    if to_json:
        say_json(found)
    elif not quiet:
        table = _table(found)
        if is_for_people() and table.fits():
            say_wrapped(found.engine, found.inputs, "")
            table.show()
            say_wrapped(verdict(found))
        else:
            say(*_lines(found))


def verdict(found: Verification) -> str:
    """One line: whether, on what, in what, and how near."""
    if found.mismatches:
        return "not the same function: inputs or outputs do not match"
    engine = found.engine.partition(", since ")[0]  # The reason stands in a line of its own.
    judged = found.judged
    count = f"{len(found.outputs)} output" + ("s" if len(found.outputs) != 1 else "")
    worst = max(judged, key=lambda c: c.difference.badness)
    near = (
        f"largest difference {worst.difference.relative:.2g} of a value's magnitude "
        f"(tolerance {worst.tolerance:.2g})"
    )
    if found.passed:
        return f"same function: {count}, {found.images} inputs, {near}, in {engine}"
    if found.outputs_agree:
        return f"not the same layers: {count} agree, a layer does not, in {engine}"
    return f"not the same function: {count}, {found.images} inputs, {near}, in {engine}"


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


def _table(found: Verification) -> Table:
    right = ("line", "apart", "relative", "tolerance", "cosine", "top-1")
    table = Table(("", "value", *right, ""), right, free=False)
    for kind, compared in _rows(found):
        d = compared.difference
        numbers = d.other_shape is None
        color = "green" if compared.within else "red"
        table.row(
            kind,
            _name(compared),
            str(compared.pair.line),
            f"{d.absolute:.2g}" if numbers else "",
            f"{d.relative:.2g}" if numbers else "",
            f"{compared.tolerance:.2g}",
            _angle(compared),
            _top1(compared),
            [(_word(compared), color), ("" if d.badness < float("inf") else f" {compared}", "")],
        )
    for name in found.altered:
        table.row("layer", name, *[""] * 6, "left out: folding is meant to change it")
    return table


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
