"""Rewrite: the stride of a convolution whose kernel is one place moves up.

    (f(x))[s i]  =  f(x[s i])       for a layer f that computes each place by itself
    (K * x)[s t i]  =  (K *_s x)[t i]       for a convolution K with stride t that gets stride s t

A value that is only read at every second place need not be computed elsewhere. Where the 1x1
convolutions that begin a stage of a ResNet have the stride, that of the 3x3 convolution before them
grows instead, and the shortcut of the sum between them is subsampled.

1. All that reads a value reads every n-th place of it, along some axis (steps.py).
2. Nobody outside the phase reads it, it is no output of the network, and nobody finds it in memory
   by another name.
3. What makes it can make fewer places: a convolution by its stride, a layer that computes each
   place by itself if its bottom can. Of an Eltwise or Concat some bottoms can; the others are
   subsampled, by a depthwise 1x1 convolution of ones: Caffe's poolings round up, and would give a
   place more where a length is even.
4. A convolution computes fewer places by it, and what it saves is more than what the subsampling
   takes.

It holds for inputs of every size, and the numbers that are left are the same sums as before.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bnfold.fold.forms.names import Names
from bnfold.fold.plan import Code, Entry, Reason, reason_json
from bnfold.fold.rewrite import Context, OptionalRewrite
from bnfold.fold.strides.regions import Region, refusal, regions, savings
from bnfold.fold.strides.steps import Spacing, Steps
from bnfold.fold.weights import Repeated
from bnfold.graph import Layer, Value, infer_shapes, record_of
from bnfold.spelling import plural

_PARAM = "convolution_param"


@dataclass(frozen=True)
class MovedStride(Entry):
    """Convolutions of one place whose strides moved up, or one whose stride stays.

    Attributes:
        layer, type, line: the first of the convolutions, and where it stands in the prototxt.
        givers: all of them.
        into: the convolutions that compute fewer places now.
        subsampled: the blobs of which a new layer picks the places that are read.
        altered: the layers whose tops have fewer places.
        saved: how many operations a forward pass takes less.
        reason: why the stride stays.
    """

    key = "strides"
    layer: str
    type: str
    line: int
    givers: tuple[str, ...] = ()
    into: tuple[str, ...] = ()
    subsampled: tuple[str, ...] = ()
    altered: tuple[str, ...] = ()
    saved: int = 0
    reason: Reason | None = None

    @property
    def done(self) -> bool:
        """Whether it moved."""
        return self.reason is None

    def what(self) -> tuple[str, str]:
        """Where it went, or why it stays."""
        if self.reason:
            return "stride stays", f": {self.reason}"
        more = [name for name in self.givers if name != self.layer]
        text = f", and that of {', '.join(more)}," if more else ""
        text += f" into {', '.join(self.into)}"
        if self.subsampled:
            text += f", subsampling {', '.join(self.subsampled)}"
        return "stride moved", f"{text}: {self.saved:,} operations less"

    def sentence(self) -> str:
        """The same, with its name."""
        if self.reason:
            return f"kept the stride of {self.layer} ({self.type}){self.what()[1]}"
        return f"moved the stride of {self.layer} ({self.type}){self.what()[1]}"

    def to_json(self) -> dict[str, Any]:
        """The object in the list `strides`."""
        return {
            "layer": self.layer,
            "type": self.type,
            "line": self.line,
            "from": list(self.givers),
            "into": list(self.into),
            "subsampled": list(self.subsampled),
            "altered": list(self.altered),
            "operations_saved": self.saved,
            **reason_json(self.reason),
        }

    @classmethod
    def summary(cls, entries: Sequence[MovedStride]) -> str:
        """How many strides moved, and what that saves."""
        done = [entry for entry in entries if entry.done]
        count = sum(len(entry.givers) for entry in done)
        saved = sum(entry.saved for entry in done)
        return f"{plural(count, 'stride')} moved up, {saved:,} operations less" if done else ""

    def alters(self, standing: Collection[str]) -> Collection[str]:
        """The layers whose tops have fewer places."""
        return [name for name in self.altered if name in standing]


class MoveStrides(OptionalRewrite):
    """Move strides up, so that what nobody reads is not computed."""

    help = "Move strides of 1x1 convolutions up, so that nothing is computed that nobody reads."
    on = False
    entry = MovedStride
    last = True

    def run(self, context: Context) -> bool:
        """Apply the rewrite to the whole network."""
        plan = context.plan
        plan.entries = [e for e in plan.entries if not isinstance(e, MovedStride) or e.done]
        steps = Steps(context)
        why: dict[Layer, Reason] = {}
        moved = list[Region]()
        for region in regions(context, steps):
            reason = refusal(context, region)
            if reason is None:
                moved.append(region)
            why.update(dict.fromkeys(region.givers, reason) if reason else {})
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
