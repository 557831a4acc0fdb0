"""Rewrite: output channels that are constant go.

    W [x; c] + b  =  W' x + (b + w c)        for a channel that is c everywhere

It applies to an output channel of a Convolution, Deconvolution or InnerProduct whose filter is zero
as it will be written, so that the channel is its bias; and to a channel of a Scale or batch norm
that stays, whose scale is zero, so that the channel is its shift. Where

1. every layer that reads it, behind whatever works channel by channel, can do without it: it is
   zero there, or that layer's bias can take what it gives, exactly (channels/refusals.py);
2. all channels that are tied to it go too: those that an Eltwise adds, the input and output
   of a depthwise convolution, one channel of each group of another (channels/flow.py);
3. it is no input or output of the network, nobody outside the phase reads it, no layer that reads
   it is unknown or shares its weights;
4. its layer keeps at least one channel.

What is taken out may leave another filter zero, so the search begins again until it finds nothing
new.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from bnfold.fold.affine import Vector
from bnfold.fold.channels.constants import propagate
from bnfold.fold.channels.current import affine_of, blobs_of, host_kind, values_of
from bnfold.fold.channels.cut import cut
from bnfold.fold.channels.flow import Flow, Role, trace
from bnfold.fold.channels.refusals import chosen, refusals
from bnfold.fold.channels.ties import Channels, Mask
from bnfold.fold.channels.zeros import zero_outputs
from bnfold.fold.dialects import AFFINE_TYPES, Reading
from bnfold.fold.plan import Code, DeadChannels, Reason
from bnfold.fold.rewrite import Context
from bnfold.graph import Layer
from bnfold.graph.shapes import kind_of


class RemoveDead:
    """Take out all constant channels that can go."""

    def run(self, context: Context) -> bool:
        """Apply the rewrite to the whole network, until it finds nothing new."""
        if not context.has_weights:
            return False
        gone: dict[Layer, _Gone] = {}
        while _round(context, gone):
            pass
        context.plan.dead += [
            DeadChannels(
                layer.name, layer.type, layer.line, one.channels, one.left.size, tuple(one.into)
            )
            for layer, one in gone.items()
        ]
        context.plan.dead.sort(key=lambda dead: (dead.line, dead.reason is not None))
        return bool(gone)


@dataclass
class _Gone:
    """What has gone from a layer so far.

    Attributes:
        left: which of its channels, as the input counts them, are left.
        into: the layers whose bias took what they gave.
    """

    left: Mask
    into: dict[str, None] = field(default_factory=dict)

    @property
    def channels(self) -> tuple[int, ...]:
        return tuple(np.flatnonzero(~self.left).tolist())


def _round(context: Context, gone: dict[Layer, _Gone]) -> bool:
    """Take out what can go as the network is now; if nothing can, note what is constant and why."""
    starts = _starts(context)
    if not starts:
        return False
    flow = trace(context)
    starts = {layer: values for layer, values in starts.items() if _on_channels(flow, layer)}
    flow.match(_priority(flow, starts))
    constants = propagate(context, flow, starts)
    reads = refusals(context, flow, constants, exact=True)
    reasons = flow.ties.reasons([*chosen(flow, context.choice), *reads])
    removed = _removable(flow, starts, reasons)
    if not removed.any():
        _note_what_stays(context, flow, starts, reasons, gone)
        return False
    readers = cut(context, flow, constants, removed)
    for layer, own in flow.own.items():
        if removed[own].any():
            one = gone.setdefault(layer, _Gone(np.ones(own.size, np.bool_)))
            one.left[np.flatnonzero(one.left)[removed[own]]] = False
            here = own[removed[own]]
            one.into.update((r.name, None) for r in readers if _any_of(flow.read(r), here))
    return True


def _on_channels(flow: Flow, layer: Layer) -> bool:
    """Whether a layer's numbers are those of its channels: an InnerProduct's may be of an axis."""
    return flow.roles[layer] in (Role.MIX, Role.DEPTHWISE, Role.OWN_NUMBERS)


def _priority(flow: Flow, starts: Mapping[Layer, Vector]) -> Vector:
    """0 for channels that are constant, 1 for others: groups lose what is constant first."""
    priority = np.ones(flow.ties.count)
    for layer, values in starts.items():
        lanes = flow.lanes[layer.tops[0]]
        if lanes is not None:
            priority[lanes[np.isfinite(values)]] = 0
    return priority


def _starts(context: Context) -> dict[Layer, Vector]:
    """The constants that layers make whatever they read, NaN where they make none."""
    found = {}
    for layer in context.net.layers:
        values = _constant_outputs(context, layer)
        if values is not None and np.isfinite(values).any():
            found[layer] = values
    return found


def _constant_outputs(context: Context, layer: Layer) -> Vector | None:
    if kind_of(layer, context.treat_as) in AFFINE_TYPES and len(layer.bottoms) == 1:
        reading = affine_of(context, layer)
        if not isinstance(reading, Reading) or not reading.affine.is_known:
            return None
        scale, shift = reading.affine.scale, reading.affine.shift
        assert scale is not None
        assert shift is not None
        return np.where(scale == 0, shift, np.nan) if reading.channels else None
    if host_kind(context, layer) is None or not blobs_of(layer):
        return None
    zero = zero_outputs(context, layer)
    if zero is None or not zero.any():
        return None
    _, *bias = blobs_of(layer)
    return np.where(zero, values_of(bias[0]) if bias else 0.0, np.nan)


def _removable(flow: Flow, starts: Mapping[Layer, Vector], reasons: dict[int, Reason]) -> Mask:
    """The channels of all sets that hold a constant and that nothing keeps; notes what must stay.

    A layer's first channel stays where all of them could go.
    """
    roots: set[int] = set()
    for layer, values in starts.items():
        lanes = flow.lanes[layer.tops[0]]
        if lanes is not None:
            roots.update(flow.ties.roots(lanes[np.isfinite(values)]).tolist())
    roots -= reasons.keys()
    removed = flow.ties.members(roots)
    while True:
        emptied = [own for own in flow.own.values() if removed[own].all()]
        if not emptied:
            return removed
        for own in emptied:
            (root,) = flow.ties.roots(own[:1]).tolist()
            reasons[root] = Reason(Code.LAST_CHANNEL, "a layer keeps at least one channel")
            roots.discard(root)
        removed = flow.ties.members(roots)


def _note_what_stays(
    context: Context,
    flow: Flow,
    starts: Mapping[Layer, Vector],
    reasons: Mapping[int, Reason],
    gone: Mapping[Layer, _Gone],
) -> None:
    """Record which constants stay and why, by the layer that makes them constant."""
    for layer, values in starts.items():
        lanes = flow.lanes[layer.tops[0]]
        if lanes is None:
            continue
        left = gone[layer].left if layer in gone else np.ones(values.size, np.bool_)
        named = np.flatnonzero(left).tolist()
        by_reason: dict[Reason, list[int]] = {}
        roots = flow.ties.roots(lanes).tolist()
        for index in np.flatnonzero(np.isfinite(values)).tolist():
            by_reason.setdefault(reasons[roots[index]], []).append(named[index])
        for reason, channels in by_reason.items():
            context.plan.dead.append(
                DeadChannels(
                    layer.name, layer.type, layer.line, tuple(channels), left.size, (), reason
                )
            )


def _any_of(lanes: Channels | None, some: Channels) -> bool:
    return lanes is not None and bool(np.isin(lanes, some).any())
