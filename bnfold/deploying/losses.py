"""Losses become the scores that they compare, and whatever else judges goes."""

from __future__ import annotations

from collections.abc import Iterator

from bnfold.deploying.changes import Action, Change
from bnfold.deploying.training import Training
from bnfold.graph import Layer, Net, Value, is_judge, loss_weight
from bnfold.graph.v1 import v1_word
from bnfold.prototxt import Document, Ident

PROB = "prob"
"""What Caffe's own deploy files call the scores."""

_OF_TRAINING = ("loss_weight", "loss_param", "propagate_down", "include", "exclude", "phase")


def leave_out_judges(document: Document, net: Net, training: Training) -> list[Change]:
    """Take out what judges, but for losses that make scores, which are made still.

    A loss that makes scores becomes a layer that makes them: "Softmax" with the top `prob`, say. Of
    several the one with the largest weight gets that name, the last of those that are alike; the
    others are called after what they read. Where the scores are there already, it only goes.
    """
    making = _making(net, training)
    names = _Names(net, training)
    main = max(making, key=lambda layer: (_weight(layer), layer.index), default=None)
    tops = {} if main is None else {main: names.top(main, PROB)}
    scored = {layer.bottoms[0] for layer in making}
    changes = []
    for layer in net.layers:
        if training.stays(layer):
            continue
        if layer in making:
            top = tops.get(layer) or names.top(layer, f"{layer.bottoms[0].name}_{PROB}")
            changes.append(_become(document, layer, top, names.layer(layer, top)))
        else:
            document.remove(layer.field)
            changes.append(Change.of(Action.REMOVED, layer, _why(layer, training, scored)))
    return changes


class _Names:
    """Names that are not taken yet, of blobs and of layers."""

    def __init__(self, net: Net, training: Training) -> None:
        staying = [layer for layer in net.layers if training.stays(layer)]
        self._tops = {top.name for layer in staying for top in layer.tops}
        self._tops |= {value.name for value in net.inputs}
        self._layers = {layer.name for layer in staying}

    def top(self, layer: Layer, wanted: str) -> str:
        """A name for the scores of a loss; one that gives them out already keeps its own."""
        if len(layer.tops) > 1:
            name = layer.tops[1].name
        else:
            name = next(name for name in _numbered(wanted) if name not in self._tops)
        self._tops.add(name)
        return name

    def layer(self, layer: Layer, wanted: str) -> str:
        """A name for the layer that makes them: that of its top, or the loss's own."""
        name = layer.name if wanted in self._layers else wanted
        self._layers.add(name)
        return name


def _numbered(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name}{number}"
        number += 1


def _making(net: Net, training: Training) -> list[Layer]:
    """The losses that make scores which nothing else makes."""
    making: list[Layer] = []
    for layer in net.layers:
        alike = [one for one in making if one.bottoms[:1] == layer.bottoms[:1]]
        made = any(_key(one) == _key(layer) for one in alike)
        if not made and not training.stays(layer) and _makes(layer, training):
            making.append(layer)
    return making


def _makes(layer: Layer, training: Training) -> bool:
    """Whether a loss makes scores, of a value that stays, which nothing that stays makes."""
    if not layer.kind.scores or not layer.bottoms:
        return False
    value = layer.bottoms[0]
    if value.producer is not None and not training.stays(value.producer):
        return False
    stay = filter(training.stays, value.readers)
    return not any((reader.kind.name, _axis(reader)) == _key(layer) for reader in stay)


def _key(loss: Layer) -> tuple[str, int]:
    """What scores a loss makes: the type of the layer that makes them, and along which axis."""
    return loss.kind.scores, _axis(loss)


def _axis(layer: Layer) -> int:
    return int(layer.param("softmax_param").axis)


def _weight(layer: Layer) -> float:
    """Caffe gives a loss without a weight the weight 1 (include/caffe/layers/loss_layer.hpp)."""
    return loss_weight(layer) if layer.text.all("loss_weight") else 1.0


def _become(document: Document, layer: Layer, top: str, name: str) -> Change:
    kind = layer.kind.scores
    word = v1_word(kind) if layer.is_v1 else None
    document.replace(layer.text.all("type")[0], Ident(word) if word else kind)
    named = layer.text.get("name")
    if named is not None and name != layer.name:
        document.replace(named, name)
    for field in (*layer.text.all("bottom")[1:], *layer.text.all("top")[1:]):
        document.remove(field)
    tops = layer.text.all("top")
    if not tops:
        document.add(layer.text, "top", top, after=layer.text.all("bottom")[0])
    elif tops[0].string() != top:
        document.replace(tops[0], top)
    for word in _OF_TRAINING:
        for field in layer.text.all(word):
            document.remove(field)
    text = f"a {kind} of '{layer.bottoms[0].name}' now, with the top '{top}'"
    return Change.of(Action.SCORES, layer, text)


def _why(layer: Layer, training: Training, scored: set[Value]) -> str:
    """Why a judge goes, and which values nobody reads then."""
    outputs = [
        value.name for value in layer.bottoms if value not in scored and _ends(value, training)
    ]
    verb = "is" if len(outputs) == 1 else "are"
    tail = f"; {_quoted(outputs)} {verb} given out" if outputs else ""
    judges = is_judge(layer) or loss_weight(layer) != 0
    return f"it only {'judges' if judges else 'serves judges'}{tail}"


def _ends(value: Value, training: Training) -> bool:
    """Whether a value of a layer that stays is read by nobody who does."""
    producer = value.producer
    stays = producer is not None and training.stays(producer) and producer not in training.sources
    return stays and not training.is_read(value)


def _quoted(names: list[str]) -> str:
    return " and ".join(f"'{name}'" for name in dict.fromkeys(names))
