"""The outputs of a run with the report of it, which is written of a failed check, too."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from bnfold.aliases import PathLike
from bnfold.errors import CheckFailedError

from .json_document import json_document
from .writing import Outputs


class Reported(Protocol):
    """A report of any kind of run."""

    def to_json(self) -> dict[str, Any]:
        """The report as one JSON object."""
        ...


class Recorded:
    """A run's outputs, and the file of its report if one is asked for.

    Attributes:
        outputs: the files that the run writes.
    """

    def __init__(self, outputs: Outputs, json_file: Path | None) -> None:
        self.outputs = outputs
        self._json_file = json_file

    def save(self, report: Reported) -> None:
        """Write the report where one is asked for; it appears with the other outputs."""
        if self._json_file is not None:
            self.outputs.write(self._json_file, json_document(report.to_json()))


@contextlib.contextmanager
def recorded(
    inputs: Sequence[PathLike | None],
    targets: Sequence[PathLike] = (),
    *,
    json_file: PathLike | None,
    force: bool,
) -> Iterator[Recorded]:
    """Claim what a run writes before any work is done, and have it appear when all is done.

    Where a check fails, no target appears, but the report that the error carries does.

    Args:
        inputs: files that are read, and so must stay as they are; None for one that is not given.
        targets: where the outputs will stand.
        json_file: where the report will stand, if there is to be one.
        force: whether files that exist may be replaced.

    Raises:
        BnfoldError, OSError: as for `Outputs.claim` and `Outputs.write`.
    """
    read = [Path(path) for path in inputs if path is not None]
    report_file = None if json_file is None else Path(json_file)
    reports = [] if report_file is None else [report_file]
    try:
        with Outputs() as outputs:
            if targets or reports:
                outputs.claim([*map(Path, targets), *reports], read, force)
            yield Recorded(outputs, report_file)
    except CheckFailedError as error:
        if error.report is not None and report_file is not None:
            with Outputs() as outputs:
                outputs.claim(reports, read, force)
                Recorded(outputs, report_file).save(error.report)
        raise
