"""What the bytes of a changed record will be: a list of pieces, whose sizes are known beforehand.

Protobuf puts the length of a message before the message. A piece therefore knows its size, from
shape and dtype, while the values themselves are computed only when the piece is written.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from . import fields as f
from .binary_blob import BinaryBlob
from .blobs import BlobSource
from .edits import LayerEdit, NewLayer
from .errors import problem
from .file import WeightsFile
from .params import dropped_fields, edit_params
from .pieces import Copy, Pieces, Values, size_of
from .records import BinaryRecord
from .requests import checked_source
from .wire import (
    BYTES,
    FIXED32,
    FIXED64,
    VARINT,
    bytes_field,
    bytes_head,
    number_field,
    tag,
    text_field,
    varint,
    walk,
)

_FLOAT, _HALF = np.dtype("<f4"), np.dtype("<f2")
_RAW_HALF = next(number for number, name in f.RAW_DTYPES.items() if np.dtype(name) == _HALF)
# What a new blob writes, each in one place; what else a replaced BlobProto has stays around it.
_SHAPE_FIELDS = (*f.LEGACY_SHAPE, f.SHAPE)
_VALUE_FIELDS = (f.DATA, f.DOUBLE_DATA, f.RAW_DATA_TYPE, f.RAW_DATA)


class Form(NamedTuple):
    """How a blob is stored: see the attributes of the same names of Blob."""

    legacy_shape: bool = False
    unpacked: bool = False


def form_of(blob: BinaryBlob) -> Form:
    """Return the form that `blob` is stored in."""
    return Form(blob.legacy_shape, blob.unpacked)


def edited_record(file: WeightsFile, record: BinaryRecord, edit: LayerEdit) -> Pieces:
    """Return what replaces `record`, its tag and length included. Raises CaffemodelError."""
    layout = record.layout
    body: Pieces = []
    named = _renamed_fields(file, record, edit)
    type_wire = VARINT if record.is_v1 else BYTES
    for number, wire in ((layout.name, BYTES), (layout.type, type_wire)):
        # Unlike the rest, these are written even if the record has none: they say what it is.
        if (number, wire) in named and not _carries(record, number, wire):
            body.extend(named[number, wire])
    params = edit_params(file, record, edit.params)
    dropped = dropped_fields(file, record, edit.drop)
    sources = record.blobs if edit.blobs is None and edit.drop_gradients else edit.blobs
    blobs = None if sources is None else _new_blobs(file, record, sources, edit.drop_gradients)
    places = iter(_shared_out(blobs or [], len(record.blobs)))
    written: set[int] = set()
    for field in record.fields:
        number = field.number
        if number in dropped:
            continue
        if (number, field.wire) in named:
            if number not in written:
                body.extend(named[number, field.wire])
            written.add(number)
        elif blobs is not None and number == layout.blobs and field.wire == BYTES:
            body.extend(next(places))
        elif field.start in params:
            body.extend(params[field.start])
        else:
            body.append(Copy(field.start, field.end))
    if not record.blobs:
        body.extend(piece for blob in blobs or [] for piece in blob)
    return [bytes_head(layout.record, size_of(body)), *body]


def _renamed_fields(
    file: WeightsFile, record: BinaryRecord, edit: LayerEdit
) -> dict[tuple[int, int], Pieces]:
    """Return what stands in place of all fields of a number and wire type: names and type."""
    layout = record.layout
    fields: dict[tuple[int, int], Pieces] = {}
    if edit.name is not None:
        fields[layout.name, BYTES] = [text_field(layout.name, edit.name)]
    if edit.type is not None:
        wire = VARINT if record.is_v1 else BYTES
        fields[layout.type, wire] = [_type_field(file, record.is_v1, edit.type, record.name)]
    for number, names in ((layout.bottom, edit.bottoms), (layout.top, edit.tops)):
        if names is not None:
            fields[number, BYTES] = [text_field(number, name) for name in names]
    return fields


def _shared_out(blobs: list[Pieces], places: int) -> list[Pieces]:
    """Return what stands in each place of an old blob: what is added follows in the last."""
    shared: list[Pieces] = [[] for _ in range(places)]
    for index, blob in enumerate(blobs if places else []):
        shared[min(index, places - 1)].extend(blob)
    return shared


def new_record(
    file: WeightsFile, layer: NewLayer, layout: f.LayerFields, legacy_shape: bool
) -> Pieces:
    """Return the record of an added layer, tag and length included. Raises CaffemodelError."""
    blobs: Pieces = []
    for index, source in enumerate(layer.blobs):
        blob = _blob(file, layer.name, index, source, Form(legacy_shape), None)
        blobs += [bytes_head(layout.blobs, size_of(blob)), *blob]
    parts = {
        layout.name: [text_field(layout.name, layer.name)],
        layout.type: [_type_field(file, layout is f.V1, layer.type, layer.name)],
        layout.bottom: [text_field(layout.bottom, name) for name in layer.bottoms],
        layout.top: [text_field(layout.top, name) for name in layer.tops],
    }
    # Ascending numbers, as protobuf itself writes them; blobs have the highest.
    body: Pieces = [piece for number in sorted(parts) for piece in parts[number]]
    body += blobs
    return [bytes_head(layout.record, size_of(body)), *body]


def _carries(record: BinaryRecord, number: int, wire: int) -> bool:
    return any(field.number == number and field.wire == wire for field in record.fields)


def _type_field(file: WeightsFile, is_v1: bool, name: str, layer: str) -> bytes:
    if not is_v1:
        return text_field(f.MODERN.type, name)
    number = f.v1_number(name)
    if number is None:
        raise problem(
            file.path,
            f"cannot become a {name!r}: the V1 form of this file has no number for that type",
            layer=layer,
            do="convert the file with Caffe's upgrade_net_proto_binary first",
        )
    return number_field(f.V1.type, number)


def _new_blobs(
    file: WeightsFile,
    record: BinaryRecord,
    sources: tuple[BlobSource, ...],
    drop_gradients: bool,
) -> list[Pieces]:
    """Return each new blob of `record` as a field: its own ones copied, others written anew."""
    head = record.layout.blobs
    out: list[Pieces] = []
    for index, source in enumerate(sources):
        if isinstance(source, BinaryBlob) and any(source is own for own in record.blobs):
            blob = _copied(file, source, drop_gradients)
        else:
            old = record.blobs[index] if index < len(record.blobs) else None
            model = old or (record.blobs[0] if record.blobs else None)
            form = form_of(model) if model else Form()
            blob = _blob(file, record.name, index, source, form, old)
        out.append([bytes_head(head, size_of(blob)), *blob])
    return out


def _copied(file: WeightsFile, blob: BinaryBlob, drop_gradients: bool) -> Pieces:
    """Return a BlobProto of the file as it is, or without its gradients."""
    if not drop_gradients:
        return [Copy(blob.offset, blob.end)]
    fields = walk(file, blob.offset, blob.end)
    return [Copy(field.start, field.end) for field in fields if field.number not in f.GRADIENTS]


def _blob(
    file: WeightsFile,
    layer: str,
    index: int,
    source: BlobSource,
    form: Form,
    old: BinaryBlob | None,
) -> Pieces:
    """Return a BlobProto with the values of `source` in `form`, and all else that `old` has."""
    shape, dtype = checked_source(file, layer, index, source)
    legacy = form.legacy_shape and len(shape) <= len(f.LEGACY_SHAPE)
    if legacy:
        # Caffe compares legacy shapes from the right (include/caffe/blob.hpp, LegacyShape).
        shape = (1,) * (len(f.LEGACY_SHAPE) - len(shape)) + shape
    values = _values(source, dtype, form, layer, index)
    if old is None:
        return [_shape(shape, legacy), *values]
    keep_shape = shape == old.shape and legacy == old.legacy_shape
    body: Pieces = []
    shaped = keep_shape or (len(shape) == len(old.shape) == 1 and not _shape_written(file, old))
    placed = False
    for field in walk(file, old.offset, old.end):
        if field.number in _SHAPE_FIELDS and not keep_shape:
            if not shaped:
                body.append(_shape(shape, legacy))
                shaped = True
        elif field.number in _VALUE_FIELDS:
            if not placed:
                body.extend(values)
                placed = True
        elif field.number not in f.GRADIENTS:
            body.append(Copy(field.start, field.end))
    if not shaped:
        body.insert(0, _shape(shape, legacy))
    if not placed:
        body.extend(values)
    return body


def _shape_written(file: WeightsFile, blob: BinaryBlob) -> bool:
    return any(field.number in _SHAPE_FIELDS for field in walk(file, blob.offset, blob.end))


def _shape(shape: tuple[int, ...], legacy: bool) -> bytes:
    if legacy:
        return b"".join(map(number_field, f.LEGACY_SHAPE, shape))
    packed = b"".join(map(varint, shape))
    return bytes_field(f.SHAPE, bytes_field(f.SHAPE_DIM, packed) if packed else b"")


def _values(source: BlobSource, dtype: np.dtype[Any], form: Form, layer: str, index: int) -> Pieces:
    """Return the field(s) with the values of `source`, where most readers look for them.

    Half floats exist in raw_data only. Caffe, MNN and ncnn do not read that (BVLC caffe,
    src/caffe/proto/caffe.proto, has no such field), so nothing else is put there.
    """
    size = math.prod(source.shape) * dtype.itemsize
    if dtype == _HALF:
        return [
            number_field(f.RAW_DATA_TYPE, _RAW_HALF),
            bytes_head(f.RAW_DATA, size),
            Values(source, dtype, b"", layer, index),
        ]
    number, wire = (f.DATA, FIXED32) if dtype == _FLOAT else (f.DOUBLE_DATA, FIXED64)
    if form.unpacked:
        return [Values(source, dtype, tag(number, wire), layer, index)]
    return [bytes_head(number, size), Values(source, dtype, b"", layer, index)]
