"""A training definition as an engine can run it beside the file that its weights were put onto.

An engine has neither the data that the definition reads nor the labels that its losses want. So the
copy that is run has inputs of the given file's shapes in place of data layers, has not what served
training, and has the first half of a loss as a layer of its own where the given file has one.
"""

from __future__ import annotations

from pathlib import Path

from bnfold.graph import Layer, Net, Phase, Shape, build, infer_shapes
from bnfold.merging.onto.side import is_source
from bnfold.merging.report import Onto
from bnfold.prototxt import Document, Ident, load
from bnfold.prototxt.style import Value


def write_runnable(model: Path, onto: Onto, copy: Path) -> None:
    """Write a definition as an engine can run it.

    Args:
        model: the definition.
        onto: what was found of the given file.
        copy: where to write it.

    Raises:
        OSError: it cannot be written.
    """
    document = load(model)
    net = build(document, Phase.TEST, alone=True)
    given = build(load(onto.model), Phase.TEST, alone=True)
    left_out = _left_out(net, onto)
    for layer in left_out:
        document.remove(layer.field)
    for name in ("input", "input_shape", "input_dim"):
        for field in document.root.all(name):
            document.remove(field)
    shapes = {value.name: shape for value, shape in infer_shapes(given).items()}
    for name, theirs in onto.inputs.items():
        _add_input(document, name, shapes.get(theirs))
    layers = {layer.name: layer for layer in net.layers}
    ends = {layer.name: layer for layer in given.layers if layer.name in onto.ends}
    for name, loss in onto.ends.items():
        _add_end(document, net.is_v1, ends[name], layers[loss])
    copy.write_bytes(document.to_bytes())


def _left_out(net: Net, onto: Onto) -> list[Layer]:
    """What is given in another way, what served training, and what reads something of that."""
    found, there = [], set(onto.inputs)
    for layer in net.layers:
        reads = {value.name for value in layer.bottoms}
        if is_source(layer) or layer.name in onto.left_out or not reads <= there:
            found.append(layer)
        else:
            there.update(value.name for value in layer.tops)
    return found


def _add_input(document: Document, name: str, shape: Shape | None) -> None:
    document.add(document.root, "input", name)
    if shape is not None and None not in shape:
        dims = [("dim", length) for length in shape if length is not None]
        document.add(document.root, "input_shape", dims)


def _add_end(document: Document, is_v1: bool, end: Layer, loss: Layer) -> None:
    kind = Ident(end.type.upper()) if is_v1 else end.type
    fields: list[tuple[str, Value]] = [("name", end.name), ("type", kind)]
    fields += [("bottom", loss.bottoms[0].name), ("top", end.tops[0].name)]
    if end.type == "Softmax":
        fields.append(("softmax_param", [("axis", end.param("softmax_param").axis)]))
    document.add(document.root, "layers" if is_v1 else "layer", fields)
