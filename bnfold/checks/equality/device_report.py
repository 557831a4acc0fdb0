"""What a device gave against what an engine gives, as typed data and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bnfold.checks.equality.verification import Compared, badness
from bnfold.checks.equality.verification_text import value_line
from bnfold.spelling import plural
from bnfold.summary import Summary

JSON_FORMAT = "bnfold.recorded/1"


@dataclass(frozen=True, repr=False)
class DeviceCheck(Summary):
    """Whether a device gave what the network gives in an engine.

    Attributes:
        model, weights: the network.
        recorded: the files with what the device gave.
        engine: the engine that ran the network and why it was taken, in one line.
        inputs: what it was fed, in one line.
        images: how many inputs.
        measured: whether tolerances were measured or given.
        values: what was compared, by the names of blobs.
        notes: what else a user should know, each in one line.
    """

    model: Path
    weights: Path
    recorded: tuple[Path, ...]
    engine: str
    inputs: str
    images: int
    measured: bool
    values: tuple[Compared, ...]
    notes: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether all values agree."""
        return all(value.within for value in self.values)

    @property
    def failure(self) -> str:
        """What differs most, in one line; "" where all agrees."""
        wrong = [value for value in self.values if not value.within]
        if not wrong:
            return ""
        worst = max(wrong, key=badness)
        return f"{self.recorded[0]}: not what {self.model} gives: '{worst.pair.name}': {worst}"

    def lines(self) -> list[str]:
        """The engine, the inputs, each value, and the verdict."""
        values = [value_line("recorded", value) for value in self.values]
        return [f"engine {self.engine}", f"inputs {self.inputs}", *values, self.headline()]

    def headline(self) -> str:
        """The verdict."""
        count, inputs = plural(len(self.values), "value"), plural(self.images, "input")
        engine = self.engine.partition(", since ")[0]
        verdict = "the device gives the same" if self.passed else "the device gives something else"
        return f"{verdict}: {count}, {inputs}, against {engine}"

    def to_json(self) -> dict[str, Any]:
        """The object that docs/json.md describes."""
        return {
            "format": JSON_FORMAT,
            "passed": self.passed,
            "failure": self.failure or None,
            "model": str(self.model),
            "weights": str(self.weights),
            "recorded": [str(path) for path in self.recorded],
            "engine": self.engine,
            "inputs": self.inputs,
            "images": self.images,
            "tolerance": "measured" if self.measured else "given",
            "values": [value.to_json() for value in self.values],
            "notes": list(self.notes),
        }
