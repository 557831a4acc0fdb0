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

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bnfold.aliases import Vector
from bnfold.fold.affines.dialects import Reading
from bnfold.fold.blobs import values_of
from bnfold.fold.channels.zeros import zero_outputs
from bnfold.fold.plan import Entry, Reason, reason_json
from bnfold.fold.rewrite import Context, OptionalRewrite
from bnfold.graph import Layer, infer_shapes
from bnfold.spelling import plural

if TYPE_CHECKING:
    from bnfold.fold.channels.removal import Gone


@dataclass(frozen=True)
class DeadChannels(Entry):
    """Output channels of a layer that are constant.

    Attributes:
        layer, type, line: the layer, and where it stands in the prototxt.
        channels: which of its channels, in order, as the input counts them.
        total: how many channels it had.
        into: the layers whose bias took what the channels gave them.
        reason: why the channels stay; None where they are removed.
    """

    key = "dead_channels"
    layer: str
    type: str
    line: int
    channels: tuple[int, ...]
    total: int
    into: tuple[str, ...] = ()
    reason: Reason | None = None

    @property
    def done(self) -> bool:
        """Whether they were removed."""
        return self.reason is None

    def what(self) -> tuple[str, str]:
        """How many there are, and why they stay, or what took what they gave."""
        rest = f": {len(self.channels)} of {self.total}"
        if self.into:
            rest += f", what they gave into {', '.join(self.into)}"
        if self.reason:
            return "dead channels stay", f"{rest}: {self.reason}"
        return "dead channels go", rest

    def sentence(self) -> str:
        """The same, with the layer."""
        verb = "kept" if self.reason else "removed"
        return f"{verb} dead channels of {self.layer} ({self.type}){self.what()[1]}"

    def to_json(self) -> dict[str, Any]:
        """The object in the list `dead_channels`."""
        return {
            "layer": self.layer,
            "type": self.type,
            "line": self.line,
            "channels": list(self.channels),
            "of": self.total,
            "removed": self.done,
            "into": list(self.into),
            **reason_json(self.reason),
        }

    @classmethod
    def summary(cls, entries: Sequence[DeadChannels]) -> str:
        """How many channels were removed."""
        gone = sum(len(dead.channels) for dead in entries if dead.done)
        return f"{plural(gone, 'constant channel')} removed" if gone else ""


class RemoveDead(OptionalRewrite):
    """Take out all constant channels that can go."""

    help = "Take out channels that are constant, where that is exact."
    on = True
    entry = DeadChannels
    last = True

    def __init__(self) -> None:
        self._gone: dict[Layer, Gone] = {}

    def run(self, context: Context) -> bool:
        """Apply the rewrite to the whole network, until it finds nothing new."""
        if not context.has_weights:
            return False
        plan, gone, changed = context.plan, self._gone, False
        plan.entries = [entry for entry in plan.entries if not isinstance(entry, DeadChannels)]
        while starts := _starts(context):
            # Nearly no network gets here, and the analysis takes 6 ms to import.
            from bnfold.fold.channels.removal import take_out

            if not take_out(context, starts, gone):
                break
            changed = True
        dead = [
            DeadChannels(
                layer.name,
                layer.written_type,
                layer.line,
                one.channels,
                one.left.size,
                tuple(one.into),
            )
            for layer, one in gone.items()
        ]
        # Of those of one layer, what went comes before what stays.
        plan.entries[:0] = dead
        if changed:
            plan.altered |= _resized(context)
        return changed


def _resized(context: Context) -> set[str]:
    """Layers that lost channels of their tops, or may have, where shapes cannot be told."""
    old, new = context.shapes, infer_shapes(context.net)
    return {
        layer.name
        for layer in context.net.layers
        if any(new.get(top) is None or new.get(top) != old.get(top) for top in layer.tops)
    }


def _starts(context: Context) -> dict[Layer, Vector]:
    """The constants that layers make whatever they read, NaN where they make none."""
    found = {}
    for layer in context.net.layers:
        values = _constant_outputs(context, layer)
        if values is not None and np.isfinite(values).any():
            found[layer] = values
    return found


def _constant_outputs(context: Context, layer: Layer) -> Vector | None:
    if layer.kind.is_affine and len(layer.bottoms) == 1:
        reading = context.affine(layer)
        if not isinstance(reading, Reading) or not reading.affine.is_known:
            return None
        scale, shift = reading.affine.scale, reading.affine.shift
        assert scale is not None
        assert shift is not None
        return np.where(scale == 0, shift, np.nan) if reading.channels else None
    if layer.kind.layout is None or layer in context.misfits:
        return None
    zero = zero_outputs(context, layer)
    if not zero.any():
        return None
    _, *bias = layer.blobs
    return np.where(zero, values_of(bias[0]) if bias else 0.0, np.nan)
