"""What bnfold raises when its input cannot be used, or is found wanting."""

from __future__ import annotations

from typing import Any

from bnfold.printable import printable


class BnfoldError(ValueError):
    """Bad input or usage: one line that says where, what is wrong and what to do.

    Everything that bnfold raises on purpose is of this type; the command line prints it and
    exits with 2. Names in the message come from files: what is not printable in it is escaped.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class CheckFailedError(BnfoldError):
    """A check that was asked for failed: one line that says which, where and by how much.

    The command line prints it and exits with 1.

    Attributes:
        report: all that is known of the run, as the function would have returned it had the check
            passed; its outputs are None, since no network was written.
    """

    def __init__(self, message: str, report: Any = None) -> None:
        super().__init__(message)
        self.report = report


class InterruptedWarning(UserWarning):
    """An earlier run was killed while it wrote files that are used now, and what became of it.

    The command line prints it in a line.
    """
