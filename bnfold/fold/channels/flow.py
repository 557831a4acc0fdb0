"""How channels flow: which channel stands where along axis 1 of every value.

A layer with weights over channels makes new ones; others hand on what they read. From this
follows what must go together:

1. Convolution (one group), Deconvolution, InnerProduct mix what they read and make `num_output`
   new channels; whatever they read can be cut without cutting those.
2. A depthwise convolution, with one input a group, is cut by groups: an input and what is made of
   it are one set. Of other groups each must lose as many inputs, and as many outputs: `match` ties
   one of each group, by an order that it is told.
3. BatchNorm, BN, Scale, Bias and PReLU have a number for each channel; activations, poolings,
   Dropout and their like have none.
4. Concat on channels puts channels side by side. Eltwise, Concat on other axes and a Scale with
   two bottoms tie them one by one: a channel goes in all bottoms or in none.
5. Flatten, and a Reshape that does as much, stretches a channel over its positions.
6. Crop looks at the size of its second bottom, PriorBox at those of all, and Silence at nothing.
7. All else pins what it reads and what it makes, with a reason: Slice, Permute, a Reshape to
   written sizes, layers that bnfold does not know, inputs and outputs of the network, what layers
   outside the phase read, and blobs that several layers share.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from enum import Enum, auto
from operator import itemgetter

import numpy as np

from bnfold.aliases import Vector
from bnfold.fold.absorb.leaving import seen_by_others
from bnfold.fold.absorb.search import other_users
from bnfold.fold.blobs import size_of
from bnfold.fold.channels.ties import Channels, Ties
from bnfold.fold.plan import Code, Reason
from bnfold.fold.rewrite import Context
from bnfold.fold.weighted import WeightedLayer
from bnfold.graph import AffineForm, ChannelRole, Layer, Layout, Passes, Value
from bnfold.graph.axes import axis_index, is_channels, item_count


class Role(Enum):
    """What a layer does with the channels it reads; the numbers are those above."""

    MIX = auto()
    DEPTHWISE = auto()
    OWN_NUMBERS = auto()
    PASS = auto()
    JOIN = auto()
    TIE = auto()
    STRETCH = auto()
    SIZES = auto()
    OPAQUE = auto()


_WITHIN_CHANNEL = 1
"""LRNParameter.NormRegion: each channel by itself."""


@dataclass
class Flow:
    """Where channels go.

    Attributes:
        lanes: the channels along axis 1 of each value, shape (C,); None where that is unknown.
        roles: what each layer does with them.
        ties: which go together, and which stay.
        own: the channels that each layer makes.
        groups: channels of which each row must lose as many, shape (groups, channels).
        room: how many entries of lanes may still be made that only a shape asks for.
        makers: the layers that make channels (None for an input of the network), each with the
            number of its first; in the order of these.
    """

    room: int
    lanes: dict[Value, Channels | None] = field(default_factory=dict)
    roles: dict[Layer, Role] = field(default_factory=dict)
    ties: Ties = field(default_factory=Ties)
    own: dict[Layer, Channels] = field(default_factory=dict)
    groups: list[Channels] = field(default_factory=list)
    makers: list[tuple[int, Layer | None]] = field(default_factory=list)

    def read(self, layer: Layer) -> Channels | None:
        """The channels of a layer's first bottom."""
        return self.lanes[layer.bottoms[0]] if layer.bottoms else None

    def match(self, priority: Vector) -> None:
        """Tie one channel of each group of a convolution, so that groups stay of one size.

        Args:
            priority: a number for each channel, shape (count,): the lowest of each group are one
                set, then the next.
        """
        for block in self.groups:
            order = np.argsort(priority[block], axis=1, kind="stable")
            ordered = np.take_along_axis(block, order, axis=1)
            for row in ordered[1:]:
                self.ties.tie(ordered[0], row)

    def affords(self, count: int) -> bool:
        """Whether there is room for so many entries that no weights stand for; takes it if so."""
        fits = count <= self.room
        self.room -= count if fits else 0
        return fits

    def maker(self, channel: int) -> Layer | None:
        """The layer that makes a channel; None for an input of the network."""
        return self.makers[bisect_right(self.makers, channel, key=itemgetter(0)) - 1][1]

    def new(self, layer: Layer | None, count: int) -> Channels:
        """New channels, made by a layer."""
        self.makers.append((self.ties.count, layer))
        return self.ties.add(count)


def trace(context: Context) -> Flow:
    """Follow the channels through a network, as it is after the rewrites so far.

    Raises:
        BnfoldError: blobs of an affine layer do not fit.
        PrototxtError: a parameter has a bad value.
    """
    flow = Flow(room=context.most_channels)
    for value in context.net.inputs:
        _fix(context, flow, value, Reason(Code.NO_HOST, f"'{value.name}' is an input"))
    for layer in context.net.layers:
        role = _Tracer(context, flow, layer).trace()
        flow.roles[layer] = role
    for value, lanes in flow.lanes.items():
        if lanes is None:
            continue
        if value.is_output:
            why = f"'{value.name}' is an output of the network"
            flow.ties.pin(lanes, Reason(Code.NETWORK_OUTPUT, why))
        seen = seen_by_others(context.net, value)
        if seen:
            flow.ties.pin(lanes, seen)
    return flow


def _fix(context: Context, flow: Flow, value: Value, reason: Reason) -> None:
    """Give a value channels that stay, as many as its shape says, or none that can be told."""
    count = context.channels_of(value)
    if count is None or not flow.affords(count):
        flow.lanes[value] = None
        return
    lanes = flow.lanes[value] = flow.new(value.producer, count)
    flow.ties.pin(lanes, reason)


@dataclass
class _Tracer:
    """One layer on the way."""

    context: Context
    flow: Flow
    layer: Layer

    def trace(self) -> Role:
        """Give each top its channels."""
        layer = self.layer
        kind = layer.kind
        if not layer.bottoms:
            return self._opaque(f"{layer} provides it")
        distrust = self.context.untrusted(layer)
        # Who reads an affine layer of one bottom asks by himself.
        if distrust and (not kind.is_affine or len(layer.bottoms) > 1):
            return self._opaque(distrust)
        misfit = self.context.misfits.get(layer)
        if misfit is not None:
            return self._opaque(misfit.text, misfit.code, misfit.hint)
        if kind.channels is ChannelRole.LENGTHS:
            return self._sizes()
        if len(layer.tops) != 1 and kind.passes is not Passes.EVERYTHING:
            return self._opaque(f"{layer} has {len(layer.tops)} tops", Code.FIXED)
        if kind.channels is ChannelRole.CROPPED and len(layer.bottoms) == 2:
            return self._crop()
        if kind.layout is not None:
            return self._weighted()
        if kind.channels is ChannelRole.TIED:
            return self._tied()
        if kind.channels is ChannelRole.JOINED and len(layer.bottoms) > 1:
            return self._joined()
        if len(layer.bottoms) == 2 and kind.affine is AffineForm.SCALE:
            return self._gate()
        if len(layer.bottoms) > 1:
            return self._opaque(f"{layer} is a layer that bnfold does not know")
        return self._one()

    # ------------------------------------------------------------------ what is not known

    def _opaque(self, why: str, code: Code = Code.UNKNOWN_LAYER, hint: str = "") -> Role:
        reason = Reason(code, why, hint)
        for value in self.layer.bottoms:
            self._pin(self.flow.lanes[value], reason)
        for top in self.layer.tops:
            _fix(self.context, self.flow, top, reason)
        return Role.OPAQUE

    def _pin(self, lanes: Channels | None, reason: Reason) -> None:
        if lanes is not None:
            self.flow.ties.pin(lanes, reason)

    def _sizes(self) -> Role:
        for top in self.layer.tops:
            _fix(self.context, self.flow, top, Reason(Code.FIXED, f"{self.layer} makes it"))
        return Role.SIZES

    # ------------------------------------------------------------------ layers with weights

    def _weighted(self) -> Role:
        layer, weighted = self.layer, WeightedLayer.of(self.layer)
        outputs, groups = weighted.outputs, weighted.groups
        lanes = self.flow.read(layer)
        if len(layer.bottoms) != 1 or not outputs:
            return self._opaque(f"{layer} has several bottoms with the same weights")
        axis, shape = weighted.axis, self.context.shapes.get(layer.bottoms[0])
        if not is_channels(axis, None if shape is None else len(shape)):
            return self._opaque(f"{layer} has axis: {axis}", Code.FIXED)
        made = self.flow.own[layer] = self.flow.new(layer, outputs)
        self.flow.lanes[layer.tops[0]] = made
        shared, unfit = self._shared(), self._other_inputs(weighted, lanes)
        for reason in filter(None, (shared, unfit)):
            self._pin(lanes, reason)
            self._pin(made, reason)
        if unfit:
            return Role.OPAQUE
        if groups == 1:
            return Role.MIX
        why = ""
        if lanes is None or lanes.size % groups or outputs % groups:
            why = f"what {layer} reads cannot be told, and it has groups"
        elif weighted.layout is Layout.DECONVOLUTION and lanes.size > groups:
            why = f"{layer} is a deconvolution in groups"
        if why or lanes is None:
            self._pin(lanes, Reason(Code.FIXED, why))
            self._pin(made, Reason(Code.FIXED, why))
            return Role.OPAQUE
        if lanes.size > groups:
            self.flow.groups += [lanes.reshape(groups, -1), made.reshape(groups, -1)]
            return Role.MIX
        for column in made.reshape(groups, -1).T:
            self.flow.ties.tie(lanes, column)
        return Role.DEPTHWISE

    def _other_inputs(self, weighted: WeightedLayer, lanes: Channels | None) -> Reason | None:
        """Why the weight, which fits its layer's text, is not for so many channels, if so."""
        if lanes is None:
            return None
        shape = self.context.shapes.get(self.layer.bottoms[0])
        if (
            weighted.layout is not Layout.INNER_PRODUCT
            and shape is not None
            and len(shape) != len(weighted.weight.shape)
        ):
            why = f"the weight of {self.layer} is not for a value of {len(shape)} axes"
            return Reason(Code.UNKNOWN_SHAPE, why)
        why = f"the weight of {self.layer} is not for the {lanes.size} channels that it reads"
        return None if weighted.reads(lanes.size) else Reason(Code.UNKNOWN_SHAPE, why)

    def _shared(self) -> Reason | None:
        return other_users(self.context.net, [self.layer])

    # ------------------------------------------------------------------ several bottoms

    def _joined(self) -> Role:
        layer, flow = self.layer, self.flow
        axis = self._concat_axis()
        if axis in (None, 0):
            return self._opaque(f"{layer} joins along an axis that is not the channels")
        if axis != 1:
            return self._tied()
        known = [lanes for lanes in (flow.lanes[v] for v in layer.bottoms) if lanes is not None]
        if len(known) < len(layer.bottoms):
            why = f"how many channels each bottom brings to {layer} cannot be told"
            return self._opaque(why, Code.UNKNOWN_SHAPE)
        if not flow.affords(sum(lanes.size for lanes in known)):
            why = f"{layer} joins more channels than the weights file can be about"
            return self._opaque(why, Code.UNKNOWN_SHAPE)
        flow.lanes[layer.tops[0]] = np.concatenate(known)
        return Role.JOIN

    def _tied(self) -> Role:
        """The same channel of all bottoms goes, or none."""
        layer, flow = self.layer, self.flow
        first, *others = (flow.lanes[value] for value in layer.bottoms)
        if first is None or any(lanes is None or lanes.size != first.size for lanes in others):
            return self._opaque(f"the channels that {layer} ties cannot be told")
        for lanes in others:
            assert lanes is not None
            flow.ties.tie(first, lanes)
        flow.lanes[layer.tops[0]] = first
        return Role.TIE

    def _concat_axis(self) -> int | None:
        param = self.layer.param("concat_param")
        axis = int(param.concat_dim if param.HasField("concat_dim") else param.axis)
        shape = self.context.shapes.get(self.layer.tops[0])
        if axis >= 0:
            return axis
        return None if shape is None else axis_index(axis, len(shape))

    def _gate(self) -> Role:
        """A Scale whose numbers the network computes: one for each item and channel."""
        layer, flow = self.layer, self.flow
        lanes, gate = (flow.lanes[value] for value in layer.bottoms)
        param, shape = layer.param("scale_param"), self.context.shapes.get(layer.bottoms[1])
        whole = param.axis == 0 and shape is not None and len(shape) > 1
        if not whole or param.bias_term or lanes is None or gate is None:
            return self._opaque(f"{layer} has two bottoms, not one number for each channel")
        if lanes.size != gate.size:
            return self._opaque(f"the channels that {layer} ties cannot be told")
        flow.ties.tie(lanes, gate)
        flow.lanes[layer.tops[0]] = lanes
        return Role.TIE

    def _crop(self) -> Role:
        if self.layer.param("crop_param").axis < 2:
            return self._opaque(f"{self.layer} may cut channels", Code.FIXED)
        self.flow.lanes[self.layer.tops[0]] = self.flow.read(self.layer)
        return Role.PASS

    # ------------------------------------------------------------------ one bottom

    def _one(self) -> Role:
        layer, lanes = self.layer, self.flow.read(self.layer)
        if layer.kind.channels is ChannelRole.STRETCHED:
            return self._stretch()
        role = self._role()
        if isinstance(role, Reason):
            return self._opaque(role.text, role.code, role.hint)
        if role is Role.OWN_NUMBERS and lanes is not None:
            sizes = [size_of(blob) for blob in layer.blobs]
            own = sizes[:2] if layer.kind.affine is AffineForm.BATCH_NORM else sizes
            if any(size != lanes.size for size in own):
                return self._opaque(f"{layer} does not have a number for each channel")
            shared = self._shared()
            if shared:
                self._pin(lanes, shared)
        for top in layer.tops:
            self.flow.lanes[top] = lanes
        return role

    def _role(self) -> Role | Reason:
        layer = self.layer
        if layer.kind.is_affine:
            reading = self.context.affine(layer)
            if isinstance(reading, Reason):
                return Reason(reading.code, f"{layer}: {reading.text}", reading.hint)
            alike = reading is not None and reading.channels is None
            return Role.PASS if alike else Role.OWN_NUMBERS
        match layer.kind.channels:
            case ChannelRole.NUMBERED:
                shared = layer.param("prelu_param").channel_shared
                return Role.PASS if shared else Role.OWN_NUMBERS
            case ChannelRole.KEPT | ChannelRole.JOINED:
                return Role.PASS
            case ChannelRole.ACROSS:
                if layer.param("lrn_param").norm_region == _WITHIN_CHANNEL:
                    return Role.PASS
                return Reason(Code.FIXED, f"{layer} normalises across channels")
            case ChannelRole.CUT:
                return Reason(Code.FIXED, f"{layer} cuts channels at fixed places")
        return Reason(Code.UNKNOWN_LAYER, f"{layer} reads it, and may mix channels")

    def _stretch(self) -> Role:
        """Flatten and Reshape, where they keep the channels apart or put positions behind them."""
        layer, lanes = self.layer, self.flow.read(self.layer)
        top = layer.tops[0]
        shape = self.context.shapes.get(layer.bottoms[0])
        if layer.type == "Flatten":
            first, last = layer.param("flatten_param").axis, layer.param("flatten_param").end_axis
            keeps, joins = first > 1, (first, last) == (1, -1)
        else:
            param = layer.param("reshape_param")
            dims = list(param.shape.dim)
            whole = (param.axis, param.num_axes) == (0, -1)
            keeps = whole and dims[:2] == [0, 0]
            joins = whole and dims[:2] == [0, -1] and all(dim == 1 for dim in dims[2:])
        each = item_count(shape[2:]) if shape is not None and len(shape) > 1 else None
        if lanes is None or keeps:
            self.flow.lanes[top] = lanes if keeps else None
            return Role.PASS
        if not joins:
            return self._opaque(f"{layer} fixes the number of channels", Code.FIXED)
        if not each or not self.flow.affords(lanes.size * each):
            why = f"over how many positions {layer} stretches a channel cannot be told"
            return self._opaque(why, Code.UNKNOWN_SHAPE)
        self.flow.lanes[top] = np.repeat(lanes, each)
        return Role.STRETCH
