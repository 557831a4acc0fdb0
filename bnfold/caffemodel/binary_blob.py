"""Blobs of a binary weights file: BlobProto, in all the forms that writers give it."""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import NamedTuple

import numpy as np

from . import fields as f
from .blobs import MAX_AXES, Blob, FloatArray
from .errors import CaffemodelError, problem
from .file import WeightsFile
from .wire import BYTES, FIXED32, FIXED64, VARINT, Field, WireError, read_varint, signed, walk

_DIM_BYTES = 10 * MAX_AXES
# What is mapped at once to look at rows: it counts as resident for that moment.
_WINDOW = 1 << 24
_READ_BYTES = 1 << 20
_DAMAGED = "the file is damaged: fetch or export it again"


class Piece(NamedTuple):
    """`items` values in the file from byte `start` on, each behind `head` bytes of tag."""

    start: int
    head: int
    items: int


class BinaryBlob(Blob):
    """A blob that is stored as a BlobProto. Besides what every Blob has:

    shape: the lengths of its axes, from `shape` or the legacy four numbers, which win where both
        are present (BVLC caffe, src/caffe/blob.cpp, Blob::FromProto); (n,) for n values without
        either, and () for one.
    legacy_shape: whether the shape is written as num, channels, height, width.
    storage: the number of the BlobProto field with the values: data, double_data or raw_data.
    unpacked: whether each value has a tag of its own.
    offset, end: where its BlobProto is in the file.
    """

    __slots__ = (
        "_file", "_pieces", "_starts", "_trouble", "dtype", "end", "index", "layer", "legacy_shape",
        "offset", "shape", "size", "storage", "unpacked",
    )  # fmt: skip

    def __init__(self, file: WeightsFile, start: int, end: int, layer: str, index: int) -> None:
        """Index the BlobProto in the bytes [start, end) of `file`.

        Raises WireError for bytes that are no message, and CaffemodelError for an impossible shape
        or values that do not fill it.
        """
        self._file, self.offset, self.end, self.layer, self.index = file, start, end, layer, index
        legacy = dict.fromkeys(f.LEGACY_SHAPE, 0)
        has_legacy = has_shape = False
        dims: list[int] = []
        data: list[Field] = []
        double: list[Field] = []
        raw: Field | None = None
        raw_type = 0
        for field in walk(file, start, end):
            number, wire = field.number, field.wire
            if number == f.DATA and wire in (BYTES, FIXED32):
                data.append(field)
            elif number == f.SHAPE and wire == BYTES:
                has_shape = True
                self._read_dims(field, dims)
            elif number in legacy and wire == VARINT:
                has_legacy = True
                legacy[number] = signed(field.value)
            elif number == f.DOUBLE_DATA and wire in (BYTES, FIXED64):
                double.append(field)
            elif number == f.RAW_DATA_TYPE and wire == VARINT:
                raw_type = field.value
            elif number == f.RAW_DATA and wire == BYTES:
                raw = field
        self.legacy_shape = has_legacy
        self._trouble = ""
        self._choose_storage(data, double, raw, raw_type)
        # cumulative, to find the piece a value is in
        self._starts = [0]
        for piece in self._pieces:
            self._starts.append(self._starts[-1] + piece.items)
        self._settle_shape(tuple(legacy.values()) if has_legacy else tuple(dims), has_shape)

    def check(self) -> None:
        """Raise CaffemodelError if the values cannot be read: see Blob.check."""
        if self._trouble:
            raise self._problem(self._trouble)

    @property
    def is_raw(self) -> bool:
        """Whether the values are in raw_data: see Blob."""
        return self.storage == f.RAW_DATA

    @property
    def is_plain(self) -> bool:
        """Whether every reader finds float32 values: see Blob."""
        return self.storage == f.DATA and not self._trouble

    def read(self, start: int = 0, stop: int | None = None) -> FloatArray:
        """Return the values [start:stop): see Blob.read."""
        self.check()
        start, stop, _ = slice(start, stop).indices(self.size)
        out: FloatArray = np.empty(max(stop - start, 0), self.dtype)
        done = 0
        where = bisect_right(self._starts, start) - 1
        while done < out.size:
            piece, skip = self._pieces[where], start + done - self._starts[where]
            count = min(piece.items - skip, out.size - done)
            self._read_piece(piece, skip, out[done : done + count])
            done += count
            where += 1
        return out

    def row_heads(self, row: int, width: int) -> FloatArray:
        """Return the first values of each row: see Blob.row_heads."""
        self.check()
        if len(self._pieces) != 1 or self._pieces[0].head:
            return super().row_heads(row, width)
        start, width = self._pieces[0].start, min(width, row)
        heads: FloatArray = np.empty((self.size // row, width), self.dtype)
        size = row * self.dtype.itemsize
        each = max(1, _WINDOW // size)
        for first in range(0, len(heads), each):
            part = heads[first : first + each]
            self._file.heads(start + first * size, size, part)
        return heads

    def _problem(self, what: str, do: str = "") -> CaffemodelError:
        return problem(
            self._file.path,
            f"blob {self.index} {what}",
            layer=self.layer,
            offset=self.offset,
            do=do,
        )

    def _read_dims(self, shape: Field, dims: list[int]) -> None:
        """Add the dimensions in a BlobShape to `dims`; repeated shapes join, as in protobuf."""
        for field in walk(self._file, shape.payload, shape.end):
            if field.number != f.SHAPE_DIM:
                continue
            if field.wire == VARINT:
                dims.append(signed(field.value))
            elif field.wire == BYTES:
                if field.end - field.payload > _DIM_BYTES:
                    raise self._problem(f"has more than {MAX_AXES} axes", _DAMAGED)
                packed = self._file.at(field.payload, field.end - field.payload)
                at = 0
                while at < len(packed):
                    dim, at = read_varint(packed, at, field.payload)
                    dims.append(signed(dim))
            if len(dims) > MAX_AXES:
                raise self._problem(f"has more than {MAX_AXES} axes", _DAMAGED)

    def _choose_storage(
        self, data: list[Field], double: list[Field], raw: Field | None, raw_type: int
    ) -> None:
        held = [
            (name, number, found, dtype)
            for name, number, found, dtype in (
                ("data", f.DATA, data, "<f4"),
                ("double_data", f.DOUBLE_DATA, double, "<f8"),
                ("raw_data", f.RAW_DATA, [raw] if raw else [], f.RAW_DTYPES.get(raw_type, "<f4")),
            )
            if any(field.end > field.payload for field in found)
        ]
        if not held:
            self.storage, self.dtype = f.DATA, np.dtype("<f4")
            found: list[Field] = []
        else:
            _, self.storage, found, dtype = held[0]
            self.dtype = np.dtype(dtype)
        if len(held) > 1:
            names = " and ".join(name for name, *_ in held)
            self._trouble = f"has values in {names}, and readers disagree which of them count"
        elif self.storage == f.RAW_DATA and raw_type not in f.RAW_DTYPES:
            self._trouble = f"has raw_data of type {raw_type}, which is not one of {RAW_NAMES}"
        self.unpacked = any(field.wire != BYTES for field in found)
        self._pieces = tuple(self._piece(field) for field in found)

    def _piece(self, field: Field) -> Piece:
        if field.wire != BYTES:
            return Piece(field.start, field.payload - field.start, field.times)
        count, rest = divmod(field.end - field.payload, self.dtype.itemsize)
        if rest and not self._trouble:
            raise WireError(
                field.start, f"blob {self.index} ends within a value of {self.dtype.itemsize} bytes"
            )
        return Piece(field.payload, 0, count)

    def _settle_shape(self, shape: tuple[int, ...], has_shape: bool) -> None:
        count = self._starts[-1]
        if not (self.legacy_shape or has_shape):
            # Caffe writes a blob without axes, which has one value, with an empty shape or none.
            shape = (count,) if count != 1 else ()
        if any(dim < 0 for dim in shape):
            raise self._problem(f"has the shape {shape}, with a negative length", _DAMAGED)
        self.shape = shape
        self.size = math.prod(shape)
        if count == self.size or self._trouble:
            return
        if count or self.storage != f.DATA:
            raise self._problem(
                f"has the shape {shape}, {_short(self.size)} values, but stores {count}", _DAMAGED
            )
        self._trouble = "has a shape but no values that bnfold knows how to read"

    def _read_piece(self, piece: Piece, skip: int, out: FloatArray) -> None:
        """Fill `out` with the values of `piece` from number `skip` on."""
        octets = out.view(np.uint8)
        item = self.dtype.itemsize
        if not piece.head:
            self._file.into(piece.start + skip * item, octets.data)
            return
        stride = piece.head + item
        rows = octets.reshape(-1, item)
        step = _READ_BYTES // stride
        for row in range(0, len(rows), step):
            count = min(step, len(rows) - row)
            data = self._file.at(piece.start + (skip + row) * stride, count * stride)
            tagged = np.frombuffer(data, np.uint8).reshape(count, stride)
            rows[row : row + count] = tagged[:, piece.head :]


RAW_NAMES = "DOUBLE (0), FLOAT (1) and FLOAT16 (2)"


def _short(number: int) -> str:
    """Return `number` in a form that fits into a message, however many digits it has."""
    return str(number) if number < 1 << 64 else "more than 2**64"
