"""Layer records of a binary weights file: what it says about one layer."""

from __future__ import annotations

from . import fields as f
from .binary_blob import BinaryBlob
from .errors import problem
from .file import WeightsFile
from .wire import BYTES, VARINT, Field, WireError, decode, walk

DAMAGED = "the file is damaged or cut off: fetch it again"
# protobuf messages end here, and Caffe reads the file as one (protobuf, io/coded_stream.h).
MAX_MESSAGE = (1 << 31) - 1
_MAX_TEXT = 1 << 16


class BinaryRecord:
    """One layer's record: a LayerParameter, or a V1LayerParameter from before 2014.

    name, type: the layer's; a V1 type is given by its modern name, or as "V1:57" if there is none.
    is_v1: which of the two it is.
    blobs: its blobs, in order, still in the file.
    bottoms, tops: as in the record. Often empty or stale: Caffe takes them from the prototxt.
    offset, end: where it is in the file, its tag included.
    layout, fields: the numbers of its kind of record, and its own fields, for the writer.
    """

    __slots__ = (
        "blobs", "bottoms", "end", "fields", "is_v1", "layout", "name", "offset", "tops", "type",
    )  # fmt: skip

    def __init__(self, file: WeightsFile, record: Field, layout: f.LayerFields) -> None:
        """Index the record in `file`. Raises CaffemodelError for damage, naming layer and byte."""
        self.layout = layout
        self.is_v1 = layout is f.V1
        self.offset, self.end = record.start, record.end
        self.name = self.type = ""
        bottoms: list[str] = []
        tops: list[str] = []
        blobs: list[Field] = []
        found: list[Field] = []
        old: Field | None = None
        try:
            for field in walk(file, record.payload, record.end):
                found.append(field)
                number = field.number
                if field.wire == BYTES:
                    if number == layout.blobs:
                        blobs.append(field)
                    elif number == layout.bottom:
                        bottoms.append(read_text(file, field))
                    elif number == layout.top:
                        tops.append(read_text(file, field))
                    elif number == layout.name:
                        self.name = read_text(file, field)
                    elif self.is_v1 and number == f.V0_LAYER:
                        old = field
                    elif not self.is_v1 and number == layout.type:
                        self.type = read_text(file, field)
                elif self.is_v1 and number == layout.type and field.wire == VARINT:
                    self.type = f.v1_type(field.value)
            if old and not self.name:
                raise problem(
                    file.path,
                    "has layers in the form Caffe used in 2013 (V0)",
                    offset=record.start,
                    do="convert it with Caffe's upgrade_net_proto_binary first",
                )
            self.blobs = tuple(
                BinaryBlob(file, blob.payload, blob.end, self.name, index)
                for index, blob in enumerate(blobs)
            )
        except WireError as error:
            raise problem(
                file.path, error.what, layer=self.name, offset=error.offset, do=DAMAGED
            ) from None
        self.fields = tuple(found)
        self.bottoms, self.tops = tuple(bottoms), tuple(tops)

    def __repr__(self) -> str:
        return f"<LayerRecord {self.name!r}: {self.type}, {len(self.blobs)} blobs>"


def read_text(file: WeightsFile, field: Field) -> str:
    """Return the text in `field`. Raises WireError if it is too long for a name."""
    size = field.end - field.payload
    if size > _MAX_TEXT:
        raise WireError(field.start, f"a name of {size} bytes is not possible")
    return decode(file.at(field.payload, size))
