"""The original network: what each of its values is, in terms of roots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from bnfold.proof import activations, shapes
from bnfold.proof.forms import Form, whole
from bnfold.proof.known import signature
from bnfold.proof.layers import Layer
from bnfold.proof.lemmas import ConstantRule, Lemma, each
from bnfold.proof.memory import Value, Way
from bnfold.proof.rectifiers import is_positive, known_rectified, rectified_constant
from bnfold.proof.relations import relate
from bnfold.proof.roots import Constants, Root
from bnfold.proof.shapes import Lengths
from bnfold.proof.stored import same_blobs
from bnfold.proof.walk import FunctionKey, Walk
from bnfold.proof.weighted import Weighted

_SAME_SHAPE = frozenset(
    {
        *("LRN", "MVN", "Normalize", "Softmax", "LogSoftmax", "ShuffleChannel", "Dropout"),
        *("BatchNorm", "BN", "Scale", "Bias", *activations.TYPES),
    }
)
"""Types of one bottom whose top has its shape."""
_POSITIVE = frozenset({"Sigmoid", "Softmax", "BNLL", "ReLU6", "Exp"})


@dataclass(frozen=True, eq=False)
class Applied:
    """A layer of the original that is no linear function, and what it reads and gives out."""

    layer: Layer
    bottoms: tuple[Value, ...]
    tops: tuple[Value, ...]


@dataclass(frozen=True, eq=False)
class Rectified:
    """max(x, 0) of a value of the original, with the root that it is."""

    layer: Layer
    form: Form
    root: Root


@dataclass
class Known:
    """What is known of the original network when all of it has been walked through.

    Attributes:
        values: the values that stood under each name, in order.
        ends: what stands under each name at the end.
        applied: the layers that are no linear functions, by what of their words counts.
        rectified: all results of max(x, 0).
        weighted: the roots that weighted layers compute.
        layers: its layers, by name.
        unreadable: what is looked at in a way that cannot be followed: what was written, the way,
            and the root that stands for what is read.
    """

    values: dict[str, list[Value]] = field(default_factory=dict)
    ends: dict[str, Value] = field(default_factory=dict)
    applied: dict[FunctionKey, list[Applied]] = field(default_factory=dict)
    rectified: list[Rectified] = field(default_factory=list)
    weighted: list[Root] = field(default_factory=list)
    layers: dict[str, Layer] = field(default_factory=dict)
    unreadable: list[tuple[Value, Way, Value]] = field(default_factory=list)


class Original(Walk):
    """The walk that gives each layer that is no linear function a root of its own."""

    is_exact = True

    def walk(self) -> Known:
        """Walk through the network."""
        self.known = Known(layers={layer.name: layer for layer in self.net.layers})
        self.run()
        for name in self.outputs:
            self.known.ends[name] = self._read(self._last(name), name)
        return self.known

    def _last(self, name: str) -> Layer:
        return next(one for one in reversed(self.net.layers) if name in one.tops)

    def settled(self, layer: Layer, index: int, value: Value) -> Value:
        """Keep a value under its name."""
        self.known.values.setdefault(layer.tops[index], []).append(value)
        return value

    def unreadable(self, layer: Layer, name: str, held: Value, way: Way) -> Value:
        """A root for what is looked at in this way."""
        for other, its_way, shown in self.known.unreadable:
            if other is held and its_way == way:
                return shown
        # What is written in place changes no shape.
        last = self.known.values.get(name)
        shape = last[-1].shape if last else None
        channels = shape[1] if shape is not None and len(shape) > 1 else None
        root = self.roots.new(f"what {layer} reads as '{name}'", channels)
        shown = Value(whole(root), shape)
        self.known.unreadable.append((held, way, shown))
        return shown

    def multiplied(self, layer: Layer, weighted: Weighted, value: Value) -> Form:
        """A root of its own."""
        root = self.roots.new(
            layer.name,
            weighted.outputs,
            weighted=weighted,
            constants=lambda: weighted.constants(weighted.form.settled(self.roots)),
        )
        self.known.weighted.append(root)
        return whole(root)

    def rectified(self, layer: Layer, value: Value) -> Form:
        """The root that there is of this value or of one in proportion to it, or a new one."""
        form = value.form
        if is_positive(form, self.roots):
            return form
        if not form.rows.size:
            return rectified_constant(form)
        found = known_rectified(self.known.rectified, layer, form, self.roots, 1.0)
        if isinstance(found, Form):
            return found
        rule = each(lambda x: np.maximum(x, 0.0))
        root = self._root(layer, [value], form.channels, rule, True)
        self.known.rectified.append(Rectified(layer, form, root))
        return replace(whole(root), is_flat=form.is_flat)

    def function(
        self,
        layer: Layer,
        bottoms: Sequence[Value],
        lemma: Lemma,
        shape: Lengths | None,
        key: FunctionKey | None = None,
    ) -> list[Value]:
        """A root of its own for what it computes."""
        first = bottoms[0].form
        if first.is_flat and not (lemma.keeps_places or lemma.mixes_channels):
            return self.opaque(layer, bottoms)
        channels = None if lemma.mixes_channels else first.channels
        if lemma.mixes_channels and shape is not None and len(shape) > 1:
            channels = shape[1] if shape[1] is not None and shape[1] > 0 else None
        positive = layer.kind in _POSITIVE or all(
            is_positive(b.form, self.roots) for b in bottoms if layer.kind in ("Pooling", "Eltwise")
        )
        positive = positive and layer.kind in (*_POSITIVE, "Pooling", "Eltwise")
        rule = lemma.constants
        roots = [self._root(layer, bottoms, channels, rule, positive) for _ in layer.tops]
        is_flat = first.is_flat and not lemma.mixes_channels
        forms = [replace(whole(root), is_flat=is_flat) for root in roots]
        return self._applied(layer, bottoms, [Value(form, shape) for form in forms], key)

    def opaque(self, layer: Layer, bottoms: Sequence[Value]) -> list[Value]:
        """Roots of their own for what it computes."""
        keeps = layer.kind in _SAME_SHAPE and len(bottoms) == 1 == len(layer.tops)
        channels = bottoms[0].form.channels if keeps and not bottoms[0].form.is_flat else None
        if keeps:
            shape = bottoms[0].shape
        elif bottoms:
            shape = shapes.opaque(layer, [value.shape for value in bottoms])
        else:
            shape = input_shape(layer)
        if channels is None and shape is not None and len(shape) > 1:
            channels = shape[1] if shape[1] is not None and shape[1] > 0 else None
        positive = layer.kind in _POSITIVE
        tops = [
            Value(whole(self.roots.new(name, channels, is_positive=positive)), shape)
            for name in layer.tops
        ]
        tops = self._applied(layer, bottoms, tops)
        is_input = not bottoms and layer.kind == "Input"
        return (
            [self._fed(top, name) for top, name in zip(tops, layer.tops, strict=True)]
            if (is_input)
            else tops
        )

    def _fed(self, top: Value, name: str) -> Value:
        """What the original gets if the folded network gets an input as it is."""
        pixels, channels = self.reading.pixels, top.form.channels
        if pixels is None or channels is None:
            return top
        if (pixels.blob or name) != name or (pixels.blob is None and len(top.shape or ()) != 4):
            return top
        order = np.arange(channels)[::-1] if pixels.swap else np.arange(channels)
        form = top.form.taken(order).scaled(pixels.affine(channels))
        return top if form is None else replace(top, form=form)

    def _applied(
        self,
        layer: Layer,
        bottoms: Sequence[Value],
        tops: list[Value],
        key: FunctionKey | None = None,
    ) -> list[Value]:
        """Remember what a layer computes; equal functions of equal values are equal."""
        entry = Applied(layer, tuple(bottoms), tuple(tops))
        known = self.known.applied.setdefault(key or signature(layer), [])
        for other in known if bottoms else ():
            if self._is_same(entry, other):
                return list(other.tops)
        known.append(entry)
        return tops

    def _is_same(self, one: Applied, other: Applied) -> bool:
        """Whether two layers of the same words compute the same."""
        for mine, its in zip(one.bottoms, other.bottoms, strict=True):
            if mine.form.numbers != its.form.numbers:
                return False
            relation = relate(mine.form, its.form, self.roots, 1.0)
            if relation is None or not relation.is_same:
                return False
        blobs = self.stored.numbers(one.layer), self.stored.numbers(other.layer)
        return one.layer is other.layer or same_blobs(*blobs)

    def _root(
        self,
        layer: Layer,
        bottoms: Sequence[Value],
        channels: int | None,
        rule: ConstantRule | None,
        positive: bool,
    ) -> Root:
        """A root for what a layer computes, with the rule for its constants."""

        def constants() -> Constants | None:
            settled = [value.form.settled(self.roots) for value in bottoms]
            if rule is None or any(form.channels != settled[0].channels for form in settled):
                return None
            if settled[0].channels is None:
                return None
            fixed, values = rule([(form.counts == 0, form.b) for form in settled])
            return fixed & np.isfinite(values), np.where(np.isfinite(values), values, 0.0)

        return self.roots.new(layer.name, channels, is_positive=positive, constants=constants)


def input_shape(layer: Layer) -> Lengths | None:
    """The shape that an input is declared with; None where the text has none."""
    declared = getattr(layer, "shape", None)
    if declared is not None:
        return tuple(declared)
    if layer.kind != "Input":
        return None
    found = layer.param("input_param").shapes()
    return found[0] if len(found) == 1 else None
