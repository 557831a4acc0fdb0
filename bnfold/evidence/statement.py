"""An in-toto Statement about a folded network: what it was made of, and what was checked.

Form: in-toto attestation framework, spec/v1/statement.md and spec/v1/resource_descriptor.md; the
results of checks as spec/predicates/test-result.md (v0.1) has them. It is not signed: that is for
the pipeline's own tools. It holds no time and no name of a machine, so that the same release, made
again on the same platform, gives the same statement.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bnfold.errors import BnfoldError
from bnfold.evidence.reports import MERGE, digests

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "urn:bnfold:merge:v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"

Named = tuple[str, Mapping[str, Any]]
"""A report, and the file that it is from, for messages."""


def statement(merged: Named, checks: Sequence[Named], place: Path) -> dict[str, Any]:
    """The statement about what a merge wrote.

    Args:
        merged: the report of the merge.
        checks: reports of checks of what it wrote.
        place: where the statement will stand; it names files from its own folder.

    Returns:
        A JSON object as `attestation.schema.json` has it.

    Raises:
        BnfoldError: the merge wrote nothing, a digest is missing, or a check is about other files.
    """
    name, report = merged
    if report["format"] != MERGE:
        raise BnfoldError(f"{name}: is no report of 'bnfold merge', which comes first")
    run = report["run"]
    outputs = run["outputs"]
    if not outputs:
        raise BnfoldError(f"{name}: that merge wrote no network; there is nothing to attest")
    for file in (*run["inputs"], *outputs):
        if file["sha256"] is None:
            raise BnfoldError(f"{name}: has no digest of {file['path']}; merge and attest again")
    return {
        "_type": STATEMENT,
        "subject": _described(outputs, place),
        "predicateType": PREDICATE,
        "predicate": {
            "bnfold": run["version"],
            "options": run["options"],
            "platform": run["platform"],
            "inputs": _described(run["inputs"], place),
            "folded": _folded(report),
            "results": _results(merged, checks, place),
        },
    }


def _described(files: Iterable[Mapping[str, Any]], place: Path) -> list[dict[str, Any]]:
    """Files as in-toto's ResourceDescriptor."""
    return [
        {
            "name": Path(os.path.relpath(file["path"], place.parent)).as_posix(),
            "digest": {"sha256": file["sha256"]},
        }
        for file in files
        if file["sha256"] is not None
    ]


def _folded(report: Mapping[str, Any]) -> dict[str, Any]:
    """What became of the network: how many layers met each fate, and which stay and why."""
    layers = report["layers"]
    return {
        "fates": dict(sorted(Counter(layer["fate"] for layer in layers).items())),
        "kept": [
            {key: layer[key] for key in ("layer", "type", "code")}
            for layer in layers
            if layer["fate"] in ("kept", "scale")
        ],
        "before": report["before"],
        "after": report["after"],
        "warnings": report["warnings"],
    }


def _results(merged: Named, checks: Sequence[Named], place: Path) -> list[dict[str, Any]]:
    name, report = merged
    made = digests(report["run"]["outputs"])
    inside = filter(None, (report.get("proof"), report.get("verification")))
    results = [_result(check, report["run"], place) for check in inside]
    for path, check in checks:
        if check["format"].split("/")[0] not in _MEASURED:
            known = ", ".join(kind.removeprefix("bnfold.") for kind in _MEASURED)
            raise BnfoldError(f"{path}: is no report of a check; give those of {known}")
        if not made <= digests(check["run"]["inputs"]):
            raise BnfoldError(
                f"{path}: is not about what {name} says was written; check that again"
            )
        results.append(_result(check, check["run"], place))
    return results


def _result(check: Mapping[str, Any], run: Mapping[str, Any], place: Path) -> dict[str, Any]:
    """One check as in-toto's test result, and what it measured beside it."""
    kind = check["format"].split("/")[0]
    result = _outcome(check)
    command = kind.removeprefix("bnfold.")
    return {
        "predicateType": TEST_RESULT,
        "predicate": {
            "result": result,
            "configuration": _described(run["inputs"], place),
            "passedTests": [command] if result == "PASSED" else [],
            "warnedTests": [command] if result == "WARNED" else [],
            "failedTests": [command] if result == "FAILED" else [],
        },
        "options": run["options"],
        "measured": {key: check[key] for key in _MEASURED[kind]},
    }


def _outcome(check: Mapping[str, Any]) -> str:
    """The result in in-toto's word; a proof that ends where a step is missing shows no mistake."""
    words = {"proved": "PASSED", "not proved": "WARNED", "broken": "FAILED"}
    if "verdict" in check:
        return words.get(check["verdict"], "FAILED")
    return "PASSED" if check["passed"] is True else "FAILED"


_MEASURED: dict[str, tuple[str, ...]] = {
    "bnfold.prove": ("verdict", "failure", "allowed", "coefficients", "deviation", "ends"),
    "bnfold.verify": ("engine", "inputs", "tolerance", "outputs", "scores", "mismatches", "notes"),
    "bnfold.accuracy": (
        *("engine", "source", "images", "metrics", "max_drop", "min_top1", "agreement"),
        *("largest_difference", "doubt", "notes"),
    ),
}
"""What a statement takes over of a check, besides whether it passed."""
