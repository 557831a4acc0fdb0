"""What a run did, as typed data and as the documented JSON object."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bnfold.caffemodel import LayerEdit, Weights
from bnfold.fold import AFFINE_TYPES, Plan
from bnfold.graph import Net, Phase

JSON_FORMAT = "bnfold.report/1"
"""The name and version of the JSON object; the version rises when a key changes meaning."""


@dataclass(frozen=True)
class Counts:
    """How large a network is.

    Attributes:
        layers: layers that run in the phase.
        affine: those of them that are BatchNorm or Scale.
        parameters: values in the weights file; None where no weights were given.
        weights_bytes: size of the weights file; None where there is none (yet).
    """

    layers: int
    affine: int
    parameters: int | None
    weights_bytes: int | None

    @classmethod
    def of(
        cls, net: Net, stored: Weights | None, edits: dict[str, LayerEdit], size: int | None
    ) -> Counts:
        """Count a network as it is after the rewrites so far.

        Args:
            net: the network.
            stored: its weights file, if there is one.
            edits: what will be changed in that file.
            size: the size of the file in bytes, where it is known.
        """
        layers = list(net.layers)
        affine = sum(layer.type in AFFINE_TYPES for layer in layers)
        parameters = None if stored is None else _parameters(stored, edits)
        return cls(len(layers), affine, parameters, size)


@dataclass(frozen=True)
class Report:
    """What was planned, and what was written.

    Attributes:
        model, weights: the inputs; `weights` is None where only the prototxt was read.
        output_model, output_weights: the outputs; None where nothing was written.
        phase: the phase whose function is preserved.
        plan: what is folded into what, what is kept and why, engines, warnings.
        before, after: the size of the network.
    """

    model: Path
    weights: Path | None
    output_model: Path | None
    output_weights: Path | None
    phase: Phase
    plan: Plan
    before: Counts
    after: Counts

    def to_json(self) -> dict[str, Any]:
        """The report as the JSON object that README.md documents."""
        return {
            "format": JSON_FORMAT,
            "model": str(self.model),
            "weights": _text(self.weights),
            "output_model": _text(self.output_model),
            "output_weights": _text(self.output_weights),
            "phase": self.phase.value,
            "folded": [asdict(fold) for fold in self.plan.folded],
            "kept": [
                {
                    "layer": kept.layer,
                    "type": kept.type,
                    "line": kept.line,
                    "code": kept.reason.code.value,
                    "reason": kept.reason.text,
                }
                for kept in self.plan.kept
            ],
            "engines": [asdict(change) for change in self.plan.engines],
            "warnings": list(self.plan.warnings),
            "before": asdict(self.before),
            "after": asdict(self.after),
        }


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _parameters(stored: Weights, edits: dict[str, LayerEdit]) -> int:
    total = 0
    for record in stored.records:
        edit = edits.get(record.name, LayerEdit())
        if not edit.remove:
            blobs = record.blobs if edit.blobs is None else edit.blobs
            total += sum(math.prod(blob.shape) for blob in blobs)
    return total
