"""What the inputs of a sum are made of: linear branches, and the value they start from.

An input can be read in several ways. With v = conv(x) it is a branch of x, and it is v itself,
a branch of v that does nothing. It is taken for a branch of the value that other inputs are
branches of, too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np

from bnfold.fold.absorb.leaving import names, seen_by_others
from bnfold.fold.absorb.search import other_users
from bnfold.fold.affines.affine import Affine
from bnfold.fold.affines.chains import Chain
from bnfold.fold.plan import Code, Reason
from bnfold.fold.rewrite import Context
from bnfold.fold.weighted import WeightedLayer
from bnfold.graph import Layer, Layout, Net, Value

_NOTHING = Affine(np.ones(1), np.zeros(1))
_FARTHEST = 32
"""How many layers or chains away from a joint a convolution is still one of its branches."""


@dataclass(frozen=True, eq=False)
class Branch:
    """One input of a layer, as something made of a source.

    Attributes:
        value: the input.
        source: what it is made of.
        layers: the layers between the two; none where the input is the source.
        convolution: its convolution, if it has one, mergeable or not.
        chain: its affine layers, where it has no convolution.
        refusal: why it cannot be merged, if so.
        index: which bottom it is.
    """

    value: Value
    source: Value
    layers: tuple[Layer, ...] = ()
    convolution: WeightedLayer | None = None
    chain: Chain | None = None
    refusal: Reason | None = None
    index: int = 0

    @property
    def name(self) -> str:
        """The layer it ends in, or the name of the source."""
        return self.layers[-1].name if self.layers else self.source.name

    @property
    def title(self) -> str:
        """The layer it ends in, for people."""
        return str(self.layers[-1]) if self.layers else f"'{self.source.name}' itself"


def families(context: Context, joint: Layer) -> list[tuple[Branch, ...]]:
    """Group the inputs of a layer by what they are made of.

    Given are groups of at least two, one of them with a convolution; all else is no set of
    parallel branches, and nobody asks why it stays.

    Args:
        context: the network and how it is read.
        joint: the layer.
    """
    readings = [_readings(context, joint, bottom) for bottom in joint.bottoms]
    users = Counter(chain.from_iterable({reading.source for reading in mine} for mine in readings))
    found: dict[Value, list[Branch]] = {}
    for index, mine in enumerate(readings):
        shared = next((reading for reading in mine if users[reading.source] > 1), None)
        if shared is not None:
            found.setdefault(shared.source, []).append(replace(shared, index=index))
    return [
        tuple(family)
        for family in found.values()
        if len(family) > 1 and any(branch.convolution is not None for branch in family)
    ]


def obstacle(context: Context, joint: Layer, family: Sequence[Branch]) -> Reason | None:
    """Why branches cannot be computed at one place of the file, whatever they are, if so."""
    distrust = context.untrusted(joint)
    if distrust:
        return Reason(Code.NOT_LINEAR, distrust)
    layers = [layer for branch in family for layer in branch.layers]
    if not context.choice.allows(joint, *layers):
        return Reason(Code.CHOSEN, "they stay, as the user asked (--keep or --only)")
    source = family[0].source
    readers = [branch.layers[0] if branch.layers else joint for branch in family]
    writer = context.net.memory.writer_between(source, readers)
    if writer is not None:
        why = f"{writer} writes over the memory of '{source.name}' before all of them have read it"
        return Reason(Code.NAME_TAKEN, why)
    return None


def _readings(context: Context, joint: Layer, value: Value) -> list[Branch]:
    """All ways to read an input, the mergeable ones first."""
    found = [*_made(context, value, joint), Branch(value, value)]
    return sorted(found, key=lambda branch: branch.refusal is not None)


def _made(context: Context, value: Value, joint: Layer) -> Iterator[Branch]:
    """What the layers that write a value make it of, down to at most one convolution."""
    at, passed, why = value, tuple[Layer, ...](), None
    for _ in range(_FARTHEST):
        producer = at.producer
        if producer is None or len(producer.bottoms) != 1:
            return
        chain, convolution = context.chains.get(producer), context.weighted(producer)
        if chain is not None:
            refusal = why or _other_readers(context.net, value, joint)
            layers = (*chain.layers, *passed)
            yield Branch(value, chain.bottom, layers, chain=chain, refusal=refusal)
            why = why or (chain.refusals[0] if chain.refusals else _in_the_way(chain.layers[0]))
            at, passed = chain.bottom, (*chain.layers, *passed)
        elif convolution is not None:
            if convolution.layout is Layout.CONVOLUTION:
                refusal = why or _unfit(context, convolution)
                refusal = refusal or _other_readers(context.net, value, joint)
                layers = (producer, *passed)
                yield Branch(value, producer.bottoms[0], layers, convolution, refusal=refusal)
            return
        elif producer.kind.keeps_shape:
            why = why or Reason(Code.NOT_LINEAR, f"{producer} is in the way, and it is not linear")
            at, passed = producer.bottoms[0], (producer, *passed)
        else:
            return


def _in_the_way(layer: Layer) -> Reason:
    return Reason(Code.NO_HOST, f"{layer} is in the way")


def _unfit(context: Context, convolution: WeightedLayer) -> Reason | None:
    """Why a convolution cannot be merged with any other, if so."""
    layer = convolution.layer
    if len(layer.tops) != 1:
        why = f"{layer} has {len(layer.tops)} tops, which all come from the same weights"
        return Reason(Code.SHARED_WEIGHTS, why)
    if convolution.untrusted:
        return Reason(Code.NOT_LINEAR, convolution.untrusted)
    if convolution.window_fields:
        fields = ", ".join(convolution.window_fields)
        why = f"{layer} has {fields}, which may change what it computes"
        return Reason(Code.NOT_LINEAR, why)
    if not convolution.outputs:
        return Reason(Code.UNKNOWN_SHAPE, f"how many outputs {layer} has cannot be told")
    if context.has_weights and not layer.blobs:
        return Reason(Code.NEEDS_WEIGHTS, f"{layer} has no weights in the weights file")
    return convolution.output_refusal(_NOTHING) or other_users(context.net, [layer])


def _other_readers(net: Net, value: Value, joint: Layer) -> Reason | None:
    others = names(value.readers, but=joint)
    if others:
        return Reason(Code.OTHER_READER, f"'{value.name}' is also read by {others}")
    return seen_by_others(net, value)
