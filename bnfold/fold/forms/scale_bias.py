"""Rewrite: every Scale that is left has a bias, of zeros where it had none.

    a x  =  a x + 0

1. Its factors are a blob: where the network computes them (a second bottom), a bias would have the
   shape of that bottom, batch and all.
2. They do not tell items of the batch apart: with another batch size Caffe passes over that in a
   Scale, and not in its bias.
3. No layer outside the phase has its name, and so its weights.

It runs at the end, so that a Scale whose shift is zero has moved where it can.

Source: BVLC caffe, src/caffe/layers/scale_layer.cpp, `LayerSetUp`.
"""

from __future__ import annotations

import numpy as np

from bnfold.fold.absorb.search import same_name_outside
from bnfold.fold.forms.form import Form, forget, note
from bnfold.fold.plan import Code, Reason
from bnfold.fold.rewrite import Context, OptionalRewrite
from bnfold.fold.weights import Repeated
from bnfold.graph import AffineForm, Layer

_PARAM = "scale_param"


class GiveScalesBiases(OptionalRewrite):
    """Give a bias to every Scale that has none."""

    help = "Give each Scale that is left a bias, for readers that expect one."
    on = False
    entry = Form
    last = True

    def run(self, context: Context) -> bool:
        """Apply the rewrite to all Scales of the phase."""
        changed = False
        forget(context, "Scale")
        for layer in context.net.layers:
            if layer.kind.affine is not AffineForm.SCALE or not context.choice.allows(layer):
                continue
            if layer.param(_PARAM).bias_term:
                continue
            reason = _refusal(context, layer)
            note(context, layer, "Scale with a bias", reason)
            if reason is None:
                _give(context, layer)
                changed = True
        return changed


def _refusal(context: Context, layer: Layer) -> Reason | None:
    """Why a Scale cannot have a bias, if so."""
    untrusted = context.untrusted(layer)
    if untrusted:
        return Reason(Code.UNKNOWN_LAYER, untrusted)
    if len(layer.bottoms) != 1:
        why = f"{layer} reads its factors, so that a bias would have their shape, batch and all"
        return Reason(Code.TWO_BOTTOMS, why)
    if context.has_weights and len(layer.blobs) != 1:
        why = f"{layer} has {len(layer.blobs)} blobs in the weights file, and not its factors alone"
        return Reason(Code.NEEDS_WEIGHTS, why)
    axis, shape = layer.param(_PARAM).axis, context.shapes.get(layer.bottoms[0])
    first = axis if axis >= 0 or shape is None else axis + len(shape)
    if first <= 0 and layer.param(_PARAM).num_axes:
        why = f"{layer} has axis: {axis}, and may tell items of the batch apart"
        return Reason(Code.NOT_PER_CHANNEL, why)
    return same_name_outside(context.net, layer)


def _give(context: Context, layer: Layer) -> None:
    layer.set(_PARAM, "bias_term", True)
    if context.has_weights:
        (factors,) = layer.blobs
        layer.give(factors, Repeated(factors.shape, np.zeros(1), f"bias of {layer}"))
