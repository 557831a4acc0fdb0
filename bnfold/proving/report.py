"""What `prove` found, as typed data and as the documented JSON object."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from bnfold.summary import Summary

JSON_FORMAT = "bnfold.prove/1"
"""The name and version of the JSON object; the version rises when a key changes meaning."""


class Verdict(str, Enum):
    """How a proof ends; the value is its word in the JSON object."""

    PROVED = "proved"
    BROKEN = "broken"
    """A number of the folded network is not what the original's give."""
    NOT_PROVED = "not proved"
    """A step does not follow, or is one that the proof does not know."""


@dataclass(frozen=True)
class ProvedLayer:
    """A layer of the folded network, and what was proved of it.

    Attributes:
        name, type, line: the layer, in the folded prototxt.
        relation: what its top is in terms of the original's values, as a sentence without subject.
        coefficients: how many stored numbers it has, each of which was looked at.
        deviation: by how many units in the last place the worst of them is off.
    """

    name: str
    type: str
    line: int
    relation: str
    coefficients: int
    deviation: float

    def __str__(self) -> str:
        numbers = ""
        if self.coefficients:
            numbers = f", {_count(self.coefficients, 'coefficient')}, {self.deviation:.2f} ulp"
        return f"{self.name} ({self.type}, line {self.line}) {self.relation}{numbers}"

    def to_json(self) -> dict[str, Any]:
        """One entry of the JSON object's list."""
        return {
            "name": self.name,
            "type": self.type,
            "line": self.line,
            "relation": self.relation,
            "coefficients": self.coefficients,
            "deviation": self.deviation,
        }


@dataclass(frozen=True)
class Break:
    """Where a proof ends.

    Attributes:
        layer, type, line: the layer of the folded network; None where it is none of them.
        why: the reason, in words.
        what: the number that is wrong, "weight [3, 0, 1, 1]" say; None where it is no number.
        channel: its output channel.
        expected, found: what it must be, and what it is.
        ulps: how far apart they are, in units of the last place.
    """

    layer: str | None
    type: str | None
    line: int | None
    why: str
    what: str | None = None
    channel: int | None = None
    expected: float | None = None
    found: float | None = None
    ulps: float | None = None

    def __str__(self) -> str:
        place = "" if self.layer is None else f"layer '{self.layer}' ({self.type}): "
        if self.what is None:
            return place + self.why
        apart = "" if self.ulps is None or math.isinf(self.ulps) else f", {self.ulps:.3g} ulp apart"
        return (
            f"{place}{self.what} of channel {self.channel} is {self.found!r}, and the original "
            f"makes it {self.expected!r}{apart}"
        )

    def to_json(self) -> dict[str, Any]:
        """The entry of the JSON object; numbers that JSON does not have are null."""
        numbers = {"expected": self.expected, "found": self.found, "ulps": self.ulps}
        return {
            "layer": self.layer,
            "type": self.type,
            "line": self.line,
            "why": self.why,
            "what": self.what,
            "channel": self.channel,
            **{
                name: value if value is not None and math.isfinite(value) else None
                for name, value in numbers.items()
            },
        }


@dataclass(frozen=True, repr=False, kw_only=True)
class Proof(Summary):
    """Whether two networks are one function, as far as their files prove it.

    Attributes:
        model, weights: the original network.
        folded_model, folded_weights: the folded one.
        allowed: by how many units in the last place a stored number may be off.
        layers: what was proved, layer by layer, up to where it ends.
        ends: where the proof ends; None if all is proved.
    """

    model: Path
    weights: Path
    folded_model: Path
    folded_weights: Path
    allowed: float
    layers: tuple[ProvedLayer, ...]
    ends: Break | None

    @property
    def verdict(self) -> Verdict:
        """How the proof ended."""
        if self.ends is None:
            return Verdict.PROVED
        return Verdict.NOT_PROVED if self.ends.what is None else Verdict.BROKEN

    @property
    def proved(self) -> bool:
        """Whether the two are proved to be one function."""
        return self.ends is None

    @property
    def coefficients(self) -> int:
        """How many stored numbers of the folded network were looked at."""
        return sum(layer.coefficients for layer in self.layers)

    @property
    def deviation(self) -> float:
        """By how many units in the last place the worst of them is off."""
        return max((layer.deviation for layer in self.layers), default=0.0)

    @property
    def failure(self) -> str:
        """Why it is not proved, in one line; "" if it is."""
        if self.ends is None:
            return ""
        line = "" if self.ends.line is None else f":{self.ends.line}"
        word = "not proved: " if self.verdict is Verdict.NOT_PROVED else ""
        return f"{self.folded_model}{line}: {word}{self.ends}"

    def lines(self, *, listed: bool = False) -> list[str]:
        """The certificate in a line; with `listed`, a line for each layer before it."""
        shown = [str(layer) for layer in self.layers] if listed else []
        return [*shown, self._certificate()] if self.proved else shown

    def headline(self) -> str:
        """The certificate, or where the proof ends."""
        return f"{self.folded_model}: {self._certificate()}" if self.proved else self.failure

    def _certificate(self) -> str:
        return (
            f"proved: {self._kinds()}{_count(self.coefficients, 'coefficient')}, "
            f"largest deviation {self.deviation:.2f} ulp"
        )

    def _kinds(self) -> str:
        counts = Counter(_KINDS[layer.type] for layer in self.layers if layer.type in _KINDS)
        return "".join(f"{_count(counts[word], word)}, " for word in _WORDS if counts[word])

    def to_json(self) -> dict[str, Any]:
        """The proof as the JSON object that docs/json.md describes."""
        return {
            "format": JSON_FORMAT,
            "verdict": self.verdict.value,
            "failure": self.failure or None,
            "model": str(self.model),
            "weights": str(self.weights),
            "folded_model": str(self.folded_model),
            "folded_weights": str(self.folded_weights),
            "allowed": self.allowed,
            "coefficients": self.coefficients,
            "deviation": self.deviation,
            "ends": None if self.ends is None else self.ends.to_json(),
            "layers": [layer.to_json() for layer in self.layers],
        }


_WORDS = ("convolution", "deconvolution", "inner product")
_KINDS = {
    "Convolution": "convolution",
    "Deconvolution": "deconvolution",
    "InnerProduct": "inner product",
    **dict.fromkeys(
        (
            *("ConvolutionDepthWise", "ConvolutionDepthwise", "DepthWiseConv"),
            *("DepthWiseConvolution", "DepthwiseConv", "DepthwiseConvolution"),
        ),
        "convolution",
    ),
}


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'s' * (number != 1)}"
