"""A weights file with edits made to it that have not been written: edits on edits, and one copy."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np

from .blobs import Array, Blob, BlobSource
from .edits import LayerEdit, NewLayer
from .surface import LayerRecord, Weights

_PIECE = 1 << 18
# Blobs up to so many values are kept once they were read: 4 MB of float32.
_KEPT = 1 << 20


class ComputedBlob(Blob):
    """A blob that is not in a file: its values are those that a source yields."""

    __slots__ = ("_at", "_pieces", "_values", "dtype", "index", "is_half", "layer", "shape", "size",
                 "source")  # fmt: skip

    _at: int
    _values: Array
    _pieces: Iterator[Array]

    def __init__(self, source: BlobSource, layer: str, index: int, is_hdf5: bool) -> None:
        """Stand for `source`, as blob `index` of `layer`."""
        self.source, self.layer, self.index = source, layer, index
        self.shape, self.dtype = tuple(source.shape), np.dtype(source.dtype)
        self.size = math.prod(self.shape)
        self.is_half = self.dtype == "<f2" and not is_hdf5
        self._restart()

    @property
    def is_raw(self) -> bool:
        """Whether it will be in raw_data: see Blob."""
        return self.is_half

    def check(self) -> None:
        """Do nothing: computed values can be read."""

    def read(self, start: int = 0, stop: int | None = None) -> Array:
        """Return the values [start:stop): see Blob.read. Quick for stretches in ascending order."""
        start, stop, _ = slice(start, stop).indices(self.size)
        out: Array = np.empty(max(stop - start, 0), self.dtype)
        if start < self._at:
            self._restart()
        done = 0
        while done < out.size:
            skip = start + done - self._at
            if skip >= self._values.size:
                self._at += self._values.size
                self._values = next(self._pieces)
                continue
            part = self._values[skip : skip + out.size - done]
            out[done : done + part.size] = part
            done += part.size
        return out

    def chunks(self, max_items: int) -> Iterator[Array]:
        """Yield the values flat and in order, at most `max_items` at a time."""
        return self.source.chunks(max_items)

    def _restart(self) -> None:
        self._at = 0
        self._values = np.empty(0, self.dtype)
        self._pieces = self.source.chunks(_PIECE if self.size > _KEPT else max(self.size, 1))


@dataclass(frozen=True)
class EditedRecord:
    """A layer record as it will be: see LayerRecord."""

    name: str
    type: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    blobs: tuple[Blob, ...]


class EditedWeights(Weights):
    """Weights as they will be with `edits`; writing them makes these edits and further ones.

    The file stays its owner's to close.
    """

    records: tuple[EditedRecord, ...]

    def __init__(self, stored: Weights, edits: Mapping[str, LayerEdit]) -> None:
        """Stand for `stored` with `edits`, none of which gives a layer another name."""
        self._stored, self._edits = stored, dict(edits)
        self.path, self.name, self.is_hdf5 = stored.path, stored.name, stored.is_hdf5
        self.size = stored.size
        self.duplicates, self.size = stored.duplicates, stored.size
        made = [(record, self._record(record)) for record in stored.records]
        self.records = tuple(edited for _, edited in made if edited is not None)
        # Of several records of a name the file says which one counts.
        self._by_name = {
            record.name: edited for record, edited in made if stored.get(record.name) is record
        }

    def get(self, name: str) -> EditedRecord | None:
        """Return the record whose weights Caffe would give to layer `name`, or None."""
        return self._by_name.get(name)

    def write(
        self,
        out: int | BinaryIO,
        edits: Mapping[str, LayerEdit],
        *,
        additions: Sequence[NewLayer] = (),
        float32: bool = False,
    ) -> None:
        """Write the file with both kinds of edits: see Weights.write."""
        both = dict(self._edits)
        for name, edit in edits.items():
            both[name] = _on_top(both[name], edit) if name in both else _as_source(edit)
        self._stored.write(out, both, additions=additions, float32=float32)

    def close(self) -> None:
        """Leave the file open for its owner."""

    def _record(self, record: LayerRecord) -> EditedRecord | None:
        edit = self._edits.get(record.name, LayerEdit())
        if edit.remove:
            return None
        sources: Sequence[BlobSource] = record.blobs if edit.blobs is None else edit.blobs
        blobs = tuple(
            source
            if isinstance(source, Blob)
            else ComputedBlob(source, record.name, index, self.is_hdf5)
            for index, source in enumerate(sources)
        )
        return EditedRecord(
            record.name,
            record.type if edit.type is None else edit.type,
            record.bottoms if edit.bottoms is None else edit.bottoms,
            record.tops if edit.tops is None else edit.tops,
            blobs,
        )


def _on_top(first: LayerEdit, second: LayerEdit) -> LayerEdit:
    """One edit that does what two do, one after the other."""
    if first.remove or second.remove:
        return LayerEdit(remove=True)
    second = _as_source(second)
    return replace(
        first,
        rename=first.rename if second.rename is None else second.rename,
        type=first.type if second.type is None else second.type,
        bottoms=first.bottoms if second.bottoms is None else second.bottoms,
        tops=first.tops if second.tops is None else second.tops,
        blobs=first.blobs if second.blobs is None else second.blobs,
        params={**first.params, **second.params},
        drop=tuple(sorted({*first.drop, *second.drop})),
    )


def _as_source(edit: LayerEdit) -> LayerEdit:
    """The same edit, without the blobs that stand for computed ones."""
    if edit.blobs is None:
        return edit
    sources = (b.source if isinstance(b, ComputedBlob) else b for b in edit.blobs)
    return replace(edit, blobs=tuple(sources))
