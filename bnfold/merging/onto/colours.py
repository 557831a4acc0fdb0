"""Colours: numbers that two layers share which look alike from above and from below.

They only help to choose among layers that say the same and read the same, as the first layers of
several branches do. Nothing is concluded from them: a choice is borne out by what follows, or not.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Set

from bnfold.graph import LAYER_TYPES, Layer, Value
from bnfold.merging.onto.side import Side, commutes, scores_of, serves_training

_SCORES = {kind.scores for kind in LAYER_TYPES.values() if kind.scores}


class Colours:
    """The colours of the layers of two networks.

    Args:
        folded, given: the networks.
        inputs: names of inputs of the given network, with those of the folded one.
    """

    def __init__(self, folded: Side, given: Side, inputs: Mapping[str, str]) -> None:
        self._numbers: dict[Hashable, int] = {}
        self._above: dict[Value, int] = {}
        self._layers: dict[Layer, int] = {}
        named = folded.outputs.keys() & given.outputs.keys()
        for side, names in ((folded, {n: n for n in folded.sources}), (given, inputs)):
            self._look_down(side, names)
            self._look_up(side, named)

    def of(self, layer: Layer) -> int:
        """The colour of a layer that computes something."""
        return self._layers[layer]

    def from_above(self, value: Value) -> int:
        """A number that two values share which come about in the same way."""
        return self._above[value]

    def _look_down(self, side: Side, inputs: Mapping[str, str]) -> None:
        """Number values by how they come about."""
        for name, value in side.sources.items():
            self._above[value] = self._number("input", inputs.get(name))
        for layer in side.net.layers:
            if side.is_nothing(layer):
                for top in layer.tops:
                    self._above[top] = self._above[side.through(top)]
            elif layer in side.said:
                key = self._key(side, layer)
                for place, top in enumerate(layer.tops):
                    self._above[top] = self._number(key, place)

    def _look_up(self, side: Side, named: Set[str]) -> None:
        """Number layers by how they come about and by what becomes of what they make."""
        below: dict[Layer, int] = {}
        places = {layer: _places(side, layer) for layer in side.layers}
        for layer in reversed(side.layers):
            uses: list[tuple[Hashable, ...]] = []
            for number, top in enumerate(layer.tops):
                if top.is_output and top.name in named:
                    uses.append((number, top.name))
                for reader in side.readers(top):
                    if scores_of(reader) in _SCORES:
                        uses.append((number, scores_of(reader)))
                    elif not serves_training(reader):
                        uses.append((number, below[reader], places[reader][side.through(top)]))
            key = self._key(side, layer)
            below[layer] = self._number(key, tuple(sorted(uses, key=repr)))
        self._layers.update(below)

    def _key(self, side: Side, layer: Layer) -> Hashable:
        read = [self._above[value] for value in side.reads(layer)]
        what = side.said[layer]
        return what, tuple(sorted(read) if commutes(what) else read)

    def _number(self, *key: Hashable) -> int:
        return self._numbers.setdefault(key, len(self._numbers))


def _places(side: Side, layer: Layer) -> dict[Value, tuple[int, ...]]:
    """As which of its bottoms a layer reads each value; only how often, if their order is free."""
    found: dict[Value, tuple[int, ...]] = {}
    for place, value in enumerate(side.reads(layer)):
        found[value] = (*found.get(value, ()), 0 if commutes(side.said[layer]) else place)
    return found
