"""What `bench` measured, as typed data and as the documented JSON object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bnfold.aliases import ArrayShape
from bnfold.checks.feeds.timing_inputs import SEED
from bnfold.checks.speed.spread import Spread
from bnfold.merging.report import Counts
from bnfold.summary import Summary

JSON_FORMAT = "bnfold.bench/1"
"""The name and version of the JSON object; the version rises when a key changes meaning."""


@dataclass(frozen=True)
class Side:
    """One of two networks, in one setting of the engine.

    Attributes:
        seconds: of one forward pass.
        peak_memory: peak resident bytes of a process that runs nothing but this network, its
            engine and the loading included; None where the system does not tell.
    """

    seconds: Spread
    peak_memory: int | None


@dataclass(frozen=True)
class Comparison:
    """Both networks in one setting of the engine.

    Attributes:
        fusion: whether the engine may merge layers on its own; None for one that cannot.
        original, folded: the networks.
        ratio: seconds of the folded network over those of the original, within each round.
        limit: the ratio if the removed layers, and results that nobody reads, had cost the folded
            network nothing; None where the engine has no profile.
        merged_by_engine: how many of the removed layers the engine had merged into others, and so
            ran in no time, in the original already; None where the engine has no profile.
    """

    fusion: bool | None
    original: Side
    folded: Side
    ratio: Spread
    limit: Spread | None
    merged_by_engine: int | None

    def to_json(self) -> dict[str, Any]:
        """The comparison as a part of the report's JSON object."""
        return {
            "fusion": self.fusion,
            "rounds": self.ratio.count,
            **{
                name: {
                    "seconds": _spread_json(side.seconds),
                    "peak_memory_bytes": side.peak_memory,
                }
                for name, side in (("original", self.original), ("folded", self.folded))
            },
            "ratio": _spread_json(self.ratio),
            "limit": None if self.limit is None else _spread_json(self.limit),
            "merged_by_engine": self.merged_by_engine,
        }


@dataclass(frozen=True, repr=False)
class BenchReport(Summary):
    """What was measured, and on what.

    Attributes:
        model, weights: the original network.
        folded_model, folded_weights: the folded one.
        runtime: the engine's name.
        version: the engine's version.
        why: one line that names the engine and says why it was taken.
        threads: how many threads it was given; None for its own default.
        inputs: the shape of each input, as it was fed.
        before, after: the size of the original and of the folded network.
        removed: the layers that the original runs and the folded network does not.
        comparisons: one for each setting of the engine; the first is the engine without fusion.
    """

    model: Path
    weights: Path
    folded_model: Path
    folded_weights: Path
    runtime: str
    version: str
    why: str
    threads: int | None
    inputs: Mapping[str, ArrayShape]
    before: Counts
    after: Counts
    removed: tuple[str, ...]
    comparisons: tuple[Comparison, ...]

    def lines(self) -> list[str]:
        """The engine, the sizes, and what each setting came to."""
        from bnfold.checks.speed import text

        return text.lines(self)

    def headline(self) -> str:
        """What the first setting came to."""
        from bnfold.checks.speed import text

        return f"{self.folded_model}: {text.closing(self.comparisons[0], self)}"

    def to_json(self) -> dict[str, Any]:
        """The report as the JSON object that docs/json.md describes."""
        sides = (
            ("original", self.model, self.weights, self.before),
            ("folded", self.folded_model, self.folded_weights, self.after),
        )
        return {
            "format": JSON_FORMAT,
            "runtime": {"name": self.runtime, "version": self.version, "why": self.why},
            "threads": self.threads,
            "inputs": {name: list(shape) for name, shape in self.inputs.items()},
            "seed": SEED,
            **{
                name: {
                    "model": str(model),
                    "weights": str(weights),
                    "layers": counts.layers,
                    "affine": counts.affine,
                    "parameters": counts.parameters,
                    "weights_bytes": counts.weights_bytes,
                }
                for name, model, weights, counts in sides
            },
            "removed": list(self.removed),
            "comparisons": [comparison.to_json() for comparison in self.comparisons],
        }


def _spread_json(values: Spread) -> dict[str, Any]:
    return {
        "median": values.median,
        "lower_quartile": values.lower,
        "upper_quartile": values.upper,
        "median_interval": asdict(values.interval),
    }
