"""The outputs of a run with the report of it, which is written of a failed check, too."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from bnfold.aliases import PathLike
from bnfold.errors import CheckFailedError

from .json_document import json_document
from .run import File, Run, told
from .writing import Outputs


class Reported(Protocol):
    """A report of any kind of run.

    Attributes:
        run: what the run was told, read and wrote; None in a report that is a part of another.
    """

    @property
    def run(self) -> Run | None:
        """What the run was told, and the files that it read and wrote."""
        ...

    def to_json(self) -> dict[str, Any]:
        """The report as one JSON object, without what `run` says."""
        ...


R = TypeVar("R", bound=Reported)


def described(report: Reported) -> dict[str, Any]:
    """A report as the JSON object that is written or printed: with what its `run` says."""
    content = report.to_json()
    if report.run is not None:
        content = {"format": content["format"], "run": report.run.to_json(), **content}
    return content


def document(report: Reported) -> bytes:
    """A report as the JSON document that is written or printed."""
    return json_document(described(report))


class Recorded:
    """A run's outputs, and the file of its report if one is asked for.

    Attributes:
        outputs: the files that the run writes.
    """

    def __init__(
        self, outputs: Outputs, run: Run, targets: Sequence[Path], json_file: Path | None
    ) -> None:
        self.outputs = outputs
        self._run = run
        self._targets = targets
        self._json_file = json_file

    def run(self) -> Run:
        """What the run was told and read, and what it has written by now."""
        files = [File.of(path, self.outputs.pending(path)) for path in self._targets]
        return self._run.wrote(file for file in files if file.stamp is not None)

    def save(self, report: R) -> R:
        """Write the report where one is asked for; it appears with the other outputs.

        Returns:
            The report, with its `run`.
        """
        report = dataclasses.replace(report, run=self.run())  # type: ignore[type-var]
        if self._json_file is not None:
            self.outputs.write(self._json_file, document(report))
        return report


@contextlib.contextmanager
def recorded(
    inputs: Sequence[PathLike | None],
    targets: Sequence[PathLike] = (),
    *,
    json_file: PathLike | None,
    force: bool,
    beside: PathLike | None = None,
    options: Mapping[str, Any] | None = None,
) -> Iterator[Recorded]:
    """Claim what a run writes before any work is done, and have it appear when all is done.

    Where a check fails, no target appears, but the report that the error carries does.

    Args:
        inputs: files that are read, and so must stay as they are; None for one that is not given.
        targets: where the outputs will stand.
        json_file: where the report will stand, if there is to be one.
        force: whether files that exist may be replaced.
        beside: where another file about the targets will stand, if there is to be one.
        options: what the run was told, for its report.

    Raises:
        BnfoldError, OSError: as for `Outputs.claim` and `Outputs.write`.
    """
    read = [Path(path) for path in inputs if path is not None]
    written = [*map(Path, targets)]
    about = [] if beside is None else [Path(beside)]
    report_file = None if json_file is None else Path(json_file)
    reports = [] if report_file is None else [report_file]
    try:
        with Outputs() as outputs:
            if written or about or reports:
                outputs.claim([*written, *about, *reports], read, force)
            run = Run(told(**options or {}), tuple(map(File.of, read)))
            yield Recorded(outputs, run, written, report_file)
    except CheckFailedError as error:
        if error.report is not None:
            with Outputs() as outputs:
                if reports:
                    outputs.claim(reports, read, force)
                error.report = Recorded(outputs, run, (), report_file).save(error.report)
        raise
