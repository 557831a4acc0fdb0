"""Proofs on the screen: a table for a person, plain lines for a pipe, JSON for a program."""

from __future__ import annotations

from bnfold.cli.terminal import Table, is_for_people, say, say_json, say_wrapped
from bnfold.proving.report import Proof


def show(found: Proof, *, listed: bool, to_json: bool, quiet: bool) -> None:
    """Print a proof to standard output."""
    if to_json:
        say_json(found)
        return
    if quiet:
        return
    table = _table(found)
    if listed and is_for_people() and table.fits():
        table.show()
        say_wrapped(*found.lines())
    else:
        say(*found.lines(listed=listed))


def _table(found: Proof) -> Table:
    table = Table(("layer", "type", "line", "numbers", "ulp", "what it is"), _NUMBERS, free=True)
    for layer in found.layers:
        table.row(
            layer.name,
            layer.type,
            str(layer.line),
            f"{layer.coefficients:,}" if layer.coefficients else "",
            f"{layer.deviation:.2f}" if layer.coefficients else "",
            layer.relation,
        )
    return table


_NUMBERS = ("line", "numbers", "ulp")
