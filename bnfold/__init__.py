"""Fold batch normalisation into the weights of trained Caffe networks, exactly, without Caffe."""

from __future__ import annotations

# The module typing would have to be imported, for nothing.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from bnfold.api import (
        deploy,
        find_runtimes,
        inspect,
        inspect_for,
        merge,
        prove,
        prune,
        to_calibration,
    )
    from bnfold.checks.accuracy.measure import accuracy
    from bnfold.checks.accuracy.measured_prune import AccuracyOptions, MeasuredPruneReport
    from bnfold.checks.accuracy.report import AccuracyReport, Answer, Changed, Metric
    from bnfold.checks.equality.device import RawArray, verify_recorded
    from bnfold.checks.equality.device_report import DeviceCheck
    from bnfold.checks.equality.options import VerifyOptions
    from bnfold.checks.equality.verification import Verification
    from bnfold.checks.equality.verified_merge import VerifiedReport
    from bnfold.checks.equality.verify import verify
    from bnfold.checks.feeds.choose import RunOptions
    from bnfold.checks.running.report import Given, RunReport
    from bnfold.checks.running.run import run
    from bnfold.checks.speed.bench import bench
    from bnfold.checks.speed.report import BenchReport
    from bnfold.deploying.report import DeployReport
    from bnfold.errors import BnfoldError, CheckFailedError, InterruptedWarning
    from bnfold.evidence.attest import attest, check_attestation
    from bnfold.evidence.check import AttestationCheck, Attested
    from bnfold.fold import (
        Branches,
        Code,
        DeadChannels,
        EngineChange,
        Entry,
        Fate,
        MergeOptions,
        Outcome,
        Plan,
        Reason,
    )
    from bnfold.fold.inputs.steps import InputSteps
    from bnfold.graph import Phase
    from bnfold.merging.report import Counts, Report
    from bnfold.preprocess_options import PreprocessOptions
    from bnfold.proving.report import Proof, Verdict
    from bnfold.pruning.report import PruneReport
    from bnfold.reading.report import ReaderReport
    from bnfold.runtimes import RuntimesReport

__version__ = "0.1.0"

_HOMES = {
    "accuracy": "bnfold.checks.accuracy.measure",
    "attest": "bnfold.evidence.attest",
    "bench": "bnfold.checks.speed.bench",
    "check_attestation": "bnfold.evidence.attest",
    "AttestationCheck": "bnfold.evidence.check",
    "Attested": "bnfold.evidence.check",
    "deploy": "bnfold.api",
    "find_runtimes": "bnfold.api",
    "inspect": "bnfold.api",
    "inspect_for": "bnfold.api",
    "merge": "bnfold.api",
    "run": "bnfold.checks.running.run",
    "verify": "bnfold.checks.equality.verify",
    "verify_recorded": "bnfold.checks.equality.device",
    "DeviceCheck": "bnfold.checks.equality.device_report",
    "Given": "bnfold.checks.running.report",
    "RawArray": "bnfold.checks.equality.device",
    "RunOptions": "bnfold.checks.feeds.choose",
    "RunReport": "bnfold.checks.running.report",
    "AccuracyOptions": "bnfold.checks.accuracy.measured_prune",
    "AccuracyReport": "bnfold.checks.accuracy.report",
    "Answer": "bnfold.checks.accuracy.report",
    "BenchReport": "bnfold.checks.speed.report",
    "BnfoldError": "bnfold.errors",
    "Changed": "bnfold.checks.accuracy.report",
    "CheckFailedError": "bnfold.errors",
    "Branches": "bnfold.fold",
    "Code": "bnfold.fold",
    "Counts": "bnfold.merging.report",
    "DeadChannels": "bnfold.fold",
    "DeployReport": "bnfold.deploying.report",
    "EngineChange": "bnfold.fold",
    "Entry": "bnfold.fold",
    "Fate": "bnfold.fold",
    "InputSteps": "bnfold.fold.inputs.steps",
    "InterruptedWarning": "bnfold.errors",
    "MeasuredPruneReport": "bnfold.checks.accuracy.measured_prune",
    "MergeOptions": "bnfold.fold",
    "Metric": "bnfold.checks.accuracy.report",
    "Outcome": "bnfold.fold",
    "Phase": "bnfold.graph",
    "Plan": "bnfold.fold",
    "PreprocessOptions": "bnfold.preprocess_options",
    "ReaderReport": "bnfold.reading.report",
    "Reason": "bnfold.fold",
    "Report": "bnfold.merging.report",
    "RuntimesReport": "bnfold.runtimes",
    "VerifiedReport": "bnfold.checks.equality.verified_merge",
    "Verification": "bnfold.checks.equality.verification",
    "VerifyOptions": "bnfold.checks.equality.options",
    "PruneReport": "bnfold.pruning.report",
    "Proof": "bnfold.proving.report",
    "Verdict": "bnfold.proving.report",
    "prove": "bnfold.api",
    "prune": "bnfold.api",
    "to_calibration": "bnfold.api",
}

__all__ = [
    "AccuracyOptions",
    "AccuracyReport",
    "Answer",
    "AttestationCheck",
    "Attested",
    "BenchReport",
    "BnfoldError",
    "Branches",
    "Changed",
    "CheckFailedError",
    "Code",
    "Counts",
    "DeadChannels",
    "DeployReport",
    "DeviceCheck",
    "EngineChange",
    "Entry",
    "Fate",
    "Given",
    "InputSteps",
    "InterruptedWarning",
    "MeasuredPruneReport",
    "MergeOptions",
    "Metric",
    "Outcome",
    "Phase",
    "Plan",
    "PreprocessOptions",
    "Proof",
    "PruneReport",
    "RawArray",
    "ReaderReport",
    "Reason",
    "Report",
    "RunOptions",
    "RunReport",
    "RuntimesReport",
    "Verdict",
    "Verification",
    "VerifiedReport",
    "VerifyOptions",
    "__version__",
    "accuracy",
    "attest",
    "bench",
    "check_attestation",
    "deploy",
    "find_runtimes",
    "inspect",
    "inspect_for",
    "merge",
    "prove",
    "prune",
    "run",
    "to_calibration",
    "verify",
    "verify_recorded",
]


def __dir__() -> list[str]:
    # `help` and completion ask for the names, and would see those that were used already.
    return [*__all__, "__all__", "__doc__", "__file__", "__name__", "__path__", "__spec__"]


def __getattr__(name: str) -> Any:
    # numpy and protobuf take a while to import; `bnfold --version` should not wait for them.
    if name not in _HOMES:
        raise AttributeError(f"module 'bnfold' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
