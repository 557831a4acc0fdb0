"""What a layer finds under the name of a bottom, in the order in which Caffe runs the layers.

A top that has the name of a bottom is written over it. Some layers hand their bottom's memory on as
their top, so that what is written over one shows in the other. A place in memory is a cell here,
and a name leads to a cell and to the way in which it is looked at. Sources: BVLC caffe,
src/caffe/net.cpp (AppendTop), src/caffe/util/insert_splits.cpp, and ShareData in the layers Split,
Flatten, Reshape, Concat and Slice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bnfold.proof.forms import Form
from bnfold.proof.layers import Layer
from bnfold.proof.shapes import Lengths


@dataclass(frozen=True, eq=False)
class Suspect:
    """A layer of the folded network whose numbers are not those of the original's counterpart.

    That may be right, where a later layer makes up for it. If none does, this is the culprit.

    Attributes:
        layer: the layer.
        reason: what is different there, as the end of a sentence.
        spot: the number, where there is one; see coefficients.Spot.
        share: the share of channels that differ.
    """

    layer: Layer
    reason: str
    spot: object
    share: float


@dataclass(frozen=True, eq=False)
class Value:
    """What a blob holds between two writes.

    Attributes:
        form: in terms of roots.
        shape: its lengths, as far as known.
        suspects: in the folded network, what may be wrong with it.
    """

    form: Form
    shape: Lengths | None = None
    suspects: tuple[Suspect, ...] = ()


@dataclass(frozen=True, eq=False)
class View:
    """How a layer that hands on its bottom's memory looks at it.

    Attributes:
        forward: from what is in memory to what the top shows; None where it cannot be said.
        backward: from what was written to the top to what the bottom shows.
        words: what the layer says of it; () if the top shows just what is there.
    """

    forward: Callable[[Value], Value | None]
    backward: Callable[[Value], Value | None]
    words: tuple[object, ...]


Way = tuple[tuple[object, ...], tuple[object, ...]]
"""The words of the views through which memory was written, and of those by which it is read."""


@dataclass
class _Cell:
    value: Value
    views: tuple[View, ...]


@dataclass(frozen=True)
class _Binding:
    cell: _Cell
    views: tuple[View, ...]


@dataclass
class Memory:
    """The names that can be read, and what they lead to."""

    names: dict[str, _Binding] = field(default_factory=dict)

    def read(self, name: str) -> Value | None:
        """What stands under a name; None if nothing does, or if it cannot be said."""
        binding = self.names.get(name)
        if binding is None:
            return None
        held, wanted = binding.cell.views, binding.views
        common = 0
        while common < min(len(held), len(wanted)) and held[common] is wanted[common]:
            common += 1
        value: Value | None = binding.cell.value
        for view in reversed(held[common:]):
            value = None if value is None else view.backward(value)
        for view in wanted[common:]:
            value = None if value is None else view.forward(value)
        return value

    def held(self, name: str) -> tuple[Value, Way] | None:
        """What was written where a name leads to, and the way from there; None for no name."""
        binding = self.names.get(name)
        if binding is None:
            return None
        written = tuple(view.words for view in binding.cell.views if view.words)
        return binding.cell.value, (written, tuple(v.words for v in binding.views if v.words))

    def write(self, name: str, value: Value) -> None:
        """Give a name new memory, with a value in it."""
        self.names[name] = _Binding(_Cell(value, ()), ())

    def overwrite(self, name: str, value: Value) -> None:
        """Write a value where a name leads to."""
        binding = self.names[name]
        binding.cell.value, binding.cell.views = value, binding.views

    def share(self, name: str, bottom: str, view: View) -> None:
        """Have a name lead where another one does, and look at it in a way of its own."""
        binding = self.names[bottom]
        self.names[name] = _Binding(binding.cell, (*binding.views, view))


def works_in_place(layers: Sequence[Layer]) -> set[tuple[int, int]]:
    """Which tops are written over a bottom: pairs of a layer's place and the top's.

    Where a value has several readers, Caffe gives each a name of its own, and so none of them works
    in place.
    """
    readers: dict[tuple[int, str], int] = {}
    producer: dict[str, int] = {}
    sources: list[list[tuple[int, str]]] = []
    for place, layer in enumerate(layers):
        keys = [(producer.get(name, -1), name) for name in layer.bottoms]
        for key in keys:
            readers[key] = readers.get(key, 0) + 1
        sources.append(keys)
        for index, name in enumerate(layer.tops):
            producer[name] = place
            weights = layer.words.numbers("loss_weight")
            if index < len(weights) and weights[index]:
                readers[place, name] = readers.get((place, name), 0) + 1
    return {
        (place, index)
        for place, layer in enumerate(layers)
        for index, name in enumerate(layer.tops)
        if index < len(layer.bottoms)
        and layer.bottoms[index] == name
        and readers[sources[place][index]] == 1
    }


def outputs(layers: Sequence[Layer]) -> list[str]:
    """The names that nobody reads at the end."""
    open_names: dict[str, None] = {}
    for layer in layers:
        for name in layer.bottoms:
            open_names.pop(name, None)
        for name in layer.tops:
            open_names[name] = None
    return list(open_names)
