"""What verification found, as typed data and as the documented JSON object."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bnfold.aliases import ArrayShape
from bnfold.checks.equality.difference import Difference
from bnfold.checks.equality.matching import Pair
from bnfold.summary import Summary

JSON_FORMAT = "bnfold.verify/1"
"""The name and version of the JSON object; the version rises when a key changes meaning."""


@dataclass(frozen=True)
class Compared:
    """A value of both networks, and how far apart it is.

    Attributes:
        pair: which value, by whom it is written, and where.
        difference: how far apart, over all inputs.
        tolerance: the largest relative difference that is taken for rounding.
    """

    pair: Pair
    difference: Difference
    tolerance: float

    @property
    def within(self) -> bool:
        """Whether the two agree."""
        return self.difference.within(self.tolerance)

    def __str__(self) -> str:
        """How far apart, in words that do without the value's name."""
        d = self.difference
        if d.other_shape is not None:
            return f"its shape is {_dims(d.other_shape)}, not {_dims(d.shape)}"
        if d.nan:
            return f"{d.nan} of its values are NaN in one of the networks or in both"
        if d.unlike:
            return f"{d.unlike} of its values are infinite in one network only"
        return (
            f"{d.absolute:.3g} apart, {d.relative:.2g} of its largest value, "
            f"tolerance {self.tolerance:.2g}"
        )

    def to_json(self) -> dict[str, Any]:
        """One entry of the JSON object's lists."""
        d, pair = self.difference, self.pair
        return {
            "name": pair.name,
            "layer": pair.layer,
            "type": pair.type,
            "line": pair.line,
            "compared_with": pair.end or pair.layer,
            "agrees": self.within,
            "absolute": d.absolute,
            "relative": d.relative if math.isfinite(d.relative) else None,
            "tolerance": self.tolerance,
            "magnitude": d.magnitude,
            "mean": d.mean,
            "median": d.median,
            "p99": d.p99,
            "sqnr": d.sqnr if math.isfinite(d.sqnr) else None,
            "cosine": d.cosine,
            "top1": None if d.top1 is None else {"same": d.top1.same, "total": d.top1.total},
            "nan": d.nan,
            "unlike": d.unlike,
            "shape": list(d.shape),
            "folded_shape": list(d.other_shape or d.shape),
            "channel": d.channel,
            "where": None if d.where is None else list(d.where),
            "run": d.run,
        }


@dataclass(frozen=True, repr=False)
class Verification(Summary):
    """Whether two networks are the same function, on the inputs they were given.

    Attributes:
        model, weights: the original network.
        folded_model, folded_weights: the folded one.
        engine: the engine that ran them and why it was taken, in one line.
        inputs: what they were fed, in one line.
        images: how many inputs.
        measured: whether tolerances were measured (see the module `tolerance`) or given.
        strict: whether a layer past its tolerance fails the check, too.
        mismatches: inputs and outputs that only one network has or that have other shapes; then
            nothing was run.
        outputs: the outputs.
        scores: what the outputs were squashed (Softmax, Sigmoid) or decided (ArgMax,
            DetectionOutput) from.
        layers: the values that both networks have, in running order; None if nobody looked.
        altered: layers left out of `layers`, since folding is meant to change their values.
        notes: what else a user should know, each in one line.
    """

    model: Path
    weights: Path
    folded_model: Path
    folded_weights: Path
    engine: str
    inputs: str
    images: int
    measured: bool
    strict: bool
    mismatches: tuple[str, ...]
    outputs: tuple[Compared, ...]
    scores: tuple[Compared, ...]
    layers: tuple[Compared, ...] | None
    altered: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def outputs_agree(self) -> bool:
        """Whether the networks give the same: inputs and outputs match, and their values agree.

        A decision (a class number, boxes that were kept) that fell the other way counts as long
        as what it was made from agrees.
        """
        return not self.mismatches and all(c.within for c in self.judged)

    @property
    def judged(self) -> tuple[Compared, ...]:
        """What the verdict rests on: all scores, and the outputs that are not decided from them."""
        sound = bool(self.scores)
        return (*(c for c in self.outputs if not (sound and c.pair.decides)), *self.scores)

    @property
    def parted(self) -> Compared | None:
        """The first value, in running order, past its tolerance; None if nobody looked, too."""
        return next((c for c in self.layers or () if not c.within), None)

    @property
    def passed(self) -> bool:
        """Whether the check passed."""
        return self.outputs_agree and not (self.strict and self.parted is not None)

    @property
    def failure(self) -> str:
        """Why the check failed, in one line; "" where it passed."""
        if self.passed:
            return ""
        start = f"{self.folded_model}: not the same function as {self.model}"
        if self.mismatches:
            return f"{start}: {'; '.join(self.mismatches)}"
        parted = self.parted
        if self.outputs_agree and parted is not None:
            return (
                f"{self.folded_model}: every output agrees with {self.model}, but {self._place()}: "
                f"{parted}; where that is meant, leave out --layers"
            )
        worst = max((c for c in self.judged if not c.within), key=badness)
        line = f"{start}: '{worst.pair.name}': {worst}"
        if parted is not None:
            return f"{line}; {self._place()}: {parted}"
        where = f"layer '{worst.pair.layer}' ({worst.pair.type}, line {worst.pair.line})"
        return f"{line}; it comes from {where}{_channel(worst)}, and no layer is off by itself"

    def _place(self) -> str:
        parted = self.parted
        assert parted is not None
        pair = parted.pair
        value = "" if pair.name == pair.layer else f", value '{pair.name}'"
        return (
            f"the networks part at layer '{pair.layer}' ({pair.type}, line {pair.line} of "
            f"{self.folded_model.name}{value}){_channel(parted)}"
        )

    def lines(self) -> list[str]:
        """The engine and the inputs, every value that was compared, and the verdict."""
        from bnfold.checks.equality import verification_text

        return list(verification_text.lines(self))

    def headline(self) -> str:
        """Whether the two are the same function, on which inputs, in which engine, and how near."""
        from bnfold.checks.equality import verification_text

        return f"{self.folded_model}: {verification_text.verdict(self)}"

    def to_json(self) -> dict[str, Any]:
        """The verification as the JSON object that docs/json.md describes."""
        parted = self.parted
        return {
            "format": JSON_FORMAT,
            "passed": self.passed,
            "failure": self.failure or None,
            "model": str(self.model),
            "weights": str(self.weights),
            "folded_model": str(self.folded_model),
            "folded_weights": str(self.folded_weights),
            "engine": self.engine,
            "inputs": self.inputs,
            "images": self.images,
            "tolerance": "measured" if self.measured else "given",
            "mismatches": list(self.mismatches),
            "outputs": [c.to_json() for c in self.outputs],
            "scores": [c.to_json() for c in self.scores],
            "layers": None if self.layers is None else [c.to_json() for c in self.layers],
            "parted": None if parted is None else parted.to_json(),
            "altered": list(self.altered),
            "notes": list(self.notes),
        }


def badness(compared: Compared) -> float:
    """How far a value is off, in units of what it may be."""
    return compared.difference.badness / compared.tolerance if compared.tolerance else math.inf


def _channel(compared: Compared) -> str:
    channel = compared.difference.channel
    return "" if channel is None else f", channel {channel} differs most"


def _dims(shape: ArrayShape) -> str:
    return "x".join(map(str, shape)) or "a single value"
