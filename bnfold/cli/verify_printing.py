"""Verifications on the screen: a table for a person, plain lines for a pipe, JSON for a program."""

from __future__ import annotations

from bnfold.checks.equality.device_report import DeviceCheck
from bnfold.checks.equality.verification import Verification
from bnfold.checks.equality.verification_text import (
    angle,
    full_name,
    rows,
    top_answers,
    verdict,
    word,
)
from bnfold.cli.terminal import Table, is_for_people, say, say_json, say_wrapped, warn


def show(found: Verification | DeviceCheck, *, to_json: bool, quiet: bool) -> None:
    """Print what was found to standard output, and its notes to standard error."""
    warn(*found.notes)
    if to_json:
        say_json(found)
    elif not quiet and not (is_for_people() and isinstance(found, Verification) and _shown(found)):
        say(*found.lines())


def _shown(found: Verification) -> bool:
    """Show a verification as a table, if that fits on the screen."""
    table = _table(found)
    if not table.fits():
        return False
    say_wrapped(found.engine, found.inputs, "")
    table.show()
    say_wrapped(verdict(found))
    return True


def _table(found: Verification) -> Table:
    right = ("line", "apart", "relative", "tolerance", "cosine", "top-1")
    table = Table(("", "value", *right, ""), right, free=False)
    for kind, compared in rows(found):
        d = compared.difference
        numbers = d.other_shape is None
        color = "green" if compared.within else "red"
        table.row(
            kind,
            full_name(compared),
            str(compared.pair.line),
            f"{d.absolute:.2g}" if numbers else "",
            f"{d.relative:.2g}" if numbers else "",
            f"{compared.tolerance:.2g}",
            angle(compared),
            top_answers(compared),
            [(word(compared), color), ("" if d.badness < float("inf") else f" {compared}", "")],
        )
    for name in found.altered:
        table.row("layer", name, *[""] * 6, "left out: folding is meant to change it")
    return table
