"""Which file an error is about."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from bnfold.errors import BnfoldError


@contextlib.contextmanager
def naming(model: Path) -> Iterator[None]:
    """Have what rewrites say of a network begin with its file, as other errors do by themselves."""
    try:
        yield
    except BnfoldError as error:
        raise BnfoldError(f"{model}: {error}") from error
