"""What a reader does not load of a network, as typed data and as the documented JSON object."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bnfold.graph import Phase
from bnfold.graph.readers import Effect, Problem, Reader
from bnfold.summary import Summary

JSON_FORMAT = "bnfold.reader/1"


@dataclass(frozen=True, repr=False)
class ReaderReport(Summary):
    """What a reader does not load of a network, and what it loses without a word.

    Attributes:
        model, weights: the network's files; `weights` is None where only the prototxt was read.
        phase: the phase that the network is for.
        reader: the table that was asked.
        problems: what it found, in the order of the file.
    """

    model: Path
    weights: Path | None
    phase: Phase
    reader: Reader
    problems: tuple[Problem, ...]

    @property
    def loads(self) -> bool:
        """Whether nothing was found that the reader refuses."""
        return all(one.effect is not Effect.REFUSED for one in self.problems)

    def lines(self) -> list[str]:
        """A line for each problem, with its place in the file; then what comes of it."""
        found = [f"{self.model}:{one.line}: {one.sentence()}" for one in self.problems]
        return [*found, self.headline(), f"the table is of {self.reader.source}"]

    def headline(self) -> str:
        """Whether the reader loads the network, and how many problems there are."""
        count = Counter(one.effect for one in self.problems)
        verdict = "finds nothing that it does not load" if self.loads else "does not load it"
        numbers = f"{count[Effect.REFUSED]} refused, {count[Effect.IGNORED]} passed over"
        return f"{self.reader.name} {verdict}: {numbers}"

    def to_json(self) -> dict[str, Any]:
        """The report as one JSON object; its fields are documented and stable."""
        return {
            "format": JSON_FORMAT,
            "model": str(self.model),
            "weights": None if self.weights is None else str(self.weights),
            "phase": self.phase.value,
            "reader": self.reader.key,
            "name": self.reader.name,
            "source": self.reader.source,
            "loads": self.loads,
            "problems": [one.to_json() for one in self.problems],
        }
