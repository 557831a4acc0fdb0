"""Which stored blobs are what the prototxt says they are, asked once of every layer.

A rewrite may read the blobs of a layer only where there are as many of them, of such shapes, as its
type and its parameters call for, and where their values can be read. Whatever does not fit makes
the layer opaque to every rewrite, with the reason. What a layer's blobs must be to the layers
around it (as many inputs as it is given channels) is asked where those are known.

And lengths in a prototxt are claims: none is worth more memory than the weights file could fill.
"""

from __future__ import annotations

from bnfold.caffemodel import Blob, CaffemodelError, Weights
from bnfold.errors import BnfoldError
from bnfold.fold.blobs import checked_blobs, size_of
from bnfold.fold.plan import Code, Reason
from bnfold.fold.weighted import WeightedLayer
from bnfold.graph import Layer, Net
from bnfold.prototxt import PrototxtError

_FEW = 1 << 16
"""ChannelRole that are plausible whatever the size of the weights file."""


def misfits(net: Net) -> dict[Layer, Reason]:
    """The layers whose record is not what their type and parameters call for, each with why.

    Asked are convolutions, inner products and PReLUs; layers of an affine type are read as such
    (dialects.py), and other blobs are never read. Without weights there is nothing to ask.
    """
    if net.weights is None:
        return {}
    found = {}
    for layer in net.layers:
        reason = _misfit(layer)
        if reason is not None:
            found[layer] = reason
    return found


def _misfit(layer: Layer) -> Reason | None:
    layout = layer.kind.layout
    if layout is None and not layer.kind.has_slopes:
        return None
    if not layer.blobs:
        return Reason(Code.NEEDS_WEIGHTS, f"{layer} has no weights in the weights file")
    try:
        for blob in layer.blobs:
            # What rewrites computed can be read.
            if isinstance(blob, Blob):
                blob.check()
    except CaffemodelError:
        return Reason(Code.NEEDS_WEIGHTS, f"the weights of {layer} cannot be read")
    try:
        if layout is None:
            _check_slopes(layer)
        else:
            WeightedLayer.of(layer).blobs()
    except (BnfoldError, PrototxtError) as error:
        return Reason(Code.UNKNOWN_SHAPE, str(error))
    return None


def _check_slopes(layer: Layer) -> None:
    (slopes,) = checked_blobs(layer, {1: "slopes"})
    shared = layer.param("prelu_param").channel_shared
    count = size_of(slopes)
    if not count or (shared and count != 1):
        raise BnfoldError(
            f"{layer} (line {layer.line}): {count} slopes in the weights file, but the "
            f"prototxt says {'one for all channels' if shared else 'one for each channel'}"
        )


def plausible_channels(weights: Weights | None) -> int:
    """The most channels that a value can have which something in the weights file reads."""
    return _FEW + (0 if weights is None else weights.size)
