"""From a rewritten network to edits of the two files.

A layer is compared with what its text and its record say; only differences become edits.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from bnfold.caffemodel import LayerEdit, NewLayer, schema
from bnfold.graph import Layer, Net, ParamValue
from bnfold.graph.params import is_repeated
from bnfold.prototxt import Document, Field, Ident, Message


def edit_document(net: Net) -> Document:
    """Record on the network's own document what the rewrites changed, and return it."""
    for layer in net.all_layers:
        if layer.behind is not None:
            _add(net.document, layer, layer.behind)
            continue
        if layer.removed:
            net.document.remove(layer.field)
            continue
        for end, values in (("bottom", layer.bottoms), ("top", layer.tops)):
            fields = layer.text.all(end)
            names = [value.name for value in values]
            _respell(net.document, layer.text, fields, [f.string() for f in fields], names)
        _retype(net.document, layer)
        for message in dict.fromkeys(message for message, _ in layer.set_fields):
            _set(net.document, layer, message)
        for name in sorted(layer.cleared):
            for stale in layer.text.all(name):
                net.document.remove(stale)
    for field in net.struck:
        net.document.remove(field)
    return net.document


def _add(document: Document, layer: Layer, after: Field) -> None:
    """Write a layer that the file does not have behind one that it has, unless it is gone."""
    if layer.removed:
        return
    fields: list[tuple[str, Any]] = [("name", layer.name), ("type", layer.type)]
    fields += [("bottom", value.name) for value in layer.bottoms]
    fields += [("top", value.name) for value in layer.tops]
    for message in layer.kind.params:
        param = layer.param(message)
        names = [descriptor.name for descriptor in param.DESCRIPTOR.fields]
        spelt = [(n, value) for n in names for value in _spelt(param, n, _needed(param, n))]
        fields += [(message, spelt)] if spelt else []
    document.add(document.root, "layer", fields, after=after)


def weight_edits(net: Net) -> dict[str, LayerEdit]:
    """What the rewrites changed, for the records of the weights file, by layer name."""
    edits = {}
    for layer in net.all_layers:
        if layer.record is None:
            continue
        edit = LayerEdit(remove=True) if layer.removed else _record_edit(layer)
        if edit != LayerEdit():
            edits[layer.name] = edit
    return edits


def weight_additions(net: Net) -> list[NewLayer]:
    """Records for layers that have numbers now and had none, as a Power that became a Scale."""
    return [
        NewLayer(
            layer.name,
            layer.type,
            tuple(value.name for value in layer.bottoms),
            tuple(value.name for value in layer.tops),
            layer.given_blobs,
        )
        for layer in net.layers
        if layer.record is None and layer.given_blobs is not None
    ]


def _respell(
    document: Document,
    message: Message,
    fields: list[Field],
    old: Sequence[str | int | float],
    new: Sequence[str | int | float],
) -> None:
    """Give repeated fields that say `old` the values `new`, in as few edits as will do.

    Where values only go, their own fields go; else values change in place, from the first on.
    """
    kept = _places(old, new)
    if kept is not None:
        for place in sorted(set(range(len(old))) - set(kept)):
            document.remove(fields[place])
        return
    for field, was, value in zip(fields, old, new, strict=False):
        if was != value:
            document.replace(field, value)
    for field in fields[len(new) :]:
        document.remove(field)
    for value in new[len(old) :]:
        document.add(message, fields[0].name, value, after=fields[-1])


def _places(whole: Sequence[object], part: Sequence[object]) -> list[int] | None:
    """Where in a sequence the items of another stand, in order; None if they do not."""
    places: list[int] = []
    for item in part:
        start = places[-1] + 1 if places else 0
        at = next((i for i in range(start, len(whole)) if whole[i] == item), None)
        if at is None:
            return None
        places.append(at)
    return places


def _retype(document: Document, layer: Layer) -> None:
    kind = layer.text.get("type")
    if layer.type != layer.written_type and kind is not None:
        document.replace(kind, layer.type)


def _set(document: Document, layer: Layer, message: str) -> None:
    """Write the fields of a message that rewrites set; a message that is new is written once.

    A field that equals its default is not written, and no longer stands, unless it said so before.
    """
    holder, now = layer.written(message), layer.param(message)
    names = [name for each, name in layer.set_fields if each == message]
    if holder is None:
        new = [(name, value) for name in names for value in _spelt(now, name, _needed(now, name))]
        if new:
            document.add(layer.text, message, new, after=_place(layer))
        return
    before, text = layer.written_param(message), holder.message()
    for name in names:
        old, values, fields = _values(before, name), _values(now, name), text.all(name)
        if fields and old == values:
            continue
        spelt = _spelt(now, name, _needed(now, name))
        if fields:
            _respell(document, text, fields, _spelt(now, name, old), spelt)
        else:
            for value in spelt:
                document.add(text, name, value, after=_anchor(text))


def _place(layer: Layer) -> Field | None:
    """Where a new parameter message goes: in the place of the one it makes stale, if any."""
    stale = [field for name in sorted(layer.cleared - {"param"}) for field in layer.text.all(name)]
    return stale[-1] if stale else None


def _anchor(message: Message) -> Field | None:
    """The last plain field before any filler, where people write a convolution's engine."""
    plain = None
    for field in message.fields:
        if isinstance(field.value, Message):
            break
        plain = field
    return plain


def _record_edit(layer: Layer) -> LayerEdit:
    tops = tuple(value.name for value in layer.tops)
    bottoms = tuple(value.name for value in layer.bottoms)
    written_tops = tuple(field.string() for field in layer.text.all("top"))
    written_bottoms = tuple(field.string() for field in layer.text.all("bottom"))
    return LayerEdit(
        type=layer.type if layer.type != layer.written_type else None,
        # A fork's own message has no number that could be told; readers pass over what they lack.
        drop=tuple(sorted(layer.cleared & _known_messages())),
        tops=tops if tops != written_tops else None,
        bottoms=bottoms if bottoms != written_bottoms else None,
        blobs=layer.given_blobs,
        params={key: _in_record(layer, *key) for key in layer.set_fields},
    )


@functools.cache
def _known_messages() -> frozenset[str]:
    """The fields that records of layers have in the schema."""
    kinds = ("LayerParameter", "V1LayerParameter")
    return frozenset().union(*(schema.message(kind).DESCRIPTOR.fields_by_name for kind in kinds))


def _in_record(layer: Layer, message: str, name: str) -> ParamValue:
    """What a field is in the layer's record, None where nothing needs to be said."""
    values = _needed(layer.param(message), name)
    if not values:
        return None
    return tuple(values) if _is_repeated(layer.param(message), name) else values[0]


def _needed(message: Any, name: str) -> list[Any]:
    """The values of a field without one that equals its default, as protobuf has them."""
    values = _values(message, name)
    default = None if _is_repeated(message, name) else _descriptor(message, name).default_value
    return [value for value in values if value != default]


def _values(message: Any, name: str) -> list[Any]:
    """The values of a field, none where it is not set, as protobuf has them."""
    value = getattr(message, name)
    if _is_repeated(message, name):
        return list(value)
    return [value] if message.HasField(name) else []


def _spelt(message: Any, name: str, values: list[Any]) -> list[Any]:
    """Values of a field as text has them: enums by name, floats as short as float32 allows."""
    descriptor = _descriptor(message, name)
    if descriptor.enum_type:
        return [Ident(descriptor.enum_type.values_by_number[value].name) for value in values]
    if descriptor.type == descriptor.TYPE_FLOAT:
        return [float(str(np.float32(value))) for value in values]
    return values


def _is_repeated(message: Any, name: str) -> bool:
    return is_repeated(_descriptor(message, name))


def _descriptor(message: Any, name: str) -> Any:
    return message.DESCRIPTOR.fields_by_name[name]
