"""What `accuracy` found, as typed data and as the documented JSON object."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from bnfold.checks.batches import BadImage

JSON_FORMAT = "bnfold.accuracy/1"
"""The name and version of the JSON object; the version rises when a key changes meaning."""


@dataclass(frozen=True)
class Metric:
    """One kind of accuracy, of both networks.

    Attributes:
        name: "top-1" and so on, "mAP@0.5" or "mAP@[.5:.95]".
        before, after: from 0 to 1, exact.
        right_before, right_after: the images counted as right; None for mean average precision.
    """

    name: str
    before: Fraction
    after: Fraction
    right_before: int | None = None
    right_after: int | None = None

    @property
    def drop(self) -> Fraction:
        """How much worse the folded network is, in points (hundredths)."""
        return 100 * (self.before - self.after)

    def to_json(self) -> dict[str, Any]:
        """The metric as JSON; before, after and drop in percent and points."""
        return {
            "name": self.name,
            "before": float(100 * self.before),
            "after": float(100 * self.after),
            "drop": float(self.drop),
            "right_before": self.right_before,
            "right_after": self.right_after,
        }


@dataclass(frozen=True)
class Answer:
    """What a network says of an image.

    Attributes:
        label: the class with the highest score, the first one of several. For a detection network
            the class of the best detection; None if it found nothing.
        score: that score; 0 if nothing was found.
    """

    label: int | None
    score: float


@dataclass(frozen=True)
class Changed:
    """An image of which the two networks say different things.

    Attributes:
        name: the image.
        label: its class; None for a detection network.
        before, after: the two answers.
    """

    name: str
    label: int | None
    before: Answer
    after: Answer


@dataclass(frozen=True)
class AccuracyReport:
    """The accuracy of a network and of its folded form, on the same images.

    Attributes:
        model, weights, folded_model, folded_weights: the two networks.
        source: the image set.
        engine: the engine that ran them, and why it was taken.
        notes: what the engine said about the load.
        output: the blob that was read.
        images: how many images were counted.
        metrics: top-k, or mean average precision.
        changed: every image whose answer changed.
        largest_difference: the largest absolute difference of a score; infinite where one network
            gives a number and the other none. For a detection network, of the best scores.
        largest_at: the image where that is; "" if all scores are equal.
        not_finite_before, not_finite_after: images with scores that are no finite numbers; they
            count as wrong.
        bad: the images that could not be read.
        max_drop: how many points of any metric may be lost.
        seconds: from the first image to the last.
        engine_seconds: those of them that the engine was at work.
    """

    model: Path
    weights: Path
    folded_model: Path
    folded_weights: Path
    source: Path
    engine: str
    notes: tuple[str, ...]
    output: str
    images: int
    metrics: tuple[Metric, ...]
    changed: tuple[Changed, ...]
    largest_difference: float
    largest_at: str
    not_finite_before: int
    not_finite_after: int
    bad: tuple[BadImage, ...]
    max_drop: Fraction
    seconds: float
    engine_seconds: float

    @property
    def agreement(self) -> Fraction:
        """The part of the images, from 0 to 1, that both networks give the same answer for."""
        return 1 - Fraction(len(self.changed), self.images)

    @property
    def failure(self) -> str | None:
        """The metric that dropped by more than is allowed, in one line; None if none did."""
        for metric in self.metrics:
            if metric.drop > self.max_drop:
                right = ""
                if metric.right_before is not None:
                    counts = f"{metric.right_before} -> {metric.right_after}"
                    right = f" ({counts} of {self.images} images)"
                return (
                    f"{self.folded_weights}: {metric.name} dropped by {float(metric.drop):.4g} "
                    f"points, {percent(metric.before)} -> {percent(metric.after)}{right}; allowed "
                    f"are {float(self.max_drop):g} points"
                )
        return None

    @property
    def passed(self) -> bool:
        """Whether no metric dropped by more than is allowed; a drop of just that much passes."""
        return self.failure is None

    def to_json(self) -> dict[str, Any]:
        """The report as the JSON object that README.md documents."""
        finite = math.isfinite(self.largest_difference)
        return {
            "format": JSON_FORMAT,
            "passed": self.passed,
            "model": str(self.model),
            "weights": str(self.weights),
            "folded_model": str(self.folded_model),
            "folded_weights": str(self.folded_weights),
            "source": str(self.source),
            "engine": self.engine,
            "notes": list(self.notes),
            "output": self.output,
            "images": self.images,
            "metrics": [metric.to_json() for metric in self.metrics],
            "max_drop": float(self.max_drop),
            "agreement": float(self.agreement),
            "changed": [_changed_json(changed) for changed in self.changed],
            "largest_difference": self.largest_difference if finite else None,
            "largest_at": self.largest_at,
            "not_finite_before": self.not_finite_before,
            "not_finite_after": self.not_finite_after,
            "bad": [asdict(bad) for bad in self.bad],
            "seconds": self.seconds,
            "engine_seconds": self.engine_seconds,
        }


def percent(part: Fraction) -> str:
    """A part of 1 in percent, for people."""
    return f"{float(100 * part):.2f} %"


def _changed_json(changed: Changed) -> dict[str, Any]:
    entry = asdict(changed)
    for side in ("before", "after"):
        # JSON has no word for what is not finite.
        if not math.isfinite(entry[side]["score"]):
            entry[side]["score"] = None
    return entry
