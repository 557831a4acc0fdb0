"""Rewrite: `engine: CAFFE` on every convolution whose kernel is 1 in all axes.

Such a convolution is one matrix product, which Caffe's own engine does without unrolling
the image (BVLC caffe, base_conv_layer.cpp, `is_1x1_`); `engine: CAFFE` makes it skip cuDNN.
The layer computes the same function either way.
"""

from __future__ import annotations

from bnfold.caffemodel import schema
from bnfold.fold.plan import EngineChange
from bnfold.fold.rewrite import Context, OptionalRewrite
from bnfold.graph import Layer
from bnfold.graph.windows import convolution_windows, own_spatial_axes

_PARAM = "convolution_param"


class EngineCaffe(OptionalRewrite):
    """Set the engine of 1x1 convolutions, folded or not."""

    help = "Set `engine: CAFFE` on convolutions whose kernel is 1 in all axes."
    on = True
    last = True

    def run(self, context: Context) -> bool:
        """Apply the rewrite to all convolutions of the phase."""
        before = len(context.plan.engines)
        hosts = {host for done in context.plan.outcomes for host in done.into}
        names = {n: name for name, n in schema.enum("ConvolutionParameter.Engine").items()}
        for layer in context.net.layers:
            if (
                layer.kind.name != "Convolution"
                or context.untrusted(layer)
                or not _is_pointwise(layer)
            ):
                continue
            if not context.choice.allows(layer) and not (
                layer.name in hosts and context.choice.only
            ):
                continue
            param = layer.param(_PARAM)
            engine = names[param.engine]
            if engine == "CAFFE":
                continue
            replaced = engine if param.HasField("engine") else None
            layer.set(_PARAM, "engine", "CAFFE")
            context.plan.engines.append(EngineChange(layer.name, layer.line, replaced))
        return len(context.plan.engines) > before


def _is_pointwise(layer: Layer) -> bool:
    """Whether the kernel is 1 in all axes, however it is written."""
    windows = convolution_windows(layer, own_spatial_axes(layer))
    return windows is not None and all(size == 1 for size in windows.kernel)
