"""The JSON report of a check that failed: a pipeline wants to know by how much."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from bnfold.cli.options import JsonTarget
from bnfold.cli.terminal import say_json
from bnfold.errors import CheckFailedError


@contextlib.contextmanager
def printing_failure(target: JsonTarget) -> Iterator[None]:
    """Print the report of a CheckFailedError where `--json -` asks for one."""
    try:
        yield
    except CheckFailedError as error:
        if error.report is not None and target.printed:
            say_json(error.report)
        raise
