"""What `accuracy` found, as typed data and as the documented JSON object."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from bnfold.checks.images.batches import BadImage
from bnfold.summary import Summary

JSON_FORMAT = "bnfold.accuracy/1"
"""The name and version of the JSON object; the version rises when a key changes meaning."""


_CHANCE = 0.2
"""An accuracy that guessing reaches more often than this is at chance, or near it."""

_NEXT_TO_NOTHING = Fraction(1, 100)
"""A mean average precision below this is that of a network that finds nothing."""


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


@dataclass(frozen=True, repr=False)
class AccuracyReport(Summary):
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
        classes: how many classes there are; None for a detection network.
        min_top1: what part of the images the folded network must be right about, from 0 to 1.
        unlike: how what the network was fed differs from what it was trained on; "" if it does not,
            or if the files do not tell.
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
    classes: int | None = None
    min_top1: Fraction | None = None
    unlike: str = ""

    @property
    def doubt(self) -> str | None:
        """Why the comparison proves little, in one line; None if nothing speaks against it.

        A network that is fed what it was not trained on, or is right no more often than guessing,
        may agree with another that is not the same function.
        """
        if self.unlike:
            return f"{self.unlike}: the check proves little; look at the preprocessing"
        if not self.metrics:
            return None
        first = self.metrics[0]
        if self.classes is None:
            if first.right_before is not None or first.before >= _NEXT_TO_NOTHING:
                return None
            found = f"{first.name} of the original network is {percent(first.before)}"
        else:
            right, top = first.right_before or 0, int(first.name.removeprefix("top-"))
            if guessing(right, self.images, top / self.classes) <= _CHANCE:
                return None
            found = (
                f"{first.name} of the original network is {right} of {self.images} images, which "
                f"guessing among {self.classes} classes reaches, too"
            )
        return f"{found}: the check proves little; look at the preprocessing, or give more images"

    @property
    def agreement(self) -> Fraction:
        """The part of the images, from 0 to 1, that both networks give the same answer for."""
        return 1 - Fraction(len(self.changed), self.images)

    @property
    def failure(self) -> str | None:
        """The metric that dropped by more than is allowed or is too low, in one line; else None."""
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
            least = self.min_top1
            if metric.name == "top-1" and least is not None and metric.after < least:
                return (
                    f"{self.folded_weights}: top-1 is {percent(metric.after)} "
                    f"({metric.right_after} of {self.images} images); at least "
                    f"{float(100 * least):g} % are asked for"
                )
        return None

    @property
    def passed(self) -> bool:
        """Whether no metric dropped too much or is too low; what is just allowed passes."""
        return self.failure is None

    def lines(self) -> list[str]:
        """The engine and the images, the answers that changed, and each kind of accuracy."""
        from bnfold.checks.accuracy import text

        return text.lines(self)

    def headline(self) -> str:
        """Each kind of accuracy, before and after."""
        from bnfold.checks.accuracy import text

        return f"{self.folded_weights}: {'; '.join(text.metric_lines(self))}"

    def to_json(self) -> dict[str, Any]:
        """The report as the JSON object that docs/json.md describes."""
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
            "min_top1": None if self.min_top1 is None else float(100 * self.min_top1),
            "doubt": self.doubt,
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


def guessing(right: int, images: int, chance: float) -> float:
    """How likely it is that guesses are right so often: the tail of the binomial distribution.

    Args:
        right: how many were right, at least.
        images: of how many.
        chance: the probability that one guess is right, from 0 to 1.
    """
    if right <= 0 or chance >= 1:
        return 1.0
    logs = math.log(chance), math.log1p(-chance)
    ways = math.lgamma(images + 1)
    tail = (
        math.exp(
            ways
            - math.lgamma(count + 1)
            - math.lgamma(images - count + 1)
            + count * logs[0]
            + (images - count) * logs[1]
        )
        for count in range(right, images + 1)
    )
    return min(math.fsum(tail), 1.0)


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
