"""What a merge will do, as data: what goes where, what is kept and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum


class Code(str, Enum):
    """Why something cannot be done; the value is what reports and JSON carry."""

    OTHER_READER = "other-reader"
    OUTSIDE_READER = "outside-reader"
    SHARED_WEIGHTS = "shared-weights"
    SAME_NAME = "same-name"
    BATCH_STATISTICS = "batch-statistics"
    NO_HOST = "no-host"
    NOT_PER_CHANNEL = "not-per-channel"
    TWO_BOTTOMS = "two-bottoms"
    OUTSIDE_PHASE = "outside-phase"
    DIALECT = "unknown-dialect"
    NEEDS_WEIGHTS = "needs-weights"
    PADDING = "padding"
    SIGN_OR_SHIFT = "sign-or-shift"
    NETWORK_OUTPUT = "network-output"
    NAME_TAKEN = "name-taken"
    UNKNOWN_SHAPE = "unknown-shape"
    NO_SCALE_TYPE = "no-scale-type"
    CHOSEN = "chosen"
    NOT_LINEAR = "not-linear"
    DIFFERENT_WINDOWS = "different-windows"
    MORE_WORK = "more-work"
    UNKNOWN_LAYER = "unknown-layer"
    FIXED = "fixed-channels"
    NOT_CONSTANT = "not-constant"
    LAST_CHANNEL = "last-channel"


@dataclass(frozen=True)
class Reason:
    """Why something is not folded.

    Attributes:
        code: the reason in a word, for programs.
        text: the reason in a sentence, for people.
        hint: what the user could change, where there is something.
    """

    code: Code
    text: str
    hint: str = ""


class Fate(str, Enum):
    """What becomes of an affine layer."""

    FOLDED = "folded"
    """It went into the weights of the layers in `into`."""
    MERGED = "merged"
    """It went into another affine layer, which stays in some form."""
    SCALE = "scale"
    """It stays, as one Scale with a bias."""
    DROPPED = "dropped"
    """It changed nothing, and is gone."""
    KEPT = "kept"
    """It stays as it was."""


@dataclass(frozen=True)
class Outcome:
    """What becomes of one affine layer, and why.

    Attributes:
        layer, type, line: the layer, and where it stands in the prototxt.
        fate: what becomes of it.
        into: the layers that take it in.
        through: the layers it passed on the way there.
        gains_bias: those of `into` that get a bias they did not have.
        reason: why it did not go further, where it stays.
    """

    layer: str
    type: str
    line: int
    fate: Fate
    into: tuple[str, ...] = ()
    through: tuple[str, ...] = ()
    gains_bias: tuple[str, ...] = ()
    reason: Reason | None = None


@dataclass(frozen=True)
class EngineChange:
    """A 1x1 convolution that is set to `engine: CAFFE`.

    Attributes:
        replaced: the engine that the file asked for, or None where it said nothing.
    """

    layer: str
    line: int
    replaced: str | None


@dataclass(frozen=True)
class DeadChannels:
    """Output channels of a layer that are constant.

    Attributes:
        layer, type, line: the layer, and where it stands in the prototxt.
        channels: which of its channels, in order, as the input counts them.
        total: how many channels it had.
        into: the layers whose bias took what the channels gave them.
        reason: why the channels stay; None where they are removed.
    """

    layer: str
    type: str
    line: int
    channels: tuple[int, ...]
    total: int
    into: tuple[str, ...] = ()
    reason: Reason | None = None


@dataclass(frozen=True)
class Branches:
    """Parallel branches of one value that became one convolution, or one that did not.

    Attributes:
        layer, type, line: the Eltwise or Concat that joins them, and where it stands.
        source: the value that they read.
        branches: the layers they end in, in the order of the bottoms; the name of the value
            itself where it is a bottom.
        into: the convolution they became; "" where they stay.
        kernel: its kernel, one length for each axis.
        gains_bias: whether it got a bias it did not have.
        reason: why they stay, if they do.
    """

    layer: str
    type: str
    line: int
    source: str
    branches: tuple[str, ...]
    into: str = ""
    kernel: tuple[int, ...] = ()
    gains_bias: bool = False
    reason: Reason | None = None

    @property
    def fate(self) -> Fate:
        """Whether they were merged or kept."""
        return Fate.MERGED if self.into else Fate.KEPT


@dataclass
class Plan:
    """What a merge will do; rewrites add to it as they go.

    Attributes:
        outcomes: what becomes of each affine layer, in file order.
        engines: the convolutions whose engine is set.
        warnings: sentences about what is legal but suspicious.
        altered: the names of layers that stay, and whose tops hold other values than before:
            an affine passed them, some of several branches went into them, or they lost channels.
        ahead: the names of layers that are gone, and whose work is done by what read them.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    engines: list[EngineChange] = field(default_factory=list)
    dead: list[DeadChannels] = field(default_factory=list)
    branches: list[Branches] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    altered: set[str] = field(default_factory=set)
    ahead: set[str] = field(default_factory=set)

    def of(self, *fates: Fate) -> Iterator[Outcome]:
        """The outcomes with one of these fates, in file order."""
        return (outcome for outcome in self.outcomes if outcome.fate in fates)
