"""Binary weights files: the index, and the way to write a changed copy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import BinaryIO

from . import fields as f
from .blobs import Rounding
from .edits import LayerEdit, NewLayer
from .errors import problem
from .file import WeightsFile
from .records import DAMAGED, MAX_MESSAGE, BinaryRecord, read_text
from .sniff import refuse_strangers
from .surface import Weights
from .wire import BYTES, Field, WireError, walk
from .writer import write_weights


class BinaryWeights(Weights):
    """The layers of a binary NetParameter; `records` has modern and V1 ones alike."""

    records: tuple[BinaryRecord, ...]

    def __init__(self, file: WeightsFile) -> None:
        """Index `file`, which this object then owns. Raises CaffemodelError: see `open_weights`."""
        self._file = file
        self.path, self.size = file.path, file.size
        self.name = ""
        refuse_strangers(file)
        if file.size > MAX_MESSAGE:
            raise problem(
                file.path,
                f"the file has {file.size} bytes, and Caffe cannot read binary files of 2 GiB and "
                "more",
                do="have Caffe store it as HDF5 (snapshot_format: HDF5), which has no such limit",
            )
        records: list[BinaryRecord] = []
        try:
            for field in walk(file, 0, file.size):
                self._take(field, records)
        except WireError as error:
            behind = f", behind layer {records[-1].name!r}" if records else ""
            raise problem(file.path, error.what + behind, offset=error.offset, do=DAMAGED) from None
        if not records:
            raise problem(
                file.path,
                "the file holds no layers",
                do="give a .caffemodel file, which holds trained weights",
            )
        self.records = tuple(records)
        # Caffe upgrades a file that has V1 records, and in doing so drops the modern ones
        # (BVLC caffe, src/caffe/util/upgrade_proto.cpp, UpgradeV1Net).
        read = [record for record in records if record.is_v1] or records
        self._by_name = {record.name: record for record in read}

    def _take(self, field: Field, records: list[BinaryRecord]) -> None:
        number, wire = field.number, field.wire
        if number in (f.MODERN.record, f.V1.record) and wire == BYTES:
            layout = f.V1 if number == f.V1.record else f.MODERN
            records.append(BinaryRecord(self._file, field, layout))
        elif number == f.NET_NAME and wire == BYTES:
            self.name = read_text(self._file, field)
        elif number in (f.MODERN.record, f.V1.record, f.NET_NAME):
            raise problem(
                self.path,
                "this is another kind of protobuf file (ONNX? a mean? a solver state?)",
                offset=field.start,
                do="give a binary .caffemodel file",
            )

    def get(self, name: str) -> BinaryRecord | None:
        """Return the record whose weights layer `name` ends up with, or None.

        Caffe copies blobs record by record to the layer of that name (BVLC caffe,
        src/caffe/net.cpp, Net::CopyTrainedLayersFrom), so of several records the last one counts;
        and where a file has V1 records, only those do.
        """
        return self._by_name.get(name)

    def write(
        self,
        out: int | BinaryIO,
        edits: Mapping[str, LayerEdit],
        *,
        additions: Sequence[NewLayer] = (),
        rounding: Rounding | None = None,
    ) -> None:
        """Write a changed copy: see Weights.write. What is not edited comes out byte for byte."""
        with self._file.unchanged():
            write_weights(self._file, self.records, out, edits, additions, rounding)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
