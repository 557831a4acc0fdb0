"""What a merge will do, as data: what goes where, what is kept and why."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar, TypeVar


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
