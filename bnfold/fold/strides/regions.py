"""Values that can be made with fewer places, in pieces that hang together, and what each saves."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from bnfold.fold.plan import Code, Reason
from bnfold.fold.rewrite import Context
from bnfold.fold.strides.steps import EVERY, Spacing, Steps, over, times
from bnfold.graph import Layer, Value
from bnfold.graph.axes import Shape, item_count
from bnfold.graph.cost import layer_cost

_PER_VALUE = 2
"""Operations for each value of a depthwise convolution with a kernel of one place."""


@dataclass
class Region:
    """Values that get fewer places together, and the layers around them.

    Attributes:
        step: of each of the values.
        layers: the layers that make or read one of them, in file order.
        strides: the new strides of the convolutions whose strides change.
        hosts: those of them whose strides grow.
        samples: what reads only some places of a value that keeps them all, or of which more are
            kept, by the value and the step between those that are read.
    """

    step: dict[Value, Spacing]
    layers: list[Layer]
    strides: dict[Layer, Spacing] = field(default_factory=dict)
    hosts: list[Layer] = field(default_factory=list)
    samples: dict[tuple[Value, Spacing], list[Layer]] = field(default_factory=dict)

    @property
    def makers(self) -> list[Layer]:
        """The layers whose tops get fewer places."""
        return [layer for layer in self.layers if layer.tops[0] in self.step]

    @property
    def givers(self) -> list[Layer]:
        """The convolutions whose strides move up."""
        return [layer for layer in self.strides if layer.bottoms[0] in self.step]


def regions(context: Context, steps: Steps) -> list[Region]:
    """The regions of a network, in file order."""
    of, parent = steps.of, {value: value for value in steps.of}

    def root(value: Value) -> Value:
        while parent[value] is not value:
            parent[value] = parent[parent[value]]
            value = parent[value]
        return value

    around: list[tuple[Layer, Value]] = []
    for layer in context.net.layers:
        values = [value for value in (*layer.bottoms, *layer.tops) if value in of]
        if values:
            around.append((layer, values[0]))
        for value in values[1:]:
            parent[root(value)] = root(values[0])
    found: dict[Value, Region] = {}
    for value in of:
        found.setdefault(root(value), Region({}, [])).step[value] = of[value]
    for layer, value in around:
        found[root(value)].layers.append(layer)
    for region in found.values():
        _settle(steps, region)
    return list(found.values())


def _settle(steps: Steps, region: Region) -> None:
    """Say what changes for each layer of a region."""
    for layer in region.layers:
        step = region.step.get(layer.tops[0], EVERY)
        windows = steps.windows(layer)
        if windows is not None:
            read = region.step.get(layer.bottoms[0], EVERY)
            stride = over(times(windows.stride, step), read) or (1,) * len(windows.stride)
            if stride != windows.stride:
                region.strides[layer] = stride
            if math.prod(stride) > math.prod(windows.stride):
                region.hosts.append(layer)
        elif step != EVERY:
            for value in dict.fromkeys(layer.bottoms):
                left = over(step, region.step.get(value, EVERY))
                if left != EVERY:
                    region.samples.setdefault((value, left), []).append(layer)


def refusal(context: Context, region: Region) -> Reason | None:
    """Why a region stays as it is, if so."""
    if not region.hosts:
        return Reason(Code.NO_HOST, "no convolution above it could take its stride")
    if not context.choice.allows(*region.strides):
        return Reason(Code.CHOSEN, "it stays as it is, as the user asked (--keep or --only)")
    saved = savings(context, region)
    if saved is None:
        why = "what it would save cannot be told without the shapes of what lies between"
        return Reason(Code.UNKNOWN_SHAPE, why, "give the input's shape in the prototxt")
    if saved <= 0:
        more = ", ".join(f"'{value.name}'" for value, _ in region.samples)
        why = f"to subsample {more} would take more operations than it saves"
        return Reason(Code.MORE_WORK, why)
    return None


def savings(context: Context, region: Region) -> int | None:
    """How many operations a forward pass takes less; None where that cannot be told."""
    values = [value for layer in region.layers for value in (*layer.bottoms, *layer.tops)]
    shapes = {
        value: _fewer(context.shapes.get(value), region.step.get(value, EVERY)) for value in values
    }
    saved = 0
    for layer in region.layers:
        before, after = layer_cost(layer, context.shapes), layer_cost(layer, shapes)
        if before is None or after is None:
            return None
        saved += before.operations - after.operations
    for value, step in region.samples:
        count = item_count(_fewer(shapes.get(value), step))
        if count is None:
            return None
        saved -= _PER_VALUE * count
    return saved


def _fewer(shape: Shape | None, step: Spacing) -> Shape | None:
    """The shape of every n-th place of a value, the first included."""
    if shape is None or step == EVERY:
        return shape
    if len(shape) != 2 + len(step):
        return None
    lengths = zip(shape[2:], step, strict=True)
    return (*shape[:2], *(n if n is None else (n - 1) // s + 1 for n, s in lengths))
