"""Which channels cannot go because of who reads them, or because the user said so.

A layer that mixes channels can do without a constant one where

1. its value is zero; or
2. its bias can take what it gave: the same at every place. A convolution with padding sees zeros
   there instead, so that it differs at the border; a Deconvolution spreads it unevenly, unless
   its kernel is a single value.

Where the user asked to be exact, 2 is refused wherever there is a border; for pruning it is allowed
in a convolution, and by how much it is off is told (sums.py).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bnfold.fold.channels.flow import Flow, Role
from bnfold.fold.channels.intervals import Constants
from bnfold.fold.channels.sums import pads, spreads, windows_of
from bnfold.fold.channels.ties import Channels, Mask
from bnfold.fold.plan import Code, Reason
from bnfold.fold.rewrite import Choice, Context
from bnfold.graph import Layer, Layout, Value

Refusal = tuple[Channels, Reason]


def refusals(
    context: Context, flow: Flow, constants: Mapping[Value, Constants], *, exact: bool
) -> list[Refusal]:
    """The channels that some layer cannot do without, each with the reason."""
    found: list[Refusal] = []
    for layer, role in flow.roles.items():
        if role is Role.TIE:
            found += _at_tie(flow, layer, constants)
    for layer, role in flow.roles.items():
        lanes = flow.read(layer)
        if role is Role.MIX and lanes is not None:
            inputs = constants[layer.bottoms[0]]
            found += [(lanes[mask], why) for mask, why in _at(context, layer, inputs, exact)]
    return found


def _at_tie(flow: Flow, layer: Layer, constants: Mapping[Value, Constants]) -> list[Refusal]:
    lanes = flow.lanes[layer.tops[0]]
    if lanes is None:
        return []
    some = [np.isfinite(constants[value].inside) for value in layer.bottoms]
    lost = np.logical_or.reduce(some) & ~np.isfinite(constants[layer.tops[0]].inside)
    why = f"{layer} ties it to a channel that is not constant"
    return [(lanes[lost], Reason(Code.NOT_CONSTANT, why))]


def _at(
    context: Context, layer: Layer, inputs: Constants, exact: bool
) -> list[tuple[Mask, Reason]]:
    varies = ~np.isfinite(inputs.inside)
    why = f"{layer} reads it, or a channel that is tied to it, where that is not constant"
    if not exact:
        why = f"no batch norm with a scale stands between it, or a channel tied to it, and {layer}"
    found = [(varies, Reason(Code.NOT_CONSTANT, why))]
    nonzero = ~varies & ((inputs.inside != 0) | (inputs.off != 0))
    layout = layer.kind.layout
    if layout is Layout.DECONVOLUTION and spreads(layer):
        why = f"{layer} spreads it, so that what it gives differs from place to place"
        found.append((nonzero, Reason(Code.PADDING, why)))
    elif layout is Layout.CONVOLUTION and windows_of(layer) is None:
        why = f"{layer} has words that bnfold does not know and that may pad, and it is not zero"
        found.append((nonzero, Reason(Code.PADDING, why)))
    elif exact and layout is Layout.CONVOLUTION and pads(layer):
        why = f"{layer} pads, and the constant is not zero"
        found.append((nonzero, Reason(Code.PADDING, why, "with `pad: 0` it would go")))
    elif exact:
        why = f"{layer} reads it where a padded layer before it makes it differ at the border"
        found.append((~varies & (inputs.off != 0), Reason(Code.PADDING, why)))
    return found


def chosen(flow: Flow, choice: Choice) -> list[Refusal]:
    """The channels of layers that the user keeps as they are: what they make, what they read."""
    why = Reason(Code.CHOSEN, "it stays as it is, as the user asked (--keep or --only)")
    kept = Choice(keep=choice.keep)
    found: list[Refusal] = []
    for layer, role in flow.roles.items():
        lanes = flow.read(layer)
        if role in (Role.MIX, Role.DEPTHWISE) and not choice.allows(layer):
            found.append((flow.own[layer], why))
        if role is not Role.OPAQUE and lanes is not None and not kept.allows(layer):
            found.append((lanes, why))
    return found
