"""Rewrite: layers that change nothing go, and what can be said more simply is.

    f(x)  =  x                                       for a layer f that goes
    max(x, 0) + a min(x, 0)                          a PReLU with the same a everywhere is a ReLU
    c (W x + b)  =  (c W) x + c b                    a coefficient of a sum goes into the weights

1. These change nothing: a Dropout in phase TEST; a Split; a Concat of one, a Slice into one and a
   Permute that keeps the order; an Eltwise of one with coefficient 1; a Pooling of one place with
   stride 1 and no padding (but that Caffe's maximum of NaN is none); a Flatten of a single axis, as
   behind another Flatten; a ReLU of what a ReLU made. (A Power of nothing goes anyway, see
   identities.py.)
2. Such a layer goes where what reads it can read its bottom, or what feeds it can make its top
   (leaving.py), so that network outputs keep their names, as does what is read outside the phase.
   It stays where some reader finds another value in memory than the one it names, since a layer
   that changes nothing may be the copy that protects it.
3. A PReLU becomes a ReLU where no other layer uses its slopes.
4. A coefficient goes where what feeds the sum can take it in (search.py): on the whole way nobody
   else reads a value that would change, and no other layer uses the weights.

Sources: BVLC caffe, src/caffe/layers/{dropout,split,concat,slice,eltwise,pooling,flatten,relu,
prelu}_layer.cpp, `Forward_cpu`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from bnfold.fold.absorb.leaving import (
    downward,
    other_readers,
    seen_by_others,
    upward,
    would_leave_its_place,
)
from bnfold.fold.absorb.search import backward, other_users, passed
from bnfold.fold.affines.affine import Affine
from bnfold.fold.blobs import values_of
from bnfold.fold.plan import Code, Entry, Reason, reason_json
from bnfold.fold.rewrite import Context, OptionalRewrite
from bnfold.graph import Layer, Passes, Value, record_of
from bnfold.graph.axes import axis_index
from bnfold.graph.windows import pooling_windows
from bnfold.spelling import plural

_MAX, _AVE = 0, 1
_PROD, _SUM = 0, 1


class Change(str, Enum):
    """What became of a layer."""

    DROPPED = "dropped"
    """It is gone."""
    RELU = "became a ReLU"
    COEFFICIENTS = "gave coefficients"
    """They went into the layers in `into`."""
    KEPT = "kept"


@dataclass(frozen=True)
class Tidied(Entry):
    """A layer that does nothing, or that could say more simply what it does.

    Attributes:
        change: what became of it.
        into: the layers that took its coefficients in.
        reason: why it stays, or some of its coefficients do.
    """

    key = "tidied"
    layer: str
    type: str
    line: int
    change: Change
    into: tuple[str, ...] = ()
    reason: Reason | None = None

    @property
    def done(self) -> bool:
        """Whether something became of it."""
        return self.change is not Change.KEPT

    def what(self) -> tuple[str, str]:
        """What became of it, or why it stays."""
        into = f" into {', '.join(self.into)}" if self.into else ""
        return self.change.value, f"{into}: {self.reason}" if self.reason else into

    def sentence(self) -> str:
        """The same, with its name."""
        verb, rest = self.what()
        return f"tidied {self.layer} ({self.type}): {verb}{rest}"

    def to_json(self) -> dict[str, Any]:
        """The object in the list `tidied`."""
        return {
            "layer": self.layer,
            "type": self.type,
            "line": self.line,
            "change": self.change.name.lower(),
            "into": list(self.into),
            **reason_json(self.reason),
        }

    @classmethod
    def summary(cls, entries: Sequence[Tidied]) -> str:
        """How many layers went or became simpler."""
        count = len({entry.layer for entry in entries if entry.done})
        return f"{plural(count, 'layer')} tidied" if count else ""


class Tidy(OptionalRewrite):
    """Take out what changes nothing, and write what stays in the simplest way."""

    help = "Take out layers that do nothing in phase TEST, as Dropout; the names of blobs may go."
    on = False
    entry = Tidied

    def run(self, context: Context) -> bool:
        """Apply the rewrite to all layers, in file order."""
        plan = context.plan
        plan.entries = [e for e in plan.entries if not isinstance(e, Tidied) or e.done]
        changed = False
        for layer in list(context.net.layers):
            if context.untrusted(layer) or not context.choice.allows(layer):
                continue
            if is_nothing(context, layer):
                changed |= _drop(context, layer)
            elif layer.kind.name == "PReLU":
                changed |= _simplify(context, layer)
            elif layer.kind.passes is Passes.COMBINED:
                changed |= _give_coefficients(context, layer)
        if changed:
            # Whoever found what one of them wrote in place now finds what its name says, and what
            # worked in place behind one of them may have memory of its own. Until here memory
            # counts as shared: that forbids more than is needed, and is looked at again.
            context.net.look_at_memory_anew()
        return changed


class TidyAtLast(Tidy):
    """The same once more: without its constant channels a PReLU may have one slope."""

    last = True


def is_nothing(context: Context, layer: Layer) -> bool:
    """Whether a layer of one bottom hands it on as it is."""
    if len(layer.bottoms) != 1 or not layer.tops:
        return False
    match layer.kind.passes:
        case Passes.EVERYTHING:
            return True
        case Passes.RESHAPED:
            return layer.kind.name == "Flatten" and _flattens_one_axis(context, layer)
        case Passes.POOLED:
            return _pools_one_place(layer)
        case Passes.COMBINED:
            param = layer.param("eltwise_param")
            return param.operation != _SUM or set(param.coeff) <= {1.0}
        case Passes.POSITIVE_SCALE:
            return _is_rectified(context, layer)
    return layer.kind.hands_on(layer)


def _flattens_one_axis(context: Context, layer: Layer) -> bool:
    shape, param = context.shapes.get(layer.bottoms[0]), layer.param("flatten_param")
    if shape is None:
        return False
    first = axis_index(param.axis, len(shape))
    return first is not None and first == axis_index(param.end_axis, len(shape))


def _pools_one_place(layer: Layer) -> bool:
    param = layer.param("pooling_param")
    # What is global today pools more where the input is larger.
    if param.global_pooling or param.pool not in (_MAX, _AVE) or len(layer.tops) != 1:
        return False
    windows = pooling_windows(layer, (None, None))
    return (
        windows is not None and not any(windows.pad) and {*windows.kernel, *windows.stride} == {1}
    )


def _is_rectified(context: Context, layer: Layer) -> bool:
    """Whether a ReLU reads what a ReLU made that lets nothing negative through."""
    maker = layer.bottoms[0].producer
    if layer.kind.name != "ReLU" or maker is None or maker.kind.name != "ReLU":
        return False
    return not context.untrusted(maker) and maker.param("relu_param").negative_slope == 0


def _drop(context: Context, layer: Layer) -> bool:
    bottom, top = layer.bottoms[0], layer.tops[0]
    reason = _leave(context, layer)
    if reason is not None:
        _note(context, layer, Change.KEPT, reason=reason)
        return False
    _note(context, layer, Change.DROPPED)
    value = top if top.producer is not layer else bottom
    _rejoin(context, value)
    return True


def _leave(context: Context, layer: Layer) -> Reason | None:
    """Take a layer out; gives why it must stay, if so."""
    net, (bottom,) = context.net, layer.bottoms
    # Without it, what shares its memory may no longer do so: then nobody may be mistaken there.
    for value in (bottom, *layer.tops):
        mistaken = net.memory.mistaken_beside(value)
        if mistaken is not None:
            return seen_by_others(net, mistaken)
    refusal = _downward(context, layer)
    if refusal is None:
        net.remove_into_readers(layer)
        return None
    if len(layer.tops) > 1:
        return refusal
    producer = bottom.producer
    if producer is None or not producer.bottoms:
        return refusal
    up = other_readers(net, bottom, layer) or upward(net, [layer])
    if up is None:
        net.remove_into_producer(layer)
        return None
    return Reason(refusal.code, f"{refusal.text}; {up.text}", up.hint)


def _downward(context: Context, layer: Layer) -> Reason | None:
    """Why what reads a layer cannot read its bottom instead, if so."""
    net, bottom = context.net, layer.bottoms[0]
    for top in layer.tops:
        if top.is_output:
            return Reason(Code.NETWORK_OUTPUT, f"'{top.name}' is an output of the network")
        seen = seen_by_others(net, top)
        if seen:
            return seen
    if len(layer.tops) == 1:
        return downward(net, [layer])
    readers = [reader for top in layer.tops for reader in top.readers]
    for reader in readers:
        if reader.kind.is_spoilt(reader):
            return would_leave_its_place(reader)
    named = bottom.name in [top.name for top in layer.tops]
    if named or not net.reaches(bottom, readers, [layer]):
        why = f"'{bottom.name}' means another value where what reads it stands"
        return Reason(Code.NAME_TAKEN, why)
    return None


def _rejoin(context: Context, value: Value) -> None:
    """Have the chains on either side of a value be one, where nothing is between them any more."""
    if value.producer is None or len(value.readers) != 1:
        return
    (reader,) = value.readers
    chain, other = context.chains.get(value.producer), context.chains.get(reader)
    if chain is None or other is None or chain is other or chain.top is not value:
        return
    if other.bottom is not value or other_readers(context.net, value, reader) is not None:
        return
    chain.extend_after(other.affine, other.channels, str(reader))
    chain.layers += other.layers
    chain.touched |= other.touched
    context.chains.update(dict.fromkeys(other.layers, chain))


def _simplify(context: Context, layer: Layer) -> bool:
    """Make a PReLU that has one slope a ReLU."""
    if len(layer.blobs) != 1 or layer in context.misfits:
        return False
    slopes = values_of(layer.blobs[0]).astype(np.float32)
    if not slopes.size or not np.isfinite(slopes).all() or (slopes != slopes[0]).any():
        return False
    reason = other_users(context.net, [layer])
    if reason is not None:
        _note(context, layer, Change.KEPT, reason=reason)
        return False
    layer.clear("param", *layer.kind.params)
    layer.become(record_of("ReLU"))
    layer.give()
    layer.set("relu_param", "negative_slope", float(str(slopes[0])))
    _note(context, layer, Change.RELU)
    return True


def _give_coefficients(context: Context, layer: Layer) -> bool:
    """Put the coefficients of a sum into what feeds it, as far as that goes."""
    param = layer.param("eltwise_param")
    coefficients = list(param.coeff)
    if param.operation != _SUM or len(coefficients) != len(layer.bottoms):
        return False
    reason, into = None, list[str]()
    for place, (bottom, value) in enumerate(zip(layer.bottoms, coefficients, strict=True)):
        if value in (0.0, 1.0):
            continue
        found = _give(context, layer, bottom, value)
        if isinstance(found, Reason):
            reason = reason or found
        else:
            coefficients[place] = 1.0
            into += found
    if not into:
        if reason is not None:
            _note(context, layer, Change.KEPT, reason=reason)
        return False
    left = tuple(coefficients) if set(coefficients) != {1.0} else ()
    layer.set("eltwise_param", "coeff", left)
    _note(context, layer, Change.COEFFICIENTS, tuple(dict.fromkeys(into)))
    return True


def _give(context: Context, layer: Layer, bottom: Value, value: float) -> list[str] | Reason:
    """Put one coefficient into what feeds it; gives what took it, or why nothing can."""
    moves = backward(context, bottom, layer, Affine(np.array([value]), np.zeros(1)))
    if isinstance(moves, Reason):
        return moves
    takers = [taker for move in moves for taker in move.layers]
    if not context.choice.allows(layer, *takers):
        return Reason(Code.CHOSEN, "they stay, as the user asked (--keep or --only)")
    for move in moves:
        move.apply(context)
    names = [move.layers[-1].name for move in moves]
    context.plan.altered |= {*names, *(one.name for one in passed(moves))}
    return names


def _note(
    context: Context,
    layer: Layer,
    change: Change,
    into: tuple[str, ...] = (),
    reason: Reason | None = None,
) -> None:
    entry = Tidied(layer.name, layer.written_type, layer.line, change, into, reason)
    context.plan.entries.append(entry)
