"""Taking constant channels out, and saying why others stay: see dead.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from bnfold.aliases import Vector
from bnfold.fold.channels.constants import propagate
from bnfold.fold.channels.cut import cut
from bnfold.fold.channels.dead import DeadChannels
from bnfold.fold.channels.flow import Flow, Role, trace
from bnfold.fold.channels.refusals import chosen, refusals
from bnfold.fold.channels.ties import Channels, Mask
from bnfold.fold.plan import Code, Reason
from bnfold.fold.rewrite import Context
from bnfold.graph import Layer


@dataclass
class Gone:
    """What has gone from a layer so far.

    Attributes:
        left: which of its channels, as the input counts them, are left.
        into: the layers whose bias took what they gave.
    """

    left: Mask
    into: dict[str, None] = field(default_factory=dict)

    @property
    def channels(self) -> tuple[int, ...]:
        """Which of its channels are gone, in order."""
        return tuple(np.flatnonzero(~self.left).tolist())


def take_out(context: Context, starts: dict[Layer, Vector], gone: dict[Layer, Gone]) -> bool:
    """Take out what can go as the network is now; if nothing can, note what is constant and why.

    Args:
        context: the network.
        starts: the constants that layers make whatever they read, NaN where they make none.
        gone: what has gone so far, which is added to.

    Returns:
        Whether anything went.
    """
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
            one = gone.setdefault(layer, Gone(np.ones(own.size, np.bool_)))
            one.left[np.flatnonzero(one.left)[removed[own]]] = False
            here = own[removed[own]]
            one.into.update((r.name, None) for r in readers if _any_of(flow.read(r), here))
    return True


def _on_channels(flow: Flow, layer: Layer) -> bool:
    """Whether a layer's numbers are those of its channels: an InnerProduct's may be of an axis."""
    return layer in flow.own or flow.roles[layer] is Role.OWN_NUMBERS


def _priority(flow: Flow, starts: Mapping[Layer, Vector]) -> Vector:
    """0 for channels that are constant, 1 for others: groups lose what is constant first."""
    priority = np.ones(flow.ties.count)
    for layer, values in starts.items():
        lanes = flow.lanes[layer.tops[0]]
        if lanes is not None:
            priority[lanes[np.isfinite(values)]] = 0
    return priority


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
    gone: Mapping[Layer, Gone],
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
            context.plan.entries.append(
                DeadChannels(
                    layer.name,
                    layer.written_type,
                    layer.line,
                    tuple(channels),
                    left.size,
                    (),
                    reason,
                )
            )


def _any_of(lanes: Channels | None, some: Channels) -> bool:
    return lanes is not None and bool(np.isin(lanes, some).any())
