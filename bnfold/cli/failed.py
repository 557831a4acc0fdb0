"""The JSON report of a check that failed: a pipeline wants to know by how much."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from bnfold.cli.terminal import json_bytes, say_json
from bnfold.errors import CheckFailedError
from bnfold.outputs import Outputs


@contextlib.contextmanager
def reporting_failure(
    json_target: str | None, inputs: Sequence[Path], force: bool
) -> Iterator[None]:
    """Write the report of a CheckFailedError, after the other outputs have been let go.

    Args:
        json_target: what `--json` names; nothing is written without it.
        inputs: files that it may not be.
        force: whether it may be replaced.
    """
    try:
        yield
    except CheckFailedError as error:
        if error.report is not None and json_target == "-":
            say_json(error.report)
        elif error.report is not None and json_target is not None:
            with Outputs() as outputs:
                outputs.claim([Path(json_target)], inputs, force)
                outputs.write(Path(json_target), json_bytes(error.report))
        raise
