"""The shape of every value, from the prototxt alone."""

from __future__ import annotations

from bnfold.graph.axes import Shape
from bnfold.graph.layer_type import Shapes
from bnfold.graph.net import Layer, Net, Value
from bnfold.graph.params import read_message
from bnfold.graph.trust import FUSED, foreign_fields, window_fields
from bnfold.prototxt import PrototxtError


def infer_shapes(net: Net, *, any_batch: bool = False) -> dict[Value, Shape | None]:
    """Infer the shape that each value has when Caffe loads the network as it is written.

    Stored weights are asked for one thing only: how many axes a convolution has where nothing
    else says so. The first axis, the batch, is what the file says, like every other length.

    Args:
        net: the network, as it is after the rewrites so far.
        any_batch: leave open how long the first axis of each input is; what is told then holds
            for every batch.

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
    declared = [_of_any_batch(shape) if any_batch else shape for shape in _declared(net)]
    shapes.update(zip(net.inputs, declared, strict=True))
    for layer in net.layers:
        bottoms = [shapes.get(value) for value in layer.bottoms]
        tops = _tops(layer, bottoms)
        if any_batch and layer.kind.is_input:
            tops = [_of_any_batch(shape) for shape in tops]
        tops += [None] * (len(layer.tops) - len(tops))
        for top, shape in zip(layer.tops, map(_sane, tops), strict=False):
            # Most layers keep the shape of what they read: one object for each shape will do.
            shapes[top] = shape and known.setdefault(shape, shape)
    return shapes


def _of_any_batch(shape: Shape | None) -> Shape | None:
    return shape and (None, *shape[1:])


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


def _tops(layer: Layer, bottoms: Shapes) -> list[Shape | None]:
    kind = layer.kind
    if kind.shape is None or kind.is_data == bool(bottoms):
        return []
    try:
        if not FUSED.issuperset(foreign_fields(layer)):
            return []
        found = kind.shape(layer, bottoms)
        if window_fields(layer):
            found = [shape and (*shape[:2], *(None,) * len(shape[2:])) for shape in found]
    except PrototxtError:
        # A fork may read a field in its own way: a `kernel_size` for each axis of a pooling.
        return []
    return found


def _sane(shape: Shape | None) -> Shape | None:
    """A length below zero, from parameters that Caffe would refuse, is unknown."""
    return shape and tuple(n if n is not None and n >= 0 else None for n in shape)
