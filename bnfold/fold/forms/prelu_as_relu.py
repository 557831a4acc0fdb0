"""Rewrite: a PReLU is written as ReLU, Scale and Eltwise, for readers that do not know it.

    max(x, 0) + a min(x, 0)  =  relu(x) - a relu(-x)
                             =  relu(x) + relu(a x)          where a <= 0 in each channel

The negative part is a Scale by -1, a ReLU and a Scale by -a, or a Scale by a and a ReLU: then
nothing of it can move through the ReLU, so that a second run finds nothing to do.

1. No other layer uses the slopes.
2. One slope for all channels is written for each, so that their number must be known.
3. Where the PReLU works in place, its top or its bottom may have another name: what reads both
   parts cannot work in place.

It runs at the end: what is behind a PReLU passes it, and does not pass its parts.

Sources: BVLC caffe, src/caffe/layers/{prelu,eltwise}_layer.cpp, `Forward_cpu`; the composition is
that of PKUZHOU/MTCNN_FaceDetection_TensorRT.
"""

from __future__ import annotations

import numpy as np

from bnfold.aliases import Vector
from bnfold.fold.absorb.search import other_users
from bnfold.fold.blobs import values_of
from bnfold.fold.forms.form import Form, forget, note
from bnfold.fold.forms.names import Names, parted
from bnfold.fold.plan import Code, Reason
from bnfold.fold.rewrite import Context, OptionalRewrite
from bnfold.fold.weights import Dense
from bnfold.graph import Layer, Value, record_of

_FORM = "ReLU, Scale and Eltwise"


class PReLUAsReLU(OptionalRewrite):
    """Write each PReLU as ReLU, Scale and Eltwise."""

    help = "Write each PReLU as ReLU, Scale and Eltwise."
    on = False
    entry = Form
    last = True

    def run(self, context: Context) -> bool:
        """Apply the rewrite to all PReLUs, in file order."""
        forget(context, "PReLU")
        net, names, changed = context.net, None, False
        for layer in list(net.layers):
            if layer.kind.name != "PReLU" or not context.choice.allows(layer):
                continue
            found = _refusal(context, layer) or parted(net, layer)
            note(context, layer, _FORM, found if isinstance(found, Reason) else None)
            if not isinstance(found, Reason):
                names = names or Names(net)
                _apply(context, layer, found, names)
                changed = True
        if changed:
            net.look_at_order_anew()
        return changed


def _refusal(context: Context, layer: Layer) -> Reason | None:
    """Why a PReLU stays, if it does."""
    untrusted = context.untrusted(layer)
    if untrusted:
        return Reason(Code.UNKNOWN_LAYER, untrusted)
    if len(layer.bottoms) != 1 or len(layer.tops) != 1:
        return Reason(Code.NO_EQUAL, f"{layer} has more than one bottom or top")
    if context.has_weights and layer in context.misfits:
        return context.misfits[layer]
    is_shared = layer.param("prelu_param").channel_shared
    if is_shared and context.channels_of(layer.bottoms[0]) is None:
        why = f"how many channels {layer} has cannot be told"
        return Reason(Code.UNKNOWN_SHAPE, why, "give the input's shape in the prototxt")
    return other_users(context.net, [layer])


def _apply(context: Context, layer: Layer, renamed: list[Value], names: Names) -> None:
    """Make a PReLU the ReLU of its positive part, and add what makes the rest."""
    net, name = context.net, layer.name
    names.part(layer, renamed)
    slopes, dtype = _slopes(context, layer)
    (bottom,) = layer.bottoms
    layer.clear("param", *layer.kind.params)
    layer.become(record_of("ReLU"))
    layer.give()
    context.plan.altered.add(name)
    between = names.new(f"{name}/positive")
    joint = net.hand_over(layer, record_of("Eltwise"), names.new(f"{name}/sum"), between=between)
    joint.set("eltwise_param", "operation", "SUM")
    last, value = layer, bottom
    top = names.new(f"{name}/negative")
    for word, factors in _negative(slopes):
        kind = record_of("ReLU" if word == "relu" else "Scale")
        made = Value(top, None)
        last = net.put_behind(last, kind, names.new(f"{name}/{word}"), [value], [made])
        value = made
        if factors is not None:
            last.give(Dense.of(factors, dtype, f"scale of {last}"))
    net.connect(joint, value)


def _slopes(context: Context, layer: Layer) -> tuple[Vector | None, np.dtype[np.floating]]:
    """The slopes of a PReLU, one for each channel, and the type to store them in."""
    if not layer.blobs:
        return None, np.dtype(np.float32)
    (blob,) = layer.blobs
    slopes, channels = values_of(blob), context.channels_of(layer.bottoms[0])
    if layer.param("prelu_param").channel_shared and channels is not None:
        slopes = np.full(channels, slopes[0])
    return slopes, np.dtype(blob.dtype if context.keep_dtype else np.float32)


def _negative(slopes: Vector | None) -> list[tuple[str, Vector | None]]:
    """The layers of the negative part, each with its factors."""
    if slopes is not None and (slopes <= 0).all():
        return [("minus", slopes), ("relu", None)]
    if slopes is None:
        return [("minus", None), ("relu", None), ("slope", None)]
    return [("minus", np.full(slopes.size, -1.0)), ("relu", None), ("slope", -slopes)]
