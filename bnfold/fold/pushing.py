"""Where an affine can go: the search that rewrites share, backward and forward.

A search changes nothing. It gives every move that must be made together, or the first reason
why one of them cannot be; only a whole set of moves is ever applied.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bnfold.fold import passing
from bnfold.fold.affine import Affine
from bnfold.fold.collapse import no_scale
from bnfold.fold.hosts import Host
from bnfold.fold.leaving import names, other_readers, seen_by_others
from bnfold.fold.plan import Code, Reason
from bnfold.fold.rewrite import Context
from bnfold.fold.runs import Run
from bnfold.graph import Layer, Net, Value


@dataclass(frozen=True)
class Move:
    """An affine that goes into a host or into a run.

    Attributes:
        target: where it goes.
        affine: what goes there.
        at_input: whether it goes to the input side of the target, else to its output.
        through: the layers it passes on the way, in the order it meets them.
    """

    target: Host | Run
    affine: Affine
    at_input: bool
    through: tuple[Layer, ...]

    @property
    def layers(self) -> list[Layer]:
        """The layers that take it in: a host, or all of a run."""
        return self.target.layers if isinstance(self.target, Run) else [self.target.layer]

    @property
    def altered(self) -> list[Layer]:
        """The layers whose tops hold other values once the move is made.

        On the way back the layer next to the run keeps its value, since that becomes the run's.
        """
        if self.at_input:
            return list(self.through)
        return [*self.through[1:], self.layers[-1]] if self.through else []

    def apply(self, context: Context) -> bool:
        """Make the move; gives whether a host gains a bias by it."""
        if isinstance(self.target, Run):
            count = self.affine.channels if self.affine.channels > 1 else None
            extend = self.target.extend_before if self.at_input else self.target.extend_after
            extend(self.affine, count, "what goes into it")
            self.target.touched = True
            return False
        host = self.target
        if context.has_weights:
            absorb = host.absorb_input if self.at_input else host.absorb_output
            absorb(self.affine)
        if host.is_biased or self.affine.is_shiftless:
            return False
        host.layer.settings[host.param, "bias_term"] = True
        return True


def backward(
    context: Context,
    value: Value,
    reader: Layer,
    affine: Affine,
    through: tuple[Layer, ...] = (),
) -> list[Move] | Reason:
    """What must take `affine` in, so that `reader` finds it done in the value it reads.

    Args:
        context: the network and how it is read.
        value: what `reader` reads.
        reader: the layer at whose bottom the search stands; the value's only reader.
        affine: what is to be done to the value.
        through: the layers passed so far.
    """
    refusal = other_readers(context.net, value, reader)
    if refusal:
        return refusal
    producer = value.producer
    if producer is None or not producer.bottoms:
        what = "an input of the network" if producer is None else f"which {producer} provides"
        why = f"it reads '{value.name}', {what}, so no layer above can take it in"
        return Reason(Code.NO_HOST, why)
    run = context.runs.get(producer)
    if run is not None:
        return _into_run(context, run, Move(run, affine, False, through))
    host = context.host(producer)
    if host is not None:
        return _into_output(context, host, Move(host, affine, False, through))
    asked = passing.before(context, producer, affine)
    if isinstance(asked, Reason):
        return asked
    return _all(
        backward(context, bottom, producer, part, (*through, producer)) for bottom, part in asked
    )


def forward(
    context: Context, value: Value, affine: Affine, through: tuple[Layer, ...] = ()
) -> list[Move] | Reason:
    """What must take `affine` in, so that it need not be done to the value any more.

    Args:
        context: the network and how it is read.
        value: what all the readers read.
        affine: what is to be done to the value.
        through: the layers passed so far.
    """
    if value.is_output:
        return Reason(Code.NETWORK_OUTPUT, f"'{value.name}' is an output of the network")
    seen = seen_by_others(context.net, value)
    if seen:
        return seen
    return _all(_into_reader(context, value, reader, affine, through) for reader in value.readers)


def _into_reader(
    context: Context, value: Value, reader: Layer, affine: Affine, through: tuple[Layer, ...]
) -> list[Move] | Reason:
    if reader.bottoms.count(value) > 1:
        return Reason(Code.OTHER_READER, f"{reader} reads '{value.name}' twice")
    run = context.runs.get(reader)
    if run is not None:
        return _into_run(context, run, Move(run, affine, True, through))
    host = context.host(reader)
    if host is not None:
        refusal = host.input_misfit(affine) or other_users(context.net, [host.layer])
        return refusal or [Move(host, affine, True, through)]
    asked = passing.behind(context, reader, affine)
    if isinstance(asked, Reason):
        return asked
    return _all(forward(context, top, part, (*through, reader)) for top, part in asked)


def _into_run(context: Context, run: Run, move: Move) -> list[Move] | Reason:
    if not context.collapse:
        why = f"{run.layers[-1]} stays as it is, as the user asked (--no-collapse)"
        return Reason(Code.CHOSEN, why)
    return no_scale(context, run, move.affine) or [move]


def _into_output(context: Context, host: Host, move: Move) -> list[Move] | Reason:
    if len(host.layer.tops) != 1:
        why = f"{host.layer} has {len(host.layer.tops)} tops, which all come from the same weights"
        return Reason(Code.SHARED_WEIGHTS, why)
    refusal = host.misfit(move.affine) or other_users(context.net, [host.layer])
    return refusal or [move]


def _all(results: Iterable[list[Move] | Reason]) -> list[Move] | Reason:
    moves: list[Move] = []
    for result in results:
        if isinstance(result, Reason):
            return result
        moves.extend(result)
    return moves


def other_users(net: Net, layers: Sequence[Layer]) -> Reason | None:
    """Who else uses the weights of these layers, by `param` name or by layer name, if anyone."""
    for layer in layers:
        sharers = net.sharers(layer)
        if sharers:
            why = f"the blobs of {layer} are shared, by param name, with {names(sharers)}"
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
