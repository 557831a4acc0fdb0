"""From a rewritten network to edits of the two files.

A layer is compared with what its text and its record say; only differences become edits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bnfold.caffemodel import LayerEdit, NewLayer, schema
from bnfold.graph import Layer, Net, ParamValue
from bnfold.prototxt import Document, Field, Ident, Message


def edit_document(net: Net) -> Document:
    """Record on the network's own document what the rewrites changed, and return it."""
    for layer in net.all_layers:
        if layer.removed:
            net.document.remove(layer.field)
            continue
        for end, values in (("bottom", layer.bottoms), ("top", layer.tops)):
            fields = layer.text.all(end)
            names = [value.name for value in values]
            _respell(net.document, layer.text, fields, [f.string() for f in fields], names)
        _retype(net.document, layer)
        for (message, field), value in layer.settings.items():
            _set(net.document, layer, message, field, value)
        for name in sorted(layer.cleared):
            for stale in layer.text.all(name):
                net.document.remove(stale)
    return net.document


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
            layer.new_type or layer.type,
            tuple(value.name for value in layer.bottoms),
            tuple(value.name for value in layer.tops),
            layer.blobs,
        )
        for layer in net.layers
        if layer.record is None and layer.blobs is not None
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
    if layer.new_type is not None and kind is not None:
        document.replace(kind, layer.new_type)


def _set(document: Document, layer: Layer, message: str, name: str, value: ParamValue) -> None:
    """Set a parameter; one that equals its default is not written, and no longer stands."""
    holder = layer.text.get(message)
    if isinstance(value, tuple):
        _set_repeated(document, layer, message, name, value)
        return
    if value is None:
        for stale in holder.message().all(name) if holder else []:
            document.remove(stale)
        return
    text = Ident(value) if isinstance(value, str) and _is_enum(message, name) else value
    default = _is_default(message, name, value)
    if holder is None:
        if not default:
            document.add(layer.text, message, [(name, text)], after=_place(layer))
        return
    written = holder.message().get(name)
    if written is None:
        if not default:
            document.add(holder.message(), name, text, after=_anchor(holder.message()))
    elif getattr(layer.param(message), name) == _number(message, name, value):
        pass  # It says so already.
    elif default:
        document.remove(written)
    else:
        document.replace(written, text)


def _set_repeated(
    document: Document, layer: Layer, message: str, name: str, values: tuple[int | float, ...]
) -> None:
    holder = layer.text.get(message)
    assert holder is not None
    fields = holder.message().all(name)
    if fields:
        old = tuple(getattr(layer.param(message), name))
        _respell(document, holder.message(), fields, old, values)
        return
    for value in values:
        document.add(holder.message(), name, value, after=_anchor(holder.message()))


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
        type=layer.new_type,
        drop=tuple(sorted(layer.cleared)),
        tops=tops if tops != written_tops else None,
        bottoms=bottoms if bottoms != written_bottoms else None,
        blobs=layer.blobs,
        params={key: _stored(*key, value) for key, value in layer.settings.items()},
    )


def _stored(message: str, name: str, value: ParamValue) -> ParamValue | None:
    if value is None or _is_default(message, name, value):
        return None
    return _number(message, name, value)


def _number(message: str, name: str, value: ParamValue) -> ParamValue:
    """The value as protobuf has it: an enum's number for its name."""
    enum = _descriptor(message, name).enum_type
    return int(enum.values_by_name[value].number) if enum else value


def _is_default(message: str, name: str, value: ParamValue) -> bool:
    if isinstance(value, tuple):
        return not value
    descriptor = _descriptor(message, name)
    default = descriptor.default_value
    if descriptor.enum_type:
        return bool(descriptor.enum_type.values_by_number[default].name == value)
    return bool(default == value)


def _is_enum(message: str, name: str) -> bool:
    return _descriptor(message, name).enum_type is not None


def _descriptor(message: str, name: str) -> Any:
    layer: Any = schema.message("LayerParameter").DESCRIPTOR
    return layer.fields_by_name[message].message_type.fields_by_name[name]
