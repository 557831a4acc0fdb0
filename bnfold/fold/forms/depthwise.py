"""Rewrite: the depthwise convolutions of forks are written as Convolution with `group`.

    y[c] = W[c] * x[c] + b[c]  for each channel c      a Convolution with group: C is just that

1. The layer's weight has one plane for each output, or as many as the channels that it reads and
   the `group` of its text call for. Forks disagree on what any other weight would mean.
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
    channels = context.channels_of(layer.bottoms[0])
    outputs = weighted.outputs or channels
    if not outputs:
        why = f"how many channels {layer} has cannot be told"
        return Reason(Code.UNKNOWN_SHAPE, why, "write its num_output")
    if not context.has_weights:
        return outputs
    inputs, groups = weighted.inputs, weighted.groups
    if inputs != channels and (channels is not None or groups != outputs or inputs != outputs):
        known = f"and reads {channels}" if channels else "and how many it reads cannot be told"
        why = f"the weight of {layer} takes {inputs} channels in {groups} groups, {known}"
        return Reason(Code.NO_EQUAL, why)
    return outputs


def _apply(layer: Layer, outputs: int) -> None:
    groups = layer.param(_PARAM).group
    if not layer.param(_PARAM).num_output:
        layer.set(_PARAM, "num_output", outputs)
    if groups <= 1 < outputs:
        layer.set(_PARAM, "group", outputs)
    layer.become(record_of("Convolution"))
