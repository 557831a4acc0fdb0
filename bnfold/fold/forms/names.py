"""Names for new layers and values, and other names for values where a layer works in place.

A layer that writes its top over its bottom may become one that cannot. Then one of the two needs
another name, with all that works in place on it: the top, or else the bottom, so that the inputs
and outputs of the network keep theirs, as does what layers outside the phase read.
"""

from __future__ import annotations

from bnfold.fold.absorb.leaving import names as named
from bnfold.fold.absorb.leaving import seen_by_others
from bnfold.fold.plan import Code, Reason
from bnfold.graph import Layer, Net, Value


class Names:
    """The names that are taken, in the prototxt or in the weights file.

    Args:
        net: the network.
    """

    def __init__(self, net: Net) -> None:
        self._net = net
        layers = (*net.all_layers, *net.outside)
        self._taken = {layer.name for layer in layers}
        if net.weights is not None:
            self._taken |= {record.name for record in net.weights.records}
        self._taken |= {value.name for layer in layers for value in (*layer.bottoms, *layer.tops)}
        self._taken |= {value.name for value in net.inputs}
        for layer in layers:
            for end in ("bottom", "top"):
                self._taken.update(field.string() for field in layer.text.all(end))

    def new(self, name: str) -> str:
        """A name that neither a layer nor a value has: this one, or one that begins so.

        OpenCV has one list of names for both.
        """
        found, number = name, 2
        while found in self._taken:
            found, number = f"{name}{number}", number + 1
        self._taken.add(found)
        return found

    def part(self, layer: Layer, values: list[Value]) -> None:
        """Give the values that `parted` found for a layer another name."""
        if values:
            word = "top" if layer.tops[0] in values else "bottom"
            self._net.rename(values, self.new(f"{layer.name}/{word}"))


def parted(net: Net, layer: Layer) -> list[Value] | Reason:
    """The values that need another name for a layer to work in place no more; none if it does not.

    Nobody may find in its memory what it wrote there in place, against the name that they read.

    Args:
        net: the network.
        layer: a layer of one bottom and one top.
    """
    (bottom,), (top,) = layer.bottoms, layer.tops
    if bottom.name != top.name:
        return []
    mistaken = net.memory.mistaken_beside(bottom)
    seen = None if mistaken is None else seen_by_others(net, mistaken)
    if seen is not None:
        return seen
    later = _later(top)
    fixed = _fixed(later)
    if fixed is None:
        return later
    earlier = _earlier(bottom)
    if earlier[-1].producer is None or earlier[-1].producer.kind.is_input:
        why = f"'{bottom.name}' is an input of the network"
        return Reason(Code.NAME_TAKEN, f"{fixed.text}, and what {layer} reads by that name {why}")
    return _fixed(earlier) or earlier


def _fixed(values: list[Value]) -> Reason | None:
    """Why values cannot have another name, if so."""
    for value in values:
        if value.is_output:
            return Reason(Code.NETWORK_OUTPUT, f"'{value.name}' is an output of the network")
        if value.outside_readers:
            readers = named(value.outside_readers)
            why = f"'{value.name}' is also read by {readers}, outside this phase"
            return Reason(Code.OUTSIDE_READER, why)
    return None


def _later(value: Value) -> list[Value]:
    """A value and what is made of it in place."""
    found = [value]
    for one in found:
        found += [top for r in one.readers for top in r.tops if top.name == value.name]
    return found


def _earlier(value: Value) -> list[Value]:
    """A value and what it was made of in place, the first one last."""
    found = [value]
    while True:
        producer = found[-1].producer
        bottoms = producer.bottoms if producer is not None else []
        before = next((bottom for bottom in bottoms if bottom.name == value.name), None)
        if before is None:
            return found
        found.append(before)
