"""Rewrite: what must stay a Scale is written as a depthwise 1x1 Convolution.

    a[c] x[c] + b[c]        a Convolution with group: C, kernel 1, the weight a and the bias b

1. It has a stored number for each channel, and not one for all: a value may have as many channels
   as there are items in the batch.
2. What it reads has places: a value of two axes is for an InnerProduct, and not for a Convolution.
3. No other layer uses its numbers.
4. Where it works in place, its top or its bottom may have another name: a Convolution cannot.

It runs at the end, when all that can fold has folded.

Source: BVLC caffe, src/caffe/layers/{scale,base_conv}_layer.cpp.
"""

from __future__ import annotations

import numpy as np

from bnfold.fold.absorb.search import other_users
from bnfold.fold.affines.affine import Affine
from bnfold.fold.forms.form import Form, forget, note
from bnfold.fold.forms.names import Names, parted
from bnfold.fold.plan import Code, Reason
from bnfold.fold.rewrite import Context, OptionalRewrite
from bnfold.fold.weights import Dense, Repeated
from bnfold.graph import Layer, record_of

_PARAM = "convolution_param"


class ScaleAsConvolution(OptionalRewrite):
    """Write each Scale that stays as a depthwise 1x1 Convolution."""

    help = "Write each Scale that must stay as a depthwise 1x1 Convolution."
    on = False
    entry = Form
    last = True

    def run(self, context: Context) -> bool:
        """Apply the rewrite to all affine layers that are left."""
        forget(context, "Scale", "Bias", "BatchNorm", "BN")
        net, names, changed = context.net, None, False
        for layer in list(net.layers):
            if not layer.kind.is_affine or not context.choice.allows(layer):
                continue
            affine = _affine(context, layer)
            found = affine if isinstance(affine, Reason) else parted(net, layer)
            note(context, layer, "Convolution", found if isinstance(found, Reason) else None)
            if isinstance(found, Reason) or isinstance(affine, Reason):
                continue
            names = names or Names(net)
            names.part(layer, found)
            _apply(context, layer, affine)
            changed = True
        if changed:
            net.look_at_order_anew()
        return changed


def _affine(context: Context, layer: Layer) -> Affine | Reason:
    """What a layer does to each of its channels, or why no Convolution can do that."""
    untrusted = context.untrusted(layer)
    if untrusted:
        return Reason(Code.UNKNOWN_LAYER, untrusted)
    if context.net.is_v1:
        why = f"{layer} stands in a V1 file, which is left as it is"
        return Reason(Code.NO_SCALE_TYPE, why, "upgrade the files with Caffe's tools")
    reading = context.affine(layer)
    if reading is None or isinstance(reading, Reason):
        return reading or Reason(Code.NOT_PER_CHANNEL, f"{layer} is no affine of channels")
    shape, channels = context.shapes.get(layer.bottoms[0]), context.channels_of(layer.bottoms[0])
    if shape is None or channels is None:
        why = f"how many axes and channels {layer} reads cannot be told"
        return Reason(Code.UNKNOWN_SHAPE, why, "give the input's shape in the prototxt")
    if len(shape) < 3:
        why = f"{layer} reads {len(shape)} axes, and a Convolution needs places"
        return Reason(Code.NO_EQUAL, why)
    if context.has_weights and reading.channels is None:
        why = f"{layer} has one number for all channels, however many there are"
        return Reason(Code.NOT_PER_CHANNEL, why)
    if reading.affine.channels not in (1, channels):
        why = f"{layer} has numbers for {reading.affine.channels} channels, and reads {channels}"
        return Reason(Code.UNKNOWN_SHAPE, why)
    return other_users(context.net, [layer]) or reading.affine.over(channels)


def _apply(context: Context, layer: Layer, affine: Affine) -> None:
    channels = context.channels_of(layer.bottoms[0])
    assert channels is not None
    keeps = layer.blobs and context.keep_dtype
    dtype = np.dtype(layer.blobs[0].dtype if keeps else np.float32)
    layer.clear("param", *layer.kind.params)
    layer.become(record_of("Convolution"))
    layer.set(_PARAM, "num_output", channels)
    if affine.is_shiftless:
        layer.set(_PARAM, "bias_term", False)
    layer.set(_PARAM, "kernel_size", (1,))
    layer.set(_PARAM, "group", channels)
    if affine.scale is None or affine.shift is None:
        return
    shape = channels, 1, *(1,) * (len(context.shapes[layer.bottoms[0]] or ()) - 2)
    weight = Repeated(shape, affine.scale, f"weight of {layer}", dtype)
    bias = Dense.of(affine.shift, dtype, f"bias of {layer}")
    layer.give(*([weight] if affine.is_shiftless else [weight, bias]))
