"""What every report of a run has in common: its lines for people, and a short form."""

from __future__ import annotations

from dataclasses import dataclass, field

from bnfold.outputs.run import Run
from bnfold.printable import printable

_LONGEST = 240


@dataclass(frozen=True, repr=False)
class Summary:
    """A report that says in lines of text what it holds.

    Attributes:
        run: what the run was told, and the files that it read and wrote; None in a report that is
            a part of another.
    """

    run: Run | None = field(default=None, kw_only=True, compare=False)

    def lines(self) -> list[str]:
        """What the command prints where its output is no terminal, line by line, as it is."""
        raise NotImplementedError

    def headline(self) -> str:
        """The gist, in one line."""
        raise NotImplementedError

    def summary(self) -> str:
        """What the command prints where its output is no terminal.

        Names come from files: what is not printable in them is escaped.
        """
        return "\n".join(map(printable, self.lines()))

    def __repr__(self) -> str:
        text = printable(self.headline())
        text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
        return f"<{type(self).__name__}: {text}>"
