"""The index of a weights file, and the way to write a changed copy of it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import BinaryIO

from . import fields as f
from .edits import LayerEdit, NewLayer
from .errors import problem
from .file import WeightsFile
from .records import DAMAGED, LayerRecord, read_text
from .sniff import refuse_strangers
from .wire import BYTES, WireError, walk
from .writer import write_weights


class Weights:
    """The layers of a weights file. The file stays open until `close`; a context manager.

    path: the file.
    name: the network's name, or "".
    records: the layer records, in the file's order, modern and V1 alike.
    duplicates: names that more than one record has.
    """

    def __init__(self, file: WeightsFile) -> None:
        """Index `file`, which this object then owns. Raises CaffemodelError: see `open_weights`."""
        self._file = file
        self.path = file.path
        self.name = ""
        records: list[LayerRecord] = []
        refuse_strangers(file)
        try:
            for field in walk(file, 0, file.size):
                number, wire = field.number, field.wire
                if number in (f.MODERN.record, f.V1.record) and wire == BYTES:
                    layout = f.V1 if number == f.V1.record else f.MODERN
                    records.append(LayerRecord(file, field, layout))
                elif number == f.NET_NAME and wire == BYTES:
                    self.name = read_text(file, field)
                elif number in (f.MODERN.record, f.V1.record, f.NET_NAME):
                    raise problem(
                        file.path,
                        "this is another kind of protobuf file (ONNX? a mean? a solver state?)",
                        offset=field.start,
                        do="give a binary .caffemodel file",
                    )
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
        times = Counter(record.name for record in read)
        self.duplicates = tuple(name for name, count in times.items() if count > 1)

    def get(self, name: str) -> LayerRecord | None:
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
    ) -> None:
        """Write the file to `out`, with `edits` made to the layers they name and `additions` added.

        out: a file descriptor, or a binary file that has one; written from its current position on.
        edits: by layer name; an edit applies to all records of that name, and one that brings no
            blobs is ignored if there is no such record.

        Records that are not edited come out byte for byte, as does all that is no record. Memory
        use does not grow with the file. Raises OSError from writing; CaffemodelError, before a byte
        is written, for an edit that cannot be made, and in the midst of it for a source that yields
        something else than it announced. What has been written by then is of no use.
        """
        write_weights(self._file, self.records, out, edits, additions)

    def close(self) -> None:
        """Close the file. Its blobs cannot be read any more."""
        self._file.close()

    def __enter__(self) -> Weights:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_weights(path: str | os.PathLike[str]) -> Weights:
    """Open and index a binary weights file. Values are not read; it takes milliseconds.

    Raises OSError if the file cannot be opened, and CaffemodelError if it is no caffemodel, is
    damaged or cut off anywhere, or has a blob whose shape and values disagree.
    """
    file = WeightsFile(path)
    try:
        return Weights(file)
    except BaseException:
        file.close()
        raise
