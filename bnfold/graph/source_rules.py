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
    height and a width that hold for all images, but where it keeps their proportions. Layers that
    read image files give three channels or, with `is_color: false`, one. Sources: BVLC caffe and
    weiliu89/caffe, src/caffe/data_transformer.cpp (`InferBlobShape`); image_data_layer.cpp.
    """
    own = Words.of(layer, _own_message(layer))
    batch = own.length("batch_size") or (1 if layer.type == "ImageData" else None)
    transform = Words.of(layer, "transform_param")
    size = _crop(layer, transform, own) or resized(transform) or read_size(own)
    return [(batch, _channels(layer, transform, own), *(size or (None, None)))]


def window_data(layer: Layer, bottoms: Shapes = ()) -> list[Shape | None]:
    """Windows of images, warped to squares of the crop's size (window_data_layer.cpp)."""
    own, transform = Words.of(layer, "window_data_param"), Words.of(layer, "transform_param")
    size = _crop(layer, transform, own) or (None, None)
    return [(own.length("batch_size"), _channels(layer, transform, own), *size)]


_OWN_MESSAGES = {
    "ImageData": "image_data_param",
    "ImageSegData": "image_data_param",
    "DenseImageData": "dense_image_data_param",
}


def _own_message(layer: Layer) -> str:
    return _OWN_MESSAGES.get(layer.type, "data_param")


def _crop(layer: Layer, transform: Words, own: Words) -> tuple[int, int] | None:
    """The size of the crop; before `transform_param` the layer's own message had it."""
    side = transform.length("crop_size") or own.length("crop_size")
    return (side, side) if side else None


def resized(transform: Words) -> tuple[int, int] | None:
    """The size that SSD's `resize_param` gives all images; several are chances, and tell none."""
    resizes = [] if transform.text is None else transform.text.all("resize_param")
    if len(resizes) != 1:
        return None
    resize = Words(resizes[0].message())
    height, width = resize.length("height"), resize.length("width")
    return (height, width) if height and width and _is_whole(resize) else None


def read_size(own: Words) -> tuple[int, int] | None:
    """The size that image files are resized to as they are read."""
    height, width = own.length("new_height"), own.length("new_width")
    return (height, width) if height and width else None


def _channels(layer: Layer, transform: Words, own: Words) -> int | None:
    means = [] if transform.text is None else transform.text.all("mean_value")
    if len(means) > 1:
        return len(means)
    if layer.type in _OWN_MESSAGES:
        return 3 if own.boolean("is_color", True) else 1
    if transform.boolean("force_gray", False):
        return 1
    return 3 if transform.boolean("force_color", False) else None


def _is_whole(resize: Words) -> bool:
    """Whether all images get the very size that is written."""
    modes = ("WARP", "FIT_SMALL_SIZE", "FIT_LARGE_SIZE_AND_PAD")
    # Its enum counts from 1; `prob` below 1 leaves some images as they are.
    mode = resize.choice("resize_mode", ("", *modes)) if "resize_mode" in resize.names else "WARP"
    return mode != "FIT_SMALL_SIZE" and resize.number("prob", 1.0) == 1.0


def _dealt(shapes: Sequence[Shape | None], tops: int) -> list[Shape | None]:
    if len(shapes) == 1:
        return list(shapes) * tops
    return list(shapes) if len(shapes) == tops else [None] * tops
