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
        found: list[Field] = []
        texts: dict[int, list[str]] = {layout.bottom: [], layout.top: []}
        try:
            for field in walk(file, record.payload, record.end):
                found.append(field)
                if field.wire == BYTES:
                    if field.number in texts:
                        texts[field.number].append(read_text(file, field))
                    elif field.number == layout.name:
                        self.name = read_text(file, field)
                    elif field.number == layout.type and not self.is_v1:
                        self.type = read_text(file, field)
                elif field.number == layout.type and self.is_v1 and field.wire == VARINT:
                    self.type = f.v1_type(field.value)
            self.fields = tuple(found)
            self._refuse_v0(file)
            held = [each for each in found if each.number == layout.blobs and each.wire == BYTES]
            self.blobs = tuple(
                BinaryBlob(file, blob.payload, blob.end, self.name, index)
                for index, blob in enumerate(held)
            )
        except WireError as error:
            raise problem(
                file.path, error.what, layer=self.name, offset=error.offset, do=DAMAGED
            ) from None
        self.bottoms, self.tops = tuple(texts[layout.bottom]), tuple(texts[layout.top])

    def _refuse_v0(self, file: WeightsFile) -> None:
        old = (each.number == f.V0_LAYER and each.wire == BYTES for each in self.fields)
        if self.is_v1 and not self.name and any(old):
            raise problem(
                file.path,
                "has layers in the form Caffe used in 2013 (V0)",
                offset=self.offset,
                do="convert it with Caffe's upgrade_net_proto_binary first",
            )

    def __repr__(self) -> str:
        return f"<LayerRecord {self.name!r}: {self.type}, {len(self.blobs)} blobs>"


def read_text(file: WeightsFile, field: Field) -> str:
    """Return the text in `field`. Raises WireError if it is too long for a name."""
    size = field.end - field.payload
    if size > _MAX_TEXT:
        raise WireError(field.start, f"a name of {size} bytes is not possible")
    return decode(file.at(field.payload, size))
