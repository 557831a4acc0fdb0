"""What a merge will do, as data: what is folded where, what is kept and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Code(str, Enum):
    """Why an affine layer is kept; the value is what reports and JSON carry."""

    OTHER_READER = "other-reader"
    OUTSIDE_READER = "outside-reader"
    SHARED_WEIGHTS = "shared-weights"
    SAME_NAME = "same-name"
    BATCH_STATISTICS = "batch-statistics"
    NO_HOST = "no-host"
    NOT_PER_CHANNEL = "not-per-channel"
    TWO_BOTTOMS = "two-bottoms"
    OUTSIDE_PHASE = "outside-phase"


@dataclass(frozen=True)
class Reason:
    """Why something is not folded, in a word for programs and a sentence for people."""

    code: Code
    text: str


@dataclass(frozen=True)
class Folded:
    """An affine layer that goes into the weights of another.

    Attributes:
        layer, type, line: the affine layer and where it stands in the prototxt.
        into, into_type: the layer that takes it in.
        adds_bias: whether that layer gets a bias it did not have, by this fold.
    """

    layer: str
    type: str
    line: int
    into: str
    into_type: str
    adds_bias: bool


@dataclass(frozen=True)
class Kept:
    """An affine layer that stays, and why."""

    layer: str
    type: str
    line: int
    reason: Reason


@dataclass(frozen=True)
class EngineChange:
    """A 1x1 convolution that is set to `engine: CAFFE`.

    Attributes:
        replaced: the engine that the file asked for, or None where it said nothing.
    """

    layer: str
    line: int
    replaced: str | None


@dataclass
class Plan:
    """What a merge will do; rewrites add to it as they go."""

    folded: list[Folded] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    engines: list[EngineChange] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
