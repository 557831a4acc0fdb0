"""Which values lie in the same memory, and who writes over it.

A Split, Flatten, Reshape or Concat of one hands its bottom's memory on as its top, as a layer
that works in place does, and so do the splits that Caffe puts behind a value with several
readers. Where one of them is then worked on in place, what still reads the others sees that.
Sources: BVLC caffe, `ShareData` in src/caffe/layers/{split,flatten,reshape,concat,slice}_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bnfold.graph.net import Layer, Net, Value

_END = float("inf")
"""When a network's outputs are read: after its last layer."""


class Memory:
    """The memory of the values of a network, as it is when this is made."""

    def __init__(self, net: Net) -> None:
        self._first: dict[Value, Value] = {}
        self._values: dict[Value, list[Value]] = {}
        self._writers: dict[Value, list[Layer]] = {}
        for layer in net.layers:
            for bottom in layer.bottoms:
                self._add(bottom, bottom)
            for index, top in enumerate(layer.tops):
                place = _in_place(layer, index)
                source = place or (layer.bottoms[0] if _hands_on(layer) else None)
                self._add(top, top if source is None else self._first[source])
                if place is not None:
                    self._writers.setdefault(self._first[top], []).append(layer)

    def _add(self, value: Value, first: Value) -> None:
        if value not in self._first:
            self._first[value] = first
            self._values.setdefault(first, []).append(value)

    def overwritten(self, layer: Layer) -> Layer | None:
        """A layer that reads, after `layer` wrote in place, what lies in the same memory."""
        for index, top in enumerate(layer.tops):
            bottom = _in_place(layer, index)
            if bottom is None:
                continue
            mine = set(self._from(top))
            for value in self._values[self._first[bottom]]:
                if value in mine or value is bottom:
                    continue
                later = [reader for reader in value.readers if reader.index > layer.index]
                if later or value.is_output:
                    return later[0] if later else value.producer
        return None

    def written_between(self, value: Value, first: int, last: int) -> Layer | None:
        """A layer that writes in place over a value's memory behind layer `first`, before `last`.

        Both are given by their place in the file.
        """
        writers = self._writers.get(self._first[value], [])
        return next((writer for writer in writers if first < writer.index < last), None)

    def _can_join(self, bottom: Value, top: Value, without: Sequence[Layer]) -> bool:
        place = self._first[bottom]
        if self._first[top] is place:
            return True
        # A layer that works on `top` in place reads `bottom` then, and writes elsewhere.
        moved = list(self._from(top, through_names=False))
        last = max(map(_last_read, moved), default=-1)
        start = without[0].index
        others = [w for w in self._writers.get(place, []) if w not in without and w.index > start]
        if any(writer.index < last for writer in others):
            return False
        written = [
            writer.index
            for writer in self._writers.get(self._first[top], [])
            if any(value in moved[1:] for value in writer.bottoms)
        ]
        remaining = [
            _last_read(value, without)
            for value in self._values[place]
            if value.producer not in without
        ]
        return not written or max(remaining, default=-1) < min(written)

    def _from(self, value: Value, through_names: bool = True) -> Iterator[Value]:
        """A value and all that lies in its memory because of it, in file order."""
        found = [value]
        for source in found:
            for reader in source.readers:
                for index, top in enumerate(reader.tops):
                    place = _in_place(reader, index)
                    if place is source and not through_names and source is value:
                        continue
                    if place is source or (place is None and _hands_on(reader)):
                        found.append(top)
        return iter(found)


def can_join(net: Net, bottom: Value, top: Value, without: Sequence[Layer]) -> bool:
    """Whether what reads `top` may read `bottom` in its place, as far as memory goes.

    Args:
        net: the network.
        bottom: a value.
        top: a value that layers make of it.
        without: those layers, which are about to be removed.
    """
    # One name is one memory, and most runs are in place.
    return bottom.name == top.name or Memory(net)._can_join(bottom, top, without)


def _in_place(layer: Layer, index: int) -> Value | None:
    """The bottom that the top of this index is written over, if so."""
    bottom = layer.bottoms[index] if index < len(layer.bottoms) else None
    return bottom if bottom is not None and bottom.name == layer.tops[index].name else None


def _hands_on(layer: Layer) -> bool:
    if len(layer.bottoms) != 1:
        return False
    if layer.type == "Slice":
        return len(layer.tops) == 1
    return layer.type in ("Split", "Flatten", "Reshape", "Concat")


def _last_read(value: Value, without: Sequence[Layer] = ()) -> float:
    if value.is_output:
        return _END
    return max((reader.index for reader in value.readers if reader not in without), default=-1)
