"""The front door of verification: `bnfold.verify`, and what `bnfold.merge(verify=True)` does."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bnfold.aliases import PathLike, Progress
from bnfold.checks.equality.verification import Verification
from bnfold.checks.equality.verification_text import verdict
from bnfold.checks.equality.verify import Files, VerifyOptions, verify_files
from bnfold.errors import BnfoldError, CheckFailedError
from bnfold.fold import MergeOptions, Plan
from bnfold.jobs import folded_name, one_line_errors, plan_only
from bnfold.outputs import Outputs
from bnfold.report import Report


@dataclass(frozen=True, repr=False)
class VerifiedReport(Report):
    """The report of a merge that was verified before its outputs took their names.

    Attributes:
        verification: what was found. It has passed, but in the report of a CheckFailedError.
    """

    verification: Verification

    @classmethod
    def of(cls, report: Report, verification: Verification) -> VerifiedReport:
        """A report with its verification."""
        values = {field.name: getattr(report, field.name) for field in dataclasses.fields(report)}
        return cls(**values, verification=verification)

    def lines(self) -> list[str]:
        """Those of the merge, and the verdict."""
        return [*super().lines(), f"verified: {verdict(self.verification)}"]

    def to_json(self) -> dict[str, Any]:
        """The report's JSON object, with the verification's own under `verification`."""
        return {**super().to_json(), "verification": self.verification.to_json()}


def verify(
    model: PathLike,
    weights: PathLike,
    *,
    folded_model: PathLike | None = None,
    folded_weights: PathLike | None = None,
    options: VerifyOptions | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Run a network and its folded version on the same inputs in an engine, and compare.

    Args:
        model: the original prototxt.
        weights: its caffemodel.
        folded_model: the folded prototxt; by default what `merge` would have called it.
        folded_weights: the folded caffemodel, likewise.
        options: the inputs, the tolerance, the engine; see VerifyOptions for the defaults.
        progress: is told after every batch how many are done, and of how many.

    Returns:
        What was found; `passed` says whether the two are the same function, and `failure` why not.

    Raises:
        BnfoldError: a file or an option cannot be used, or no engine can run the networks.
    """
    model, weights = Path(model), Path(weights)
    with one_line_errors():
        files = Files(
            model,
            weights,
            folded_name(model) if folded_model is None else Path(folded_model),
            folded_name(weights) if folded_weights is None else Path(folded_weights),
        )
        chosen = options or VerifyOptions()
        return verify_files(files, _knowing(chosen, _default_plan(files)), progress)


def _knowing(options: VerifyOptions, plan: Plan) -> VerifyOptions:
    """The options, with what a plan changes by design."""
    return dataclasses.replace(
        options, altered=options.altered | plan.altered, ahead=options.ahead | plan.ahead
    )


def _default_plan(files: Files) -> Plan:
    """What a merge with default options does, which other options do no more than."""
    try:
        return plan_only(files.model, files.weights, MergeOptions()).plan
    except BnfoldError:
        # Only --bn-dialect, say, makes sense of this network; then all layers are compared.
        return Plan()


def prove(
    report: Report,
    outputs: Outputs,
    options: VerifyOptions | None = None,
    progress: Progress | None = None,
) -> VerifiedReport:
    """Verify a merge whose outputs have not taken their names yet.

    Args:
        report: what the merge did; its outputs are the names that they will take.
        outputs: holds the files.
        options, progress: as for `verify`.

    Returns:
        The report with what was found.

    Raises:
        CheckFailedError: the folded network is not the same function; it has the report.
        BnfoldError: as for `verify`.
    """
    assert report.weights is not None
    assert report.output_model is not None
    assert report.output_weights is not None
    files = Files(
        report.model,
        report.weights,
        outputs.pending(report.output_model),
        outputs.pending(report.output_weights),
    )
    try:
        chosen = _knowing(options or VerifyOptions(), report.plan)
        found = verify_files(files, chosen, progress)
    except BnfoldError as error:
        raise BnfoldError(outputs.by_target(str(error))) from error
    found = dataclasses.replace(
        found,
        folded_model=report.output_model,
        folded_weights=report.output_weights,
        engine=outputs.by_target(found.engine),
        notes=tuple(map(outputs.by_target, found.notes)),
    )
    if not found.passed:
        nothing = dataclasses.replace(report, output_model=None, output_weights=None)
        failed = VerifiedReport.of(nothing, found)
        raise CheckFailedError(f"{found.failure}; no network was written", failed)
    return VerifiedReport.of(report, found)
