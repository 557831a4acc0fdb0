"""What each layer type does to the shape of what it reads.

A rule gets a layer and the shapes of its bottoms, at least one, and returns the shape that all
its tops have, None if even the number of axes is unknown. Rules for layers whose tops differ return
a list. layer_types/ says which rule is whose.

Rules raise PrototxtError for a parameter with a bad value. Where Caffe would refuse a network,
they return what is known or None. Sources: BVLC caffe, src/caffe/layers/*_layer.cpp, the file
named after the type; weiliu89/caffe (SSD) for Permute and Normalize; others are named.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from bnfold.graph.axes import Shape, agreed, axis_index, item_count
from bnfold.graph.layer_type import ShapeRule, Shapes
from bnfold.graph.net import Layer
from bnfold.graph.windows import (
    Windows,
    convolution_windows,
    pooling_windows,
    rounds_up,
    spatial_axes,
)
from bnfold.graph.words import Words

AlikeRule: TypeAlias = Callable[[Layer, Shapes], Shape | None]


def alike(rule: AlikeRule) -> ShapeRule:
    """A rule for each top from one for the shape that all of them have."""
    return lambda layer, bottoms: [rule(layer, bottoms)] * len(layer.tops)


def same(layer: Layer, bottoms: Shapes) -> Shape | None:
    """The shape of the first bottom."""
    return bottoms[0]


def eltwise(layer: Layer, bottoms: Shapes) -> Shape | None:
    """Caffe asks that all bottoms have one shape, so each adds what is known of it."""
    return agreed(bottoms)


def axpy(layer: Layer, bottoms: Shapes) -> Shape | None:
    """Scale of each channel, x and y. Source: hujie-frank/SENet, axpy_layer.cpp."""
    return agreed(bottoms[1:])


def convolution(layer: Layer, bottoms: Shapes) -> Shape | None:
    """The axes before `axis`, num_output, and how often the window fits."""
    return _windowed(layer, bottoms, Windows.convolved)


def deconvolution(layer: Layer, bottoms: Shapes) -> Shape | None:
    """The axes before `axis`, num_output, and how far the windows reach."""
    return _windowed(layer, bottoms, Windows.deconvolved)


def depthwise(layer: Layer, bottoms: Shapes) -> Shape | None:
    """A convolution that keeps its channels, and may leave num_output out.

    Source: conv_dw_layer.cpp of farmingyard/ShuffleNet.
    """
    shape = _windowed(layer, bottoms, Windows.convolved)
    if shape is None or shape[1:2] != (None,) or bottoms[0] is None:
        return shape
    return (shape[0], bottoms[0][1], *shape[2:])


def _windowed(
    layer: Layer, bottoms: Shapes, slide: Callable[[Windows, Shape], Shape]
) -> Shape | None:
    """The axes before `axis`, then num_output, then what the windows leave."""
    bottom = bottoms[0]
    spatial = spatial_axes(layer, bottom)
    if spatial is None:
        return None
    param = layer.param("convolution_param")
    if bottom is None:
        if param.axis < 0:
            return None
        bottom = (None,) * (param.axis + 1 + spatial)
    axis = len(bottom) - spatial - 1
    windows = convolution_windows(layer, spatial)
    lengths = (None,) * spatial if windows is None else slide(windows, bottom[axis + 1 :])
    return (*bottom[:axis], param.num_output or None, *lengths)


def inner_product(layer: Layer, bottoms: Shapes) -> Shape | None:
    """The axes before `axis`, then num_output."""
    param = layer.param("inner_product_param")
    bottom = bottoms[0]
    if bottom is None:
        if param.axis < 0:
            return None
        bottom = (None,) * (param.axis + 1)
    axis = axis_index(param.axis, len(bottom))
    return None if axis is None else (*bottom[:axis], param.num_output or None)


def pooling(layer: Layer, bottoms: Shapes) -> Shape | None:
    """Caffe pools four axes only; what a fork does with others is unknown but for the first two.

    A second top, the mask, has the shape of the first.
    """
    bottom = (None,) * 4 if bottoms[0] is None else bottoms[0]
    if len(bottom) != 4:
        return _keep_channels(bottom)
    if layer.param("pooling_param").global_pooling:
        return (*bottom[:2], 1, 1)
    windows = pooling_windows(layer, bottom[2:])
    if windows is None:
        return _keep_channels(bottom)
    return (*bottom[:2], *windows.pooled(bottom[2:], rounds_up(layer)))


def concat(layer: Layer, bottoms: Shapes) -> Shape | None:
    """The lengths along the axis, added up."""
    param = layer.param("concat_param")
    known = [bottom for bottom in bottoms if bottom is not None]
    if len({len(bottom) for bottom in known}) != 1:
        return None
    chosen = param.concat_dim if param.HasField("concat_dim") else param.axis
    axis = axis_index(chosen, len(known[0]))
    if axis is None:
        return None
    lengths = [bottom[axis] if bottom is not None else None for bottom in bottoms]
    total = sum(n for n in lengths if n is not None)
    rest = agreed([(*bottom[:axis], None, *bottom[axis + 1 :]) for bottom in known])
    assert rest is not None
    return (*rest[:axis], None if None in lengths else total, *rest[axis + 1 :])


def flatten(layer: Layer, bottoms: Shapes) -> Shape | None:
    """The axes from `axis` to `end_axis` as one."""
    param = layer.param("flatten_param")
    bottom = bottoms[0]
    if bottom is None:
        # The axes before `axis` stay, and all from there on become one.
        return (None,) * (param.axis + 1) if param.axis >= 0 and param.end_axis == -1 else None
    first, last = axis_index(param.axis, len(bottom)), axis_index(param.end_axis, len(bottom))
    if first is None or last is None or last < first:
        return None
    merged = item_count(bottom[first : last + 1])
    return (*bottom[:first], merged, *bottom[last + 1 :])


def reshape(layer: Layer, bottoms: Shapes) -> Shape | None:
    """`axis` and `num_axes` choose what is replaced; 0 copies a length, -1 takes the rest."""
    param = layer.param("reshape_param")
    bottom, dims = bottoms[0], tuple(param.shape.dim)
    if bottom is None:
        if (param.axis, param.num_axes) != (0, -1):
            return None
        return tuple(dim if dim > 0 else None for dim in dims)
    first = param.axis if param.axis >= 0 else len(bottom) + param.axis + 1
    last = len(bottom) if param.num_axes == -1 else first + param.num_axes
    if not 0 <= first <= last <= len(bottom):
        return None
    # A copied length comes from the same place in the bottom.
    if any(dim == 0 and first + i >= len(bottom) for i, dim in enumerate(dims)):
        return None
    new: list[int | None] = [bottom[first + i] if dim == 0 else dim for i, dim in enumerate(dims)]
    if dims.count(-1) == 1:
        at = dims.index(-1)
        new[at] = 1
        total = item_count(bottom)
        others = item_count((*bottom[:first], *new, *bottom[last:]))
        new[at] = total // others if total is not None and others else None
    return (*bottom[:first], *new, *bottom[last:])


def permute(layer: Layer, bottoms: Shapes) -> Shape | None:
    """`order` says which axis comes first, and so on; the axes it leaves out follow."""
    bottom, order = bottoms[0], Words.of(layer, "permute_param").integers("order")
    if bottom is None or len(set(order)) != len(order):
        return None
    if any(not 0 <= axis < len(bottom) for axis in order):
        return None
    return tuple(bottom[i] for i in (*order, *(i for i in range(len(bottom)) if i not in order)))


def reduction(layer: Layer, bottoms: Shapes) -> Shape | None:
    """The axes before `axis`."""
    axis = layer.param("reduction_param").axis
    if bottoms[0] is None:
        return (None,) * axis if axis >= 0 else None
    first = axis_index(axis, len(bottoms[0]))
    return None if first is None else bottoms[0][:first]


def tile(layer: Layer, bottoms: Shapes) -> Shape | None:
    """The length of an axis times `tiles`."""
    param, bottom = layer.param("tile_param"), bottoms[0]
    axis = None if bottom is None else axis_index(param.axis, len(bottom))
    if bottom is None or axis is None:
        return None
    length, tiles = bottom[axis], param.tiles
    tiled = None if length is None or tiles < 1 else length * tiles
    return (*bottom[:axis], tiled, *bottom[axis + 1 :])


def crop(layer: Layer, bottoms: Shapes) -> Shape | None:
    """The lengths of the second bottom from `axis` on."""
    axis = layer.param("crop_param").axis
    like = bottoms[1] if len(bottoms) == 2 else None
    bottom = bottoms[0]
    if bottom is None:
        bottom = None if like is None else (None,) * len(like)
    first = None if bottom is None else axis_index(axis, len(bottom))
    if bottom is None or first is None:
        return None
    if like is None or len(like) != len(bottom):
        return (*bottom[:first], *(None,) * (len(bottom) - first))
    return (*bottom[:first], *like[first:])


def argmax(layer: Layer, bottoms: Shapes) -> Shape | None:
    """`top_k` places along the axis; without one, for each item of the batch."""
    param, bottom = layer.param("argmax_param"), bottoms[0]
    if bottom is None:
        return None
    if param.HasField("axis"):
        at = axis_index(param.axis, len(bottom))
        return None if at is None else (*bottom[:at], param.top_k, *bottom[at + 1 :])
    both = 2 if param.out_max_val else 1
    return (*bottom[:1], both, param.top_k, *(1,) * (len(bottom) - 3))


def embed(layer: Layer, bottoms: Shapes) -> Shape | None:
    """The bottom's axes and num_output."""
    outputs = layer.param("embed_param").num_output
    return None if bottoms[0] is None else (*bottoms[0], outputs or None)


def resampled(layer: Layer, bottoms: Shapes) -> Shape | None:
    """Lengths are known where the parameters are words that all forks read alike.

    They are Interp's and Resize's height with width, Upsample's upsample_h with upsample_w or
    `scale` alone; forks disagree on the rest: whether `zoom_factor: 2` makes 13 into 25 or 26.
    Sources: deeplab's interp_layer.cpp, caffe-segnet's upsample_layer.cpp.
    """
    bottom = bottoms[0]
    if bottom is None:
        return None
    words = Words.of(layer, layer.type.lower() + "_param")
    if len(bottom) == 4 and len(bottoms) == 1 and layer.type in ("Interp", "Resize"):
        size = (words.integer("height"), words.integer("width"))
        known = words.names <= {"height", "width", "pad_beg", "pad_end", "intepolation_type"}
        if known and None not in size:
            return (*bottom[:2], *size)
    if len(bottom) == 4 and layer.type == "Upsample":
        if words.names == {"scale"}:
            scale = words.integer("scale") or 0
            return (*bottom[:2], *(None if n is None else n * scale for n in bottom[2:]))
        if {"upsample_h", "upsample_w"} <= words.names:
            return (*bottom[:2], words.integer("upsample_h"), words.integer("upsample_w"))
    return _keep_channels(bottom)


def roi_pooling(layer: Layer, bottoms: Shapes) -> Shape | None:
    """Source: rbgirshick/caffe-fast-rcnn, roi_pooling_layer.cpp."""
    words = Words.of(layer, "roi_pooling_param")
    regions = bottoms[1] if len(bottoms) == 2 else None
    count = regions[0] if regions else None
    channels = bottoms[0][1] if bottoms[0] and len(bottoms[0]) > 1 else None
    return (count, channels, words.integer("pooled_h"), words.integer("pooled_w"))


def _keep_channels(bottom: Shape) -> Shape:
    return (*bottom[:2], *(None,) * len(bottom[2:]))


def slices(layer: Layer, bottoms: Shapes) -> list[Shape | None]:
    """The parts of an axis between `slice_point`s, or equal parts."""
    param, bottom, parts = layer.param("slice_param"), bottoms[0], len(layer.tops)
    chosen = param.slice_dim if param.HasField("slice_dim") else param.axis
    axis = None if bottom is None else axis_index(chosen, len(bottom))
    if bottom is None or axis is None:
        return [None] * parts
    length, points = bottom[axis], list(param.slice_point)
    lengths: list[int | None] = [None] * parts
    if points and len(points) == parts - 1:
        begins = [0, *points]
        lengths = [end - begin for begin, end in zip(begins, points, strict=False)]
        lengths.append(None if length is None else length - begins[-1])
    elif not points and length is not None and length % parts == 0:
        lengths = [length // parts] * parts
    return [(*bottom[:axis], n, *bottom[axis + 1 :]) for n in lengths]


def loss(layer: Layer, bottoms: Shapes) -> list[Shape | None]:
    """The loss is one number without axes; SoftmaxWithLoss can give its softmax as well."""
    if layer.type == "SoftmaxWithLoss":
        return [(), bottoms[0]]
    return [()]


def accuracy(layer: Layer, bottoms: Shapes) -> list[Shape | None]:
    """One number, and the accuracy of each class."""
    return [(), None]
