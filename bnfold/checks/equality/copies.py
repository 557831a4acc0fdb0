"""Copies of files that are run in their place, and that nobody has seen."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from bnfold.errors import BnfoldError


@contextlib.contextmanager
def named_as(file: Path, copy: Path) -> Iterator[None]:
    """Errors about a copy that nobody has seen name the file that it was made of."""
    try:
        yield
    except BnfoldError as error:
        if str(copy) not in str(error):
            raise
        raise BnfoldError(str(error).replace(str(copy), str(file))) from error
