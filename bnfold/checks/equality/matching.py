"""Which values of two networks belong together, from the two prototxts alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bnfold.checks.equality.options import Names
from bnfold.graph import Ending, Layer, Net, Passes, Value
from bnfold.runtimes import Place, Top

_DECIDING = (Ending.DECISION, Ending.DETECTIONS)


@dataclass(frozen=True)
class Pair:
    """A value of the original network and the one of the folded network to compare it with.

    Attributes:
        name: the folded network's name of the value.
        layer, type, line: the folded network's layer that writes it; its line in the prototxt.
        before, after: where to read it in the original and in the folded network.
        end: the original's layer that writes it, where that is another one than `layer`: the
            end of the chain that `layer` replaced.
        depth: how many layers with weights the original's value has gone through.
        decides: whether it is a decision (a class number, boxes that were kept) and not a
            number that moves by as little as what it is made from.
    """

    name: str
    layer: str
    type: str
    line: int
    before: Place
    after: Place
    end: str | None
    depth: int
    decides: bool = False


class Matching:
    """The original and the folded network side by side.

    Args:
        before: the original network.
        after: the folded network.
        ahead: layers that are gone from it, and whose work is done by what read them.
        names: the original's names for the folded network's; None where both have the same.
    """

    def __init__(
        self,
        before: Net,
        after: Net,
        ahead: frozenset[str] = frozenset(),
        names: Names | None = None,
    ) -> None:
        self._ahead = ahead
        self._names = names
        self._old = {layer.name: layer for layer in before.layers}
        self._new = {self._layer(layer.name) for layer in after.layers}
        self._after = after
        self._old_outputs = _outputs(before)
        self._places = {**_places(before), **_places(after)}
        self._depths = _depths(before)

    def outputs(self) -> list[Pair]:
        """The outputs that both networks have, by name, in the folded network's order."""
        pairs = []
        for name, new in _outputs(self._after).items():
            old = self._old_outputs.get(self._output(name))
            pair = old and self._pair(old, new, decides=_decides(new))
            if pair:
                pairs.append(pair)
        return pairs

    def scores(self) -> list[Pair]:
        """What the outputs were squashed or decided from.

        A Softmax or Sigmoid that is sure of itself hides almost any mistake, and an ArgMax any.
        """
        found: dict[Place, Pair] = {}
        for value in _outputs(self._after).values():
            for layer, index in _made_from(value):
                old = self._old.get(self._layer(layer.name))
                if old is None or len(old.bottoms) <= index:
                    continue
                pair = self._pair(old.bottoms[index], layer.bottoms[index])
                if pair:
                    found.setdefault(pair.after, pair)
        return list(found.values())

    def layers(self) -> list[Pair]:
        """Every value that both networks have, in the order in which the folded network runs.

        A layer is matched by its name. Where the layers that read the original's value are gone
        from the folded network, their end is what the folded layer has to give.
        """
        pairs = []
        for layer in self._after.layers:
            old = self._old.get(self._layer(layer.name))
            if old is None or layer.kind.is_input:
                continue
            for before, after in zip(old.tops, layer.tops, strict=False):
                pair = self._pair(self._end(before), after)
                if pair:
                    pairs.append(pair)
        return pairs

    def _layer(self, name: str) -> str:
        """The original's name of a layer; one that no layer has if it has no partner there."""
        return name if self._names is None else self._names.layers.get(name, "")

    def _output(self, name: str) -> str:
        """The original's name of an output."""
        return name if self._names is None else self._names.outputs.get(name, name)

    def _end(self, value: Value) -> Value:
        while len(value.readers) == 1:
            (reader,) = value.readers
            if reader.name in self._new or reader.name in self._ahead or len(reader.tops) != 1:
                break
            value = reader.tops[0]
        return value

    def _pair(self, before: Value, after: Value, decides: bool = False) -> Pair | None:
        old, new = self._places.get(id(before)), self._places.get(id(after))
        layer = after.producer
        if old is None or new is None or layer is None:
            return None
        ends = before.producer.name if before.producer else ""
        end = None if ends == self._layer(layer.name) else ends
        depth = self._depths[id(before)].bit_count()
        return Pair(after.name, layer.name, layer.type, layer.line, old, new, end, depth, decides)


def _outputs(net: Net) -> dict[str, Value]:
    return {
        value.name: value
        for layer in net.layers
        if not layer.kind.is_input
        for value in layer.tops
        if value.is_output
    }


def _places(net: Net) -> dict[int, Place]:
    """Where to read each value, by its id; inputs are not among them, they are what was fed."""
    return {
        id(value): Top(layer.name, number)
        for layer in net.layers
        if not layer.kind.is_input and layer.name
        for number, value in enumerate(layer.tops)
    }


def _depths(net: Net) -> dict[int, int]:
    """For each value the set of layers with weights above it, as the bits of a number."""
    above: dict[int, int] = {id(value): 0 for value in net.inputs}
    for number, layer in enumerate(net.layers):
        own = 1 << number if _has_weights(layer) else 0
        for value in layer.bottoms:
            own |= above[id(value)]
        above.update((id(value), own) for value in layer.tops)
    return above


def _decides(value: Value) -> bool:
    layer = value.producer
    while layer is not None and layer.kind.passes is Passes.RESHAPED:
        layer = layer.bottoms[0].producer
    return layer is not None and layer.kind.ending in _DECIDING


def _made_from(value: Value) -> Iterator[tuple[Layer, int]]:
    """Layers that squash or decide right before an output, with the numbers of their bottoms."""
    layer = value.producer
    if layer is None or not _hides_differences(layer):
        return
    for index, bottom in enumerate(layer.bottoms):
        if layer.kind.passes is not Passes.RESHAPED:
            yield layer, index
        yield from _made_from(bottom)


def _hides_differences(layer: Layer) -> bool:
    reshapes = layer.kind.passes is Passes.RESHAPED
    return reshapes or layer.kind.ending in (Ending.SQUASHED, *_DECIDING)


def _has_weights(layer: Layer) -> bool:
    return layer.kind.is_affine or layer.kind.layout is not None
