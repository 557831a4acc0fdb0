"""What a network gave, as typed data and as the documented JSON object."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bnfold.aliases import Array, ArrayShape
from bnfold.spelling import plural
from bnfold.summary import Summary

JSON_FORMAT = "bnfold.run/1"


@dataclass(frozen=True)
class Given:
    """A value over all inputs.

    Attributes:
        name: the blob's.
        shape: that of the array that is kept: all inputs stand behind each other.
        least, largest, mean: of its finite numbers; None where there are none.
        not_finite: how many numbers are infinite or NaN.
    """

    name: str
    shape: ArrayShape
    least: float | None
    largest: float | None
    mean: float | None
    not_finite: int

    @classmethod
    def of(cls, name: str, array: Array) -> Given:
        """Look at an array."""
        finite = array[np.isfinite(array)]
        odd = array.size - finite.size
        if not finite.size:
            return cls(name, array.shape, None, None, None, odd)
        mean = float(finite.mean(dtype=np.float64))
        return cls(name, array.shape, float(finite.min()), float(finite.max()), mean, odd)

    def __str__(self) -> str:
        """The value in a line."""
        dims = "x".join(map(str, self.shape)) or "a single value"
        odd = f", {self.not_finite} not finite" if self.not_finite else ""
        if self.mean is None:
            return f"{self.name}: {dims}{odd}"
        numbers = f"{self.least:.3g} to {self.largest:.3g}, mean {self.mean:.3g}"
        return f"{self.name}: {dims}, {numbers}{odd}"

    def to_json(self) -> dict[str, Any]:
        """One entry of the JSON object's list."""
        return {
            "name": self.name,
            "shape": list(self.shape),
            "least": self.least,
            "largest": self.largest,
            "mean": self.mean,
            "not_finite": self.not_finite,
        }


@dataclass(frozen=True, repr=False)
class RunReport(Summary):
    """What a network gave.

    Attributes:
        model, weights: the network.
        engine: the engine that ran it and why it was taken, in one line.
        inputs: what it was fed, in one line.
        images: how many inputs.
        values: what was kept.
        output: the file that it was written to; None where it was only looked at.
        notes: what else a user should know, each in one line.
    """

    model: Path
    weights: Path
    engine: str
    inputs: str
    images: int
    values: tuple[Given, ...]
    output: Path | None
    notes: tuple[str, ...]

    def lines(self) -> list[str]:
        """The engine, the inputs, each value, and where it all is."""
        return [
            f"engine {self.engine}",
            f"inputs {self.inputs}",
            *map(str, self.values),
            self._end(),
        ]

    def headline(self) -> str:
        """How many values of how many inputs."""
        values, inputs = plural(len(self.values), "value"), plural(self.images, "input")
        return f"{self.model}: {values} of {inputs}"

    def _end(self) -> str:
        return self.headline() if self.output is None else f"wrote {self.output}"

    def to_json(self) -> dict[str, Any]:
        """The object that docs/json.md describes."""
        return {
            "format": JSON_FORMAT,
            "model": str(self.model),
            "weights": str(self.weights),
            "engine": self.engine,
            "inputs": self.inputs,
            "images": self.images,
            "values": [value.to_json() for value in self.values],
            "output": None if self.output is None else str(self.output),
            "notes": list(self.notes),
        }
