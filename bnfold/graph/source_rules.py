"""The shapes that layers without bottoms give: inputs, data and parameters.

A rule gets a layer (and the shapes of its bottoms, of which it has none) and returns the shapes of
its tops, in order, as far as the prototxt tells.
Rules raise PrototxtError for a parameter with a bad value. Sources: BVLC caffe,
src/caffe/layers/*_layer.cpp, the file named after the type.
"""

from __future__ import annotations

from collections.abc import Sequence

from bnfold.graph.axes import Shape
from bnfold.graph.layer_type import Shapes
from bnfold.graph.net import Layer
from bnfold.graph.words import Words


def inputs(layer: Layer, bottoms: Shapes = ()) -> list[Shape | None]:
    """One shape for all tops or one for each (include/caffe/layers/input_layer.hpp)."""
    shapes = [tuple(shape.dim) for shape in layer.param("input_param").shape]
    return _dealt(shapes, len(layer.tops))


def parameter(layer: Layer, bottoms: Shapes = ()) -> list[Shape | None]:
    """The shape that is written."""
    return _dealt([tuple(layer.param("parameter_param").shape.dim)], len(layer.tops))


def dummy_data(layer: Layer, bottoms: Shapes = ()) -> list[Shape | None]:
    """One shape for all tops or one for each, written in one of two ways."""
    param, tops = layer.param("dummy_data_param"), len(layer.tops)
    if param.shape:
        return _dealt([tuple(shape.dim) for shape in param.shape], tops)
    axes = [list(values) for values in (param.num, param.channels, param.height, param.width)]
    columns = [values * tops if len(values) == 1 else values for values in axes]
    if any(len(column) != tops for column in columns):
        return [None] * tops
    return [tuple(shape) for shape in zip(*columns, strict=True)]


def memory_data(layer: Layer, bottoms: Shapes = ()) -> list[Shape | None]:
    """Images, and a label for each."""
    param = layer.param("memory_data_param")
    batch = param.batch_size or None
    lengths = (param.channels, param.height, param.width)
    return [(batch, *(length or None for length in lengths)), (batch,)]


def image_data(layer: Layer, bottoms: Shapes = ()) -> list[Shape | None]:
    """Layers that read images: four axes; the label's shape is unknown.

    Several `mean_value`s are one for each channel. A crop is square; SSD's `resize_param` has a
    height and a width that hold for all images with `resize_mode: WARP`. Sources: BVLC caffe and
    weiliu89/caffe, src/caffe/data_transformer.cpp.
    """
    batch = _batch_size(layer)
    param = layer.param("transform_param")
    channels = len(param.mean_value) if len(param.mean_value) > 1 else None
    height = width = param.crop_size or None
    resize = Words.of(layer, "transform_param").inner("resize_param")
    if height is None and resize.names >= {"height", "width"} and _is_warp(resize):
        height, width = resize.integer("height"), resize.integer("width")
    return [(batch, channels, height, width)]


def _batch_size(layer: Layer) -> int | None:
    match layer.type:
        case "Data" | "AnnotatedData":
            return layer.param("data_param").batch_size or None
        case "ImageData":
            return int(layer.param("image_data_param").batch_size)
    return Words.of(layer, "dense_image_data_param").integer("batch_size")


def _is_warp(resize: Words) -> bool:
    modes = ("WARP", "FIT_SMALL_SIZE", "FIT_LARGE_SIZE_AND_PAD")
    # Its enum counts from 1; `prob` below 1 leaves some images as they are.
    mode = resize.choice("resize_mode", ("", *modes)) if "resize_mode" in resize.names else "WARP"
    return mode == "WARP" and resize.number("prob", 1.0) == 1.0


def _dealt(shapes: Sequence[Shape | None], tops: int) -> list[Shape | None]:
    if len(shapes) == 1:
        return list(shapes) * tops
    return list(shapes) if len(shapes) == tops else [None] * tops
