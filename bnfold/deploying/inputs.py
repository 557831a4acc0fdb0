"""Data layers become inputs, in the form that the file has: Input layers, or `input` fields."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bnfold.aliases import ArrayShape
from bnfold.deploying.changes import Action, Change
from bnfold.deploying.input_shapes import InputShape
from bnfold.deploying.training import Training
from bnfold.graph import Layer, Net
from bnfold.prototxt import Document, Field

_KEPT = frozenset({"name", "type", "top"})


def become_inputs(document: Document, layer: Layer, shapes: Sequence[InputShape]) -> list[Change]:
    """Have a data layer be an input of what is read of it; one that nobody reads goes.

    Args:
        document: where.
        layer: the data layer.
        shapes: those of its tops that are read.
    """
    if not shapes:
        document.remove(layer.field)
        return [Change.of(Action.REMOVED, layer, "nothing that stays reads its data")]
    if layer.is_v1:
        _declare(document, layer, shapes)
    else:
        _retype(document, layer, shapes)
    return [
        Change.of(Action.INPUT, layer, f"'{one.name}' is {words_of(one.shape)}, by {one.told_by}")
        for one in shapes
    ]


def leave_out_labels(document: Document, net: Net, training: Training) -> list[Change]:
    """Take out inputs that only judges read.

    Raises:
        PrototxtError: an input's shape has a bad value.
    """
    changes = []
    for layer in filter(lambda one: one.kind.is_input, net.layers):
        gone = [at for at, top in enumerate(layer.tops) if training.is_judged(top)]
        if not gone:
            continue
        if len(gone) == len(layer.tops):
            document.remove(layer.field)
        else:
            _remove_tops(document, layer, gone)
        names = ", ".join(f"'{layer.tops[at].name}'" for at in gone)
        changes.append(Change.of(Action.REMOVED, layer, f"only judges read {names}"))
    judged = {value.name for value in net.inputs if training.is_judged(value)}
    return changes + _undeclare(document, judged)


def words_of(shape: Iterable[int]) -> str:
    """A shape for people."""
    return "x".join(map(str, shape))


def _retype(document: Document, layer: Layer, shapes: Sequence[InputShape]) -> None:
    """Make an Input layer of a data layer; its parameters go, and the shapes take their place."""
    names = {one.name for one in shapes}
    document.replace(layer.text.all("type")[0], "Input")
    for field in layer.text.all("top"):
        if field.string() not in names:
            document.remove(field)
    stale = [field for field in layer.text.fields if field.name not in _KEPT]
    for field in stale:
        document.remove(field)
    param = [("shape", [("dim", length) for length in one.shape]) for one in shapes]
    document.add(layer.text, "input_param", param, after=_place(layer, stale))


def _place(layer: Layer, stale: Sequence[Field]) -> Field:
    """Where the shapes go: in the place of the last parameter, or behind the last field."""
    return stale[-1] if stale else layer.text.fields[-1]


def _declare(document: Document, layer: Layer, shapes: Sequence[InputShape]) -> None:
    """Make `input` fields of a V1 data layer: V1 has no number for Input layers."""
    root = document.root
    document.remove(layer.field)
    dims = not root.all("input_shape") and all(len(one.shape) == 4 for one in shapes)
    if root.all("input_dim") and not dims:
        raise root.all("input_dim")[0].error(
            "it is for inputs of four axes, and not all are; write the shapes as input_shape"
        )
    for one in shapes:
        document.add(root, "input", one.name, after=_last(root.all("input")) or layer.field)
        if dims:
            place = _last(root.all("input_dim")) or layer.field
            for length in one.shape:
                document.add(root, "input_dim", length, after=place)
        else:
            place = _last(root.all("input_shape")) or layer.field
            shape = [("dim", length) for length in one.shape]
            document.add(root, "input_shape", shape, after=place)


def _last(fields: Sequence[Field]) -> Field | None:
    return fields[-1] if fields else None


def _remove_tops(document: Document, layer: Layer, gone: Sequence[int]) -> None:
    tops = layer.text.all("top")
    holder = layer.text.get("input_param")
    shapes = [] if holder is None else holder.message().all("shape")
    for at in gone:
        document.remove(tops[at])
        # One shape is for all tops.
        if len(shapes) == len(tops) > 1:
            document.remove(shapes[at])


def _undeclare(document: Document, names: set[str]) -> list[Change]:
    """Take `input` fields out, with their shapes."""
    root, changes = document.root, []
    inputs, shapes, dims = root.all("input"), root.all("input_shape"), root.all("input_dim")
    for at, field in enumerate(inputs):
        if field.string() not in names:
            continue
        document.remove(field)
        stale = shapes[at : at + 1] if shapes else dims[4 * at : 4 * at + 4]
        for each in stale:
            document.remove(each)
        name = field.string()
        changes.append(Change(Action.REMOVED, name, "input", field.line, "only judges read it"))
    return changes


def declared_shapes(net: Net) -> dict[str, ArrayShape]:
    """The shapes of the inputs that the file has, by name, as far as it gives them."""
    root = net.document.root
    shapes = [_dims(field) for field in root.all("input_shape")]
    dims = [field.integer() for field in root.all("input_dim")]
    shapes = shapes or [tuple(dims[at : at + 4]) for at in range(0, len(dims) - 3, 4)]
    found = dict(zip((field.string() for field in root.all("input")), shapes, strict=False))
    for layer in net.layers:
        if layer.kind.is_input and layer.kind.shape is not None:
            for top, shape in zip(layer.tops, layer.kind.shape(layer, ()), strict=False):
                if shape is not None:
                    found[top.name] = tuple(length or 0 for length in shape)
    return found


def _dims(field: Field) -> ArrayShape:
    return tuple(dim.integer() for dim in field.message().all("dim"))
