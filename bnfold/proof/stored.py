"""The numbers of a network: which blobs a layer ends up with.

Source: BVLC caffe, src/caffe/net.cpp, AppendParam (layers that share by `param` name) and
CopyTrainedLayersFrom (records are copied one after the other, so that of several that write one
blob the last counts).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bnfold.aliases import Vector
from bnfold.caffemodel import Blob, Weights
from bnfold.errors import BnfoldError
from bnfold.proof.layers import Layer
from bnfold.prototxt import Message

_PIECE = 1 << 16
_MOST_SMALL = 1 << 22


class MisfitError(BnfoldError):
    """Blobs that are not what a layer's words call for."""


class Stored:
    """The blobs of the layers of a network, with those that are shared by name."""

    def __init__(self, weights: Weights, layers: Sequence[Layer]) -> None:
        self.path = weights.path
        self._weights = weights
        self._order = {record.name: place for place, record in enumerate(weights.records)}
        self._names = {layer.name: param_names(layer) for layer in layers}
        self._sharers: dict[str, list[tuple[str, int]]] = {}
        for layer in layers:
            for index, name in enumerate(self._names[layer.name]):
                if name:
                    self._sharers.setdefault(name, []).append((layer.name, index))

    def blobs(self, layer: Layer) -> tuple[Blob, ...]:
        """The blobs that a layer computes with; () if the file has none for it."""
        record = self._weights.get(layer.name)
        own = list(record.blobs) if record is not None else []
        for index, name in enumerate(self._names.get(layer.name, ())):
            shared = self._last(name) if name else None
            if shared is None:
                continue
            if index < len(own):
                own[index] = shared
            elif index == len(own):
                own.append(shared)
        return tuple(own)

    def numbers(self, layer: Layer) -> tuple[Blob, ...]:
        """The blobs that decide what a layer computes: a Scale's bias of zeros does not."""
        blobs = self.blobs(layer)
        if layer.kind == "Scale" and len(blobs) == 2 and not self.vector(layer, blobs[1]).any():
            return blobs[:1]
        return blobs

    def _last(self, name: str) -> Blob | None:
        """The blob of the last record that writes what layers share under a name."""
        found: Blob | None = None
        place = -1
        for layer, index in self._sharers[name]:
            record = self._weights.get(layer)
            at = self._order.get(layer, -1)
            if record is not None and index < len(record.blobs) and at > place:
                found, place = record.blobs[index], at
        return found

    def shares(self, layer: Layer) -> tuple[str, ...]:
        """The names by which its blobs are shared."""
        return self._names.get(layer.name, ())

    def vector(self, layer: Layer, blob: Blob, size: int | None = None) -> Vector:
        """A small blob as float64, flat.

        Raises:
            BnfoldError: it has another size than `size`, or is not small.
        """
        if (size is not None and blob.size != size) or blob.size > _MOST_SMALL:
            expected = "" if size is None else f", expected {size}"
            raise self.problem(layer, f"blob {blob.index} has {blob.size} values{expected}")
        return blob.read().astype(np.float64)

    def problem(self, layer: Layer, what: str) -> MisfitError:
        """An error about what the file has for a layer."""
        return MisfitError(f"{self.path}: {layer}: {what}; do the two files belong together?")


def param_names(layer: Layer) -> tuple[str, ...]:
    """The names of a layer's `param`s, "" for those that have none."""
    text = layer.words.text
    found = []
    for field in [] if text is None else text.all("param"):
        if isinstance(field.value, Message):
            name = field.value.get("name")
            found.append("" if name is None else name.string())
        else:  # V1
            found.append(field.string())
    return tuple(found)


def unit(values: Vector, dtype: np.dtype[Any]) -> Vector:
    """One unit in the last place of numbers that are stored in a type."""
    with np.errstate(over="ignore"):
        stored = np.minimum(np.abs(values).astype(dtype), np.finfo(dtype).max)
    found: Vector = np.spacing(stored).astype(np.float64)
    return found


def same_blobs(ours: Sequence[Blob], its: Sequence[Blob]) -> bool:
    """Whether ours are the other's numbers in the same order, each rounded as it is stored."""
    if len(ours) != len(its):
        return False
    return all(_same(one, other) for one, other in zip(ours, its, strict=True))


def _same(one: Blob, other: Blob) -> bool:
    if one.size != other.size or squeezed(one.shape) != squeezed(other.shape):
        return False
    for start in range(0, one.size, _PIECE):
        stop = min(start + _PIECE, one.size)
        with np.errstate(over="ignore"):
            wanted = other.read(start, stop).astype(one.dtype)
        if not np.array_equal(one.read(start, stop), wanted, equal_nan=True):
            return False
    return True


def squeezed(shape: Sequence[int]) -> tuple[int, ...]:
    """A shape without the leading ones that old files put before it."""
    sizes = list(shape)
    while sizes and sizes[0] == 1:
        sizes.pop(0)
    return tuple(sizes)
