"""What each channel of each value is constant at, if it is.

Some layers are known to make constants, a filter of zeros or a batch norm whose scale is taken as
zero. From there on constants go through whatever works channel by channel:

    affine, activation     the function of the constant
    pooling                the constant; an average over padding is off at the border
    Concat, Flatten        the constants side by side, and repeated
    Eltwise, gates         where all bottoms are constant; a product also where one is zero
    depthwise convolution  bias + weight * constant; with padding it is off at the border unless
                           the constant is zero

"Off at the border" is an interval [low, high] around what the channel is inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from bnfold.aliases import Vector
from bnfold.fold.affines.dialects import Reading
from bnfold.fold.blobs import values_of
from bnfold.fold.channels.flow import Flow, Role
from bnfold.fold.channels.intervals import Constants
from bnfold.fold.channels.sums import spreads, sums_of
from bnfold.fold.rewrite import Context
from bnfold.fold.weighted import WeightedLayer
from bnfold.graph import ChannelRole, Layer, Layout, Passes, Value
from bnfold.graph.functions import ZERO_ALONE, Activation, leaky
from bnfold.graph.windows import may_miss

_AVE, _STOCHASTIC = 1, 2
_PROD, _SUM = 0, 1


def propagate(
    context: Context, flow: Flow, starts: Mapping[Layer, Vector]
) -> dict[Value, Constants]:
    """What every channel is constant at.

    Args:
        context: the network.
        flow: how its channels flow.
        starts: layers whose top is constant in some channels, shape (C,), NaN in the others,
            whatever the layer reads.

    Raises:
        BnfoldError: blobs do not fit.
        PrototxtError: a parameter has a bad value.
    """
    found: dict[Value, Constants] = {}
    for value in context.net.inputs:
        lanes = flow.lanes[value]
        if lanes is not None:
            found[value] = Constants.none(lanes.size)
    with np.errstate(all="ignore"):
        for layer, role in flow.roles.items():
            for top in layer.tops:
                lanes = flow.lanes.get(top)
                if lanes is None:
                    continue
                constants = _downstream(context, flow, layer, role, found)
                constants = constants or Constants.none(lanes.size)
                if layer in starts:
                    constants = Constants.exact(starts[layer]).over(constants)
                found[top] = constants.known()
    return found


def _downstream(
    context: Context, flow: Flow, layer: Layer, role: Role, found: Mapping[Value, Constants]
) -> Constants | None:
    """What the channels that a layer makes or hands on are, or None where all vary."""
    if role in (Role.MIX, Role.OPAQUE, Role.SIZES):
        return None
    bottoms = [found[value] for value in layer.bottoms if value in found]
    if not any(np.isfinite(bottom.inside).any() for bottom in bottoms):
        return None
    match role:
        case Role.JOIN:
            parts = [(b.inside, b.low, b.high) for b in bottoms]
            return Constants(*(np.concatenate(part) for part in zip(*parts, strict=True)))
        case Role.TIE:
            return _tied(layer, bottoms)
        case Role.STRETCH:
            lanes = flow.lanes[layer.tops[0]]
            assert lanes is not None
            (one,) = bottoms
            each = lanes.size // one.inside.size
            return Constants(*(np.repeat(part, each) for part in (one.inside, one.low, one.high)))
        case Role.DEPTHWISE:
            return _depthwise(context, layer, bottoms[0])
    return _one(context, layer, bottoms[0])


def _one(context: Context, layer: Layer, bottom: Constants) -> Constants | None:
    kind = layer.kind
    if kind.is_affine:
        reading = context.affine(layer)
        if not isinstance(reading, Reading):
            return None
        scale, shift = reading.affine.scale, reading.affine.shift
        if scale is None or shift is None:
            return None
        return _mapped(bottom, Activation(lambda x: scale * x + shift))
    if kind.channels is ChannelRole.NUMBERED:
        return _mapped(bottom, leaky(values_of(layer.blobs[0])))
    if kind.function is not None:
        known = kind.function(layer)
        return None if known is None else _mapped(bottom, known)
    if kind.passes is Passes.POOLED:
        param = layer.param("pooling_param")
        if param.pool == _STOCHASTIC or may_miss(layer, context.shapes.get(layer.bottoms[0])):
            return None
        if param.pool == _AVE and (param.pad or param.pad_h or param.pad_w):
            low, high = np.minimum(bottom.low, 0.0), np.maximum(bottom.high, 0.0)
            return replace(bottom, low=low, high=high)
        return bottom
    if kind.keeps_zeros:
        return _mapped(bottom, ZERO_ALONE)
    return bottom


def _mapped(bottom: Constants, known: Activation) -> Constants:
    """A function of constants: the extremes over an interval are at its ends or at a turn."""
    low, high = known.function(bottom.low), known.function(bottom.high)
    least, most = np.minimum(low, high), np.maximum(low, high)
    for turn in known.turns:
        within = (bottom.low < turn) & (turn < bottom.high)
        at = known.function(np.full_like(bottom.inside, turn))
        least = np.where(within, np.minimum(least, at), least)
        most = np.where(within, np.maximum(most, at), most)
    return Constants(known.function(bottom.inside), least, most)


def _tied(layer: Layer, bottoms: list[Constants]) -> Constants | None:
    if layer.kind.passes is Passes.JOINED:
        return _same(bottoms)
    param = layer.param("eltwise_param") if layer.kind.passes is Passes.COMBINED else None
    if param is None or param.operation == _PROD:
        return _product(bottoms)
    if param.operation != _SUM:
        parts = [(b.inside, b.low, b.high) for b in bottoms]
        return Constants(*(np.maximum.reduce(part) for part in zip(*parts, strict=True)))
    coefficients = list(param.coeff) or [1.0] * len(bottoms)
    if len(coefficients) != len(bottoms):
        return None
    total = Constants.exact(np.zeros(bottoms[0].inside.size))
    for factor, bottom in zip(coefficients, bottoms, strict=True):
        ends = factor * bottom.low, factor * bottom.high
        total = Constants(
            total.inside + factor * bottom.inside,
            total.low + np.minimum(*ends),
            total.high + np.maximum(*ends),
        )
    return total


def _same(bottoms: list[Constants]) -> Constants:
    """What is constant at the same number in all."""
    first = bottoms[0]
    alike = np.ones(first.inside.size, np.bool_)
    for bottom in bottoms[1:]:
        alike &= bottom.inside == first.inside
    low = np.minimum.reduce([bottom.low for bottom in bottoms])
    high = np.maximum.reduce([bottom.high for bottom in bottoms])
    return Constants(np.where(alike, first.inside, np.nan), low, high)


def _product(bottoms: list[Constants]) -> Constants:
    total = bottoms[0]
    zero = (total.low == 0) & (total.high == 0)
    for bottom in bottoms[1:]:
        zero |= (bottom.low == 0) & (bottom.high == 0)
        ends = [a * b for a in (total.low, total.high) for b in (bottom.low, bottom.high)]
        inside = total.inside * bottom.inside
        total = Constants(inside, np.minimum.reduce(ends), np.maximum.reduce(ends))
    return Constants.exact(np.where(zero, 0.0, np.nan)).over(total)


def _depthwise(context: Context, layer: Layer, bottom: Constants) -> Constants:
    known = np.isfinite(bottom.inside)
    if layer.kind.layout is Layout.DECONVOLUTION and spreads(layer):
        known &= (bottom.low == 0) & (bottom.high == 0)
    outputs = WeightedLayer.of(layer).outputs
    if not known.any():
        return Constants.none(outputs)
    sums = sums_of(context, layer, bottom, known)
    blobs = layer.blobs
    inside = sums.inside + (values_of(blobs[1]) if len(blobs) > 1 else 0.0)
    inside = np.where(np.repeat(known, outputs // known.size), inside, np.nan)
    return Constants(inside, inside - sums.off, inside + sums.off)
