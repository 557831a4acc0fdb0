"""The network as it executes in one phase: layers, values, who writes and reads what.

A `Value` is a blob between two writes. An in-place layer ends one value and begins another
under the same name, so every question (who produces this, who reads it) is asked of values.
Source of the rules: BVLC caffe, src/caffe/net.cpp (`Net::Init`, `AppendTop`, `AppendBottom`)
and src/caffe/util/insert_splits.cpp.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from heapq import merge
from typing import TYPE_CHECKING, Any

from bnfold.caffemodel import BlobSource, LayerRecord, Weights, schema
from bnfold.caffemodel import ParamValue as ParamValue
from bnfold.graph.layer_type import LayerType
from bnfold.graph.params import read_message
from bnfold.prototxt import Document, Field, Message, parse

if TYPE_CHECKING:
    from bnfold.graph.memory import Memory


ForkFields = tuple[tuple[str, ...], tuple[str, ...]]
"""The names of fields that may mean anything, and of those that only say where a window lies."""


class Value:
    """A blob between two writes.

    Attributes:
        name: the blob's name in the file.
        producer: the layer that writes it; None where the network is given it.
        readers: the layers of the phase that read it, once for each bottom.
        outside_readers: layers outside the phase that would read it, by its name.
    """

    __slots__ = ("name", "outside_readers", "producer", "readers")

    def __init__(self, name: str, producer: Layer | None) -> None:
        self.name = name
        self.producer = producer
        self.readers: list[Layer] = []
        self.outside_readers: list[Layer] = []

    @property
    def is_output(self) -> bool:
        """Whether the network gives it out: Caffe's outputs are the values nobody reads."""
        return not self.readers

    def __repr__(self) -> str:
        return f"Value({self.name!r})"


class Layer:
    """A layer of the file, as it is after the rewrites so far.

    What the file said of it is kept only to write the difference: `field`, `text`, `written_type`
    and `record` never change, and nobody computes from them what a rewrite could have changed.

    Attributes:
        index: position among all layers of the file.
        field: the `layer { ... }` field of the prototxt.
        text: what stands in that field.
        name: its name, which never changes.
        type: Caffe's current name of the type ("Convolution"), also for V1 files.
        written_type: the type that it had in the file, by which people know it.
        kind: what is known of its type, or of the type that the user says it is to be taken for.
        bottoms, tops: the values that it reads and makes.
        blob_names: the names of its `param`s, in the order of its blobs, "" for one without;
            layers that carry the same name have that blob in common.
        record: its layer in the weights file, if there is one.
        removed: whether a rewrite took it out.
        cleared: the names of the fields of its text that a rewrite took out.
        fork_fields: what trust.py found in its text, with what its type was taken for.
        struck: the names of fields anywhere in its text that a rewrite took out by themselves.
        behind: for a layer that a rewrite added, the field of the file that it stands behind.
    """

    # A file can have very many layers, and most of them are never changed.
    __slots__ = (
        "_given",
        "_params",
        "_set",
        "behind",
        "blob_names",
        "bottoms",
        "cleared",
        "field",
        "fork_fields",
        "index",
        "is_v1",
        "kind",
        "name",
        "record",
        "removed",
        "struck",
        "text",
        "tops",
        "type",
        "written_type",
    )

    def __init__(self, index: int, field: Field, type_name: str, kind: LayerType) -> None:
        self.index = index
        self.field = field
        self.type = self.written_type = sys.intern(type_name)
        self.kind = kind
        self.text: Message = field.message()
        self.name = _string(self.text, "name")
        self.is_v1 = field.name == "layers"
        self.bottoms: list[Value] = []
        self.tops: list[Value] = []
        self.blob_names = _blob_names(self.text, self.is_v1)
        self.record: LayerRecord | None = None
        self.removed = False
        self.cleared: frozenset[str] = frozenset()
        self.fork_fields: tuple[object, ForkFields] | None = None
        self.behind: Field | None = None
        self.struck: frozenset[str] = frozenset()
        self._given: tuple[BlobSource, ...] | None = None
        self._params: dict[str, Any] | None = None
        self._set: dict[tuple[str, str], None] | None = None

    @property
    def line(self) -> int:
        """The line of the prototxt on which the layer begins."""
        return self.field.line

    @property
    def blobs(self) -> Sequence[BlobSource]:
        """Its blobs, in Caffe's order; none where there are no weights, or none of its own."""
        if self._given is not None:
            return self._given
        return () if self.record is None else self.record.blobs

    @property
    def given_blobs(self) -> tuple[BlobSource, ...] | None:
        """The blobs that a rewrite gave it, None where it has those of the weights file."""
        return self._given

    @property
    def set_fields(self) -> Sequence[tuple[str, str]]:
        """The parameters that rewrites set, by (message, field), in the order they first did."""
        return tuple(self._set or ())

    def param(self, name: str) -> Any:
        """The layer's parameter message, "convolution_param" say, with the schema's defaults.

        It is to be read only; `set` changes a field of it.

        Raises:
            PrototxtError: a field in it has a bad value.
        """
        if self._params is None:
            self._params = {}
        if name not in self._params:
            self._params[name] = _read_param(self.written(name), name)
        return self._params[name]

    def written_param(self, name: str) -> Any:
        """A parameter message as the file has it, whatever rewrites did since.

        Raises:
            PrototxtError: a field in it has a bad value.
        """
        return _read_param(self.text.get(name), name)

    def written(self, name: str) -> Field | None:
        """The first field of a name in its text, unless a rewrite took it out."""
        return None if name in self.cleared else self.text.get(name)

    def set(self, message: str, field: str, value: ParamValue) -> None:
        """Set a field of a parameter message.

        Args:
            message: the name of the message, "convolution_param" say.
            field: the name of the field in it.
            value: what it is to be: see `ParamValue`.

        Raises:
            PrototxtError: another field of the message has a bad value.
        """
        param = self.param(message)
        param.ClearField(field)
        enum = param.DESCRIPTOR.fields_by_name[field].enum_type
        if isinstance(value, tuple):
            getattr(param, field).extend(value)
        elif value is not None:
            setattr(param, field, enum.values_by_name[value].number if enum else value)
        if self._set is None:
            self._set = {}
        self._set[message, field] = None

    def become(self, kind: LayerType) -> None:
        """Change the type; the parameters of the old one are the caller's to clear."""
        self.type = kind.name
        self.kind = kind

    def give(self, *blobs: BlobSource) -> None:
        """Give it other blobs than those it has, in Caffe's order."""
        self._given = blobs

    def clear(self, *names: str) -> None:
        """Take fields out of its text, all of each name, with what rewrites set in them.

        Without its `param`s it has no blob in common with others any more.
        """
        self.cleared |= frozenset(names)
        self.fork_fields = None
        for name in names:
            if self._params is not None:
                self._params.pop(name, None)
        self._set = {key: None for key in self._set or () if key[0] not in names}
        if "param" in names:
            self.blob_names = ()

    def __str__(self) -> str:
        return f"{self.written_type} layer '{self.name}'"

    def __repr__(self) -> str:
        return f"Layer({self.name!r}, {self.type!r})"


class Net:
    """A network in one phase, open to rewrites.

    Attributes:
        document: the prototxt it was read from.
        weights: the weights file, or None where there is only the prototxt.
        inputs: the values that the file declares as inputs.
        outside: the layers of the file that do not run in this phase.
        memory: where its values lie.
        struck: fields of the file that rewrites took out by themselves, whoever they belong to.
        is_v1: whether the file has the layers of before 2014, `layers { type: CONVOLUTION }`.
    """

    def __init__(
        self,
        document: Document,
        layers: list[Layer],
        outside: list[Layer],
        inputs: list[Value],
        weights: Weights | None,
        memory: Memory,
    ) -> None:
        self.document = document
        self.weights = weights
        self.memory = memory
        self.inputs = inputs
        self.outside = outside
        self.struck: list[Field] = []
        self.is_v1 = any(layer.is_v1 for layer in layers)
        self._layers = layers
        self._order = {layer: place for place, layer in enumerate((*layers, *outside))}
        self._sharing: dict[str, list[Layer]] = {}
        for layer in self._order:
            for name in set(filter(None, layer.blob_names)):
                self._sharing.setdefault(name, []).append(layer)
        self._twins: dict[str, list[Layer]] = {}
        for layer in outside:
            self._twins.setdefault(layer.name, []).append(layer)
        # Rewrites give a name to no more values than the file did.
        self._values = Counter(top.name for layer in layers for top in layer.tops)
        self._values.update(value.name for value in inputs)

    @property
    def layers(self) -> Iterator[Layer]:
        """The layers that run, in file order, without those that rewrites removed."""
        return (layer for layer in self._layers if not layer.removed)

    @property
    def all_layers(self) -> tuple[Layer, ...]:
        """The layers that run, in file order, removed ones included."""
        return tuple(self._layers)

    def sharers(self, layer: Layer) -> Iterator[Layer]:
        """Other layers of the file, of any phase, that share a blob with `layer` by name.

        They come one by one, since all layers of a file may share one blob.
        """
        if not any(layer.blob_names):
            return
        lists = [self._carriers(name) for name in set(filter(None, layer.blob_names))]
        last = layer
        for other in merge(*lists, key=self._order.__getitem__):
            if other is not layer and other is not last:
                last = other
                yield other

    def sharing(self, name: str) -> list[Layer]:
        """The layers that run and carry the blob name `name`, in file order."""
        return [layer for layer in self._carriers(name) if self.runs(layer)]

    def _carriers(self, name: str) -> Iterator[Layer]:
        """The layers of the file, of any phase, that carry a blob name now."""
        carriers = self._sharing.get(name, [])
        return (one for one in carriers if not one.removed and name in one.blob_names)

    def runs(self, layer: Layer) -> bool:
        """Whether a layer of the file runs in this phase."""
        return self._order[layer] < len(self._layers)

    def twins(self, layer: Layer) -> list[Layer]:
        """Layers outside the phase that carry the same name, and so the same weights."""
        return self._twins.get(layer.name, [])

    def remove_into_producer(self, layer: Layer) -> None:
        """Take a layer out; what produced its only bottom now produces its only top.

        The top's name lives on, so readers and network outputs keep theirs. The bottom must
        have no other reader, and memory allow it: see `Memory.can_rename`.
        """
        self.memory.rename(layer)
        (bottom,), (top,) = layer.bottoms, layer.tops
        producer = bottom.producer
        assert producer is not None
        assert bottom.readers == [layer]
        producer.tops[producer.tops.index(bottom)] = top
        top.producer = producer
        layer.removed = True

    def remove_into_readers(self, layer: Layer) -> None:
        """Take a layer out; what read its top now reads its only bottom.

        The bottom's name lives on, and must still mean the same where those readers stand:
        see `reaches`, and `Memory.can_reread`. Several tops are the bottom's own memory.
        """
        (bottom,), tops = layer.bottoms, layer.tops
        if len(tops) == 1:
            self.memory.reread(layer)
        at = bottom.readers.index(layer)
        readers = [reader for top in tops for reader in top.readers]
        bottom.readers[at : at + 1] = readers
        for reader in readers:
            reader.bottoms = [bottom if value in tops else value for value in reader.bottoms]
        layer.removed = True

    def disconnect(self, layer: Layer, places: Container[int]) -> None:
        """Have a layer no longer read its bottoms at some places.

        Whatever then is read by nobody is an output of the network, unless its makers are removed.
        """
        for place, value in enumerate(layer.bottoms):
            if place in places:
                value.readers.remove(layer)
        layer.bottoms = [one for at, one in enumerate(layer.bottoms) if at not in places]

    def remove_unread(self, layers: Sequence[Layer]) -> None:
        """Take out layers in a row, the last of which makes what nobody reads.

        Args:
            layers: layers of one top each, which only the next one reads.
        """
        for layer in reversed(layers):
            assert not any(top.readers for top in layer.tops)
            self.disconnect(layer, range(len(layer.bottoms)))
            layer.removed = True

    def hand_over(
        self,
        layer: Layer,
        kind: LayerType,
        name: str,
        *,
        between: str | None = None,
        beside: Value | None = None,
    ) -> Layer:
        """Have a new layer make a layer's only top, from what that layer makes in its place.

        `look_at_order_anew` must follow, once for any number of new layers.

        Args:
            layer: the layer, with one top.
            kind: the type of the new one.
            name: its name, which no layer of the file has.
            between: what the value between the two is called, which is no name of another value;
                None for the name of the top, on which the new layer then works in place.
            beside: a bottom of the layer that the new one reads, too, as its first bottom.

        Returns:
            The new layer.
        """
        (top,) = layer.tops
        value = Value(between or top.name, layer)
        bottoms = [value] if beside is None else [beside, value]
        made = self.put_behind(layer, kind, name, bottoms, [top])
        layer.tops = [value]
        return made

    def put_behind(
        self,
        layer: Layer,
        kind: LayerType,
        name: str,
        bottoms: Sequence[Value],
        tops: Sequence[Value],
    ) -> Layer:
        """Add a layer right behind another; whose tops these were before is the caller's to tell.

        `look_at_order_anew` must follow, once for any number of new layers.
        """
        ends = [("bottom", one.name) for one in bottoms] + [("top", one.name) for one in tops]
        fields = [("name", name), ("type", kind.name), *ends]
        made = Layer(layer.index, _written(fields, layer.line), kind.name, kind)
        made.behind = layer.behind or layer.field
        made.bottoms, made.tops = list(bottoms), list(tops)
        for value in bottoms:
            # Readers stand in the order of the file.
            at = value.readers.index(layer) + 1 if layer in value.readers else 0
            value.readers.insert(at, made)
        for value in tops:
            value.producer = made
        self._layers.insert(self._layers.index(layer) + 1, made)
        return made

    def strike(self, field: Field, layer: Layer | None = None) -> None:
        """Take a field of the file out by itself.

        Args:
            field: the field.
            layer: the layer whose text it is in, if it is in one.
        """
        self.struck.append(field)
        if layer is not None:
            layer.struck |= {field.name}

    def read_through(
        self, value: Value, kind: LayerType, name: str, readers: Sequence[Layer]
    ) -> Layer:
        """Have a new layer read an input, and layers that read it read what the new one makes.

        Where one of them works in place on the input, the new layer does so, too, and no name
        changes; else what it makes has its own name. All numbers of layers are told anew.

        Args:
            value: the input.
            kind: the type of the new layer.
            name: its name, which no layer and no value of the file has.
            readers: who reads what it makes.
        """
        in_place = any(top.name == value.name for layer in readers for top in layer.tops)
        producer = value.producer
        top_name = value.name if in_place else name
        line = 1 if producer is None else producer.line
        ends = [("bottom", value.name), ("top", top_name)]
        text = _written([("name", name), ("type", kind.name), *ends], line)
        made = Layer(-1 if producer is None else producer.index, text, kind.name, kind)
        made.behind = self._head() if producer is None else producer.field
        top = Value(top_name, made)
        top.readers = [layer for layer in value.readers if layer in readers]
        value.readers = [made, *(layer for layer in value.readers if layer not in readers)]
        for layer in readers:
            layer.bottoms = [top if bottom is value else bottom for bottom in layer.bottoms]
        made.bottoms, made.tops = [value], [top]
        self._layers.insert(0 if producer is None else self._layers.index(producer) + 1, made)
        self.look_at_order_anew()
        return made

    def _head(self) -> Field:
        """The last field above all layers.

        Raises:
            PrototxtError: there is none.
        """
        fields = self.document.root.fields
        first = next(at for at, one in enumerate(fields) if one.name in ("layer", "layers"))
        if not first:
            raise fields[0].error("the inputs stand below the layers; move them up")
        return fields[first - 1]

    def put_between(
        self, value: Value, readers: Sequence[Layer], kind: LayerType, name: str
    ) -> Layer:
        """Have some readers of a value read instead what a new layer makes of it.

        It stands in front of the first of them. `look_at_order_anew` must follow, once for any
        number of new layers.

        Args:
            value: what the new layer reads.
            readers: those who are to read its top.
            kind: its type.
            name: its name and that of its top, which no layer and no value has.

        Returns:
            The new layer.
        """
        place = self._layers.index(min(readers, key=lambda layer: layer.index))
        top, moved = Value(name, None), dict.fromkeys(readers)
        top.readers = [reader for reader in value.readers if reader in moved]
        value.readers = [reader for reader in value.readers if reader not in moved]
        for reader in moved:
            reader.bottoms = [top if one is value else one for one in reader.bottoms]
        return self.put_behind(self._layers[place - 1], kind, name, [value], [top])

    def connect(self, layer: Layer, value: Value) -> None:
        """Have a layer read one more value, as its last bottom."""
        layer.bottoms.append(value)
        value.readers.append(layer)

    def rename(self, values: Sequence[Value], name: str) -> None:
        """Give values another name, which no other value has: all that had one name in a row.

        Work in place begins or ends with that, so that `look_at_order_anew` must follow.
        """
        for value in values:
            value.name = name

    def look_at_order_anew(self) -> None:
        """Number all layers in the order in which they stand, once some were added."""
        ordered = merge(self._layers, self.outside, key=lambda layer: layer.index)
        for index, layer in enumerate(list(ordered)):
            layer.index = index
        self._order = {layer: at for at, layer in enumerate((*self._layers, *self.outside))}
        self._values = Counter(top.name for layer in self._layers for top in layer.tops)
        self._values.update(value.name for value in self.inputs)
        self.look_at_memory_anew()

    def look_at_memory_anew(self) -> None:
        """Tell again where values lie, once layers have gone that wrote over some of them.

        The verbs keep up with what lies where. Who finds another value than the one it names is
        told by a look at the whole network only, and may be fewer now.
        """
        from bnfold.graph.memory import Memory

        self.memory = Memory(list(self.layers), self.inputs)

    def check(self) -> None:
        """Prove all links between layers and values: see links.py. Tests do so after each rewrite.

        Raises:
            AssertionError: some link does not hold.
        """
        from bnfold.graph.links import broken_links

        broken = broken_links(self)
        assert not broken, "; ".join(broken)

    def reaches(self, value: Value, readers: Sequence[Layer], without: Sequence[Layer]) -> bool:
        """Whether a value's name still means that value where each of `readers` stands.

        It does not where a layer in between writes the name anew, in place.

        Args:
            value: the value.
            readers: layers behind its producer.
            without: layers that are about to be removed, and so do not count.
        """
        if self._values[value.name] == 1:
            return True
        last = max((reader.index for reader in readers), default=-1)
        gone, named = set(without), [value]
        for one in named:
            for reader in one.readers:
                for top in reader.tops:
                    if top.name == value.name and reader in gone:
                        named.append(top)
                    elif top.name == value.name and reader.index < last:
                        return False
        return True


def _written(fields: Sequence[tuple[str, Any]], line: int) -> Field:
    """The field of a layer that the file does not have, as if it stood on a line of it."""
    text = parse("")
    text.add(text.root, "layer", fields)
    (field,) = parse("\n" * (line - 1) + text.render()).root.all("layer")
    return field


def _read_param(field: Field | None, name: str) -> Any:
    layer: Any = schema.message("LayerParameter").DESCRIPTOR
    kind = layer.fields_by_name[name].message_type.name
    return read_message(field.message(), kind) if field else schema.message(kind)()


def _string(text: Message, name: str) -> str:
    field = text.get(name)
    return field.string() if field else ""


def _blob_names(text: Message, is_v1: bool) -> tuple[str, ...]:
    if is_v1:
        return tuple(field.string() for field in text.all("param") if not _is_message(field))
    return tuple(_string(field.message(), "name") for field in text.all("param"))


def _is_message(field: Field) -> bool:
    return isinstance(field.value, Message)
