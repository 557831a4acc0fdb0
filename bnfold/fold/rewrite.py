"""What a rewrite is, and what it is given."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import ClassVar, NamedTuple, Protocol

from bnfold.fold.affines.chains import Chain
from bnfold.fold.affines.dialects import AffineReader, Reading
from bnfold.fold.plan import Entry, Plan, Reason
from bnfold.fold.weighted import WeightedLayer
from bnfold.graph import Layer, Net, Phase, Value, infer_shapes, untrusted
from bnfold.graph.axes import Shape


class Choice(NamedTuple):
    """Which layers a user lets rewrites touch, by name or glob.

    Attributes:
        keep: layers that stay as they are.
        only: if not empty, all others do.
    """

    keep: tuple[str, ...] = ()
    only: tuple[str, ...] = ()

    def allows(self, *layers: Layer) -> bool:
        """Whether the chain of these layers may be folded."""
        if _any_matches(self.keep, layers):
            return False
        return not self.only or _any_matches(self.only, layers)


def _any_matches(patterns: tuple[str, ...], layers: tuple[Layer, ...]) -> bool:
    return any(fnmatchcase(layer.name, pattern) for pattern in patterns for layer in layers)


_FAR = 64
"""How many layers searches may look at far away, for each layer of the network."""


@dataclass
class Context:
    """What every rewrite works on.

    Attributes:
        net: the network, changed in place.
        plan: the record of what was done and what was not, and why.
        phase: the phase the network runs in.
        reader: how affine layers are read.
        shapes: the shape of each value when the network was last looked at, as far as known.
        choice: which chains the user lets rewrites touch.
        keep_dtype: whether changed blobs keep the type they are stored in.
        collapse: whether an affine that stays may be written anew, as a Scale.
        misfits: the layers whose record is not what their parameters call for, each with why.
        most_channels: the most that a value can have, going by the size of the weights file.
        chains: the chain that each affine layer belongs to, while it stands.
        scales: the affine layers that became one Scale.
    """

    net: Net
    plan: Plan
    phase: Phase
    reader: AffineReader
    shapes: Mapping[Value, Shape | None]
    choice: Choice
    keep_dtype: bool
    collapse: bool
    misfits: Mapping[Layer, Reason]
    most_channels: int
    chains: dict[Layer, Chain] = field(default_factory=dict)
    scales: set[Layer] = field(default_factory=set)
    _untrusted: dict[Layer, str | None] = field(default_factory=dict)
    _of_any_batch: dict[Value, Shape | None] = field(default_factory=dict)
    _far: int = 0

    @property
    def has_weights(self) -> bool:
        """Whether numbers are at hand; without them only the structure is planned."""
        return self.net.weights is not None

    def weighted(self, layer: Layer) -> WeightedLayer | None:
        """The layer as one that can take an affine in, or None."""
        if layer.kind.layout is None:
            return None
        shape = self.shapes.get(layer.bottoms[0]) if layer.bottoms else None
        rank = None if shape is None else len(shape)
        return WeightedLayer.of(
            layer, rank, keep_dtype=self.keep_dtype, untrusted=self.untrusted(layer)
        )

    def affine(self, layer: Layer) -> Reading | Reason | None:
        """A layer as an affine function of its first bottom, as it is now: see `AffineReader.read`.

        Raises:
            BnfoldError: its blobs do not fit.
        """
        shape = self.shapes.get(layer.bottoms[0]) if layer.bottoms else None
        # What is suspicious was said when the layer was first read.
        return replace(self.reader, warn=_say_nothing).read(layer, shape)

    def untrusted(self, layer: Layer) -> str | None:
        """Why no rewrite may look through a layer or change it, if so: see graph/trust.py."""
        if layer not in self._untrusted:
            self._untrusted[layer] = untrusted(layer, self.phase)
        return self._untrusted[layer]

    def channels_of(self, value: Value) -> int | None:
        """How many channels a value has by its shape; None where that cannot be, or be told."""
        shape = self.shapes.get(value)
        count = shape[1] if shape is not None and len(shape) > 1 else None
        return count if count is not None and 0 < count <= self.most_channels else None

    def fixed_channels_of(self, value: Value) -> int | None:
        """The same, and None where it is another number for another batch."""
        count = self.channels_of(value)
        if count is None:
            return None
        if not self._of_any_batch:
            self._of_any_batch.update(infer_shapes(self.net, any_batch=True))
        shape = self._of_any_batch.get(value)
        return count if shape is not None and shape[1] == count else None

    def goes_far(self) -> bool:
        """Count a layer that a search looks at far away; gives whether it may."""
        self._far += 1
        return self._far <= _FAR * len(self.net.all_layers)

    def look_anew(self) -> None:
        """Take the network for one that nobody has looked at, as it is now.

        What was said of affine layers that stay no longer holds; what was suspicious was said.
        """
        self.net.look_at_memory_anew()
        self.shapes = infer_shapes(self.net)
        self._of_any_batch.clear()
        self.reader = replace(self.reader, warn=_say_nothing, swamped=[])
        self.plan.outcomes = [outcome for outcome in self.plan.outcomes if outcome.done]
        self._untrusted.clear()

    def standing_chains(self) -> list[Chain]:
        """The chains that are left, in file order."""
        return list(dict.fromkeys(self.chains.values()))


def _say_nothing(warning: str) -> None:
    pass


class Rewrite(Protocol):
    """An identity of the network's function, applied wherever it holds."""

    def run(self, context: Context) -> bool:
        """Find where the rewrite could apply, check each place, and apply it or say why not.

        Returns:
            Whether anything changed that others look at.

        Raises:
            BnfoldError: the model or its weights are not what they claim to be.
        """


class OptionalRewrite(ABC):
    """A rewrite that a user can turn on or off, by the field of `MergeOptions` that names it."""

    help: ClassVar[str]
    """What it does, in a sentence for people."""
    on: ClassVar[bool]
    """Whether it runs where the user says nothing."""
    entry: ClassVar[type[Entry]]
    """What it adds to the plan."""
    first: ClassVar[bool] = False
    """Whether it runs once, before anything else is looked at."""
    last: ClassVar[bool] = False
    """Whether it runs once, at the end; without either, in turns with those that move affines."""

    @abstractmethod
    def run(self, context: Context) -> bool:
        """Apply the rewrite wherever it holds, as every `Rewrite` does."""
