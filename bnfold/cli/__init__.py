"""The command line: parse options, call the library, print."""

from __future__ import annotations

import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["main"]


def main() -> NoReturn:
    """Run the command line and exit.

    This comes before any import that takes time, or that the current folder could answer.
    """
    # An interrupt ends the process without a word until there is something to clean up.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from bnfold.import_path import trusted

    sys.path[:] = trusted()
    from bnfold.cli.app import main as run

    run()
