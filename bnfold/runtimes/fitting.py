"""Layers that do not fit what they read: what no engine must be given.

Caffe checks this when it builds the network and reads the weights. OpenCV does not for every type:
it computes with what lies in memory behind the numbers, or ends the process. Sources: BVLC caffe,
src/caffe/layers/{scale,bias,batch_norm,prelu,base_conv,inner_product}_layer.cpp, `LayerSetUp`.
"""

from __future__ import annotations

from math import prod
from pathlib import Path

from bnfold.caffemodel import CaffemodelError, open_weights
from bnfold.graph import AffineForm, Layer, Layout, Net, infer_shapes
from bnfold.graph.axes import Shape, axis_index
from bnfold.graph.windows import convolution_windows, spatial_axes
from bnfold.prototxt import PrototxtError
from bnfold.runtimes.errors import EngineError


def check_fit(net: Net, model: Path, weights: Path, engine: str) -> None:
    """Compare layers with the shapes that they read: their numbers, and their windows.

    Shapes that the prototxt does not tell, and files that cannot be read, are passed over.

    Raises:
        EngineError: a layer has other numbers than its input calls for, no outputs, or a window for
            another number of axes.
    """
    shapes = infer_shapes(net)
    try:
        with open_weights(weights) as stored:
            for layer in net.layers:
                misfit = _misfit(layer, shapes.get(layer.bottoms[0]) if layer.bottoms else None)
                if misfit is not None:
                    raise EngineError(misfit, engine=engine, layer=layer.name, subject=str(model))
                record = stored.get(layer.name)
                if record is None or not record.blobs or len(layer.bottoms) != 1:
                    continue
                wanted, found = _wanted(layer, shapes.get(layer.bottoms[0])), record.blobs[0].size
                if wanted is not None and wanted != found:
                    what = f"the weights file has {found} numbers for it, and it reads {wanted}"
                    raise EngineError(what, engine=engine, layer=layer.name, subject=str(model))
    except (CaffemodelError, PrototxtError, OSError):
        return


def _misfit(layer: Layer, shape: Shape | None) -> str | None:
    """Why a layer that multiplies by a matrix cannot be one, if so."""
    kind = layer.kind
    if kind.layout is None:
        return None
    if not layer.param(kind.message).num_output and not kind.is_depthwise:
        return "it has no num_output"
    if kind.layout is Layout.INNER_PRODUCT or shape is None:
        return None
    spatial = spatial_axes(layer, shape)
    if spatial is None or convolution_windows(layer, spatial) is None:
        return f"its kernel, stride, pad or dilation is not for a value of {len(shape)} axes"
    return None


def _wanted(layer: Layer, shape: Shape | None) -> int | None:
    """How many numbers a layer has for what it reads, where that can be told."""
    if shape is None:
        return None
    first, end = 1, 2
    if layer.kind.affine in (AffineForm.SCALE, AffineForm.BIAS):
        param = layer.param(layer.kind.message)
        axis = axis_index(param.axis, len(shape))
        if axis is None:
            return None
        first, end = axis, len(shape) if param.num_axes == -1 else axis + param.num_axes
    elif layer.kind.has_slopes:
        if layer.param("prelu_param").channel_shared:
            return 1
    elif layer.kind.affine is not AffineForm.BATCH_NORM:
        return None
    lengths = shape[first:end]
    known = [length for length in lengths if length is not None]
    return prod(known) if len(known) == len(lengths) else None
