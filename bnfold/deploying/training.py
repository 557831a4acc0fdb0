"""What of a network is there for training and testing alone: data layers, judges, what feeds those.

A label is told by what is known of its data layer's type. Where that does not tell (HDF5Data,
Python, inputs of any name), a blob counts as one if nothing but judges reads it, through whatever
layers without weights.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field

from bnfold.graph import Ending, Layer, Net, Value, is_judge, loss_weight


@dataclass
class Training:
    """The parts of a network that deployment does without.

    Attributes:
        sources: the layers that read data, in file order.
        judging: the layers that compare scores with labels, or only serve those that do.
    """

    sources: list[Layer]
    judging: set[Layer] = field(default_factory=set)

    def stays(self, layer: Layer) -> bool:
        """Whether a layer is part of the network that is used."""
        return layer not in self.judging

    def is_read(self, value: Value) -> bool:
        """Whether anything that stays reads a value."""
        return any(map(self.stays, value.readers))

    def is_judged(self, value: Value) -> bool:
        """Whether a value was read, and by nothing that stays."""
        return bool(value.readers) and not self.is_read(value)


def find_training(net: Net, asked: Container[str]) -> Training:
    """Find the data layers of a network, and what judges its scores.

    Args:
        net: the network.
        asked: blobs that the user wants as inputs, which are no labels then.

    Raises:
        PrototxtError: a parameter that is looked at has a bad value.
    """
    training = Training(_sources(net, asked))
    sure, likely = _labels(net, training, asked)
    for layer in reversed(list(net.layers)):
        if layer.bottoms and _judges(layer, training, sure, likely):
            training.judging.add(layer)
    return training


def data_layers(net: Net, asked: Container[str]) -> list[Layer]:
    """The layers that read data: all that have no bottoms, but inputs and what gives constants.

    Args:
        net: the network.
        asked: blobs that the user wants as inputs, whoever makes them.

    Raises:
        PrototxtError: a parameter that is looked at has a bad value.
    """
    return [
        layer
        for layer in _providers(net)
        if not _is_constant(layer) or any(top.name in asked for top in layer.tops)
    ]


def _sources(net: Net, asked: Container[str]) -> list[Layer]:
    """The data layers; constants are data where nothing else feeds the network."""
    found = data_layers(net, asked)
    if found or net.inputs or any(layer.kind.is_input for layer in net.layers):
        return found
    return [layer for layer in _providers(net) if layer.kind.name != "Parameter"]


def _providers(net: Net) -> list[Layer]:
    """Layers that provide what others read, but are no inputs.

    Of a type that is known to need bottoms, a layer without any is only malformed.
    """
    layers = (layer for layer in net.layers if layer.tops and not layer.bottoms)
    kinds = ((layer, layer.kind) for layer in layers)
    return [
        layer for layer, kind in kinds if not kind.is_input and (kind.is_data or not kind.is_known)
    ]


def _is_constant(layer: Layer) -> bool:
    return layer.kind.is_constant is not None and layer.kind.is_constant(layer)


def _labels(net: Net, training: Training, asked: Container[str]) -> tuple[set[Value], set[Value]]:
    """The values that surely are made of labels alone, and those that may be."""
    sure: set[Value] = set()
    likely = {value for value in net.inputs if value.name not in asked}
    sources = set(training.sources)
    for layer in net.layers:
        tops = [top for top in layer.tops if top.name not in asked]
        if layer in sources or layer.kind.is_input:
            label = layer.kind.label
            if label is None:
                likely.update(tops)
            else:
                sure.update(top for top in layer.tops[label : label + 1] if top in tops)
        elif _is_loss(layer):
            # A loss may give out its scores, too, which become a top of the network.
            sure.update(tops[:1] if layer.kind.scores else tops)
        elif layer.bottoms and not _has_weights(layer):
            if sure.issuperset(layer.bottoms):
                sure.update(tops)
            elif (sure | likely).issuperset(layer.bottoms):
                likely.update(tops)
    return sure, likely


def _judges(layer: Layer, training: Training, sure: set[Value], likely: set[Value]) -> bool:
    if _is_loss(layer):
        return True
    if _has_weights(layer):
        return False
    readers = [reader for top in layer.tops for reader in top.readers]
    if any(map(training.stays, readers)):
        return False
    if not sure.isdisjoint(layer.bottoms):
        return True
    if not readers or likely.isdisjoint(layer.bottoms):
        return False
    # What is known to compute something else than a judgement may be the network's last layer.
    return likely.issuperset(layer.bottoms) or not layer.kind.is_understood


def _is_loss(layer: Layer) -> bool:
    if is_judge(layer) or layer.kind.ending is Ending.NOTHING:
        return True
    return loss_weight(layer) != 0 and not _has_weights(layer)


def _has_weights(layer: Layer) -> bool:
    kind = layer.kind
    known = kind.layout is not None or kind.is_affine or kind.has_slopes
    return known or bool(layer.blobs) or bool(layer.text.all("param"))
