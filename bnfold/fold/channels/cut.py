"""Taking channels out: of whoever makes them, of all on the way, and of whoever reads them.

What is taken out is whole sets of tied channels (ties.py). Each layer then loses

    Convolution, Deconvolution, InnerProduct    filters, biases and `num_output` of its outputs;
                                                the part of each filter for its inputs
    depthwise convolution                       groups, and `group`
    convolution in groups                       as many inputs and outputs of each
    BatchNorm, BN, Scale, Bias, PReLU           its numbers for the channels

What a constant input still gave to the outputs of a layer is added to its bias, which is made
where there is none, or taken off the mean of the batch norm behind it:

    bias' = bias + sum        or        mean' = mean - factor * sum

The stored mean is the mean times the moving-average factor, where there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod

import numpy as np

from bnfold.aliases import Vector
from bnfold.caffemodel import ArrayBlob, BlobSource
from bnfold.fold.blobs import size_of, values_of
from bnfold.fold.channels.flow import Flow, Role
from bnfold.fold.channels.intervals import Constants
from bnfold.fold.channels.sliced import Sliced
from bnfold.fold.channels.sums import Sums, sums_of
from bnfold.fold.channels.ties import Mask
from bnfold.fold.rewrite import Context
from bnfold.fold.weighted import WeightedLayer
from bnfold.graph import Layer, Layout, Value

Absorber = Callable[[Layer, Vector], bool]
"""Takes what a layer's outputs lack, shape (num_output,), elsewhere than its bias, if it can."""


def cut(
    context: Context,
    flow: Flow,
    constants: Mapping[Value, Constants],
    removed: Mask,
    absorber: Absorber | None = None,
) -> dict[Layer, Sums]:
    """Take channels out of the network, in place.

    Args:
        context: the network.
        flow: how its channels flow.
        constants: what they are constant at.
        removed: which of them go, shape (count of channels,): whole sets, none that is pinned, and
            none that varies where a layer mixes it.
        absorber: asked first where the contribution goes, before the bias.

    Returns:
        For each layer that reads removed channels and got something from them, what that was.
    """
    given = {}
    for layer, role in flow.roles.items():
        lanes = flow.read(layer)
        if role is Role.MIX and lanes is not None and removed[lanes].any():
            sums = sums_of(context, layer, constants[layer.bottoms[0]], removed[lanes])
            if sums.inside.any() or sums.off.any():
                given[layer] = sums
    for layer, sums in given.items():
        if sums.inside.any() and not (absorber and absorber(layer, sums.inside)):
            _add_to_bias(context, layer, sums.inside)
    for layer, role in flow.roles.items():
        if role in (Role.MIX, Role.DEPTHWISE):
            _cut_weighted(context, flow, layer, role, removed)
        elif role is Role.OWN_NUMBERS:
            lanes = flow.read(layer)
            if lanes is not None and removed[lanes].any():
                layer.give(*(_numbers(blob, ~removed[lanes]) for blob in layer.blobs))
    return given


def _add_to_bias(context: Context, layer: Layer, sums: Vector) -> None:
    weight, *bias = layer.blobs
    dtype = weight.dtype if context.keep_dtype else np.dtype(np.float32)
    if bias:
        values = values_of(bias[0]) + sums
        dtype = bias[0].dtype if context.keep_dtype else dtype
    else:
        values = sums
        layer.set(layer.kind.message, "bias_term", True)
    layer.give(weight, ArrayBlob(values, dtype))


def _cut_weighted(context: Context, flow: Flow, layer: Layer, role: Role, removed: Mask) -> None:
    weighted = WeightedLayer.of(layer)
    layout, message = weighted.layout, weighted.message
    lanes, own = flow.read(layer), flow.own[layer]
    outputs = ~removed[own]
    weight, *bias = layer.blobs
    # What cannot be told of the inputs stays: all rows of a deconvolution, all columns of others.
    unknown = np.ones(weight.shape[0] if layout is Layout.DECONVOLUTION else 1, np.bool_)
    inputs = unknown if lanes is None else ~removed[lanes]
    if outputs.all() and inputs.all():
        return
    if role is Role.DEPTHWISE:
        groups = weighted.groups
        rows = inputs if layout is Layout.DECONVOLUTION else outputs
        # Columns are the other side of one group, and stay.
        columns = np.ones(size_of(weight) // rows.size, np.bool_)
        new: BlobSource = _matrix(weight, rows, columns, 1)
        left = int(outputs.reshape(groups, -1).any(1).sum())
        if layer.param(message).group != 1:
            layer.set(message, "group", left)
    else:
        new = _mixed(weighted, inputs, outputs)
    if not outputs.all():
        # Only a fork's depthwise type may leave it out.
        if layer.param(message).num_output:
            layer.set(message, "num_output", int(outputs.sum()))
        bias = [_numbers(blob, outputs) for blob in bias]
    layer.give(new, *bias)


def _mixed(weighted: WeightedLayer, inputs: Mask, outputs: Mask) -> BlobSource:
    """The weight of a layer that mixes channels, without some of its inputs and outputs."""
    weight, layout = weighted.weight, weighted.layout
    if layout is Layout.INNER_PRODUCT:
        each = size_of(weight) // inputs.size // outputs.size
        inputs = np.repeat(inputs, each)
        rows, columns = (outputs, inputs) if weighted.rows_are_outputs else (inputs, outputs)
        shape = (*weight.shape[:-2], int(rows.sum()), int(columns.sum()))
        return Sliced(weight, rows, columns, shape)
    rows, columns = (outputs, inputs) if weighted.rows_are_outputs else (inputs, outputs)
    columns = columns.reshape(weighted.groups, -1)
    each = size_of(weight) // rows.size // columns.shape[1]
    return _matrix(weight, rows, np.repeat(columns, each, axis=1), each)


def _matrix(weight: BlobSource, rows: Mask, columns: Mask, each: int) -> Sliced:
    """A weight of at least two axes, where a column of the second has `each` values."""
    left = columns.reshape(-1, columns.shape[-1]).sum(1)
    # Groups are cut alike, so that all lines of a mask leave as many.
    assert (left == left[0]).all()
    second = weight.shape[1] if columns.all() else int(left[0]) // each
    return Sliced(weight, rows, columns, (int(rows.sum()), second, *weight.shape[2:]))


def _numbers(blob: BlobSource, stay: Mask) -> BlobSource:
    """A blob of one value a channel without some; any other, as a factor, as it is."""
    if stay.all() or size_of(blob) != stay.size:
        return blob
    left = int(stay.sum())
    # Of axes that split them, as Caffe has for no such blob, none can stay.
    shape = tuple(left if length == stay.size else length for length in blob.shape)
    shape = shape if prod(shape) == left else (left,)
    return Sliced(blob, stay, np.ones(1, np.bool_), shape)
