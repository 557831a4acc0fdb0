"""Which layer of one network is which of another: two networks of one graph are one function.

Values are compared by how they come about, not by their names: a layer of the given network is a
layer of the folded one where both say the same (said.py) and read the same values. It follows for
the whole network, from its inputs on, if each layer has one partner of its own and the outputs are
partners, too. Whatever else differs (names, working in place, layers that change nothing, the order
of layers that do not need each other, the order in a sum) does not change what is computed.

Only a layer that more than one could be is chosen by more: by how the network goes on, then by its
name, then by its place. Where what follows does not bear such a choice out, the networks count as
different.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

from bnfold.graph import Layer, Value
from bnfold.merging.onto.colours import Colours
from bnfold.merging.onto.differences import Differences
from bnfold.merging.onto.said import Said, is_biased
from bnfold.merging.onto.side import Side, commutes, is_source, serves_training

_Key = tuple[Said, tuple[Hashable, ...]]


@dataclass
class Match:
    """Two networks that are the same function.

    Attributes:
        pairs: each layer of the given network that computes something, with its partner.
        values: each value of the given network, above what changes nothing, with its partner;
            None for what only a loss of the folded network computes inside.
        ends: layers of the given network that are the first half of a loss of the folded one, as a
            Softmax is of a SoftmaxWithLoss, with that.
        inputs: the name of each input of the given network that is read, with its partner's.
        outputs: likewise for outputs.
        left_out: the layers of the folded network that served its training and have no partner.
    """

    pairs: dict[Layer, Layer] = field(default_factory=dict)
    values: dict[Value, Value | None] = field(default_factory=dict)
    ends: dict[Layer, Layer] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    left_out: list[Layer] = field(default_factory=list)


def match(folded: Side, given: Side, differences: Differences) -> Match:
    """Find the partner of every layer.

    Args:
        folded: the network that was folded.
        given: the network that weights are wanted for.
        differences: knows the words.

    Raises:
        DifferenceError: they are not the same graph; it says where they part.
    """
    return _Matcher(folded, given, differences).match()


class _Matcher:
    def __init__(self, folded: Side, given: Side, differences: Differences) -> None:
        self.folded, self.given = folded, given
        self.differences = differences
        self.found = Match()
        self.used: set[Layer] = set()

    def match(self) -> Match:
        self._match_inputs()
        colours = Colours(self.folded, self.given, self.found.inputs)
        self.alike: dict[_Key, _Alike] = defaultdict(lambda: _Alike(colours, self.used))
        for layer in self.folded.layers:
            self._offer(layer)
        for layer in self.given.layers:
            self._match_layer(layer)
        self._match_rest()
        self._match_outputs(colours)
        return self.found

    def _match_inputs(self) -> None:
        theirs = {n: v for n, v in self.given.sources.items() if self.given.readers(v)}
        mine = self.folded.sources
        names = {name: name for name in theirs if name in mine}
        rest = [name for name in theirs if name not in mine]
        free = [n for n, v in mine.items() if n not in names and self._is_read(v)]
        if len(rest) == len(free) == 1:
            names[rest[0]] = free[0]
        elif rest:
            raise self.differences.of_input(rest[0], theirs[rest[0]], [*mine])
        self.found.inputs = names
        self.found.values.update((theirs[one], mine[name]) for one, name in names.items())

    def _is_read(self, value: Value) -> bool:
        """Whether an input is for the network itself, and not for what judges it."""
        return any(not serves_training(reader) for reader in self.folded.readers(value))

    def _offer(self, layer: Layer) -> None:
        """Have a layer of the folded network be found by what it says and reads."""
        said, reads = self.folded.said[layer], self.folded.reads(layer)
        self.alike[_key(said, reads)].add(layer)

    def _match_layer(self, layer: Layer) -> None:
        said = self.given.said[layer]
        reads = tuple(self.found.values.get(value) for value in self.given.reads(layer))
        key = _key(said, reads)
        partner = self.alike[key].take(layer) if key in self.alike else None
        loss = self._loss_of(layer, reads) if partner is None else None
        if loss is not None:
            self.found.ends[layer] = loss
            self.found.values.update((top, None) for top in layer.tops)
            return
        if partner is None:
            raise self.differences.of_layer(layer, reads, self.used)
        if is_biased(partner) and not is_biased(layer):
            raise self.differences.of_bias(layer, partner)
        self.used.add(partner)
        self.found.pairs[layer] = partner
        tops = zip(layer.tops, partner.tops, strict=True)
        self.found.values.update((its, self.folded.through(mine)) for its, mine in tops)

    def _loss_of(self, layer: Layer, reads: tuple[Value | None, ...]) -> Layer | None:
        """The loss of the folded network that computes this, too, before it looks at labels."""
        if len(reads) != 1 or reads[0] is None:
            return None
        for reader in self.folded.readers(reads[0]):
            first = self.folded.through(reader.bottoms[0]) is reads[0]
            if first and reader.kind.scores == layer.type:
                same = layer.type != "Softmax" or _axis(reader) == _axis(layer)
                return reader if same else None
        return None

    def _match_rest(self) -> None:
        """See that what has no partner served training: it ends in losses and the like."""
        training: set[Layer] = set()
        for layer in reversed(self.folded.layers):
            if layer in self.used:
                continue
            readers = [self.folded.readers(top) for top in layer.tops]
            goes = all(each and training.issuperset(each) for each in readers) and bool(readers)
            if not goes and not serves_training(layer):
                raise self.differences.of_rest(layer)
            training.add(layer)
        sources = [layer for layer in self.folded.net.layers if is_source(layer)]
        left = [one for one in sources if not {top.name for top in one.tops} & self._fed()]
        self.found.left_out = sorted((*training, *left), key=lambda layer: layer.index)

    def _fed(self) -> set[str]:
        return set(self.found.inputs.values())

    def _match_outputs(self, colours: Colours) -> None:
        left = set(self.found.left_out)
        ends = {v for v in self.found.values.values() if v and self._ends(v, left)}
        names = {self.folded.through(value): name for name, value in self.folded.outputs.items()}
        unnamed: dict[int, str] = {}
        for name, value in self.given.outputs.items():
            partner = self.found.values.get(self.given.through(value))
            if partner is None:
                continue
            mine = names.get(partner, partner.name)
            if partner not in ends or (name in self.folded.outputs and mine != name):
                raise self.differences.of_output(name, value, partner)
            self.found.outputs[name] = mine
            if mine == name or self._goes_by_layer(value, partner):
                continue
            twin = unnamed.setdefault(colours.from_above(value), name)
            if twin != name:
                raise self.differences.of_twins(twin, name, value)

    def _goes_by_layer(self, value: Value, partner: Value) -> bool:
        """Whether the layers that make two outputs have one name, though the outputs have not."""
        makers = self.given.through(value).producer, partner.producer
        return len({None if maker is None else maker.name for maker in makers}) == 1

    def _ends(self, value: Value, left: set[Layer]) -> bool:
        return left.issuperset(self.folded.readers(value))


class _Alike:
    """Layers of the folded network that say the same and read the same."""

    def __init__(self, colours: Colours, used: set[Layer]) -> None:
        self._colours, self._used = colours, used
        self._by: dict[Hashable, deque[Layer]] = defaultdict(deque)

    def add(self, layer: Layer) -> None:
        for key in self._keys(layer):
            self._by[key].append(layer)

    def take(self, partner: Layer) -> Layer | None:
        """The layer among them that is most like a layer of the given network, if one is left."""
        for key in self._keys(partner):
            waiting = self._by[key]
            while waiting:
                layer = waiting.popleft()
                if layer not in self._used:
                    return layer
        return None

    def _keys(self, layer: Layer) -> Iterable[Hashable]:
        colour = self._colours.of(layer)
        return (colour, layer.name), (colour, None), (None, layer.name), None


def _key(said: Said, reads: tuple[Value | None, ...]) -> _Key:
    places: tuple[Hashable, ...] = reads
    if commutes(said):
        places = tuple(sorted(map(id, reads)))
    return said, places


def _axis(layer: Layer) -> int:
    return int(layer.param("softmax_param").axis)
