"""The shape of every value, from the prototxt alone."""

from __future__ import annotations

from collections.abc import Mapping

from bnfold.graph.axes import Shape
from bnfold.graph.net import Layer, Net, Value
from bnfold.graph.params import read_message
from bnfold.graph.shape_rules import BY_TOP, RULES, Shapes
from bnfold.graph.source_rules import SOURCES
from bnfold.graph.trust import FUSED, foreign_fields, window_fields
from bnfold.prototxt import PrototxtError


def infer_shapes(net: Net, treat_as: Mapping[str, str] | None = None) -> dict[Value, Shape | None]:
    """Infer the shape that each value has when Caffe loads the network as it is written.

    Stored weights are asked for one thing only: how many axes a convolution has where nothing
    else says so. The first axis, the batch, is what the file says, like every other length.

    Args:
        net: the network, as it is after the rewrites so far.
        treat_as: for layer types that Caffe has under another name, that name.

    Returns:
        For every value that is an input or that a layer writes: the lengths of its axes, None
        for a length that the file does not tell; None in place of the shape where even the
        number of axes is unknown. So it is behind a layer of unknown type, until a layer that
        says more (an Eltwise with a known branch, a Convolution with `kernel_h`), where fields
        of a fork may mean anything (trust.py), and where parameters are such that Caffe would
        refuse them. Nothing is raised: a shape is for
        reports and for what may be skipped, and parameters are checked where they are used.
    """
    shapes: dict[Value, Shape | None] = {}
    known: dict[Shape, Shape] = {}
    shapes.update(zip(net.inputs, _declared(net), strict=True))
    for layer in net.layers:
        bottoms = [shapes.get(value) for value in layer.bottoms]
        tops = _tops(kind_of(layer, treat_as), layer, bottoms)
        tops += [None] * (len(layer.tops) - len(tops))
        for top, shape in zip(layer.tops, map(_sane, tops), strict=False):
            # Most layers keep the shape of what they read: one object for each shape will do.
            shapes[top] = shape and known.setdefault(shape, shape)
    return shapes


def kind_of(layer: Layer, treat_as: Mapping[str, str] | None = None) -> str:
    """Return the type that decides what a layer does, as it is after the rewrites so far."""
    kind = layer.new_type or layer.type
    return (treat_as or {}).get(kind, kind)


def _declared(net: Net) -> list[Shape | None]:
    """The shapes beside the legacy `input:` fields.

    `input_shape` wins over `input_dim`, four numbers for each input. Source: BVLC caffe,
    src/caffe/util/upgrade_proto.cpp, `UpgradeNetInput`.
    """
    root = net.document.root
    found: list[Shape | None] = []
    try:
        if root.all("input_shape"):
            messages = [field.message() for field in root.all("input_shape")]
            found += [tuple(read_message(text, "BlobShape").dim) for text in messages]
        else:
            dims = [field.integer() for field in root.all("input_dim")]
            found += [tuple(dims[i : i + 4]) for i in range(0, len(dims) - 3, 4)]
    except PrototxtError:
        pass  # Whoever loads the network will be told.
    found += [None] * len(net.inputs)
    return [None if shape is None else _sane(shape) for shape in found[: len(net.inputs)]]


def _tops(kind: str, layer: Layer, bottoms: Shapes) -> list[Shape | None]:
    try:
        if kind in SOURCES and not bottoms:
            return SOURCES[kind](layer)
        if not FUSED.issuperset(foreign_fields(layer, kind)):
            return []
        if kind in BY_TOP and bottoms:
            return BY_TOP[kind](layer, bottoms)
        if kind in RULES and bottoms:
            shape = RULES[kind](layer, bottoms)
            if shape is not None and window_fields(layer, kind):
                shape = (*shape[:2], *(None,) * len(shape[2:]))
            return [shape] * len(layer.tops)
    except PrototxtError:
        pass  # A fork may read a field in its own way: a `kernel_size` for each axis of a pooling.
    return []


def _sane(shape: Shape | None) -> Shape | None:
    """A length below zero, from parameters that Caffe would refuse, is unknown."""
    return shape and tuple(n if n is not None and n >= 0 else None for n in shape)
