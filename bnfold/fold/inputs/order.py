"""Another order of channels, from a value on into the layers that read it.

W S x  =  (W S) x            the inputs of a weight change places
f(S x)  =  S f(x)            for a layer that treats all channels alike
N(S x)  =  S N'(x)           for one with a number or a group for each: these change places
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from bnfold.caffemodel import BlobSource
from bnfold.fold.absorb.leaving import seen_by_others
from bnfold.fold.absorb.search import other_users
from bnfold.fold.affines.affine import Affine
from bnfold.fold.affines.dialects import Reading
from bnfold.fold.blobs import rows_of, size_of
from bnfold.fold.plan import Code, Reason
from bnfold.fold.rewrite import Context
from bnfold.fold.weighted import WeightedLayer
from bnfold.graph import ChannelRole, Layer, Layout, Value

Order: TypeAlias = npt.NDArray[np.intp]
"""Which channel stands in each place, shape (channels,)."""


class Reordered:
    """A blob with the parts along one of its axes in another order; a BlobSource.

    Args:
        source: the blob as stored.
        inner: how many values in a row belong to one part.
        order: which part stands in each place.
    """

    def __init__(self, source: BlobSource, inner: int, order: Order) -> None:
        self._source, self._inner, self._order = source, inner, order
        self.shape = source.shape
        self.dtype: np.dtype[Any] = source.dtype

    def chunks(self, max_items: int) -> Iterator[npt.NDArray[Any]]:
        """Yield the values flat and in order, at most `max_items` at a time."""
        for _, rows in rows_of(self._source, self._inner * self._order.size):
            parts = rows.reshape(len(rows), self._order.size, self._inner)
            values = parts[:, self._order].ravel().astype(self.dtype)
            for start in range(0, values.size, max_items):
                yield values[start : start + max_items]


@dataclass(frozen=True)
class Turn:
    """A layer that reads its channels in another order now.

    Attributes:
        layer: the layer.
        order: that of the channels it reads.
        weighted: the layer as one with a weight, if it is one.
        made: the order of the channels that it then makes; None where it mixes what it reads.
    """

    layer: Layer
    order: Order
    weighted: WeightedLayer | None
    made: Order | None

    def apply(self) -> None:
        """Change the layer's blobs, if it has some."""
        if not self.layer.blobs:
            return
        if self.weighted is None:
            count = self.order.size
            blobs = [
                Reordered(blob, 1, self.order) if size_of(blob) == count else blob
                for blob in self.layer.blobs
            ]
            self.layer.give(*blobs)
            return
        weight, *rest = self.weighted.blobs()
        if self.made is not None:
            rest = [Reordered(bias, 1, self.made) for bias in rest]
        self.layer.give(self._weight(weight), *rest)

    def _weight(self, weight: BlobSource) -> BlobSource:
        assert self.weighted is not None
        count, size = self.order.size, size_of(weight)
        # Depthwise, and in a deconvolution, the first axis is that of the channels that are read.
        first = self.made is not None or self.weighted.layout is Layout.DECONVOLUTION
        if first or self.weighted.is_transposed:
            return Reordered(weight, size // count, self.order)
        return Reordered(weight, size // self.weighted.outputs // count, self.order)


def turns(context: Context, value: Value, order: Order) -> list[Turn] | Reason:
    """Who must change, and how, so that a value may come in another order, or why that cannot be.

    Args:
        context: the network.
        value: the value.
        order: which of its channels will stand in each place, as its readers know them.
    """
    found: list[Turn] = []
    waiting = [(value, order)]
    for one, its in waiting:
        seen = seen_by_others(context.net, one)
        if seen is not None:
            return seen
        if one.is_output and one is not value:
            return Reason(Code.NETWORK_OUTPUT, f"'{one.name}' is an output of the network")
        for reader in dict.fromkeys(one.readers):
            turn = _turn(context, reader, one, its)
            if isinstance(turn, Reason):
                return turn
            if turn is None:
                continue
            found.append(turn)
            if turn.made is not None:
                made = turn.made
                waiting.extend((top, made) for top in reader.tops)
    return found


def _turn(context: Context, layer: Layer, value: Value, order: Order) -> Turn | Reason | None:
    role = layer.kind.channels
    untrusted = context.untrusted(layer)
    if untrusted:
        return Reason(Code.NO_HOST, untrusted)
    if role is ChannelRole.LENGTHS:
        return None
    refusal = _alone(context, layer)
    if refusal is not None:
        return refusal
    weighted = context.weighted(layer)
    if weighted is not None:
        return _turn_weighted(context, weighted, order)
    if role is ChannelRole.KEPT or (
        role is ChannelRole.NUMBERED and _numbers_channels(context, layer, order)
    ):
        return Turn(layer, order, None, order)
    why = f"{layer} reads '{value.name}', and another order of channels cannot pass it"
    return Reason(Code.NO_HOST, why)


def _alone(context: Context, layer: Layer) -> Reason | None:
    """Why a layer cannot be asked by itself, if so."""
    if len(layer.bottoms) != 1:
        return Reason(Code.OTHER_READER, f"{layer} reads {len(layer.bottoms)} values at once")
    if layer.blobs or layer.kind.layout is not None:
        return other_users(context.net, [layer])
    return None


def _turn_weighted(context: Context, weighted: WeightedLayer, order: Order) -> Turn | Reason:
    layer, channels = weighted.layer, int(order.size)
    misfit = context.misfits.get(layer)
    refusal = misfit or weighted.input_refusal(Affine(np.ones(1), np.zeros(1)))
    if refusal is not None:
        return refusal
    if context.has_weights and not weighted.reads(channels):
        why = f"the weight of {layer} takes {weighted.inputs} inputs, not {channels} channels"
        return Reason(Code.UNKNOWN_SHAPE, why)
    if weighted.groups == 1:
        return Turn(layer, order, weighted, None)
    if weighted.groups == channels and weighted.outputs % channels == 0:
        each = np.arange(weighted.outputs // channels)
        made = (order[:, None] * each.size + each).ravel()
        return Turn(layer, order, weighted, made)
    why = f"{layer} has {weighted.groups} groups, between which channels cannot change places"
    return Reason(Code.NO_HOST, why)


def _numbers_channels(context: Context, layer: Layer, order: Order) -> bool:
    """Whether a layer has one number for each channel, or one for all."""
    if layer.kind.affine is not None and not isinstance(context.affine(layer), Reading):
        return False
    if not context.has_weights:
        return True
    return bool(layer.blobs) and all(
        math.prod(blob.shape) in (1, order.size) for blob in layer.blobs
    )


def weighted_layers(found: Sequence[Turn]) -> list[Layer]:
    """The layers with weights among them, in order."""
    return [turn.layer for turn in found if turn.weighted is not None]
