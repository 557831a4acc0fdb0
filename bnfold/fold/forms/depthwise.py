"""Rewrite: the depthwise convolutions of forks are written as Convolution with `group`.

    y[c] = W[c] * x[c] + b[c]  for each channel c      a Convolution with group: C is just that

1. It acts on channels, and its weight is for as many as it reads: one plane for each output, unless
   its text says `group` and there are more. Forks disagree on what any other weight would mean.
   Where it is not known how many it reads, the text says `group`.
2. It says nothing of its window that only a fork knows (`pad_left`, `hole`).
3. `num_output`, which some forks may leave out, is the number of its weight's rows, or of the
   channels that it reads.

It runs before anything else, so that the layer folds and merges as every Convolution does.

Sources: yonghenglh6/DepthwiseConvolution, depthwise_conv_layer.cpp; farmingyard/ShuffleNet,
conv_dw_layer.cpp; BVLC caffe, base_conv_layer.cpp.
"""

from __future__ import annotations

from bnfold.fold.forms.form import Form, distrust, note
from bnfold.fold.plan import Code, Reason
from bnfold.fold.rewrite import Context, OptionalRewrite
from bnfold.fold.weighted import WeightedLayer
from bnfold.graph import Layer, record_of
from bnfold.graph.axes import is_channels

_PARAM = "convolution_param"


class DepthwiseAsConvolution(OptionalRewrite):
    """Write the depthwise types of forks as Convolution."""

    help = "Write the depthwise types of forks (DepthwiseConvolution and others) as Convolution."
    on = False
    entry = Form
    first = True

    def run(self, context: Context) -> bool:
        """Apply the rewrite to all layers of such a type."""
        changed = False
        for layer in context.net.layers:
            if not layer.kind.is_depthwise or not context.choice.allows(layer):
                continue
            outputs = _outputs(context, layer)
            reason = outputs if isinstance(outputs, Reason) else None
            note(context, layer, "Convolution", reason)
            if not isinstance(outputs, Reason):
                _apply(layer, outputs)
                changed = True
        return changed


def _outputs(context: Context, layer: Layer) -> int | Reason:
    """How many channels a layer has that can be a Convolution, or why it cannot."""
    refusal = distrust(context, layer, "Convolution")
    if refusal is not None:
        return refusal
    if context.has_weights and layer in context.misfits:
        return context.misfits[layer]
    weighted = WeightedLayer.of(layer)
    if weighted.window_fields:
        why = f"{layer} has {', '.join(weighted.window_fields)}, which a Convolution has not"
        return Reason(Code.NO_EQUAL, why)
    shape = context.shapes.get(layer.bottoms[0])
    if not is_channels(weighted.axis, None if shape is None else len(shape)):
        return Reason(Code.NOT_PER_CHANNEL, f"{layer} has axis: {weighted.axis}")
    channels, groups = context.channels_of(layer.bottoms[0]), weighted.groups
    outputs = weighted.outputs or channels
    if not outputs or (channels is None and layer.param(_PARAM).group <= 1):
        why = f"how many channels {layer} reads cannot be told, and its text has no group"
        return Reason(Code.UNKNOWN_SHAPE, why, "write its num_output and group")
    if context.has_weights and weighted.inputs != (channels or weighted.inputs):
        why = f"the weight of {layer} takes {weighted.inputs} channels in {groups} groups"
        return Reason(Code.NO_EQUAL, f"{why}, and it reads {channels}")
    return outputs


def _apply(layer: Layer, outputs: int) -> None:
    groups = layer.param(_PARAM).group
    if not layer.param(_PARAM).num_output:
        layer.set(_PARAM, "num_output", outputs)
    if groups <= 1 < outputs:
        layer.set(_PARAM, "group", outputs)
    layer.become(record_of("Convolution"))
