"""What there is to say of a check that failed, besides that it did: by how much, and where."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from bnfold.cli.options import JsonTarget
from bnfold.cli.terminal import say, say_json
from bnfold.errors import CheckFailedError


@contextlib.contextmanager
def printing_failure(target: JsonTarget, quiet: bool = False) -> Iterator[None]:
    """Print the report of a CheckFailedError where `--json -` asks for one, else its lists."""
    try:
        yield
    except CheckFailedError as error:
        if error.report is not None and target.printed:
            say_json(error.report)
        elif not quiet:
            _list(error.report)
        raise


def _list(report: object) -> None:
    """Print what a merge cannot write for stock Caffe."""
    from bnfold.merging.report import Report
    from bnfold.merging.text import unportable

    if isinstance(report, Report):
        say(*unportable(report))
