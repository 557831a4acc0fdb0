"""All that the command prints, goes through here: lines and tables for people, JSON for programs.

Names come from files, and a file may be a stranger's: text is escaped on its way out, and none of
it is taken for markup. Tests hold the other modules to this one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from bnfold.printable import printable

if TYPE_CHECKING:
    from bnfold.outputs.recorded import Reported

_FEWEST = 24
"""A table is no table where its last column has fewer characters than this."""


def say(*lines: str) -> None:
    """Print lines to standard output."""
    for line in lines:
        click.echo(printable(line))


def say_wrapped(*lines: str) -> None:
    """Print lines to a terminal, broken between words."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    for line in lines:
        console.print(Text(printable(line)))


def tell(line: str) -> None:
    """Print a line to standard error: an error, a warning, how far a long work is."""
    click.echo(f"bnfold: {printable(line)}", err=True)


def warn(*warnings: str) -> None:
    """Print warnings to standard error."""
    for warning in warnings:
        tell(f"warning: {warning}")


def say_json(report: Reported) -> None:
    """Print the JSON of a report to standard output, and nothing else."""
    from bnfold.outputs import document

    say_bytes(document(report))


def say_bytes(content: bytes) -> None:
    """Print a document to standard output as it is."""
    click.echo(content, nl=False)


Cell = str | tuple[str, str] | Sequence[tuple[str, str]]
"""Text; or text with a style; or parts of text, each with its style."""


class Table:
    """A table for a terminal.

    Args:
        titles: the columns' titles.
        right: those that hold numbers.
        free: whether the last column may be broken into several lines, between words. No other is:
            of two long names the ends may be all that differs.
    """

    def __init__(self, titles: Sequence[str], right: Iterable[str] = (), *, free: bool) -> None:
        self._titles = tuple(titles)
        self._right = frozenset(right)
        self._free = free
        self._rows: list[list[list[tuple[str, str]]]] = []

    def row(self, *cells: Cell) -> None:
        """Add a row."""
        self._rows.append([_parts(cell) for cell in cells])

    def fits(self) -> bool:
        """Whether the terminal is wide enough."""
        from rich.console import Console

        return self._width() <= Console().width

    def show(self) -> bool:
        """Print the table and an empty line; False, and nothing is printed, if it does not fit."""
        from rich.console import Console

        if not self.fits():
            return False
        if self._rows:
            console = Console(highlight=False)
            console.print(self._table())
            console.print()
        return True

    def _width(self) -> int:
        """The columns of a terminal that the table needs."""
        from rich.cells import cell_len

        widths = [cell_len(title) for title in self._titles]
        for row in self._rows:
            for number, parts in enumerate(row):
                widths[number] = max(widths[number], sum(cell_len(text) for text, _ in parts))
        if self._free:
            widths[-1] = min(widths[-1], _FEWEST)
        return sum(widths) + 2 * (len(widths) - 1)

    def _table(self) -> Any:
        from rich.table import Table as Grid
        from rich.text import Text

        grid = Grid(box=None, pad_edge=False, header_style="bold")
        for number, title in enumerate(self._titles):
            whole = not (self._free and number == len(self._titles) - 1)
            justify: Any = "right" if title in self._right else "left"
            grid.add_column(Text(title), justify=justify, no_wrap=whole, overflow="fold")
        for row in self._rows:
            grid.add_row(*(Text.assemble(*parts) for parts in row))
        return grid


def _parts(cell: Cell) -> list[tuple[str, str]]:
    if isinstance(cell, str):
        return [(printable(cell), "")]
    if isinstance(cell, tuple) and len(cell) == 2 and isinstance(cell[0], str):
        text, style = cell
        return [(printable(text), str(style))]
    return [(printable(str(text)), str(style)) for text, style in cell]


def is_for_people() -> bool:
    """Whether standard output is a terminal."""
    return sys.stdout.isatty()
