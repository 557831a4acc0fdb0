"""`bnfold prune --images`: accuracy between writing the smaller network and naming it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

from bnfold.aliases import PathLike, Progress
from bnfold.checks.accuracy.measure import BATCH, accuracy
from bnfold.checks.accuracy.report import AccuracyReport
from bnfold.checks.accuracy.text import metric_lines
from bnfold.errors import BnfoldError, CheckFailedError
from bnfold.outputs import Outputs
from bnfold.preprocess_options import PreprocessOptions
from bnfold.pruning.report import PruneReport

_ANY_DROP = 100
"""No accuracy drops by more points than this."""


@dataclass(frozen=True)
class AccuracyOptions:
    """How to measure what pruning costs; see `bnfold.accuracy` for what each one means.

    Attributes:
        max_drop: how many points of any kind of accuracy may be lost; None for as many as are.
    """

    images: PathLike
    root: PathLike | None = None
    preprocess: PreprocessOptions | None = None
    max_drop: Fraction | Decimal | float | str | None = None
    batch: int = BATCH
    limit: int | None = None
    output_blob: str | None = None
    annotations: PathLike | None = None
    labelmap: PathLike | None = None
    runtime: str = "auto"
    threads: int | None = None
    caffe_root: PathLike | None = None


@dataclass(frozen=True, repr=False)
class MeasuredPruneReport(PruneReport):
    """The report of a pruning whose accuracy was measured before its outputs took their names.

    Attributes:
        accuracy: of the original network, and of the smaller one.
    """

    accuracy: AccuracyReport | None = None

    def _measured(self) -> list[str]:
        return [] if self.accuracy is None else metric_lines(self.accuracy)

    def to_json(self) -> dict[str, Any]:
        """The report's JSON object, with that of the accuracy under `accuracy`."""
        measured = None if self.accuracy is None else self.accuracy.to_json()
        return {**super().to_json(), "accuracy": measured}


def measured(
    report: PruneReport,
    outputs: Outputs,
    options: AccuracyOptions,
    progress: Progress | None = None,
) -> MeasuredPruneReport:
    """Measure a pruned network whose files have not taken their names yet.

    Args:
        report: what the pruning did; its outputs are the names that the files will take.
        outputs: holds the files.
        options: the images, and how they are fed.
        progress: told after each batch how many images are done, of how many.

    Raises:
        CheckFailedError: more accuracy is lost than `max_drop` allows; it has the report.
        BnfoldError: as for `bnfold.accuracy`.
    """
    assert report.output_model is not None
    assert report.output_weights is not None
    given = {field.name: getattr(options, field.name) for field in fields(options)}
    given["max_drop"] = _ANY_DROP if options.max_drop is None else options.max_drop
    try:
        found = accuracy(
            report.model,
            report.weights,
            folded_model=outputs.pending(report.output_model),
            folded_weights=outputs.pending(report.output_weights),
            progress=progress,
            **given,
        )
    except BnfoldError as error:
        raise BnfoldError(outputs.by_target(str(error))) from error
    failure = None if found.failure is None else outputs.by_target(found.failure)
    found = replace(
        found,
        folded_model=report.output_model,
        folded_weights=report.output_weights,
        engine=outputs.by_target(found.engine),
        notes=tuple(map(outputs.by_target, found.notes)),
    )
    values = {field.name: getattr(report, field.name) for field in fields(report)}
    whole = MeasuredPruneReport(**values, accuracy=found)
    if failure is not None:
        nothing = replace(whole, output_model=None, output_weights=None)
        raise CheckFailedError(f"{failure}; no network was written", nothing)
    return whole
