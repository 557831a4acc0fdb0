"""A network as one of two that are compared: without what changes nothing, and who reads what."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from bnfold.errors import BnfoldError
from bnfold.fold import MergeOptions, Plan
from bnfold.fold.driver import context_of
from bnfold.fold.rewrite import Context
from bnfold.fold.tidy import is_nothing
from bnfold.graph import AffineForm, Ending, Layer, Net, Value, infer_shapes, is_judge, loss_weight
from bnfold.merging.naming import naming
from bnfold.merging.onto.said import Said, said


def is_source(layer: Layer) -> bool:
    """Whether a layer stands for what the network is given."""
    return not layer.bottoms and layer.kind.is_constant is None


def serves_training(layer: Layer) -> bool:
    """Whether a layer only says how good the network is, or keeps a value from being printed."""
    swallows = layer.kind.ending is Ending.NOTHING
    return swallows or is_judge(layer) or loss_weight(layer) != 0


def scores_of(layer: Layer) -> str:
    """The type of the scores that a layer makes at an end, as one of its own or inside a loss."""
    if layer.kind.scores:
        return layer.kind.scores
    return layer.type if all(top.is_output for top in layer.tops) else ""


@dataclass
class Side:
    """One of two networks side by side.

    Attributes:
        net: the network.
        path: its prototxt.
        layers: the layers that compute something, in the order in which they run.
        sources: what it is given, by name.
        outputs: what it gives out, by name.
        said: what each of the layers says.
    """

    net: Net
    path: Path
    layers: list[Layer]
    sources: dict[str, Value]
    outputs: dict[str, Value]
    said: dict[Layer, Said]
    _nothing: set[Layer]
    _through: dict[Value, Value] = field(default_factory=dict)

    @classmethod
    def of(cls, net: Net, path: Path, options: MergeOptions) -> Side:
        """Look at a network as it is now.

        Raises:
            BnfoldError: a parameter has a bad value, or a value is overwritten before it is read.
        """
        with naming(path):
            _check_memory(net)
            shapes = infer_shapes(net)
            types = {layer.type for layer in (*net.layers, *net.outside)}
            known = {one: to for one, to in options.treat_as.items() if one in types}
            context = context_of(net, Plan(), replace(options, treat_as=known), shapes)
            nothing = {layer for layer in net.layers if _changes_nothing(context, layer)}
            layers = [one for one in net.layers if one not in nothing and not is_source(one)]
            read = {one: shapes.get(one.bottoms[0]) if one.bottoms else None for one in layers}
            words = {layer: said(layer, read[layer], options.phase) for layer in layers}
        given = [top for layer in net.layers if is_source(layer) for top in layer.tops]
        sources = {value.name: value for value in (*net.inputs, *given)}
        made = [top for layer in net.layers if not is_source(layer) for top in layer.tops]
        outputs = {value.name: value for value in made if value.is_output}
        return cls(net, path, layers, sources, outputs, words, nothing)

    def through(self, value: Value) -> Value:
        """The value that this one is: what is above the layers that change nothing."""
        passed = []
        while value not in self._through:
            producer = value.producer
            if producer not in self._nothing:
                self._through[value] = value
                break
            passed.append(value)
            value = producer.bottoms[0]
        found = self._through[value]
        self._through.update((one, found) for one in passed)
        return found

    def reads(self, layer: Layer) -> tuple[Value, ...]:
        """The values that a layer reads, above what changes nothing."""
        return tuple(map(self.through, layer.bottoms))

    def is_nothing(self, layer: Layer) -> bool:
        """Whether a layer hands on what it reads."""
        return layer in self._nothing

    def readers(self, value: Value) -> list[Layer]:
        """The layers that read a value, or what is handed on of it, and compute something."""
        found, values = [], [value]
        for one in values:
            for reader in one.readers:
                if reader in self._nothing:
                    values.extend(reader.tops)
                else:
                    found.append(reader)
        return found


def commutes(what: Said) -> bool:
    """Whether the order of a layer's bottoms does not matter: a sum, product or maximum of them.

    With coefficients each belongs to its bottom.
    """
    names = {name for name, _ in what.params}
    return what.type == "Eltwise" and "coeff" not in names


def _changes_nothing(context: Context, layer: Layer) -> bool:
    if context.untrusted(layer):
        return False
    if layer.kind.affine is AffineForm.POWER and len(layer.bottoms) == 1:
        param = layer.param("power_param")
        return bool((param.power, param.scale, param.shift) == (1, 1, 0))
    return is_nothing(context, layer)


def _check_memory(net: Net) -> None:
    values = [*net.inputs, *(top for layer in net.layers for top in layer.tops)]
    for value in values:
        wrong = net.memory.mistaken(value)
        if wrong is not None:
            who = str(wrong.reader) if wrong.reader else "who reads the outputs"
            raise BnfoldError(
                f"{who} finds '{wrong.found.name}' in the memory where '{wrong.named.name}' was, "
                "since a layer works in place; give that layer a top of its own"
            )
