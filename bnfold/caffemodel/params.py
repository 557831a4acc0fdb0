"""Changing single fields in what a record says about its layer, as convolution_param.

The message is edited on the wire, not parsed and written back: fields that a fork added, and the
order and spelling of the others, stay. Only the new field is put into bytes by protobuf, which
knows its type.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import fields as f
from . import schema
from .edits import ParamValue
from .errors import problem
from .file import WeightsFile
from .pieces import Copy, Pieces, size_of
from .records import DAMAGED, BinaryRecord
from .wire import BYTES, Field, WireError, bytes_head, walk


def edit_params(
    file: WeightsFile, record: BinaryRecord, params: Mapping[tuple[str, str], ParamValue]
) -> dict[int, Pieces]:
    """Return what replaces fields of `record`, by the byte where each begins.

    Messages that the record does not carry are passed over. Raises CaffemodelError for a name that
    the schema does not have and for a value that does not fit its field.
    """
    edits: dict[str, dict[str, ParamValue]] = {}
    for (message, member), value in params.items():
        edits.setdefault(message, {})[member] = value
    out: dict[int, Pieces] = {}
    for message, members in edits.items():
        try:
            number, changes = _encode(record, message, members)
        except KeyError as error:
            raise problem(
                file.path, f"bnfold's schema has no {error.args[0]}", layer=record.name
            ) from None
        except (TypeError, ValueError) as error:
            raise problem(
                file.path, f"cannot set {message} to {members}: {error}", layer=record.name
            ) from None
        if number is None:
            continue
        held = [x for x in record.fields if x.number == number and x.wire == BYTES]
        for field in held:
            # Parts of one message join, and of a field that occurs twice the last one counts.
            try:
                body = _edit(file, field, changes, add=field is held[-1])
            except WireError as error:
                raise problem(
                    file.path, error.what, layer=record.name, offset=error.offset, do=DAMAGED
                ) from None
            out[field.start] = [bytes_head(number, size_of(body)), *body]
    return out


def dropped_fields(
    file: WeightsFile, record: BinaryRecord, names: tuple[str, ...]
) -> frozenset[int]:
    """Return the numbers of the fields `names` in this kind of record.

    Raises CaffemodelError for a name that neither kind of record has, and for the name, type,
    inputs, outputs and blobs, which are edited otherwise.
    """
    if not names:
        return frozenset()
    numbers = {
        layout: {
            name: field.number
            for name, field in schema.message(layout.message).DESCRIPTOR.fields_by_name.items()
        }
        for layout in (f.MODERN, f.V1)
    }
    layout = record.layout
    out = set()
    for name in names:
        if not any(name in known for known in numbers.values()):
            raise problem(file.path, f"bnfold's schema has no field {name}", layer=record.name)
        number = numbers[layout].get(name)
        if number in (layout.name, layout.type, layout.bottom, layout.top, layout.blobs):
            raise problem(file.path, f"{name} is no field to leave out", layer=record.name)
        if number is not None:
            out.add(number)
    return frozenset(out)


def _encode(
    record: BinaryRecord, name: str, members: Mapping[str, ParamValue]
) -> tuple[int | None, dict[int, bytes]]:
    """Return the number of message `name` in the record, and its new fields as bytes, by number.

    The number is None if this kind of record has no such message: ScaleParameter is younger than
    V1.
    """
    layer = schema.message(record.layout.message).DESCRIPTOR.fields_by_name
    anywhere = schema.message("LayerParameter").DESCRIPTOR.fields_by_name
    if name not in layer and name not in anywhere:
        raise KeyError(name)
    kind = (layer if name in layer else anywhere)[name].message_type
    if kind is None:
        raise KeyError(f"message {name}")
    changes: dict[int, bytes] = {}
    for member, value in members.items():
        if member not in kind.fields_by_name:
            raise KeyError(f"{name}.{member}")
        field = kind.fields_by_name[member]
        changes[field.number] = _field_bytes(kind.name, field, value)
    return (layer[name].number if name in layer else None), changes


def _field_bytes(message: str, field: Any, value: ParamValue) -> bytes:
    if value is None:
        return b""
    setting: Any = value
    if field.enum_type is not None and isinstance(value, str):
        if value not in field.enum_type.values_by_name:
            raise ValueError(f"{field.enum_type.name} has no value {value}")
        setting = field.enum_type.values_by_name[value].number
    holder = schema.message(message)()
    current = getattr(holder, field.name)
    if hasattr(current, "extend"):
        current.extend(setting if isinstance(setting, tuple) else [setting])
    else:
        setattr(holder, field.name, setting)
    return holder.SerializeToString(deterministic=True)


def _edit(file: WeightsFile, message: Field, changes: Mapping[int, bytes], *, add: bool) -> Pieces:
    """Return the bytes of `message` with `changes` in the place of the fields of their numbers."""
    body: Pieces = []
    left = dict(changes) if add else {}
    for field in walk(file, message.payload, message.end):
        if field.number not in changes:
            body.append(Copy(field.start, field.end))
        elif field.number in left:
            body.append(left.pop(field.number))
    body.extend(left.values())
    return body
