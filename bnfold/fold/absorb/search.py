"""Where an affine can go: the search that rewrites share, backward and forward.

A search changes nothing. It gives every move that must be made together, or the first reason
why one of them cannot be; only a whole set of moves is ever applied. It keeps a stack of its own,
so that no length of a network can exhaust Python's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeAlias

from bnfold.fold.absorb import passing
from bnfold.fold.absorb.collapse import no_scale
from bnfold.fold.absorb.leaving import names, other_readers, seen_by_others
from bnfold.fold.affines.affine import Affine
from bnfold.fold.affines.chains import Chain
from bnfold.fold.plan import Code, Reason
from bnfold.fold.rewrite import Context
from bnfold.fold.weighted import WeightedLayer
from bnfold.graph import Layer, Net, Value


@dataclass(frozen=True, eq=False)
class Step:
    """A layer that an affine passes, behind those that it has passed before."""

    layer: Layer
    before: Step | None


class Move(NamedTuple):
    """An affine that goes into a layer with a weight or into a chain.

    Attributes:
        target: where it goes.
        affine: what goes there.
        at_input: whether it goes to the input side of the target, else to its output.
        through: the last layer that it passes on the way, if it passes any. Moves that branch
            share the steps up to there.
    """

    target: WeightedLayer | Chain
    affine: Affine
    at_input: bool
    through: Step | None = None

    @property
    def layers(self) -> list[Layer]:
        """The layers that take it in: one with a weight, or all of a chain."""
        return self.target.layers if isinstance(self.target, Chain) else [self.target.layer]

    def apply(self, context: Context) -> bool:
        """Make the move; gives whether a layer gains a bias by it."""
        if isinstance(self.target, Chain):
            count = self.affine.channels if self.affine.channels > 1 else None
            extend = self.target.extend_before if self.at_input else self.target.extend_after
            extend(self.affine, count, "what goes into it")
            self.target.touched = True
            return False
        weighted = self.target
        if context.has_weights:
            absorb = weighted.absorb_input if self.at_input else weighted.absorb_output
            absorb(self.affine)
        if weighted.is_biased or self.affine.is_shiftless:
            return False
        weighted.layer.set(weighted.message, "bias_term", True)
        return True


def passed(moves: Sequence[Move]) -> list[Layer]:
    """The layers that moves of one chain pass, each once, in the order they are met."""
    found: dict[Step, None] = {}
    for move in moves:
        new: list[Step] = []
        step = move.through
        while step is not None and step not in found:
            new.append(step)
            step = step.before
        found.update(dict.fromkeys(reversed(new)))
    return list(dict.fromkeys(step.layer for step in found))


def altered(moves: Sequence[Move]) -> list[Layer]:
    """The layers whose tops hold other values once all the moves of one chain are made.

    On the way back the layer next to the chain keeps its value, since that becomes the chain's.
    """
    through = passed(moves)
    if not through or moves[0].at_input:
        return through
    return [*through[1:], *(move.layers[-1] for move in moves)]


_NEAR = 64
"""How many layers any search may look at; beyond that, all searches together may look at as many
for each layer of the network: many that pass all the others would cost the square of them."""

_Found: TypeAlias = "Move | Reason | Iterator[Callable[[], _Found]]"
"""What a look at one place gives: a move, why there is none, or the places to look at next."""


def backward(context: Context, value: Value, reader: Layer, affine: Affine) -> list[Move] | Reason:
    """What must take `affine` in, so that `reader` finds it done in the value it reads.

    Args:
        context: the network and how it is read.
        value: what `reader` reads.
        reader: the value's only reader.
        affine: what is to be done to the value.
    """
    return _search(context, _into_producer(context, value, reader, affine, None))


def forward(context: Context, value: Value, affine: Affine) -> list[Move] | Reason:
    """What must take `affine` in, so that it need not be done to the value any more.

    Args:
        context: the network and how it is read.
        value: what all the readers read.
        affine: what is to be done to the value.
    """
    return _search(context, _into_readers(context, value, affine, None))


def _search(context: Context, found: _Found) -> list[Move] | Reason:
    """All the moves that a look leads to, in order, or the first reason why one cannot be."""
    moves: list[Move] = []
    looks = 0
    stack: list[Iterator[Callable[[], _Found]]] = []
    while True:
        if isinstance(found, Reason):
            return found
        if isinstance(found, Move):
            moves.append(found)
        else:
            stack.append(found)
        look = None
        while stack and look is None:
            look = next(stack[-1], None)
            if look is None:
                stack.pop()
        if look is None:
            return moves
        looks += 1
        if looks > _NEAR and not context.goes_far():
            return Reason(Code.NO_HOST, "what takes it in stands behind too many other layers")
        found = look()


def _into_producer(
    context: Context, value: Value, reader: Layer, affine: Affine, through: Step | None
) -> _Found:
    refusal = other_readers(context.net, value, reader)
    if refusal:
        return refusal
    producer = value.producer
    if producer is None or not producer.bottoms:
        what = "an input of the network" if producer is None else f"which {producer} provides"
        why = f"it reads '{value.name}', {what}, so no layer above can take it in"
        return Reason(Code.NO_HOST, why)
    chain = context.chains.get(producer)
    if chain is not None:
        return _into_chain(context, chain, Move(chain, affine, False, through))
    weighted = context.weighted(producer)
    if weighted is not None:
        return _into_output(context, weighted, Move(weighted, affine, False, through))
    asked = passing.upstream(context, producer, affine)
    if isinstance(asked, Reason):
        return asked
    step = Step(producer, through)
    return (partial(_into_producer, context, b, producer, part, step) for b, part in asked)


def _into_readers(context: Context, value: Value, affine: Affine, through: Step | None) -> _Found:
    if value.is_output:
        return Reason(Code.NETWORK_OUTPUT, f"'{value.name}' is an output of the network")
    seen = seen_by_others(context.net, value)
    if seen:
        return seen
    return (partial(_into_reader, context, value, r, affine, through) for r in value.readers)


def _into_reader(
    context: Context, value: Value, reader: Layer, affine: Affine, through: Step | None
) -> _Found:
    if reader.bottoms.count(value) > 1:
        return Reason(Code.OTHER_READER, f"{reader} reads '{value.name}' twice")
    chain = context.chains.get(reader)
    if chain is not None:
        return _into_chain(context, chain, Move(chain, affine, True, through))
    weighted = context.weighted(reader)
    if weighted is not None:
        refusal = weighted.input_refusal(affine) or other_users(context.net, [weighted.layer])
        return refusal or Move(weighted, affine, True, through)
    asked = passing.downstream(context, reader, affine)
    if isinstance(asked, Reason):
        return asked
    step = Step(reader, through)
    return (partial(_into_readers, context, top, part, step) for top, part in asked)


def _into_chain(context: Context, chain: Chain, move: Move) -> Move | Reason:
    if not context.collapse:
        why = f"{chain.layers[-1]} stays as it is, as the user asked (--no-collapse)"
        return Reason(Code.CHOSEN, why)
    return no_scale(context, chain, move.affine) or move


def _into_output(context: Context, weighted: WeightedLayer, move: Move) -> Move | Reason:
    if len(weighted.layer.tops) != 1:
        tops = len(weighted.layer.tops)
        why = f"{weighted.layer} has {tops} tops, which all come from the same weights"
        return Reason(Code.SHARED_WEIGHTS, why)
    refusal = weighted.output_refusal(move.affine) or other_users(context.net, [weighted.layer])
    return refusal or move


def other_users(net: Net, layers: Sequence[Layer]) -> Reason | None:
    """Who else uses the weights of these layers, by `param` name or by layer name, if anyone."""
    for layer in layers:
        sharers = names(net.sharers(layer))
        if sharers:
            why = f"the blobs of {layer} are shared, by param name, with {sharers}"
            return Reason(Code.SHARED_WEIGHTS, why)
        same_name = same_name_outside(net, layer)
        if same_name:
            return same_name
    return None


def same_name_outside(net: Net, layer: Layer) -> Reason | None:
    """Whether a layer outside the phase has the same name, and so the same weights."""
    twins = net.twins(layer)
    if not twins:
        return None
    lines = ", ".join(str(twin.line) for twin in twins)
    return Reason(
        Code.SAME_NAME,
        f"a layer outside this phase (line {lines}) is also named '{layer.name}' and so uses the "
        "same weights",
    )
