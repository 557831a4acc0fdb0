"""`bnfold.merge(verify=True)`: verification between writing the outputs and naming them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from bnfold.aliases import Progress
from bnfold.checks.equality.comparing import compare_networks
from bnfold.checks.equality.options import VerifyOptions
from bnfold.checks.equality.verification import Verification
from bnfold.checks.equality.verification_text import verdict
from bnfold.errors import BnfoldError, CheckFailedError
from bnfold.merging.report import Report
from bnfold.network_files import NetworkFiles, PairFiles
from bnfold.outputs import Outputs


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


def verified(
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
    files = PairFiles(
        NetworkFiles(report.model, report.weights),
        NetworkFiles(outputs.pending(report.output_model), outputs.pending(report.output_weights)),
    )
    try:
        chosen = (options or VerifyOptions()).knowing(report.plan.altered, report.plan.ahead)
        found = compare_networks(files, chosen, progress)
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
