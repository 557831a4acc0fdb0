"""What a deployment did, as typed data and as the documented JSON object."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bnfold.deploying.changes import Action, Change
from bnfold.deploying.input_shapes import InputShape
from bnfold.deploying.inputs import words_of
from bnfold.deploying.preprocessing import to_json
from bnfold.deploying.preprocessing import words_of as preprocessing_words
from bnfold.graph import Phase
from bnfold.merging.report import Report
from bnfold.preprocess_options import PreprocessOptions
from bnfold.spelling import plural
from bnfold.summary import Summary

JSON_FORMAT = "bnfold.deploy/1"
"""The name and version of the JSON object; the version rises when a key changes meaning."""


@dataclass(frozen=True, repr=False)
class DeployReport(Summary):
    """What was changed, and what was written.

    Attributes:
        model, weights: the inputs; `weights` is None where only the prototxt was read.
        output_model, output_weights: the outputs; None where nothing was written.
        phase: the phase that was read.
        inputs: the inputs that data layers became.
        preprocess: what the data layer did to images; None where it does not tell, or several
            layers tell different things.
        preprocess_file: the file that this was written to, if it was.
        changes: what was done to which layer, in file order.
        stripped: how many fields of training went; None where that was not asked for.
        modernised: how many inputs and layers were put into the form of today; None where that was
            not asked for.
        warnings: what is legal but suspicious.
        merged: what folding did, where that was asked for.
    """

    model: Path
    weights: Path | None
    output_model: Path | None
    output_weights: Path | None
    phase: Phase
    inputs: tuple[InputShape, ...]
    preprocess: PreprocessOptions | None
    preprocess_file: Path | None
    changes: tuple[Change, ...]
    stripped: int | None
    modernised: int | None
    warnings: tuple[str, ...]
    merged: Report | None = None

    def lines(self) -> list[str]:
        """What became of which layer, and what came of it all."""
        folded = [] if self.merged is None else self.merged.lines()
        return [*(change.sentence() for change in self.changes), *folded, *self.closing()]

    def headline(self) -> str:
        """The model, and how much of it changed."""
        return f"{self.model}: {self.closing()[0]}"

    def closing(self) -> list[str]:
        """The closing lines: how much changed, what goes in, what was written."""
        counts = Counter(change.action for change in self.changes)
        done = [
            f"{_count(counts[action], noun)} {verb}"
            for action, (noun, verb) in _COUNTED.items()
            if counts[action]
        ]
        if self.stripped is not None:
            done.append(f"{plural(self.stripped, 'field')} of training stripped")
        if self.modernised is not None:
            done.append(f"{plural(self.modernised, 'place')} modernised")
        lines = [f"read in phase {self.phase.value}: {', '.join(done) or 'nothing to change'}"]
        lines += [
            f"input '{one.name}' {words_of(one.shape)}, by {one.told_by}" for one in self.inputs
        ]
        words = [] if self.preprocess is None else preprocessing_words(self.preprocess)
        if words:
            lines.append(f"preprocessing: {', '.join(words)}; without mirroring")
        written = [self.output_model, self.output_weights, self.preprocess_file]
        names = [str(path) for path in written if path is not None]
        if names:
            lines.append(f"wrote {' and '.join(names)}")
        return lines

    def to_json(self) -> dict[str, Any]:
        """The report as the JSON object that docs/json.md describes."""
        return {
            "format": JSON_FORMAT,
            "model": str(self.model),
            "weights": _text(self.weights),
            "output_model": _text(self.output_model),
            "output_weights": _text(self.output_weights),
            "phase": self.phase.value,
            "inputs": [
                {"name": one.name, "shape": list(one.shape), "told_by": one.told_by}
                for one in self.inputs
            ],
            "preprocess": None if self.preprocess is None else to_json(self.preprocess),
            "preprocess_file": _text(self.preprocess_file),
            "changes": [change.to_json() for change in self.changes],
            "stripped": self.stripped,
            "modernised": self.modernised,
            "warnings": list(self.warnings),
            "merged": None if self.merged is None else self.merged.to_json(),
        }


_COUNTED = {
    Action.INPUT: ("input", "made"),
    Action.SCORES: ("loss", "turned into scores"),
    Action.REMOVED: ("layer", "removed"),
    Action.RULES: ("layer", "without rules now"),
    Action.STATISTICS: ("batch norm", "set to stored statistics"),
    Action.IMAGES: ("input", "made to read images"),
}


def _count(count: int, noun: str) -> str:
    return f"{count} losses" if noun == "loss" and count > 1 else plural(count, noun)


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
