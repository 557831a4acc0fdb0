"""What a merge will do, as data: what goes where, what is kept and why."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar, TypeVar


class Code(str, Enum):
    """Why something cannot be done; the value is what reports and JSON carry.

    Attributes:
        meaning: what it says of an affine layer, of parallel branches or of constant channels, in
            sentences for people. docs/refusals.md is made of them.
    """

    meaning: str

    def __new__(cls, value: str, meaning: str) -> Code:
        """A code is its value, and has its meaning beside."""
        code = str.__new__(cls, value)
        code._value_ = value
        code.meaning = meaning
        return code

    OTHER_READER = (
        "other-reader",
        (
            "Another layer reads the value that would change, and would get another one. For "
            "branches: somebody else reads the result of the branch."
        ),
    )
    OUTSIDE_READER = (
        "outside-reader",
        "A layer that does not run in this phase reads the value that would change.",
    )
    SHARED_WEIGHTS = (
        "shared-weights",
        (
            "Other layers use the same weights, by the name of a `param` or as further tops, "
            "and what follows those layers is not the same."
        ),
    )
    SAME_NAME = (
        "same-name",
        (
            "A layer outside the phase has the same name. Weights are found by name, so that it "
            "has the same weights, too."
        ),
    )
    BATCH_STATISTICS = (
        "batch-statistics",
        (
            "The layer normalises by the statistics of each batch (`use_global_stats: false`, "
            "`phase: TRAIN`, or a `BN` that is not in the mode INFERENCE). No weights can "
            "express that."
        ),
    )
    NO_HOST = (
        "no-host",
        (
            "In both directions stands something that neither takes an affine layer in nor lets "
            "it pass: an activation, an input, or a layer that bnfold does not know or cannot "
            "trust."
        ),
    )
    NOT_PER_CHANNEL = (
        "not-per-channel",
        (
            "A layer on the way, or the affine layer itself, acts along another axis than the "
            "channels, or mixes channels with other axes."
        ),
    )
    TWO_BOTTOMS = (
        "two-bottoms",
        (
            "The network computes the factors itself, as in squeeze-and-excitation: the layer "
            "has a second bottom instead of a blob."
        ),
    )
    OUTSIDE_PHASE = (
        "outside-phase",
        (
            "The layer does not run in the phase whose function is preserved, and is left "
            "alone. `--phase` chooses the phase."
        ),
    )
    DIALECT = (
        "unknown-dialect",
        (
            "Forks of Caffe store different things under the name `BN`, and nothing in the "
            "files tells which it is. `--bn-dialect` says it."
        ),
    )
    NEEDS_WEIGHTS = (
        "needs-weights",
        (
            "It depends on numbers, and there are none: `inspect` was given no weights file, or "
            "the file has none for this layer."
        ),
    )
    PADDING = (
        "padding",
        (
            "A window of the next layer lies on zero padding. The padded zeros stand behind the "
            "shift; with the shift moved past them they would have to be other numbers. For "
            "constant channels: a padded layer reads the channel, whose constant is not zero."
        ),
    )
    SIGN_OR_SHIFT = (
        "sign-or-shift",
        (
            "What stands in the way lets only some affine layers pass: a ReLU those with "
            "positive factors and no shift, MAX pooling those with positive factors."
        ),
    )
    NETWORK_OUTPUT = (
        "network-output",
        "The value is an output of the network, and whoever reads it expects it as it is.",
    )
    NAME_TAKEN = (
        "name-taken",
        (
            "The value would have to be read where its name already means another value, or "
            "where its memory has been written anew. A top with a name of its own helps."
        ),
    )
    UNKNOWN_SHAPE = (
        "unknown-shape",
        (
            "It depends on a shape that the files do not tell, for example since the prototxt "
            "gives no input shape."
        ),
    )
    NO_SCALE_TYPE = (
        "no-scale-type",
        (
            "The layer could become a Scale, or of another type that was asked for, but the "
            "prototxt is written in the V1 form (`layers { type: CONVOLUTION }`), which has none. "
            "Caffe's `upgrade_net_proto_text` and `upgrade_net_proto_binary` bring both files up."
        ),
    )
    NO_EQUAL = (
        "no-equal",
        (
            "The layer was to become of another type (`--depthwise-as`, `--upsample-as` and their "
            "like), and no layer of that type computes the same."
        ),
    )
    CHOSEN = (
        "chosen",
        "The user asked for it, by `--keep`, `--only`, `--no-collapse` or `--exclude`.",
    )
    NOT_LINEAR = (
        "not-linear",
        (
            "Parallel branches: what joins them is no sum, or something in a branch is not "
            "linear or has a field that bnfold does not know."
        ),
    )
    DIFFERENT_WINDOWS = (
        "different-windows",
        (
            "Parallel branches: their strides, dilations or paddings do not let them read the "
            "same places."
        ),
    )
    MORE_WORK = (
        "more-work",
        (
            "Parallel branches: the one convolution would take more multiplications than they "
            "do together. The reason gives both numbers. For strides: to subsample what the sum "
            "reads besides would take more operations than it saves."
        ),
    )
    UNKNOWN_LAYER = (
        "unknown-layer",
        (
            "A layer that bnfold does not know, or that has a field which only a fork has, "
            "reads the value and may do anything with it. `--treat-as` names a known type that "
            "does the same."
        ),
    )
    FIXED = (
        "fixed-channels",
        (
            "Constant channels: a layer cuts channels at written places, has written sizes, "
            "normalises across channels or has several tops, so that no channel can go."
        ),
    )
    NOT_CONSTANT = (
        "not-constant",
        (
            "Constant channels: a sum, a product or a group ties the channel to one that is not "
            "constant."
        ),
    )
    LAST_CHANNEL = (
        "last-channel",
        "Constant channels: a layer keeps at least one channel, and this is its last.",
    )


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

    def __str__(self) -> str:
        """The reason, its code and the hint, as reports have them behind a colon."""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.text} [{self.code.value}]{hint}"


def reason_json(reason: Reason | None) -> dict[str, str | None]:
    """Why something stays, as every entry of the report has it; nulls where it does not."""
    return {
        "code": reason.code.value if reason else None,
        "reason": reason.text if reason else None,
        "hint": reason.hint if reason and reason.hint else None,
    }


class Entry(ABC):
    """What was done to one layer, or was not and why: a line of the report, and a JSON object.

    Attributes:
        layer, type, line: the layer, and where it stands in the prototxt.
    """

    key: ClassVar[str]
    """The key of the list in the JSON report that has these entries."""
    beside_affines: ClassVar[bool] = False
    """Whether their summary stands beside that of the affine layers, not in a line of its own."""
    layer: str
    type: str
    line: int

    @property
    @abstractmethod
    def done(self) -> bool:
        """Whether something was done, so that nobody asks why not."""

    @abstractmethod
    def what(self) -> tuple[str, str]:
        """What became of the layer, for a table that names it: in a word or two, and the rest."""

    @abstractmethod
    def sentence(self) -> str:
        """The same as a line of its own."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """The same as a JSON object."""

    @classmethod
    def summary(cls, entries: Sequence[Any]) -> str:
        """What came of all entries of the class together, in a line; "" if nothing did."""
        return ""

    def alters(self, standing: Collection[str]) -> Collection[str]:
        """Layers whose tops hold other values than before because of what was done.

        Args:
            standing: the names of the layers that are left.
        """
        return ()


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

    @property
    def verb(self) -> str:
        """What becomes of a layer, as a verb."""
        return "became one Scale" if self is Fate.SCALE else self.value


@dataclass(frozen=True)
class Outcome(Entry):
    """What becomes of one affine layer, and why.

    Attributes:
        layer, type, line: the layer, and where it stands in the prototxt.
        fate: what becomes of it.
        into: the layers that take it in.
        through: the layers it passed on the way there.
        gains_bias: those of `into` that get a bias they did not have.
        reason: why it did not go further, where it stays.
    """

    key = "layers"
    layer: str
    type: str
    line: int
    fate: Fate
    into: tuple[str, ...] = ()
    through: tuple[str, ...] = ()
    gains_bias: tuple[str, ...] = ()
    reason: Reason | None = None

    @property
    def done(self) -> bool:
        """Whether it is gone."""
        return self.fate not in (Fate.KEPT, Fate.SCALE)

    def what(self) -> tuple[str, str]:
        """Where it went, or why it stays."""
        parts = []
        if self.into:
            parts.append(f" into {', '.join(self.into)}")
        if self.through:
            parts.append(f" through {', '.join(self.through)}")
        if self.gains_bias:
            parts.append(f", with a new bias in {', '.join(self.gains_bias)}")
        if self.reason:
            parts.append(f": {self.reason}")
        return self.fate.verb, "".join(parts)

    def sentence(self) -> str:
        """Where it went, or why it stays, with its name."""
        return f"{self.fate.value} {self.layer} ({self.type}){self.what()[1]}"

    def to_json(self) -> dict[str, Any]:
        """The object in the list `layers`."""
        return {
            "layer": self.layer,
            "type": self.type,
            "line": self.line,
            "fate": self.fate.value,
            "into": list(self.into),
            "through": list(self.through),
            "gains_bias": list(self.gains_bias),
            **reason_json(self.reason),
        }


E = TypeVar("E", bound=Entry)


@dataclass
class Plan:
    """What a merge will do; rewrites add to it as they go.

    Attributes:
        outcomes: what becomes of each affine layer, in file order.
        entries: what else rewrites did or did not do, each with an `Entry` class of its own.
        warnings: sentences about what is legal but suspicious.
        altered: the names of layers that stay, and whose tops hold other values than before:
            an affine passed them, some of several branches went into them, or they lost channels.
        ahead: the names of layers that are gone, and whose work is done by what read them.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    altered: set[str] = field(default_factory=set)
    ahead: set[str] = field(default_factory=set)

    def of(self, *fates: Fate) -> Iterator[Outcome]:
        """The outcomes with one of these fates, in file order."""
        return (outcome for outcome in self.outcomes if outcome.fate in fates)

    def of_type(self, kind: type[E]) -> list[E]:
        """The entries of one class, as those of one rewrite are: `plan.of_type(Branches)`."""
        return [entry for entry in self.entries if isinstance(entry, kind)]
