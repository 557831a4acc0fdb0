"""Rewrite: preprocessing goes into the network, which then takes pixels as they are.

    W (scale * (S p - mean)) + b  =  (scale * W S) (p - S mean) + b         of pixels p

1. The order S goes into what reads the input (order.py). Where that is not possible, nothing is.
2. The scale goes into the weights that read the input, if nothing else reads it; and so does the
   mean, if no zero padding meets it.
3. Else a Scale with a bias right behind the input does what is left. It folds like any other, so
   that a batch norm takes it in, say. Where it stays, the padded zeros stand for pixels of the
   mean, as they did before, and the result is exact at the price of a layer.
4. The input is the one that is named, or the only one that takes images (steps.py). Nobody outside
   the phase reads it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bnfold.errors import BnfoldError
from bnfold.fold.absorb.leaving import seen_by_others
from bnfold.fold.absorb.search import Move, other_users
from bnfold.fold.affines.affine import Affine
from bnfold.fold.inputs.order import turns, weighted_layers
from bnfold.fold.inputs.steps import InputSteps, inputs_of
from bnfold.fold.plan import Code, Entry, Fate, Reason, reason_json
from bnfold.fold.rewrite import Context, OptionalRewrite
from bnfold.fold.weighted import WeightedLayer
from bnfold.fold.weights import Dense
from bnfold.graph import ChannelRole, Layer, Value, infer_shapes, record_of


@dataclass(frozen=True)
class InputFold(Entry):
    """An input that takes pixels as they are now.

    Attributes:
        layer: the input, by its blob.
        line: where the network gets it.
        steps: what was done to the pixels before.
        order_into, scale_into, mean_into: the layers that took in the order of the channels, the
            scale, and the mean.
        stays: the Scale that does the rest, if there is one.
        reason: why that stays.
        turned: layers that make their channels in another order now.
    """

    key = "inputs"
    type = "Input"
    layer: str
    line: int
    steps: InputSteps
    order_into: tuple[str, ...] = ()
    scale_into: tuple[str, ...] = ()
    mean_into: tuple[str, ...] = ()
    stays: str | None = None
    reason: Reason | None = None
    turned: tuple[str, ...] = ()

    @property
    def done(self) -> bool:
        """Always: what cannot be done is an error."""
        return True

    def what(self) -> tuple[str, str]:
        """What went where."""
        places: dict[tuple[str, ...], list[str]] = {}
        moved = (self.order_into, self.scale_into, self.mean_into)
        for what, into in zip(("order of channels", "scale", "mean"), moved, strict=True):
            if into:
                places.setdefault(into, []).append(what)
        parts = [f"{' and '.join(what)} into {', '.join(into)}" for into, what in places.items()]
        if self.stays is not None:
            parts.append(f"Scale {self.stays} does the rest: {self.reason}")
        return "takes raw pixels", f": {'; '.join(parts)}" if parts else ""

    def sentence(self) -> str:
        """The same, with its name."""
        verb, rest = self.what()
        return f"input {self.layer} {verb}{rest}"

    def to_json(self) -> dict[str, Any]:
        """The object in the list `inputs`."""
        return {
            "blob": self.layer,
            "line": self.line,
            "mean": list(self.steps.mean),
            "scale": self.steps.scale,
            "swap": self.steps.swap,
            "order_into": list(self.order_into),
            "scale_into": list(self.scale_into),
            "mean_into": list(self.mean_into),
            "stays": self.stays,
            **reason_json(self.reason),
        }

    @classmethod
    def summary(cls, entries: Sequence[InputFold]) -> str:
        """How it ended, in a line."""
        return "; ".join(
            f"'{entry.layer}' takes raw pixels, "
            + (f"with Scale {entry.stays} behind it" if entry.stays else "without another layer")
            for entry in entries
        )

    def alters(self, standing: Collection[str]) -> Collection[str]:
        """The layers that make their channels in another order."""
        return [name for name in self.turned if name in standing]


class FoldInput(OptionalRewrite):
    """Put preprocessing into the network.

    Args:
        steps: what was done to the pixels.
    """

    help = "Have the network take pixels as they are."
    on = False
    entry = InputFold
    first = True

    def __init__(self, steps: InputSteps) -> None:
        self._steps = steps

    def run(self, context: Context) -> bool:
        """Apply the rewrite to the input.

        Raises:
            BnfoldError: it cannot be applied.
        """
        values = inputs_of(context.net)
        shapes = {name: context.shapes.get(value) for name, value in values.items()}
        name = self._steps.input_of(shapes)
        value, channels = values[name], self._steps.channels_of(name, shapes[name])
        seen = seen_by_others(context.net, value)
        if seen is not None:
            raise _refused(name, seen)
        if not _reading(value):
            raise BnfoldError(f"no layer reads the pixels of input '{name}'")
        line = value.producer.line if value.producer is not None else 1
        entry = InputFold(name, line, self._steps)
        entry = _turn_round(context, value, channels, entry)
        context.plan.entries.append(_absorb(context, value, channels, entry))
        return True


class FoldInputAtLast(FoldInput):
    """Say what became of the Scale behind the input, which folds like any other."""

    first = False
    last = True

    def run(self, context: Context) -> bool:
        """Complete what the plan says of the input."""
        plan = context.plan
        plan.entries = [_completed(context, entry) for entry in plan.entries]
        return False


def _completed(context: Context, entry: Entry) -> Entry:
    if not isinstance(entry, InputFold) or entry.stays is None:
        return entry
    outcomes = {outcome.layer: outcome for outcome in context.plan.outcomes}
    made = outcomes.get(entry.stays)
    if made is None:
        return entry
    at = context.plan.outcomes.index(made)
    if made.fate in (Fate.KEPT, Fate.SCALE):
        reason = entry.reason or _ahead(made.reason)
        context.plan.outcomes[at] = replace(made, reason=reason)
        return replace(entry, reason=reason)
    del context.plan.outcomes[at]
    if made.fate is Fate.MERGED:
        (into,) = made.into
        return replace(entry, stays=into, reason=_ahead(outcomes[into].reason))
    scaled = entry.steps.scale != 1 and not entry.scale_into
    scale_into = made.into if scaled else entry.scale_into
    return replace(entry, stays=None, reason=None, scale_into=scale_into, mean_into=made.into)


def _ahead(reason: Reason | None) -> Reason | None:
    """The half of a reason that is news: nothing stands before an input that could take it in."""
    if reason is None:
        return None
    _, _, ahead = reason.text.partition("; ahead: ")
    return replace(reason, text=ahead or reason.text)


def _refused(name: str, reason: Reason) -> BnfoldError:
    hint = f"; {reason.hint}" if reason.hint else ""
    return BnfoldError(f"input '{name}' cannot take raw pixels: {reason.text}{hint}")


def _reading(value: Value) -> list[Layer]:
    """The layers that look at an input's values, and not only at its lengths."""
    readers = dict.fromkeys(value.readers)
    return [layer for layer in readers if layer.kind.channels is not ChannelRole.LENGTHS]


def _turn_round(context: Context, value: Value, channels: int, entry: InputFold) -> InputFold:
    """Have what reads the input find its channels in the pixels' order."""
    if not entry.steps.swap:
        return entry
    found = turns(context, value, entry.steps.order(channels))
    if isinstance(found, Reason):
        raise _refused(value.name, found)
    if context.has_weights:
        for turn in found:
            turn.apply()
    into = tuple(layer.name for layer in weighted_layers(found))
    turned = tuple(turn.layer.name for turn in found if turn.made is not None)
    return replace(entry, order_into=into, turned=turned)


def _absorb(context: Context, value: Value, channels: int, entry: InputFold) -> InputFold:
    """Put mean and scale into what reads the input, or as much of them as fits."""
    steps = entry.steps
    affine = steps.affine(channels)
    if affine.is_identity:
        return entry
    readers = _hosts_of(context, value, affine)
    if isinstance(readers, list):
        into = _move(context, readers, affine)
        scale_into = into if steps.scale != 1 else ()
        return replace(entry, scale_into=scale_into, mean_into=() if affine.is_shiftless else into)
    entry = replace(entry, reason=readers)
    scale = Affine(affine.scale, np.zeros(channels))
    hosts = _hosts_of(context, value, scale)
    if isinstance(hosts, list) and not scale.is_identity:
        entry = replace(entry, scale_into=_move(context, hosts, scale))
        affine = Affine(np.ones(channels), -steps.means(channels))
    return replace(entry, stays=_add_scale(context, value, affine))


def _move(context: Context, readers: Sequence[WeightedLayer], affine: Affine) -> tuple[str, ...]:
    """Put an affine into layers; gives their names."""
    for reader in readers:
        Move(reader, affine, at_input=True).apply(context)
    return tuple(reader.layer.name for reader in readers)


def _hosts_of(
    context: Context, value: Value, affine: Affine
) -> list[WeightedLayer] | Reason | None:
    """The layers that read an input, if all of them can take an affine in, or why they cannot.

    None where one of them has no weights: then it depends on what follows.
    """
    found = []
    for layer in _reading(value):
        weighted = context.weighted(layer)
        if weighted is None:
            return None
        if value.readers.count(layer) > 1:
            return Reason(Code.OTHER_READER, f"{layer} reads '{value.name}' twice")
        refusal = context.misfits.get(layer) or weighted.input_refusal(affine)
        refusal = refusal or other_users(context.net, [layer])
        if refusal is not None:
            return refusal
        found.append(weighted)
    return found


def _add_scale(context: Context, value: Value, affine: Affine) -> str:
    """Put a Scale right behind an input; gives its name."""
    net = context.net
    if net.is_v1:
        raise BnfoldError(
            f"input '{value.name}' cannot take raw pixels: a V1 file has no Scale for the mean; "
            "upgrade the files with Caffe's tools"
        )
    taken = {layer.name for layer in (*net.all_layers, *net.outside)}
    taken |= {top.name for layer in net.all_layers for top in layer.tops}
    name = f"{value.name}/raw"
    while name in taken:
        name += "_"
    layer = net.read_through(value, record_of("Scale"), name, _reading(value))
    layer.set("scale_param", "bias_term", True)
    if context.has_weights:
        assert affine.scale is not None
        assert affine.shift is not None
        dtype = np.dtype(np.float32)
        layer.give(
            Dense.of(affine.scale, dtype, f"scale of {layer}"),
            Dense.of(affine.shift, dtype, f"bias of {layer}"),
        )
    context.shapes = infer_shapes(net)
    return name
