"""`bnfold.merge(verify=True)`: verification between writing the outputs and naming them."""

from __future__ import annotations

import dataclasses
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bnfold.aliases import Progress
from bnfold.checks.equality.comparing import compare_networks
from bnfold.checks.equality.copies import named_as
from bnfold.checks.equality.definition import write_runnable
from bnfold.checks.equality.options import Names, VerifyOptions
from bnfold.checks.equality.verification import Verification
from bnfold.checks.equality.verification_text import verdict
from bnfold.errors import BnfoldError, CheckFailedError
from bnfold.fold.inputs.rewrite import InputFold
from bnfold.fold.inputs.steps import InputSteps
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
    assert report.output_weights is not None
    with tempfile.TemporaryDirectory(prefix="bnfold-") as folder:
        files, names = _files(report, outputs, Path(folder))
        try:
            chosen = (options or VerifyOptions()).knowing(_altered(report), report.plan.ahead)
            with named_as(report.model, files.original.model):
                chosen = replace(chosen, names=names, input_steps=_steps(report))
                found = compare_networks(files, chosen, progress)
        except BnfoldError as error:
            raise BnfoldError(outputs.by_target(str(error))) from error
    found = replace(
        found,
        model=report.model,
        folded_model=_written_for(report),
        folded_weights=report.output_weights,
        engine=outputs.by_target(found.engine),
        notes=tuple(map(outputs.by_target, found.notes)),
    )
    if not found.passed:
        nothing = replace(report, output_model=None, output_weights=None)
        failed = VerifiedReport.of(nothing, found)
        raise CheckFailedError(f"{found.failure}; no network was written", failed)
    return VerifiedReport.of(report, found)


def _written_for(report: Report) -> Path:
    """The prototxt that the new weights are for."""
    model = report.output_model if report.onto is None else report.onto.model
    assert model is not None
    return model


def _steps(report: Report) -> InputSteps | None:
    """What the new network does to its input itself."""
    return next((entry.steps for entry in report.plan.of_type(InputFold)), None)


def _altered(report: Report) -> set[str]:
    """The layers of the written network whose values are others than before."""
    names = {} if report.onto is None else report.onto.layers
    return {names.get(name, name) for name in report.plan.altered}


def _files(report: Report, outputs: Outputs, folder: Path) -> tuple[PairFiles, Names | None]:
    """The files to compare, and the names in the first for those of the second.

    Args:
        report: what the merge did.
        outputs: holds what it wrote.
        folder: for a copy of a definition that no engine can run as it is.
    """
    assert report.weights is not None
    assert report.output_weights is not None
    original = NetworkFiles(report.model, report.weights)
    weights, onto = outputs.pending(report.output_weights), report.onto
    if onto is None:
        folded = NetworkFiles(outputs.pending(_written_for(report)), weights)
        return PairFiles(original, folded), None
    copy = folder / "definition.prototxt"
    write_runnable(report.model, onto, copy)
    ends = {name: name for name in onto.ends}
    layers = {new: old for old, new in onto.layers.items()} | ends
    inputs = {new: old for old, new in onto.inputs.items()}
    names = Names(layers, inputs, {new: old for old, new in onto.outputs.items()})
    return PairFiles(NetworkFiles(copy, report.weights), NetworkFiles(onto.model, weights)), names
