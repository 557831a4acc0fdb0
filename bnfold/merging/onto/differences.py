"""Where two networks part, in words."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

from bnfold.errors import BnfoldError
from bnfold.fold import Outcome, Plan
from bnfold.graph import Layer, Value
from bnfold.merging.onto.side import Side
from bnfold.spelling import did_you_mean


class DifferenceError(BnfoldError):
    """The folded network and the given one are not the same graph.

    Attributes:
        place: how far in the given file they are: the index of the layer where they part.
    """

    def __init__(self, message: str, place: int) -> None:
        super().__init__(message)
        self.place = place


class Differences:
    """Knows both networks, and what the fold did.

    Args:
        folded, given: the networks.
        plan: what the fold decided.
    """

    def __init__(self, folded: Side, given: Side, plan: Plan) -> None:
        self._folded, self._given = folded, given
        self._outcomes = {outcome.layer: outcome for outcome in plan.outcomes}

    def of_layer(
        self, layer: Layer, reads: Sequence[Value | None], used: AbstractSet[Layer]
    ) -> DifferenceError:
        """A layer of the given network that is not in the folded one.

        Args:
            layer: the layer.
            reads: the values of the folded network that it reads, as far as there are some.
            used: the layers of the folded network that are others' partners.
        """
        named = {one.name: one for one in self._folded.layers if one not in used}
        found = named.get(layer.name)
        beside = self._beside(layer, reads, used)
        if found is not None and found.type == layer.type:
            return self._apart(layer, found, reads)
        gone = self._gone(layer)
        if gone is not None:
            return self._error(layer, gone)
        if beside is not None:
            return self._apart(layer, beside, reads)
        if found is not None:
            return self._apart(layer, found, reads)
        return self._error(
            layer,
            f"reads {self._sources(layer)}, and nothing in the folded network "
            f"({self._folded.path}) does to that what this layer does",
        )

    def _beside(
        self, layer: Layer, reads: Sequence[Value | None], used: AbstractSet[Layer]
    ) -> Layer | None:
        """The layer of the folded network that stands where this one does."""
        first = next(filter(None, reads), None)
        readers = [] if first is None else self._folded.readers(first)
        free = [one for one in readers if one not in used]
        of_type = [one for one in free if one.type == layer.type]
        return next(iter([*of_type, *free]), None)

    def _apart(self, layer: Layer, found: Layer, reads: Sequence[Value | None]) -> DifferenceError:
        """What two layers do not have in common that should be one."""
        said, its = self._given.said[layer], self._folded.said[found]
        there = self._there(found)
        if said.type != its.type:
            return self._error(layer, f"stands where {found.type} layer {there} does")
        name = said.differing(its)
        if name is not None:
            return self._error(layer, f"has {said.spelt(name)}, and {there} {its.spelt(name)}")
        return self._error(
            layer,
            f"reads {self._sources(layer)}, and {there} reads {self._read_by(found, reads)}",
        )

    def of_bias(self, layer: Layer, found: Layer) -> DifferenceError:
        """A layer that has no place for the bias that its partner has."""
        return self._error(
            layer,
            f"has no bias (bias_term: false), and {self._there(found)} has one once it is folded; "
            "without that line it would fit",
        )

    def of_input(self, name: str, value: Value, names: Sequence[str]) -> DifferenceError:
        """An input of the given network that is none of the folded one's."""
        known = ", ".join(f"'{one}'" for one in names) or "none"
        producer = value.producer
        place = 0 if producer is None else producer.index
        return DifferenceError(
            f"{self._given.path}: which input of {self._folded.path} '{name}' is cannot be told: "
            f"that has {known}{did_you_mean(name, names)}; give the input the same name",
            place,
        )

    def of_output(self, name: str, value: Value, partner: Value) -> DifferenceError:
        """An output that is none, or another, in the folded network."""
        maker = value.producer
        assert maker is not None
        readers = self._folded.readers(partner)
        if readers:
            goes_on = f"in the folded network {readers[0].type} layer {self._there(readers[0])} "
            return self._error(maker, f"makes output '{name}', which {goes_on}reads")
        return self._error(
            maker, f"makes output '{name}', which is '{partner.name}' in {self._folded.path}"
        )

    def of_twins(self, one: str, other: str, value: Value) -> DifferenceError:
        """Two outputs that come about in the same way, under names that the other file has not."""
        maker = value.producer
        assert maker is not None
        return self._error(
            maker,
            f"makes output '{other}', which comes about like output '{one}', so that which is "
            f"which in {self._folded.path} cannot be told; give outputs or layers the same names",
        )

    def of_rest(self, layer: Layer) -> DifferenceError:
        """A layer of the folded network that the given one has not."""
        last = max(self._given.net.layers, key=lambda one: one.index).index
        reason = self._reason(layer)
        return DifferenceError(
            f"{self._given.path}: it has nothing for {layer.type} layer {self._there(layer)} of "
            f"the folded network{reason}",
            last + 1,
        )

    def _gone(self, layer: Layer) -> str | None:
        """What became of a layer of this name and type that the fold took out."""
        outcome = self._outcomes.get(layer.name)
        if outcome is None or not outcome.done or outcome.type != layer.type:
            return None
        verb, rest = outcome.what()
        return (
            f"is not in the folded network: '{layer.name}' of {self._folded.path} (line "
            f"{outcome.line}) is {verb}{rest}; with --keep {layer.name} it stays"
        )

    def _sources(self, layer: Layer) -> str:
        """What a layer of the given network reads, for people."""
        return " and ".join(f"'{value.name}'" for value in layer.bottoms) or "nothing"

    def _read_by(self, found: Layer, reads: Sequence[Value | None]) -> str:
        """What a layer of the folded network reads instead of these values."""
        theirs = self._folded.reads(found)
        pairs = zip(theirs, [*reads, *(None for _ in theirs)], strict=False)
        value = next((one for one, other in pairs if one is not other), None)
        if value is None:
            return "less"
        producer = value.producer
        if producer is None:
            return f"'{value.name}'"
        return f"what {producer.type} layer {self._there(producer)} makes{self._reason(producer)}"

    def _reason(self, layer: Layer) -> str:
        """Why the fold left an affine layer, if it is one."""
        outcome: Outcome | None = self._outcomes.get(layer.name)
        if outcome is None or outcome.done:
            return ""
        return f", which {outcome.what()[0]}{outcome.what()[1]}"

    def _there(self, layer: Layer) -> str:
        path: Path = self._folded.path
        return f"'{layer.name}' in {path} (line {layer.line})"

    def _error(self, layer: Layer, what: str) -> DifferenceError:
        return DifferenceError(
            f"{self._given.path}: {layer.type} layer '{layer.name}' (line {layer.line}) {what}",
            layer.index,
        )
