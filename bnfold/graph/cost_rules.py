"""The work of each layer type, from shapes that are known in full.

A rule gets a layer and the shapes of its bottoms and tops, at least one of each, and returns its
`Work`, or None if Caffe would refuse the layer. Formulas are read off BVLC caffe's
src/caffe/layers/*_layer.cpp (`Forward_cpu`), the file named after the type.
"""

from __future__ import annotations

from math import prod

from bnfold.graph.axes import axis_index
from bnfold.graph.layer_type import CostRule, Sizes, Work
from bnfold.graph.net import Layer
from bnfold.graph.windows import (
    convolution_windows,
    pooling_windows,
    spatial_axes,
)
from bnfold.graph.words import Words

STATISTICS = 3
"""Operations for each value to take mean and variance of the batch: add; square and add."""


def is_in_place(layer: Layer) -> bool:
    """Whether a layer of one bottom writes its top over it, and so does nothing if it moves it."""
    names = [value.name for value in (*layer.bottoms, *layer.tops)]
    return len(names) == 2 and len(set(names)) == 1


def is_power_of_nothing(layer: Layer) -> bool:
    """Whether a Power in place changes nothing."""
    return is_in_place(layer) and not _power_operations(layer)


def _moved(bottoms: Sizes, tops: Sizes) -> int:
    return sum(map(prod, bottoms)) + sum(map(prod, tops))


def convolution(layer: Layer, bottoms: Sizes, tops: Sizes) -> Work | None:
    """Each output: 2 (channels / group) kernel, and 1 for the bias. Padding counts as values."""
    return _windowed(layer, bottoms, tops, layer.param("convolution_param").group, tops)


def depthwise(layer: Layer, bottoms: Sizes, tops: Sizes) -> Work | None:
    """A convolution with a group for each channel, unless `group` has another number of them."""
    group = layer.param("convolution_param").group
    return _windowed(layer, bottoms, tops, group if group > 1 else _channels(bottoms), tops)


def deconvolution(layer: Layer, bottoms: Sizes, tops: Sizes) -> Work | None:
    """Each input: 2 (num_output / group) kernel; each output: 1 for the bias."""
    return _windowed(layer, bottoms, tops, layer.param("convolution_param").group, bottoms)


def _windowed(layer: Layer, bottoms: Sizes, tops: Sizes, group: int, visited: Sizes) -> Work | None:
    """All weights meet once for each place of the values that are visited."""
    bottom, top = bottoms[0], tops[0]
    spatial = spatial_axes(layer, bottom)
    windows = None if spatial is None else convolution_windows(layer, spatial)
    if spatial is None or windows is None:
        return None
    axis = len(bottom) - spatial - 1
    inputs, outputs = bottom[axis], top[axis]
    if group == 0 or inputs % group or outputs % group:
        return None
    weights = inputs * outputs // group * prod(windows.kernel)
    places = sum(prod(shape[:axis]) * prod(shape[axis + 1 :]) for shape in visited)
    bias = bool(layer.param("convolution_param").bias_term)
    return Work(
        2 * weights * places + bias * sum(map(prod, tops)),
        _moved(bottoms, tops),
        weights + bias * outputs,
    )


def inner_product(layer: Layer, bottoms: Sizes, tops: Sizes) -> Work | None:
    """Each output: 2 for each input of its row, and 1 for the bias."""
    axis = axis_index(layer.param("inner_product_param").axis, len(bottoms[0]))
    if axis is None:
        return None
    inputs, outputs, count = prod(bottoms[0][axis:]), tops[0][-1], prod(tops[0])
    bias = bool(layer.param("inner_product_param").bias_term)
    return Work(
        2 * inputs * count + bias * count, _moved(bottoms, tops), inputs * outputs + bias * outputs
    )


def batch_norm(layer: Layer, bottoms: Sizes, tops: Sizes) -> Work:
    """Each value: subtract and divide; in forks with a scale and bias, 1 more for each of them.

    With `use_global_stats: false`, mean and variance too (`STATISTICS`). The dialect is told by
    the number of stored blobs, without weights by NVIDIA's flag `scale_bias`.
    """
    channels = _channels(bottoms)
    param = layer.param("batch_norm_param")
    blobs = len(layer.blobs) or (5 if param.scale_bias else 3)
    each = 2 + max(0, min(blobs, 5) - 3)
    if param.HasField("use_global_stats") and not param.use_global_stats:
        each += STATISTICS
    parameters = (min(max(blobs, 3), 5) - 1) * channels + 1
    return Work(each * prod(bottoms[0]), _moved(bottoms, tops), parameters)


def bn(layer: Layer, bottoms: Sizes, tops: Sizes) -> Work:
    """PSPNet's: subtract, multiply twice, add. With two blobs and `bn_mode: INFERENCE`: two.

    Two blobs without it take the statistics of the batch as well. Sources: bn_layer.cpp of
    hszhao/PSPNet and alexgkendall/caffe-segnet.
    """
    channels = _channels(bottoms)
    inference = layer.param("bn_param").bn_mode == 1
    blobs = len(layer.blobs) or (2 if inference else 4)
    each = 2 if inference else 4
    if blobs == 2 and not inference:
        each += STATISTICS
    return Work(each * prod(bottoms[0]), _moved(bottoms, tops), (2 if blobs == 2 else 4) * channels)


def scale(layer: Layer, bottoms: Sizes, tops: Sizes) -> Work | None:
    """Each value: multiply, and add if there is a bias."""
    size = _affine_size(layer, "scale_param", bottoms)
    if size is None:
        return None
    bias = bool(layer.param("scale_param").bias_term)
    parameters = (len(bottoms) == 1) * size + bias * size
    return Work((1 + bias) * prod(bottoms[0]), _moved(bottoms, tops), parameters)


def bias(layer: Layer, bottoms: Sizes, tops: Sizes) -> Work | None:
    """Each value: add."""
    size = _affine_size(layer, "bias_param", bottoms)
    if size is None:
        return None
    return Work(prod(bottoms[0]), _moved(bottoms, tops), (len(bottoms) == 1) * size)


def _affine_size(layer: Layer, message: str, bottoms: Sizes) -> int | None:
    """How many scales a Scale or Bias has: those of `num_axes` axes from `axis` on (-1: all)."""
    if len(bottoms) > 1:
        return prod(bottoms[1])
    shape = bottoms[0]
    axes = layer.param(message).num_axes
    axis = axis_index(layer.param(message).axis, len(shape))
    if axis is None or axes < -1 or axis + axes > len(shape):
        return None
    return prod(shape[axis:] if axes == -1 else shape[axis : axis + axes])


def power(layer: Layer, bottoms: Sizes, tops: Sizes) -> Work:
    """Each value: 1 for each of scale, shift and power that does something."""
    return Work(_power_operations(layer) * prod(bottoms[0]), _moved(bottoms, tops))


def _power_operations(layer: Layer) -> int:
    param = layer.param("power_param")
    return sum((param.scale != 1, param.shift != 0, param.power != 1))


def pooling(layer: Layer, bottoms: Sizes, tops: Sizes) -> Work | None:
    """Each output: 1 for each value of a whole window; an average divides once more."""
    windows = pooling_windows(layer, bottoms[0][2:]) if len(bottoms[0]) == 4 else None
    if windows is None:
        return None
    average = layer.param("pooling_param").pool != 0
    count = prod(tops[0]) * (prod(windows.kernel) + average)
    return Work(count, _moved(bottoms, tops))


def eltwise(layer: Layer, bottoms: Sizes, tops: Sizes) -> Work:
    """Each value: 1 for each bottom after the first, and 1 for each `coeff` that is not 1."""
    factors = sum(value != 1 for value in layer.param("eltwise_param").coeff)
    return Work((len(bottoms) - 1 + factors) * prod(tops[0]), _moved(bottoms, tops))


def axpy(layer: Layer, bottoms: Sizes, tops: Sizes) -> Work:
    """Each value: multiply and add."""
    return Work(2 * prod(tops[0]), _moved(bottoms, tops))


def reduce(layer: Layer, bottoms: Sizes, tops: Sizes) -> Work:
    """Each value that is read: 1."""
    return Work(prod(bottoms[0]), _moved(bottoms, tops))


def interpolation(layer: Layer, bottoms: Sizes, tops: Sizes) -> Work:
    """Each output: four values weighted and added."""
    return Work(7 * prod(tops[0]), _moved(bottoms, tops))


def crop(layer: Layer, bottoms: Sizes, tops: Sizes) -> Work:
    """Only what is kept is read."""
    return Work(0, 2 * prod(tops[0]))


def per_value(operations: int) -> CostRule:
    """So many operations for each value."""
    return lambda layer, bottoms, tops: Work(operations * prod(bottoms[0]), _moved(bottoms, tops))


def prelu(layer: Layer, bottoms: Sizes, tops: Sizes) -> Work:
    """Each value: compare and multiply."""
    slopes = _channels(bottoms, shared=layer.param("prelu_param").channel_shared)
    return Work(2 * prod(bottoms[0]), _moved(bottoms, tops), slopes)


def normalize(layer: Layer, bottoms: Sizes, tops: Sizes) -> Work:
    """Each value: square, add, divide, multiply (SSD)."""
    scales = _channels(
        bottoms, shared=Words.of(layer, "norm_param").boolean("channel_shared", True)
    )
    return Work(4 * prod(bottoms[0]), _moved(bottoms, tops), scales)


def _channels(bottoms: Sizes, shared: bool = False) -> int:
    return 1 if shared or len(bottoms[0]) < 2 else bottoms[0][1]


def move(layer: Layer, bottoms: Sizes, tops: Sizes) -> Work:
    """Nothing but reading and writing."""
    return Work(0, _moved(bottoms, tops))
