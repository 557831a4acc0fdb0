"""What a network costs to run: the arithmetic and the memory traffic of one forward pass.

Counted is the formula of each layer, not the passes that one engine makes over it:

    operations   floating-point operations. An addition, multiplication, division or comparison is
                 one, and so is a call of exp, pow and their like.
    bytes        of values read, values written and parameters read, each once, as float32. Caffe's
                 own BatchNorm moves several times as much through its buffers.

Both are for the batch size of the file. What is done once for each channel, such as the root of a
variance, is left out. The formulas stand in cost_rules.py. Splits, flattenings and reshapes are
free: Caffe shares the memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bnfold.graph.axes import Shape
from bnfold.graph.net import Layer, Net, Value
from bnfold.prototxt import PrototxtError

_FLOAT = 4
"""Bytes of a float32."""


@dataclass(frozen=True)
class Cost:
    """The cost of one forward pass at the file's batch size.

    Attributes:
        operations: floating-point operations; a multiplication with its addition is two.
        bytes: bytes read and written, values and parameters, as float32.
    """

    operations: int
    bytes: int


@dataclass(frozen=True)
class NetworkCost(Cost):
    """The cost of all layers whose cost is known.

    Attributes:
        unknown: the layers whose cost is not in the sums, in file order.
    """

    unknown: tuple[Layer, ...]


def layer_cost(
    layer: Layer,
    shapes: Mapping[Value, Shape | None],
) -> Cost | None:
    """Return what one forward pass of a layer costs, as it is after the rewrites so far.

    Args:
        layer: the layer.
        shapes: what `infer_shapes` found for its bottoms and tops.

    Returns:
        None where a length is unknown, the layer's type is, or Caffe would refuse its parameters.
    """
    kind = layer.kind
    try:
        if kind.hands_on(layer) or (kind.is_free is not None and kind.is_free(layer)):
            return Cost(0, 0)
        bottoms = [_known(shapes.get(value)) for value in layer.bottoms]
        tops = [_known(shapes.get(value)) for value in layer.tops]
        if kind.cost is None or None in bottoms or None in tops or not bottoms or not tops:
            return None
        work = kind.cost(layer, [b or () for b in bottoms], [t or () for t in tops])
    except PrototxtError:
        return None
    if work is None:
        return None
    return Cost(work.operations, _FLOAT * (work.values + work.parameters))


def network_cost(
    net: Net,
    shapes: Mapping[Value, Shape | None],
) -> NetworkCost:
    """Return what one forward pass costs, over the layers whose cost is known.

    Two results can be subtracted to say what a fold saves: it changes only layers whose cost
    depends on shapes that it does not change.

    Args:
        net: the network, as it is after the rewrites so far.
        shapes: what `infer_shapes` found for it.
    """
    operations = moved = 0
    unknown = []
    for layer in net.layers:
        cost = layer_cost(layer, shapes)
        if cost is None:
            unknown.append(layer)
        else:
            operations += cost.operations
            moved += cost.bytes
    return NetworkCost(operations, moved, tuple(unknown))


def _known(shape: Shape | None) -> tuple[int, ...] | None:
    if shape is None:
        return None
    known = tuple(length for length in shape if length is not None)
    return known if len(known) == len(shape) else None
