"""From a prototxt (and a weights file) to a `Net`."""

from __future__ import annotations

from collections.abc import Mapping

from bnfold.caffemodel import Weights
from bnfold.graph.layer_types import record_of
from bnfold.graph.memory import Memory
from bnfold.graph.net import Layer, Net, Value
from bnfold.graph.phase import Phase, State
from bnfold.graph.v1 import modern_type
from bnfold.prototxt import Document, Field, PrototxtError


class NotProducedError(PrototxtError):
    """A layer reads what no layer above it produces; one that does not run in the phase would."""

    def but(self, advice: str) -> PrototxtError:
        """The same error with other advice."""
        fact = self.reason.rpartition("; ")[0]
        return PrototxtError(self.path, self.line, self.column, f"{fact}; {advice}")


def build(
    document: Document,
    phase: Phase = Phase.TEST,
    weights: Weights | None = None,
    treat_as: Mapping[str, str] | None = None,
    *,
    alone: bool = False,
) -> Net:
    """Read the network that a prototxt describes, as it runs in a phase.

    Args:
        document: the prototxt.
        phase: the phase to run it in; layers outside of it are kept apart.
        weights: the weights file; records are matched to layers by name, as Caffe does.
        treat_as: for layer types that Caffe has under another name, that name.
        alone: leave out the layers outside of the phase, for whom nothing then needs to stay as it
            is: the file is read for this phase only, and will not be written.

    Raises:
        PrototxtError: a layer or rule is malformed, two layers of the phase have one name,
            a bottom is produced by nobody (or only later), or a top by two layers.
        NotProducedError: a bottom is produced outside of the phase only.
    """
    state = State.of(document.root, phase)
    return _Builder(document, state, weights, treat_as or {}, alone).net()


def layer_fields(document: Document) -> list[Field]:
    """The layers of a file, of every phase.

    Raises:
        PrototxtError: it has none, or layers of both kinds.
    """
    modern, old = document.root.all("layer"), document.root.all("layers")
    if modern and old:
        raise document.error(
            old[0],
            "the file has both `layer` and `layers` (V1) blocks, and Caffe would ignore one "
            "kind; keep one",
        )
    if not modern and not old:
        raise document.error(
            document.root, "no `layer { ... }` in the file; is it a network definition?"
        )
    return modern or old


def type_of(document: Document, field: Field) -> str:
    """Caffe's current name of the type of a layer of a file; a fork's own word stays as it is.

    Raises:
        PrototxtError: it has none, or is a layer of before V1.
    """
    text = field.message()
    if text.all("layer"):
        raise document.error(
            field, "a V0 network (`layers { layer { ... } }`); upgrade it with Caffe's tools"
        )
    kind = text.get("type")
    if kind is None:
        raise document.error(field, 'the layer has no type; add `type: "..."`')
    return modern_type(kind) if field.name == "layers" else kind.string()


class _Builder:
    def __init__(
        self,
        document: Document,
        state: State,
        weights: Weights | None,
        treat_as: Mapping[str, str],
        alone: bool,
    ) -> None:
        self.document = document
        self.state = state
        self.weights = weights
        self.treat_as = treat_as
        self.alone = alone
        self.live: dict[str, Value] = {}
        self.layers: list[Layer] = []
        self.outside: list[Layer] = []
        self.names: dict[str, Layer] = {}

    def net(self) -> Net:
        inputs = self._declared_inputs()
        for index, field in enumerate(layer_fields(self.document)):
            layer = self._read(index, field)
            if self._runs(layer):
                self._add(layer)
            elif not self.alone:
                self._add_outside(layer)
        memory = Memory(self.layers, inputs)
        return Net(self.document, self.layers, self.outside, inputs, self.weights, memory)

    def _declared_inputs(self) -> list[Value]:
        """The legacy `input:` fields.

        Caffe makes them a layer only where a shape stands beside them; without one, a layer
        that produces the name takes its place (BVLC caffe, util/upgrade_proto.cpp,
        `UpgradeNetInput`).
        """
        root = self.document.root
        produced: set[str] = set()
        if not root.all("input_shape") and not root.all("input_dim"):
            for field in layer_fields(self.document):
                produced.update(top.string() for top in field.message().all("top"))
        values = []
        for field in root.all("input"):
            name = field.string()
            if name in self.live:
                raise self.document.error(field, self._produced_twice(name))
            if name not in produced:
                self.live[name] = Value(name, None)
                values.append(self.live[name])
        return values

    def _read(self, index: int, field: Field) -> Layer:
        name = type_of(self.document, field)
        return Layer(index, field, name, record_of(self.treat_as.get(name, name)))

    def _runs(self, layer: Layer) -> bool:
        if layer.text.all("include") and layer.text.all("exclude"):
            raise self.document.error(
                layer.field, f"{layer} has include and exclude rules; Caffe takes one kind"
            )
        return self.state.runs(layer.text)

    def _add(self, layer: Layer) -> None:
        first = self.names.setdefault(layer.name, layer)
        if first is not layer and layer.name:
            raise self.document.error(
                layer.field,
                f"two layers are named '{layer.name}' (the first on line {first.line}), and "
                "weights are matched by name; rename one",
            )
        for field in layer.text.all("bottom"):
            value = self.live.get(field.string())
            if value is None:
                raise self._nobody(layer, field)
            value.readers.append(layer)
            layer.bottoms.append(value)
        names: set[str] = set()
        for index, field in enumerate(layer.text.all("top")):
            name = field.string()
            # A top is in place if it is the bottom of the same index, not any bottom.
            in_place = [value.name for value in layer.bottoms[index : index + 1]] == [name]
            if name in names:
                raise self.document.error(field, f"{layer} has two tops named '{name}'; rename one")
            if name in self.live and not in_place:
                raise self.document.error(field, self._produced_twice(name))
            layer.tops.append(Value(name, layer))
            names.add(name)
        self.live.update((value.name, value) for value in layer.tops)
        # Of layers without a name Caffe gives a record without one to the first.
        if self.weights is not None and first is layer:
            layer.record = self.weights.get(layer.name)
        self.layers.append(layer)

    def _add_outside(self, layer: Layer) -> None:
        for field in layer.text.all("bottom"):
            value = self.live.get(field.string())
            while value is not None:
                value.outside_readers.append(layer)
                value = _underneath(value)
        self.outside.append(layer)

    def _nobody(self, layer: Layer, bottom: Field) -> PrototxtError:
        name = bottom.string()
        for field in layer_fields(self.document)[layer.index + 1 :]:
            if any(top.string() == name for top in field.message().all("top")):
                return self.document.error(
                    bottom,
                    f"{layer} reads '{name}', which is produced only later, on line {field.line}; "
                    "layers run in file order, so move that layer up",
                )
        reads = (
            f"{layer} reads '{name}', which no layer above it produces in phase "
            f"{self.state.phase.value}"
        )
        for other in self.outside:
            if any(top.string() == name for top in other.text.all("top")):
                place = self.document.path, bottom.line, bottom.column
                why = (
                    f"{reads}: {other} on line {other.line} would, and does not run in it; of a "
                    "training definition `bnfold deploy` makes a deploy definition"
                )
                return NotProducedError(*place, why)
        return self.document.error(bottom, f"{reads}; check the spelling of the bottom")

    def _produced_twice(self, name: str) -> str:
        producer = self.live[name].producer
        by = f"by {producer} on line {producer.line}" if producer else "as an input of the network"
        return f"top '{name}' is already produced {by}; two layers cannot write it unless in place"


def _underneath(value: Value) -> Value | None:
    """What is under a value's name where the in-place layer that makes it does not run.

    A layer outside the phase may read that, if the in-place layer has rules of its own.
    """
    layer = value.producer
    if layer is None or not (layer.text.all("include") or layer.text.all("exclude")):
        return None
    return next((bottom for bottom in layer.bottoms if bottom.name == value.name), None)
