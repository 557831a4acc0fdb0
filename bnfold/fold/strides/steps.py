"""Which places of each value are read: all of them, or along an axis every second, third, ... one.

A convolution whose kernel is 1 along an axis, without padding there, reads every s-th place of its
bottom for a stride s, and fewer where of its top not every place is read. A layer that computes
each place by itself reads the places that are read of its top. Every other layer reads all. Of a
value that several layers read, the places that all of them skip are skipped: the greatest common
divisor of their steps tells.

A value can be made with fewer places where

1. a convolution makes it: its stride grows. Both round down, so that the places are the same for
   every size of the input: floor(floor(q / t) / g) = floor(q / (t g));
2. a layer of one bottom makes it that computes each place by itself, and its bottom can;
3. an Eltwise or Concat does, and some of its bottoms can; the others are subsampled.

Source: BVLC caffe, src/caffe/layers/conv_layer.cpp, `compute_output_shape`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from bnfold.fold.absorb.leaving import seen_by_others
from bnfold.fold.affines.dialects import Reading
from bnfold.fold.plan import Code, Reason
from bnfold.fold.rewrite import Context
from bnfold.graph import Layer, Layout, Value
from bnfold.graph.trust import window_fields
from bnfold.graph.windows import Windows, convolution_windows

Spacing = tuple[int, ...]
"""For each axis behind the channels, from which place to the next one that is read."""

EVERY: Spacing = ()
"""The step of values of which every place is read, along every axis."""


class Steps:
    """The steps of a network's values.

    Attributes:
        of: the step of each value of which not every place need be computed.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        layers = list(context.net.layers)
        self.read: dict[Value, Spacing] = {}
        self._readers_of_all: dict[Value, Layer] = {}
        for layer in reversed(layers):
            self._look_at_reader(layer)
        self.of: dict[Value, Spacing] = {}
        for layer in layers:
            self._look_at_maker(layer)

    def windows(self, layer: Layer) -> Windows | None:
        """The window of a layer that is a convolution over all axes behind the channels."""
        if layer.kind.layout is not Layout.CONVOLUTION or self._context.untrusted(layer):
            return None
        if len(layer.bottoms) != 1 or len(layer.tops) != 1 or window_fields(layer):
            return None
        shape = self._context.shapes.get(layer.bottoms[0])
        if shape is None or layer.param("convolution_param").axis not in (1, 1 - len(shape)):
            return None
        return convolution_windows(layer, len(shape) - 2) if len(shape) > 2 else None

    def is_apart(self, layer: Layer) -> bool:
        """Whether a layer computes each place from the same place of its bottoms alone."""
        kind = layer.kind
        if self._context.untrusted(layer) or not layer.bottoms or not layer.tops:
            return False
        if kind.affine is not None and kind.places is None:
            return isinstance(self._context.affine(layer), Reading)
        return kind.places is not None and kind.places(layer)

    def refusal(self, value: Value) -> Reason | None:
        """Why all places of a value are computed because of who reads it, if so."""
        seen = seen_by_others(self._context.net, value)
        if seen is not None:
            return seen
        if value.is_output:
            return Reason(Code.NETWORK_OUTPUT, f"'{value.name}' is an output of the network")
        reader = self._readers_of_all.get(value)
        if reader is not None:
            return Reason(Code.OTHER_READER, f"{reader} reads every place of '{value.name}'")
        if self.read[value] == EVERY:
            return Reason(Code.OTHER_READER, f"what reads '{value.name}' skips different places")
        return None

    def _look_at_reader(self, layer: Layer) -> None:
        step = self._read_of(layer)
        windows = self.windows(layer) if layer.kind.layout is Layout.CONVOLUTION else None
        if windows is not None:
            step = _through(windows, step)
        elif step != EVERY and not (self.is_apart(layer) and self._can_subsample(layer)):
            step = EVERY
        for value in layer.bottoms:
            if step == EVERY:
                self._readers_of_all[value] = layer
            self.read[value] = _common(self.read[value], step) if value in self.read else step

    def _read_of(self, layer: Layer) -> Spacing:
        """The places that are read of all tops of a layer."""
        found: Spacing | None = None
        for top in layer.tops:
            step = self.read.get(top, EVERY)
            if step != EVERY and seen_by_others(self._context.net, top) is not None:
                step = EVERY
            found = step if found is None else _common(found, step)
        return found or EVERY

    def _look_at_maker(self, layer: Layer) -> None:
        step = self._read_of(layer)
        if step == EVERY:
            return
        if layer.kind.layout is Layout.CONVOLUTION:
            windows = self.windows(layer)
            # A file may join values of other ranks, which Caffe refuses.
            fits = windows is not None and len(windows.kernel) == len(step)
            step = step if fits else EVERY
        elif not self.is_apart(layer):
            return
        elif len(layer.bottoms) == 1:
            step = self.of.get(layer.bottoms[0], EVERY)
        elif not self._can_subsample(layer) or not any(one in self.of for one in layer.bottoms):
            # Where one of several bottoms could not be subsampled, all its places are read.
            return
        if step != EVERY:
            self.of.update(dict.fromkeys(layer.tops, step))

    def _can_subsample(self, layer: Layer) -> bool:
        """Whether each bottom of a layer that reads several can be given fewer places."""
        if len(layer.bottoms) == 1:
            return True
        around = [layer, *(value.producer for value in layer.bottoms)]
        if any(_has_rules(one) for one in around):
            # What subsamples would run where these do not.
            return False
        names = {value.name for value in layer.bottoms}
        if self._context.net.is_v1 or any(top.name in names for top in layer.tops):
            return False
        return all(self._context.channels_of(value) is not None for value in layer.bottoms)


def _has_rules(layer: Layer | None) -> bool:
    """Whether a layer may not run in every phase."""
    return layer is not None and any(layer.text.all(name) for name in ("include", "exclude"))


def _through(windows: Windows, step: Spacing) -> Spacing:
    """The places that a convolution reads of its bottom, for those that are read of its top."""
    steps = step or (1,) * len(windows.kernel)
    if len(steps) != len(windows.kernel):
        return EVERY
    each = zip(windows.kernel, windows.pad, windows.stride, steps, strict=True)
    return _plain(stride * s if (kernel, pad) == (1, 0) else 1 for kernel, pad, stride, s in each)


def _common(one: Spacing, other: Spacing) -> Spacing:
    """The places that two readers skip."""
    if len(one) != len(other):
        return EVERY
    return _plain(math.gcd(a, b) for a, b in zip(one, other, strict=True))


def _plain(steps: Iterable[int]) -> Spacing:
    found = tuple(steps)
    return found if any(step != 1 for step in found) else EVERY


def times(one: Spacing, other: Spacing) -> Spacing:
    """Every n-th of every m-th place."""
    if EVERY in (one, other):
        return one or other
    return _plain(a * b for a, b in zip(one, other, strict=True))


def over(one: Spacing, other: Spacing) -> Spacing:
    """What is left of a step where another has been made already."""
    return one if other == EVERY else _plain(a // b for a, b in zip(one, other, strict=True))
