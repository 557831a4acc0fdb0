"""Where modules are imported from: never the current folder, which may hold a stranger's files.

Python puts the current folder on its path for `python -m`, and for an empty entry in PYTHONPATH,
which `PYTHONPATH=$PYTHONPATH:/opt/caffe/python` leaves where the variable was not set.
"""

from __future__ import annotations

import os
import sys

HOME = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
"""The folder that bnfold is imported from."""


def trusted(path: list[str] | None = None) -> list[str]:
    """Return folders to import from, absolute and without the current one.

    Where bnfold itself was imported from the current folder, as in a checkout, that comes last: it
    hides nothing then.

    Args:
        path: the folders in question; by default those that this process imports from.
    """
    entries = sys.path if path is None else path
    try:
        here = os.path.realpath(os.curdir)
    except OSError:  # The current folder is gone, and with it whatever is relative to it.
        here = ""
        entries = [entry for entry in entries if os.path.isabs(entry)]  # noqa: PTH117
    entries = [os.path.abspath(entry) for entry in entries]  # noqa: PTH100
    kept = [entry for entry in entries if os.path.realpath(entry) != here]
    return kept if HOME in kept or path is not None else [*kept, HOME]


def isolated(python: str, *arguments: str) -> list[str]:
    """The command that starts a Python whose path has nothing on it but its own installation.

    It ignores PYTHONPATH and the folder of the script; what else it shall import from is told to
    it. (`-P` would say so, but is not in Python 3.10.)
    """
    return [python, "-I", *arguments]
