"""Rewrite: an InnerProduct is written as a Convolution whose kernel is all of its bottom.

    W x + b,  x of C x H x W values        a Convolution with kernel H x W, which has one place

Its weight is the same numbers in the same order. Its top has the axes N x C x 1 x 1, and that of an
InnerProduct N x C, so a Flatten stands behind it: network outputs and all that reads the top find
it as it was. Where nobody but further such layers reads it, through layers that do the same to
every number, the Flatten is left out; so is one of the file in front of the layer.

1. The lengths C, H and W are known, and the layer multiplies all of them at once (`axis: 1`).
2. Its weight has a row for each output (no `transpose`), and no other layer uses it.

It runs at the end: an InnerProduct takes an affine in as a Convolution does.

Source: BVLC caffe, src/caffe/layers/{inner_product,base_conv,flatten}_layer.cpp.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from bnfold.errors import BnfoldError
from bnfold.fold.absorb.leaving import downward, seen_by_others
from bnfold.fold.absorb.search import other_users
from bnfold.fold.forms.form import Form, distrust, forget, note
from bnfold.fold.forms.names import Names
from bnfold.fold.plan import Code, Reason
from bnfold.fold.rewrite import Context, OptionalRewrite
from bnfold.fold.weights import Reshaped
from bnfold.graph import Layer, Layout, Passes, Value, record_of
from bnfold.graph.axes import axis_index, is_channels

_PARAM = "convolution_param"
_INNER = "inner_product_param"

MapShape: TypeAlias = tuple[int, int, int]
"""Channels, height and width."""


@dataclass
class _Region:
    """Values that may have four axes, since only layers that become convolutions look at them.

    Attributes:
        layers: those on the way, which do the same to every number.
        values: what they and the first layer make.
    """

    layers: list[Layer] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)


class InnerProductAsConvolution(OptionalRewrite):
    """Write each InnerProduct as a Convolution."""

    help = "Write each InnerProduct as a Convolution with a kernel as large as what it reads."
    on = False
    entry = Form
    last = True

    def run(self, context: Context) -> bool:
        """Apply the rewrite to all inner products, in file order."""
        forget(context, "InnerProduct")
        net = context.net
        found = [layer for layer in net.layers if layer.kind.layout is Layout.INNER_PRODUCT]
        found = [layer for layer in found if context.choice.allows(layer)]
        if not found:
            return False
        reasons = {layer: _refusal(context, layer) for layer in found}
        able = {layer for layer, reason in reasons.items() if reason is None}
        names, sizes, changed = Names(net), dict[Value, MapShape](), False
        for layer in list(net.layers):
            if _flattens(context, layer):
                _drop(context, layer, able, sizes)
            elif layer in reasons:
                size = _size(context, layer, sizes)
                reason = reasons[layer] or (size if isinstance(size, Reason) else None)
                note(context, layer, "Convolution", reason)
                if reason is None and not isinstance(size, Reason):
                    _apply(context, layer, size)
                    _finish(context, layer, able, sizes, names)
                    changed = True
        if changed:
            net.look_at_order_anew()
        return changed


def _refusal(context: Context, layer: Layer) -> Reason | None:
    """Why an inner product cannot be a Convolution, whatever it reads, if so."""
    refusal = distrust(context, layer, "Convolution")
    if refusal is not None:
        return refusal
    if context.has_weights and layer in context.misfits:
        return context.misfits[layer]
    if len(layer.bottoms) != 1 or len(layer.tops) != 1:
        return Reason(Code.NO_EQUAL, f"{layer} has more than one bottom or top")
    param, shape = layer.param(_INNER), context.shapes.get(layer.bottoms[0])
    if not is_channels(param.axis, None if shape is None else len(shape)):
        return Reason(Code.NOT_PER_CHANNEL, f"{layer} has axis: {param.axis}")
    if param.transpose:
        why = f"{layer} has transpose: true, so that its weight would have to be turned"
        return Reason(Code.NO_EQUAL, why)
    return other_users(context.net, [layer])


def _size(context: Context, layer: Layer, sizes: dict[Value, MapShape]) -> MapShape | Reason:
    """Channels, height and width of what an inner product reads, or why there are none."""
    bottom = layer.bottoms[0]
    size = sizes.get(bottom) or _places(context, bottom)
    if size is None:
        shape = context.shapes.get(bottom)
        if shape is None or None in shape[1:]:
            why = f"the shape of what {layer} reads cannot be told"
            return Reason(Code.UNKNOWN_SHAPE, why, "give the input's shape in the prototxt")
        return Reason(Code.NO_EQUAL, f"{layer} reads {len(shape)} axes, and a Convolution 4")
    return size if _takes(context, layer, size) else _other_count(layer, size)


def _other_count(layer: Layer, size: MapShape) -> Reason:
    why = f"the weight of {layer} is not for the {math.prod(size)} values that it reads"
    return Reason(Code.UNKNOWN_SHAPE, why)


def _places(context: Context, value: Value) -> MapShape | None:
    """Channels, height and width of a value of four axes whose lengths are known."""
    shape = context.shapes.get(value)
    if shape is None or len(shape) != 4:
        return None
    _, channels, height, width = shape
    return (channels, height, width) if channels and height and width else None


def _takes(context: Context, layer: Layer, size: MapShape) -> bool:
    """Whether the weight of an inner product is for so many values."""
    if not context.has_weights:
        return True
    weighted = context.weighted(layer)
    try:
        return weighted is not None and weighted.inputs == math.prod(size)
    except BnfoldError:
        return False


def _flattens(context: Context, layer: Layer) -> bool:
    """Whether a layer makes one axis of channels and places."""
    if layer.kind.name != "Flatten" or context.untrusted(layer) or len(layer.bottoms) != 1:
        return False
    param = layer.param("flatten_param")
    starts = axis_index(param.axis, 4) == 1 and axis_index(param.end_axis, 4) == 3
    return starts and _places(context, layer.bottoms[0]) is not None and len(layer.tops) == 1


def _region(
    context: Context, first: Layer, able: Collection[Layer], size: MapShape
) -> _Region | None:
    """What lies between a layer and the inner products that alone look at it; None for others."""
    region = _Region(values=list(first.tops))
    for value in region.values:
        if value.is_output or seen_by_others(context.net, value) is not None:
            return None
        for reader in value.readers:
            if reader in able and _takes(context, reader, size):
                continue
            if not _is_pointwise(context, reader, size):
                return None
            region.layers.append(reader)
            region.values += reader.tops
    return region


def _is_pointwise(context: Context, layer: Layer, size: MapShape) -> bool:
    """Whether a layer does the same to every number, or in each channel of one place."""
    if context.untrusted(layer) or len(layer.bottoms) != 1 or not context.choice.allows(layer):
        return False
    if layer.kind.function is not None or layer.kind.passes is Passes.EVERYTHING:
        return True
    return layer.kind.has_slopes and size[1:] == (1, 1)


def _drop(
    context: Context, flatten: Layer, able: Collection[Layer], sizes: dict[Value, MapShape]
) -> None:
    """Take out a Flatten in front of inner products that become convolutions."""
    size = _places(context, flatten.bottoms[0])
    assert size is not None
    region = _region(context, flatten, able, size)
    if region is None or not any(layer in able for v in region.values for layer in v.readers):
        return
    if not context.choice.allows(flatten) or downward(context.net, [flatten]) is not None:
        return
    if context.net.memory.mistaken_beside(flatten.bottoms[0]) is not None:
        return
    sizes.update(dict.fromkeys(region.values, size))
    sizes[flatten.bottoms[0]] = size
    context.plan.altered.update(layer.name for layer in region.layers)
    context.net.remove_into_readers(flatten)


def _apply(context: Context, layer: Layer, size: MapShape) -> None:
    """Make an inner product a Convolution; its top has two axes more."""
    outputs, is_biased = layer.param(_INNER).num_output, layer.param(_INNER).bias_term
    _, height, width = size
    layer.clear(*layer.kind.params)
    layer.become(record_of("Convolution"))
    layer.set(_PARAM, "num_output", outputs)
    layer.set(_PARAM, "bias_term", is_biased)
    if height == width:
        layer.set(_PARAM, "kernel_size", (height,))
    else:
        layer.set(_PARAM, "kernel_h", height)
        layer.set(_PARAM, "kernel_w", width)
    context.plan.altered.add(layer.name)
    if context.has_weights:
        weight, *bias = layer.blobs
        dtype = weight.dtype if context.keep_dtype else np.dtype(np.float32)
        layer.give(Reshaped(weight, (outputs, *size), dtype, f"weight of {layer}"), *bias)


def _finish(
    context: Context,
    layer: Layer,
    able: Collection[Layer],
    sizes: dict[Value, MapShape],
    names: Names,
) -> None:
    """Put a Flatten behind what is a Convolution now, unless nobody would find it missing."""
    size = (layer.param(_PARAM).num_output, 1, 1)
    region = _region(context, layer, able, size)
    if region is None:
        name = names.new(f"{layer.name}/flatten")
        between = names.new(f"{layer.name}/map")
        context.net.hand_over(layer, record_of("Flatten"), name, between=between)
        return
    sizes.update(dict.fromkeys(region.values, size))
    context.plan.altered.update(one.name for one in region.layers)
