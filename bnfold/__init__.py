"""Fold batch normalisation into the weights of trained Caffe networks, exactly, without Caffe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bnfold.api import inspect, merge, prune
    from bnfold.errors import BnfoldError
    from bnfold.fold import (
        Branches,
        Code,
        DeadChannels,
        EngineChange,
        Fate,
        Outcome,
        Plan,
        Reason,
    )
    from bnfold.graph import Phase
    from bnfold.prune_report import PruneReport
    from bnfold.report import Counts, Report

__version__ = "0.1.0"

_HOMES = {
    "BnfoldError": "bnfold.errors",
    "Branches": "bnfold.fold",
    "Code": "bnfold.fold",
    "Counts": "bnfold.report",
    "DeadChannels": "bnfold.fold",
    "EngineChange": "bnfold.fold",
    "Fate": "bnfold.fold",
    "Outcome": "bnfold.fold",
    "Phase": "bnfold.graph",
    "Plan": "bnfold.fold",
    "PruneReport": "bnfold.prune_report",
    "Reason": "bnfold.fold",
    "Report": "bnfold.report",
    "inspect": "bnfold.api",
    "merge": "bnfold.api",
    "prune": "bnfold.api",
}

__all__ = [
    "BnfoldError",
    "Branches",
    "Code",
    "Counts",
    "DeadChannels",
    "EngineChange",
    "Fate",
    "Outcome",
    "Phase",
    "Plan",
    "PruneReport",
    "Reason",
    "Report",
    "__version__",
    "inspect",
    "merge",
    "prune",
]


def __getattr__(name: str) -> Any:
    # numpy and protobuf take a while to import; `bnfold --version` should not wait for them.
    if name not in _HOMES:
        raise AttributeError(f"module 'bnfold' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
