"""Rewrite: ReLU, Scale and Eltwise that amount to a PReLU are one.

    relu(x) + k d relu(s x)  =  max(x, 0) + k d s min(x, 0)       where s <= 0

since relu(s x) = s min(x, 0) for such an s. So they are a PReLU with the slopes k d s, for each
channel: s and d are the scales of affine layers in front of the second ReLU and behind it, and k is
what the sum multiplies it by.

1. The sum has two bottoms, and multiplies the first ReLU by 1. Neither ReLU has a slope of its own.
2. The affines have no shift, and s is above 0 in no channel.
3. Nobody else reads a value on either way from x to the sum.
4. x still means the same, in name and in memory, where the sum stands.

It is less work, and what stands behind it may now fold into what makes x.

Sources: BVLC caffe, src/caffe/layers/{relu,prelu,eltwise}_layer.cpp, `Forward_cpu`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bnfold.aliases import Vector
from bnfold.fold.absorb.leaving import downward, other_readers
from bnfold.fold.affines.affine import Affine
from bnfold.fold.forms.form import Form, distrust, forget, note
from bnfold.fold.plan import Code, Fate, Outcome, Reason
from bnfold.fold.rewrite import Context, OptionalRewrite
from bnfold.fold.weights import Dense
from bnfold.graph import Layer, Passes, Value, record_of

_SUM = 1
_SAME = Affine(np.ones(1), np.zeros(1))


@dataclass(frozen=True)
class _Parts:
    """Layers that amount to a PReLU of `bottom`.

    Attributes:
        joint: the sum.
        place: which of its bottoms is the negative part.
        positive: the ReLU of the positive part.
        negative: the layers of the negative part, in order.
        slopes: shape (C,) or (1,); None where the numbers are not at hand.
    """

    joint: Layer
    place: int
    positive: Layer
    negative: tuple[Layer, ...]
    slopes: Vector | None

    @property
    def bottom(self) -> Value:
        """What the PReLU reads."""
        return self.positive.bottoms[0]


class JoinPReLU(OptionalRewrite):
    """Make one PReLU of what amounts to it."""

    help = "Write ReLU, Scale and Eltwise that amount to a PReLU as one."
    on = True
    entry = Form

    def run(self, context: Context) -> bool:
        """Apply the rewrite to all sums, in file order."""
        changed = False
        forget(context, "Eltwise")
        for joint in list(context.net.layers):
            parts = _parts(context, joint)
            if parts is None or not context.choice.allows(joint, parts.positive, *parts.negative):
                continue
            reason = _obstacle(context, parts)
            note(context, joint, "PReLU", reason)
            if reason is None:
                _join(context, parts)
                changed = True
        if changed:
            context.net.look_at_memory_anew()
        return changed


def _parts(context: Context, joint: Layer) -> _Parts | None:
    """The layers that make a sum amount to a PReLU, if it does."""
    if joint.kind.passes is not Passes.COMBINED or len(joint.bottoms) != 2:
        return None
    if context.untrusted(joint):
        return None
    param = joint.param("eltwise_param")
    coefficients = list(param.coeff) or [1.0, 1.0]
    if param.operation != _SUM or len(coefficients) != 2:
        return None
    for place in (1, 0):
        positive = joint.bottoms[1 - place].producer
        if coefficients[1 - place] != 1 or positive is None or not _is_relu(context, positive):
            continue
        found = _negative(context, joint.bottoms[place], positive.bottoms[0])
        if found is not None:
            layers, slopes = found
            if slopes is not None:
                slopes = slopes * coefficients[place]
            return _Parts(joint, place, positive, layers, slopes)
    return None


def _negative(
    context: Context, value: Value, bottom: Value
) -> tuple[tuple[Layer, ...], Vector | None] | None:
    """The layers that make a value d s min(x, 0) of a bottom x, and d s, if they do."""
    behind, after, value = _scaled(context, value)
    relu = value.producer
    if relu is None or not _is_relu(context, relu):
        return None
    front, before, value = _scaled(context, relu.bottoms[0])
    if value is not bottom or not before.is_shiftless or not after.is_shiftless:
        return None
    layers = (*front, relu, *behind)
    if before.scale is None or after.scale is None:
        return layers, None
    if (before.scale > 0).any():
        return None
    return layers, before.scale * after.scale


def _scaled(context: Context, value: Value) -> tuple[list[Layer], Affine, Value]:
    """The chain that makes a value, what it computes, and what it reads."""
    chain = context.chains.get(value.producer) if value.producer else None
    if chain is None or chain.top is not value:
        return [], _SAME, value
    return chain.layers, chain.affine, chain.bottom


def _is_relu(context: Context, layer: Layer) -> bool:
    """Whether a layer gives max(x, 0) of the one bottom that it reads."""
    if layer.kind.name != "ReLU" or len(layer.bottoms) != 1 or len(layer.tops) != 1:
        return False
    return not context.untrusted(layer) and layer.param("relu_param").negative_slope == 0


def _obstacle(context: Context, parts: _Parts) -> Reason | None:
    """Why layers that amount to a PReLU stay, if they do."""
    net, joint = context.net, parts.joint
    for way in ([parts.positive], parts.negative):
        for layer, reader in zip(way, [*way[1:], joint], strict=True):
            seen = other_readers(net, layer.tops[0], reader)
            if seen is not None:
                return seen
    if parts.slopes is None:
        why = f"whether {joint} amounts to a PReLU depends on scales, and there are no weights"
        return Reason(Code.NEEDS_WEIGHTS, why, "give the weights with --weights")
    if net.twins(joint):
        why = f"a layer outside this phase is also named '{joint.name}', and would get its slopes"
        return Reason(Code.SAME_NAME, why)
    return distrust(context, joint, "PReLU") or downward(net, [parts.positive])


def _join(context: Context, parts: _Parts) -> None:
    net, joint = context.net, parts.joint
    channels, slopes = context.channels_of(parts.bottom), parts.slopes
    assert slopes is not None
    net.remove_into_readers(parts.positive)
    net.disconnect(joint, {parts.place})
    net.remove_unread(parts.negative)
    for layer in parts.negative:
        context.chains.pop(layer, None)
        if layer.kind.is_affine:
            outcome = Outcome(
                layer.name, layer.written_type, layer.line, Fate.FOLDED, (joint.name,)
            )
            context.plan.outcomes.append(outcome)
    joint.clear("propagate_down", *joint.kind.params)
    joint.become(record_of("PReLU"))
    if slopes.size == 1 and channels is None:
        joint.set("prelu_param", "channel_shared", True)
    else:
        slopes = np.broadcast_to(slopes, (max(slopes.size, channels or 1),))
    joint.give(Dense.of(slopes, np.dtype(np.float32), f"slopes of {joint}"))
