"""Which values lie in the same memory, who writes there when, and who still reads what was there.

A layer that works in place writes where its bottom lies. A Split, Flatten, Reshape, Concat of one,
Slice into one, or Permute that moves nothing hands its bottom's memory on as its top, and so do the
splits that Caffe puts behind a value with several readers. A reader finds what was written there
last before it runs, whatever name it reads it by.

Rewrites are exact as far as names say what is computed. Where every reader finds the value that it
names, before and after, they are exact in memory too. So a rewrite

1. changes no value that some reader finds, or misses, against its name (`mistaken`);
2. takes out no layer that finds another value than the one it names, and brings memories together
   only where every reader finds then what it found before (`can_rename`, `can_reread`).

Sources: BVLC caffe, `ShareData` in src/caffe/layers/{split,flatten,reshape,concat,slice}_layer.cpp
and include/caffe/layers/parameter_layer.hpp, `refill_` in dummy_data_layer.cpp, `set_cpu_data` in
memory_data_layer.cpp; permute_layer.cpp of weiliu89/caffe (SSD); src/caffe/util/insert_splits.cpp,
after which nobody else reads a value that is worked on in place by its own name.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from bnfold.graph.net import Layer, Value
from bnfold.prototxt import PrototxtError

_END = float("inf")
"""When a network's outputs are read: after its last layer. Some programs read each as soon as it is
made (runtimes/pycaffe_child.py does), and must find the same as before, too.
"""

_WHILE = 0.5
"""What a layer does not write over it reads until it has run, and it writes while it runs."""


@dataclass(frozen=True, eq=False)
class Mistaken:
    """A reader that finds another value than the one it names.

    Attributes:
        reader: a layer; None if that is read when all layers have run, since it is an output of
            the network or since its layer gives it out again for the next input.
        named: the value it names.
        found: the value that a layer has written over that, in place.
    """

    reader: Layer | None
    named: Value
    found: Value


class _Storage:
    """A piece of memory: when it is written, in order, and until when each writing is read.

    Times are the places of layers in the file. No writing is read behind the next one.
    """

    __slots__ = ("part_of", "read", "written")

    def __init__(self, written: float) -> None:
        self.written = [written]
        self.read = [written]
        self.part_of: _Storage | None = None

    def found(self, layer: Layer) -> int:
        """Which writing a layer finds that does not write here."""
        return max(0, bisect_left(self.written, layer.index + _WHILE) - 1)

    def forget(self, layer: Layer) -> None:
        """Take out what a layer writes in place: who read it finds the writing before."""
        at = bisect_left(self.written, layer.index)
        self.read[at - 1] = max(self.read[at - 1], self.read[at])
        del self.written[at], self.read[at]

    def knows(self, other: _Storage) -> bool:
        """Whether all times of another storage are known here; readings may last longer."""
        ends = zip(other.read, self.read, strict=True)
        return self.written == other.written and all(end <= known for end, known in ends)

    def __repr__(self) -> str:
        return str([*zip(self.written, self.read, strict=True)])

    def take_in(self, other: _Storage) -> None:
        """Become one with a storage, in the larger of the two."""
        small, large = sorted((self, other), key=lambda storage: len(storage.written))
        for written, read in zip(small.written, small.read, strict=True):
            at = bisect_left(large.written, written)
            large.written.insert(at, written)
            large.read.insert(at, read)
        small.part_of = large


class Memory:
    """The memory of the values of a network; the verbs of `Net` keep it up to date.

    Args:
        layers: the layers that run, in file order.
        inputs: the values that the network is given.
    """

    def __init__(self, layers: Sequence[Layer], inputs: Sequence[Value]) -> None:
        walk = _Walk(layers, inputs)
        self._storages, self._mistaken = walk.storages, walk.mistaken
        self._misread = walk.misread
        self._writers = {layer.index: layer for layer in layers}

    def differences(self, fresh: Memory) -> list[str]:
        """What a fresh look at the network tells and this does not, a sentence for each value.

        What this tells beyond that is safe: readers, and mistakes of theirs, that are gone by now.
        """
        found = []
        there: dict[_Storage, Value] = {}
        here: dict[_Storage, Value] = {}
        for value, storage in fresh._storages.items():
            mine = self._storage(value)
            lies, told = there.setdefault(storage, value), here.setdefault(mine, value)
            if lies is not told:
                found.append(f"'{value.name}' lies where '{lies.name}' does, not '{told.name}'")
            elif lies is value and not mine.knows(storage):
                found.append(f"where '{value.name}' lies is written and read {storage}, not {mine}")
            if value in fresh._mistaken and value not in self._mistaken:
                found.append(f"somebody names '{value.name}' and finds another value, or finds it")
        return found

    def mistaken(self, value: Value) -> Mistaken | None:
        """A reader that names this value and finds another, or finds it and names another."""
        return self._mistaken.get(value)

    def mistaken_beside(self, value: Value) -> Value | None:
        """A value that lies, or lay, where this one does, and of which `mistaken` says more."""
        storage = self._storage(value)
        return next((one for one in self._mistaken if self._storage(one) is storage), None)

    def writer_between(self, value: Value, layers: Sequence[Layer]) -> Layer | None:
        """A layer that writes over a value's memory before all of some readers have run."""
        storage = self._storage(value)
        found = [storage.found(layer) for layer in layers]
        if min(found) == max(found):
            return None
        return self._writers[int(storage.written[max(found)])]

    def can_rename(self, run: Sequence[Layer]) -> bool:
        """Whether what feeds a run may write the run's top instead, as far as memory goes.

        Args:
            run: layers of one bottom and one top, each the only reader of the one before, and the
                first of what feeds it; they are to go.
        """
        bottom, top = run[0].bottoms[0], run[-1].tops[0]
        producer = bottom.producer
        if bottom in self._misread:
            return False
        if producer is not None and bottom.name != top.name and producer.kind.is_spoilt(producer):
            # It would no longer work in place.
            return False
        if producer is None or self._storage(bottom) is self._storage(top):
            return True
        at = producer.tops.index(bottom)
        if _written_over(producer, at) is not None:
            return bottom not in self._mistaken
        return _handed_on(producer) is None or self._joins(run, whole=True)

    def can_reread(self, run: Sequence[Layer]) -> bool:
        """Whether what reads a run's top may read its bottom instead, as far as memory goes.

        Args:
            run: layers of one bottom and one top, each the only reader of the one before; they are
                to go.
        """
        bottom, top = run[0].bottoms[0], run[-1].tops[0]
        writer = _writer_over(top)
        if bottom in self._misread:
            return False
        if writer is not None and bottom.name != top.name and writer.kind.is_spoilt(writer):
            return False
        if self._storage(bottom) is self._storage(top):
            return True
        return self._joins(run, whole=writer is None)

    def rename(self, layer: Layer) -> None:
        """Keep up with a layer that goes, before what feeds it writes its top."""
        (bottom,), (top,) = layer.bottoms, layer.tops
        below, above, producer = self._storage(bottom), self._storage(top), bottom.producer
        assert producer is not None
        at = producer.tops.index(bottom)
        if below is above:
            _forget(below, layer)
        elif _written_over(producer, at) is None and _handed_on(producer) is not None:
            self._join(layer)
        else:
            if _written_over(producer, at) is not None:
                below.forget(producer)
            above.written[0] = producer.index

    def reread(self, layer: Layer) -> None:
        """Keep up with a layer that goes, before what reads its top reads its bottom."""
        (bottom,), (top,) = layer.bottoms, layer.tops
        below, above = self._storage(bottom), self._storage(top)
        writer = _writer_over(top)
        if below is above:
            _forget(below, layer)
        elif writer is None:
            self._join(layer)
        else:
            # It reads elsewhere now, and so no longer works in place.
            at = below.found(layer)
            below.read[at] = max(below.read[at], writer.index + _WHILE)
            del above.written[0], above.read[0]

    def _joins(self, run: Sequence[Layer], whole: bool) -> bool:
        """Whether the memory of a run's top can be that of its bottom, the run being gone.

        Args:
            run: the layers.
            whole: whether all of it; else only its first reader goes there, who writes elsewhere.
        """
        below, top = self._storage(run[0].bottoms[0]), run[-1].tops[0]
        above = self._storage(top)
        # What the run writes itself, here or there, is read by nobody else.
        leaves = next(layer for layer in run if self._storage(layer.tops[0]) is not below)
        at, first = below.found(leaves), above.found(run[-1])
        writer = _writer_over(top)
        read = above.read[first] if whole or writer is None else writer.index + _WHILE
        later = slice(first + 1, None if whole else 0)
        reads = [max(below.read[at], read), *below.read[at + 1 :]]
        if len(reads) > 1 and reads[0] > below.written[at + 1]:
            return False
        mine = list(zip(below.written[at:], reads, strict=True))
        return _are_apart(mine, list(zip(above.written[later], above.read[later], strict=True)))

    def _join(self, layer: Layer) -> None:
        """Have the memory of a layer's top be that of its bottom."""
        below, above = self._storage(layer.bottoms[0]), self._storage(layer.tops[0])
        at = below.found(layer)
        below.read[at] = max(below.read[at], above.read[0])
        del above.written[0], above.read[0]
        below.take_in(above)

    def _storage(self, value: Value) -> _Storage:
        storage = self._storages[value]
        while storage.part_of is not None:
            storage = storage.part_of
        return storage


def _forget(storage: _Storage, layer: Layer) -> None:
    if _written_over(layer, 0) is not None:
        storage.forget(layer)


def _are_apart(some: list[tuple[float, float]], others: list[tuple[float, float]]) -> bool:
    """Whether no writing of one storage falls between a writing of another and who reads it.

    Args:
        some, others: when each is written and until when it is read, both in order.
    """
    small, large = sorted((some, others), key=len)
    for written, read in small:
        at = bisect_right(large, (written, _END))
        if at and (large[at - 1][0] == written or large[at - 1][1] > written):
            return False
        if at < len(large) and read > large[at][0]:
            return False
    return True


class _Walk:
    """A run through a network: where its values lie, and who finds another than the one it names.

    Attributes:
        storages: where each value lies.
        mistaken: readers that find another value, by both values.
        misread: the values that these name.
    """

    def __init__(self, layers: Sequence[Layer], inputs: Sequence[Value]) -> None:
        self.storages: dict[Value, _Storage] = {}
        self.mistaken: dict[Value, Mistaken] = {}
        self.misread: set[Value] = set()
        self._made: dict[_Storage, list[Value]] = {}
        self._named: dict[Value, int] = {}
        for value in inputs:
            self._write(value, -1, None)
        for layer in layers:
            self._run(layer)
        given = [top for layer in layers if layer.kind.keeps_memory for top in layer.tops]
        for value in [*given, *(value for value in self._named if value.is_output)]:
            self._read(value, _END, None)

    def _run(self, layer: Layer) -> None:
        over = [_written_over(layer, index) for index in range(len(layer.tops))]
        source = _handed_on(layer)
        for place in over:
            if place is not None:
                self._read(place, layer.index, layer)
        for top, place in zip(layer.tops, over, strict=True):
            if place is None and source is not None:
                self.storages[top] = self.storages[source]
                self._named[top] = self._named[source]
            else:
                self._write(top, layer.index, place)
        for top in layer.tops:
            if top.is_output:
                self._read(top, layer.index + _WHILE, None)
        if not _is_handed_on(layer):
            for value in layer.bottoms:
                if value not in over:
                    self._read(value, layer.index + _WHILE, layer)

    def _write(self, value: Value, time: float, over: Value | None) -> None:
        """Write a value over another, or to a place of its own."""
        if over is None:
            storage = _Storage(time)
        else:
            storage = self.storages[over]
            storage.written.append(time)
            storage.read.append(time)
        made = self._made.setdefault(storage, [])
        self.storages[value], self._named[value] = storage, len(made)
        made.append(value)

    def _read(self, value: Value, time: float, reader: Layer | None) -> None:
        storage = self.storages[value]
        storage.read[-1] = max(storage.read[-1], time)
        found = self._made[storage][-1]
        if self._named[value] != len(storage.read) - 1:
            self.misread.add(value)
            for one in (value, found):
                self.mistaken.setdefault(one, Mistaken(reader, value, found))


def _is_handed_on(layer: Layer) -> bool:
    try:
        return layer.kind.hands_on(layer)
    except PrototxtError:
        return False


def _written_over(layer: Layer, index: int) -> Value | None:
    """The bottom that a layer writes its top of this index over, if so."""
    bottom = layer.bottoms[index] if index < len(layer.bottoms) else None
    in_place = bottom is not None and bottom.name == layer.tops[index].name
    return bottom if in_place and not _is_handed_on(layer) else None


def _writer_over(value: Value) -> Layer | None:
    """The layer that works on a value in place, by its name, if there is one."""
    for reader in value.readers:
        if any(_written_over(reader, index) is value for index in range(len(reader.tops))):
            return reader
    return None


def _handed_on(layer: Layer) -> Value | None:
    """The bottom whose memory the tops of a layer are, or may be, where they are not in place.

    What a layer that nobody knows makes of one bottom may be just that.
    """
    may_be = layer.kind.shape is None and len(layer.bottoms) == len(layer.tops) == 1
    return layer.bottoms[0] if may_be or _is_handed_on(layer) else None
