"""Numbers of a layer that are not as many as its input calls for: what no engine must be given.

Caffe checks this when it reads the weights. OpenCV does not for every type: it computes with what
lies in memory behind the numbers, or ends the process. Sources: BVLC caffe,
src/caffe/layers/{scale,bias,batch_norm,prelu}_layer.cpp, `LayerSetUp`.
"""

from __future__ import annotations

from math import prod
from pathlib import Path

from bnfold.caffemodel import CaffemodelError, open_weights
from bnfold.graph import AffineForm, Layer, Net, infer_shapes
from bnfold.graph.axes import Shape, axis_index
from bnfold.prototxt import PrototxtError
from bnfold.runtimes.errors import EngineError


def check_numbers(net: Net, model: Path, weights: Path, engine: str) -> None:
    """Compare Scales, Biases, BatchNorms and PReLUs with the shapes that they read.

    Shapes that the prototxt does not tell, and files that cannot be read, are passed over.

    Raises:
        EngineError: a layer has other numbers than its input calls for.
    """
    shapes = infer_shapes(net)
    try:
        with open_weights(weights) as stored:
            for layer in net.layers:
                record = stored.get(layer.name)
                if record is None or not record.blobs or len(layer.bottoms) != 1:
                    continue
                wanted, found = _wanted(layer, shapes.get(layer.bottoms[0])), record.blobs[0].size
                if wanted is not None and wanted != found:
                    what = f"the weights file has {found} numbers for it, and it reads {wanted}"
                    raise EngineError(what, engine=engine, layer=layer.name, subject=str(model))
    except (CaffemodelError, PrototxtError, OSError):
        return


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
