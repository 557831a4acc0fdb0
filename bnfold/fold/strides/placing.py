"""Moving strides, with what subsamples, and saying which stay: see move.py."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnfold.fold.forms.names import Names
from bnfold.fold.plan import Code, Reason
from bnfold.fold.rewrite import Context
from bnfold.fold.strides.move import MovedStride
from bnfold.fold.strides.regions import Region, refusal, regions, savings
from bnfold.fold.strides.steps import Spacing, Steps
from bnfold.fold.weights import Repeated
from bnfold.graph import Layer, Value, infer_shapes, record_of

_PARAM = "convolution_param"


def move_strides(context: Context) -> bool:
    """Move the strides that can move and note all; gives whether any moved."""
    steps = Steps(context)
    why: dict[Layer, Reason] = {}
    moved = list[Region]()
    for region in regions(context, steps):
        reason = refusal(context, region)
        if reason is None:
            moved.append(region)
        else:
            why.update(dict.fromkeys(region.givers, reason))
    _note_what_stays(context, steps, moved, why)
    _apply(context, moved)
    return bool(moved)


def _apply(context: Context, moved: Sequence[Region]) -> None:
    """Change the strides, and put in what subsamples."""
    if not moved:
        return
    names = Names(context.net)
    for region in moved:
        _note(context, region)
        for layer, stride in region.strides.items():
            _set_stride(layer, stride)
        for (value, step), readers in region.samples.items():
            every = "x".join(map(str, dict.fromkeys(step)))
            name = names.new(f"{value.name}/every_{every}")
            _subsample(context, value, step, readers, name)
    context.net.look_at_order_anew()
    context.shapes = infer_shapes(context.net)


def _subsample(
    context: Context, value: Value, step: Spacing, readers: Sequence[Layer], name: str
) -> None:
    """Have some readers of a value read every n-th place of it only."""
    channels = context.channels_of(value)
    assert channels is not None
    layer = context.net.put_between(value, readers, record_of("Convolution"), name)
    layer.set(_PARAM, "num_output", channels)
    layer.set(_PARAM, "bias_term", False)
    layer.set(_PARAM, "kernel_size", (1,))
    layer.set(_PARAM, "group", channels)
    _set_stride(layer, step)
    if context.has_weights:
        shape = (channels, 1, *(1,) * len(step))
        layer.give(Repeated(shape, np.ones(1), str(layer)))


def _set_stride(layer: Layer, stride: Spacing) -> None:
    """Write a stride in the spelling that the layer has."""
    param = layer.param(_PARAM)
    if param.HasField("stride_h") or param.HasField("stride_w"):
        for axis, number in zip("hw", stride, strict=True):
            layer.set(_PARAM, f"stride_{axis}", number)
    elif len(set(stride)) == 1:
        layer.set(_PARAM, "stride", stride[:1] if stride[0] != 1 else ())
    else:
        layer.set(_PARAM, "stride", stride)


def _note(context: Context, region: Region) -> None:
    first, *_ = region.givers
    context.plan.entries.append(
        MovedStride(
            first.name,
            first.written_type,
            first.line,
            tuple(layer.name for layer in region.givers),
            tuple(layer.name for layer in region.hosts),
            tuple(dict.fromkeys(value.name for value, _ in region.samples)),
            tuple(layer.name for layer in region.makers),
            savings(context, region) or 0,
        )
    )


def _note_what_stays(
    context: Context, steps: Steps, moved: Sequence[Region], why: dict[Layer, Reason]
) -> None:
    """Say of each convolution of one place with a stride why that stays."""
    gone = {layer for region in moved for layer in region.givers}
    for layer in context.net.layers:
        windows = steps.windows(layer)
        if windows is None or layer in gone or _looks_at_one_channel(layer):
            continue
        each = zip(windows.kernel, windows.pad, windows.stride, strict=True)
        if all((kernel, pad) != (1, 0) or stride == 1 for kernel, pad, stride in each):
            continue
        reason = why.get(layer) or _obstacle(context, steps, layer)
        entry = MovedStride(layer.name, layer.written_type, layer.line, reason=reason)
        context.plan.entries.append(entry)


def _looks_at_one_channel(layer: Layer) -> bool:
    """Whether a convolution is depthwise, and so does no more than to subsample."""
    param = layer.param(_PARAM)
    return layer.kind.is_depthwise or param.group == param.num_output > 1


def _obstacle(context: Context, steps: Steps, layer: Layer) -> Reason:
    """Why what a layer reads is made in all places, though it reads but some."""
    (value,) = layer.bottoms
    while True:
        refused = steps.refusal(value)
        if refused is not None:
            return refused
        producer = value.producer
        if producer is None or not producer.bottoms or not steps.is_apart(producer):
            what = "an input of the network" if producer is None else f"made by {producer}"
            why = f"'{value.name}' is {what}, which has no stride to grow"
            return Reason(Code.NO_HOST, why)
        if len(producer.bottoms) > 1:
            why = f"no bottom of {producer} can be made with fewer places"
            return Reason(Code.NO_HOST, why)
        (value,) = producer.bottoms
