"""Walking through a network in the order in which it runs, from values to values.

What is linear in each channel is worked out here, the same for both networks, from Caffe's own
definition of each layer. What multiplies by a matrix, and what is no linear function, is left to
the two kinds of walk: the original gives each such layer a root of its own, and the folded network
looks for the root that it must be.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bnfold.aliases import Vector
from bnfold.errors import BnfoldError
from bnfold.proof import activations, enlargements, lemmas, shapes
from bnfold.proof.affines import Reading, read_affine
from bnfold.proof.forms import Affine, Form, linear, stacked, total
from bnfold.proof.known import is_understood, signature
from bnfold.proof.layers import Layer, NetText
from bnfold.proof.lemmas import Lemma
from bnfold.proof.memory import Memory, Suspect, Value, View, Way, outputs, works_in_place
from bnfold.proof.relations import applied, relate
from bnfold.proof.roots import Roots
from bnfold.proof.shapes import Lengths
from bnfold.proof.stored import MisfitError, Stored, unit
from bnfold.proof.weighted import DEPTHWISE, Layout, Weighted, Window, read_weighted
from bnfold.prototxt import PrototxtError

WEIGHTED = frozenset({"Convolution", "Deconvolution", "InnerProduct", *DEPTHWISE})
AFFINE = frozenset({"BatchNorm", "BN", "Scale", "Bias", "Power"})

_READS_LATE = WEIGHTED | {"Eltwise", "Pooling", "LRN"}
"""Types that still read their bottoms when they have begun to write their top."""

_SHARES = frozenset({"Split", "Flatten", "Reshape", "Concat", "Slice", "Permute"})
"""Types that hand on the memory of a single bottom, all of it."""


_MOVED = Lemma(lemmas.moved, lemmas.each(lambda x: x))

FunctionKey = tuple[object, ...]
"""What tells one function from another, apart from what it reads."""


class Walk(ABC):
    """A walk through one network.

    Attributes:
        net, stored: its two files.
        reading: how the user reads them.
        roots: all roots of the proof.
        memory: what stands under each name now.
        misfits: by layer, why its blobs are not what it says.
        is_exact: whether its numbers are taken at their word, as the original's are.
    """

    is_exact: bool

    def __init__(self, net: NetText, stored: Stored, reading: Reading, roots: Roots) -> None:
        self.net, self.stored, self.reading, self.roots = net, stored, reading, roots
        self.memory = Memory()
        self.outputs = outputs(net.layers)
        self.misfits: dict[str, MisfitError] = {}
        self._shown: dict[tuple[int, int], tuple[Value, Value]] = {}

    def run(self) -> None:
        """Walk through all layers."""
        in_place = works_in_place(self.net.layers)
        for place, layer in enumerate(self.net.layers):
            bottoms = [self._read(layer, name) for name in layer.bottoms]
            tops = [self.settled(layer, i, top) for i, top in enumerate(self._tops(layer, bottoms))]
            self._write(place, layer, tops, in_place)

    def _read(self, layer: Layer, name: str) -> Value:
        value = self.memory.read(name)
        if value is not None:
            return self._with_channels(value)
        held = self.memory.held(name)
        if held is None:
            raise BnfoldError(
                f"{self.net.path}: {layer} reads '{name}', which no layer above it makes; check "
                "the spelling of the bottom"
            )
        return self.unreadable(layer, name, *held)

    def _with_channels(self, value: Value) -> Value:
        """A value with as many rows as its root has channels, if that is known by now."""
        if value.form.channels is not None:
            return value
        known = [self.roots[number].channels for number in value.form.numbers]
        if len(known) != 1 or known[0] is None:
            return value
        return replace(value, form=value.form.sized(known[0]) or value.form)

    def _learn(self, form: Form, channels: int) -> None:
        """Keep in mind how many channels a root has that only its readers tell of."""
        if form.channels is None:
            for number in form.numbers:
                root = self.roots[number]
                root.channels = channels if root.channels is None else root.channels

    def _write(
        self, place: int, layer: Layer, tops: list[Value], in_place: set[tuple[int, int]]
    ) -> None:
        view = self._view(layer)
        for index, (name, value) in enumerate(zip(layer.tops, tops, strict=True)):
            if (place, index) in in_place:
                self.memory.overwrite(name, value)
            elif view is not None and layer.bottoms[0] != name:
                held = self.memory.read(layer.bottoms[0])
                if held is not None:
                    self._shown[id(layer), id(held)] = held, value
                self.memory.share(name, layer.bottoms[0], view)
            else:
                self.memory.write(name, value)

    def _view(self, layer: Layer) -> View | None:
        """How a layer looks at its bottom's memory, if it hands that on."""
        if layer.kind not in _SHARES or len(layer.bottoms) != 1 or not is_understood(layer):
            return None
        if layer.kind == "Slice" and len(layer.tops) != 1:
            return None
        if layer.kind == "Permute" and not _keeps_order(layer):
            return None
        if layer.kind in ("Flatten", "Reshape"):
            return View(
                lambda value: self._once(layer, value),
                lambda value: self._back(layer, value),
                signature(layer),
            )
        return View(lambda value: value, lambda value: value, ())

    def _once(self, layer: Layer, value: Value) -> Value:
        """What a layer that hands on its bottom's memory shows of a value, worked out once."""
        key = id(layer), id(value)
        if key not in self._shown:
            self._shown[key] = value, self._tops(layer, [value])[0]
        return self._shown[key][1]

    def _back(self, layer: Layer, value: Value) -> Value | None:
        """What the bottom of a Flatten or Reshape shows when its top was written.

        If that is the top scaled and shifted, then it is the bottom scaled and shifted.
        """
        if value.form.is_flat:
            return replace(value, form=replace(value.form, is_flat=False), shape=None)
        for (number, _), (bottom, top) in self._shown.items():
            if number != id(layer):
                continue
            relation = relate(value.form, top.form, self.roots, 1.0)
            if relation is None or relation.spread:
                continue
            size = bottom.form.size
            if size != top.form.size or layer.kind == "Flatten":
                found = lemmas.rearranged([relation])
                if isinstance(found, lemmas.Refusal):
                    continue
                relation = found.over(size)
            return replace(
                value, form=applied(relation, bottom.form, self.roots), shape=bottom.shape
            )
        return None

    # ------------------------------------------------------------ what the kinds of walk differ in

    @abstractmethod
    def settled(self, layer: Layer, index: int, value: Value) -> Value:
        """Take note of top `index` of a layer; gives the value as it is to be used."""

    @abstractmethod
    def unreadable(self, layer: Layer, name: str, held: Value, way: Way) -> Value:
        """What a layer reads from memory of which it cannot be said what is there.

        Args:
            layer: the layer.
            name: what it reads.
            held: what was written there, under another name.
            way: how that was looked at when it was written, and how it is now.
        """

    @abstractmethod
    def multiplied(self, layer: Layer, weighted: Weighted, value: Value) -> Form | None:
        """What a weighted layer computes; None where that is to be taken as not understood."""

    @abstractmethod
    def rectified(self, layer: Layer, value: Value) -> Form:
        """max(x, 0) of a value."""

    @abstractmethod
    def function(
        self,
        layer: Layer,
        bottoms: Sequence[Value],
        lemma: Lemma,
        shape: Lengths | None,
        key: FunctionKey | None = None,
    ) -> list[Value]:
        """What a layer computes that hands relations on by a lemma.

        Args:
            layer: the layer, or one of which this is a part.
            bottoms: what is read.
            lemma: how relations are handed on.
            shape: that of the top.
            key: what tells the function from others; by default what the layer says.
        """

    @abstractmethod
    def opaque(self, layer: Layer, bottoms: Sequence[Value]) -> list[Value]:
        """What a layer computes of which nothing is known."""

    # ------------------------------------------------------------ one layer

    def _tops(self, layer: Layer, bottoms: list[Value]) -> list[Value]:
        spoilt = layer.kind in _READS_LATE and any(
            bottom == top for bottom, top in zip(layer.bottoms, layer.tops, strict=False)
        )
        if spoilt or not is_understood(layer) or not self._has_usual_phase(layer):
            return self.opaque(layer, bottoms)
        try:
            found = self._understood(layer, bottoms)
        except MisfitError as error:
            self.misfits[layer.name] = error
            found = None
        except PrototxtError:
            # A word that only a fork knows.
            found = None
        return self.opaque(layer, bottoms) if found is None else found

    def _has_usual_phase(self, layer: Layer) -> bool:
        if layer.kind == "Dropout":
            return layer.phase == "TEST"
        return layer.phase == self.reading.phase or layer.kind in ("BatchNorm", "BN")

    def _understood(self, layer: Layer, bottoms: list[Value]) -> list[Value] | None:
        """What an understood layer computes; None if it computes something else than most do."""
        if layer.kind in ("Silence", "PriorBox"):
            if not layer.tops:
                return []
            lemma = Lemma(lemmas.lengths, keeps_channels=False)
            return self.function(layer, bottoms, lemma, None)
        if layer.kind in ("Slice", "Split"):
            return self._parted(layer, bottoms)
        if len(layer.tops) != 1 or not bottoms:
            return None
        if layer.kind in ("Concat", "Eltwise", "Crop") or self._is_product(layer, bottoms):
            one = self._joined(layer, bottoms)
        elif len(bottoms) != 1:
            return None
        elif layer.kind in WEIGHTED:
            one = self._weighted(layer, bottoms[0])
        elif layer.kind in activations.TYPES and layer.kind != "Power":
            one = activations.activated(self, layer, bottoms[0])
        else:
            one = self._single(layer, bottoms[0])
        return None if one is None else [one]

    def _is_product(self, layer: Layer, bottoms: list[Value]) -> bool:
        """Whether a Scale multiplies one value by another, item by item and channel by channel."""
        if layer.kind != "Scale" or len(bottoms) != 2:
            return False
        param = layer.param("scale_param")
        return param.integer("axis", 1) == 0 and not param.flag("bias_term", False)

    def _single(self, layer: Layer, value: Value) -> Value | None:
        if layer.kind in AFFINE:
            return self._affine(layer, value)
        if layer.kind == "Dropout":
            return value
        if layer.kind in ("Upsample", "Interp"):
            return self._enlarged(layer, value)
        if layer.kind == "Pooling":
            return self._pooled(layer, value)
        if layer.kind in ("Flatten", "Reshape"):
            return self._reshaped(layer, value)
        if layer.kind == "Permute" and _keeps_order(layer):
            return value
        if layer.kind in ("Permute", "Tile", "ShuffleChannel"):
            return self._rearranged(layer, value, shapes.opaque(layer, [value.shape]))[0]
        return None

    # ------------------------------------------------------------ linear in each channel

    def _affine(self, layer: Layer, value: Value) -> Value | None:
        affine = read_affine(layer, self.stored, self.reading, value.shape)
        if affine is None:
            # A Power of another power does the same to every number.
            return activations.activated(self, layer, value) if layer.kind == "Power" else None
        form = self.scaled(value.form, affine)
        return None if form is None else replace(value, form=form)

    def scaled(self, form: Form, affine: Affine) -> Form | None:
        """What an affine function makes of a value; None if they do not fit each other."""
        if self.is_exact:
            affine = affine.exactly()
        if affine.size > 1 and not form.is_flat:
            self._learn(form, affine.size)
        if form.is_flat and affine.size > 1 and form.channels is not None:
            places, rest = divmod(affine.size, max(form.channels, 1))
            spread = None if rest else form.flattened(places, self.roots)
            return None if spread is None else spread.scaled(affine)
        return form.scaled(affine)

    def _joined(self, layer: Layer, bottoms: list[Value]) -> Value | None:
        if layer.kind == "Scale":
            lemma = Lemma(lemmas.multiplied, lemmas.product)
            return self.function(layer, bottoms, lemma, bottoms[0].shape)[0]
        if layer.kind == "Crop":
            if len(bottoms) != 2 or layer.param("crop_param").integer("axis", 2) < 2:
                return None
            shape = bottoms[1].shape
            return self.function(layer, bottoms, Lemma(lemmas.cropped), shape)[0]
        if layer.kind == "Concat":
            return self._concatenated(layer, bottoms)
        param = layer.param("eltwise_param")
        operation = param.choice("operation", "PROD", "SUM", "MAX") if (
            "operation" in param.names
        ) else "SUM"  # fmt: skip
        shape = shapes.agreed([value.shape for value in bottoms])
        if operation != "SUM":
            rules = (
                (lemmas.multiplied, lemmas.product)
                if operation == "PROD"
                else (lemmas.largest, lemmas.greatest)
            )
            lemma = Lemma(*rules, keeps_places=True, is_symmetric=len(bottoms) == 2)
            return self.function(layer, bottoms, lemma, shape, (operation, len(bottoms)))[0]
        factors = param.numbers("coeff") or [1.0] * len(bottoms)
        if len(factors) != len(bottoms):
            return None
        parts = [b.form.scaled(linear(c)) for b, c in zip(bottoms, factors, strict=True)]
        known = [part for part in parts if part is not None]
        form = total(known) if len(known) == len(parts) else None
        return None if form is None else Value(form, shape, suspects_of(bottoms))

    def _concatenated(self, layer: Layer, bottoms: list[Value]) -> Value | None:
        if len(bottoms) == 1:
            return bottoms[0]
        param = layer.param("concat_param")
        axis = param.integer("axis", param.integer("concat_dim", 1))
        if axis < 0:
            known = shapes.agreed([value.shape for value in bottoms])
            axis = 0 if known is None else axis + len(known)
        if axis != 1:
            shape = shapes.opaque(layer, [value.shape for value in bottoms])
            return self.function(layer, bottoms, Lemma(lemmas.common), shape)[0]
        form = stacked([value.form for value in bottoms])
        shape = shapes.agreed([value.shape for value in bottoms])
        if form is None:
            return None
        if shape is not None and len(shape) > 1:
            shape = (shape[0], form.channels, *shape[2:])
        return Value(form, shape, suspects_of(bottoms))

    def _parted(self, layer: Layer, bottoms: list[Value]) -> list[Value] | None:
        if len(bottoms) != 1:
            return None
        value, count = bottoms[0], len(layer.tops)
        if layer.kind == "Split" or count == 1:
            return [value] * count
        param, channels = layer.param("slice_param"), value.form.channels
        axis = param.integer("axis", param.integer("slice_dim", 1))
        if axis > 1 and not value.form.is_flat:
            cut = self._cut_apart(layer, value, axis)
            return self._rearranged(layer, value, None) if cut is None else cut
        if axis != 1 or channels is None or value.form.is_flat:
            return self._rearranged(layer, value, None)
        points = param.integers("slice_point")
        if not points and channels % count == 0:
            points = list(range(channels // count, channels, channels // count))
        bounds = [0, *points, channels]
        if len(bounds) != count + 1 or bounds != sorted(set(bounds)):
            return None
        found = []
        for start, stop in itertools.pairwise(bounds):
            shape = value.shape
            if shape is not None and len(shape) > 1:
                shape = (shape[0], stop - start, *shape[2:])
            form = value.form.taken(np.arange(start, stop))
            found.append(replace(value, form=form, shape=shape))
        return found

    def _cut_apart(self, layer: Layer, value: Value, axis: int) -> list[Value] | None:
        """What a Slice along an axis behind the channels gives out; None if that is not known."""
        shape, count = value.shape, len(layer.tops)
        length = None if shape is None or axis >= len(shape) else shape[axis]
        if shape is None or length is None:
            return None
        points = layer.param("slice_param").integers("slice_point")
        if not points and length % count == 0:
            points = list(range(length // count, length, length // count))
        bounds = [0, *points, length]
        if len(bounds) != count + 1 or bounds != sorted(set(bounds)):
            return None
        return [
            replace(
                value,
                form=value.form.cut(axis, start, stop, self.roots),
                shape=(*shape[:axis], stop - start, *shape[axis + 1 :]),
            )
            for start, stop in itertools.pairwise(bounds)
        ]

    def _reshaped(self, layer: Layer, value: Value) -> Value | None:
        shape = value.shape
        if layer.kind == "Flatten":
            param = layer.param("flatten_param")
            axis, end = param.integer("axis", 1), param.integer("end_axis", -1)
            after = shapes.flattened(shape, axis, end)
            is_flat = (axis, end) == (1, -1)
            keeps = axis > 1
        else:
            param = layer.param("reshape_param")
            after = shapes.reshaped(shape, param)
            dims = param.inner("shape").integers("dim")
            is_plain = param.integer("axis", 0) == 0 and param.integer("num_axes", -1) == -1
            is_flat = is_plain and dims == [0, -1]
            keeps = is_plain and _keeps_channels(shape, after, dims)
        if after is not None and after == shape and None not in after:
            return value
        if layer.kind == "Flatten" and axis == end:
            return value
        if is_flat and shape is not None and all(n == 1 for n in shape[2:]):
            return replace(value, shape=shape[:2])
        if is_flat:
            return replace(value, form=replace(value.form, is_flat=True), shape=after)
        if keeps:
            return self.function(
                layer, [value], Lemma(lemmas.moved, lemmas.each(lambda x: x)), after
            )[0]
        return self._rearranged(layer, value, after)[0]

    def _rearranged(self, layer: Layer, value: Value, shape: Lengths | None) -> list[Value]:
        """What a layer makes of a value that gives out its numbers in another order or number."""
        return self.function(layer, [value], Lemma(lemmas.rearranged, mixes_channels=True), shape)

    # ------------------------------------------------------------ windows

    def _pooled(self, layer: Layer, value: Value) -> Value | None:
        param = layer.param("pooling_param")
        pool = param.choice("pool", "MAX", "AVE", "STOCHASTIC")
        window = shapes.pooling_window(param)
        up = param.flag("ceil_mode", True) and param.choice("round_mode", "CEIL", "FLOOR") == "CEIL"
        shape = shapes.pooled(window, up, value.shape)
        inside = shapes.never_outside(window, up, value.shape)
        if pool == "STOCHASTIC" or not inside:
            return None
        if window is None and value.shape is not None and value.shape[2:] == (1, 1):
            return value
        if window is not None and window.is_point:
            form = value.form.every(window.stride, self.roots)
            return replace(value, form=form, shape=shape)
        if pool == "MAX":
            lemma = Lemma(lemmas.rising, lemmas.each(lambda x: x))
        else:
            may_pad = window is not None and window.may_pad
            kept = lemmas.each(_only_zero if may_pad else lambda x: x)
            lemma = Lemma(lemmas.averaged(may_pad), kept)
        # How many windows there are says all that the way of rounding says.
        larger = shapes.pooled(window, True, value.shape)
        if larger is None or None in larger[2:] or shape is None:
            return self.function(layer, [value], lemma, shape, ("Pooling", pool, window, up))[0]
        if not shapes.never_outside(window, True, value.shape):
            larger = shape
        made = self.function(layer, [value], lemma, larger, ("Pooling", pool, window, larger[2:]))[
            0
        ]
        return self._cut_to(made, shape)

    def _cut_to(self, value: Value, shape: Lengths) -> Value:
        """Lemma 6: fewer windows give the first of the places that more windows give."""
        form = value.form
        assert value.shape is not None
        for axis, (length, wanted) in enumerate(zip(value.shape, shape, strict=True)):
            if axis > 1 and length != wanted and wanted is not None:
                form = form.cut(axis, 0, wanted, self.roots)
        return replace(value, form=form, shape=shape)

    def _weighted(self, layer: Layer, value: Value) -> Value | None:
        weighted = read_weighted(layer, self.stored, value.form, _axes(value))
        if weighted is None:
            return None
        form, shape = value.form, shapes.windowed(weighted, value.shape)
        if _takes_all_in(weighted, value.shape):
            # Lemma 3: it reads each place once, as an InnerProduct does.
            inputs = weighted.inputs * weighted.window.taps
            weighted = replace(weighted, layout=Layout.INNER, window=Window(), inputs=inputs)
        if weighted.layout in (Layout.INNER, Layout.TRANSPOSED):
            flat = self._flat(form, weighted.inputs)
            if flat is None:
                return None
            form = flat
        else:
            sized = self._flat(form, weighted.inputs) if form.is_flat else form
            self._learn(form, weighted.inputs)
            sized = None if sized is None else sized.sized(weighted.inputs)
            if sized is None:
                return None
            form = sized
        weighted = replace(weighted, form=form, made=shape)
        made = (
            self._pointwise(weighted)
            or self._enlarging(weighted, value.shape)
            or self.multiplied(layer, weighted, value)
        )
        return None if made is None else replace(value, form=made, shape=shape)

    def _flat(self, form: Form, inputs: int) -> Form | None:
        """A value with a row for each number that an InnerProduct reads."""
        if form.channels is None:
            sized = form.sized(inputs)
            return None if sized is None else sized.flattened(1, self.roots)
        places, rest = divmod(inputs, max(form.channels, 1))
        return None if rest or not places else form.flattened(places, self.roots)

    def _enlarged(self, layer: Layer, value: Value) -> Value | None:
        """Lemma 2: what makes maps larger by whole factors."""
        way = enlargements.of_layer(layer, value.shape)
        if way is not None:
            form = value.form.larger(way, self.roots)
            return replace(value, form=form, shape=enlargements.made(way, value.shape))
        if layer.kind == "Interp":
            return self.function(
                layer, [value], Lemma(lemmas.moved, lemmas.each(lambda x: x)), None
            )[0]
        return None

    def _pointwise(self, weighted: Weighted) -> Form | None:
        """Lemma 2: a depthwise convolution of one place is an affine function of each channel."""
        is_diagonal = weighted.group == weighted.inputs == weighted.outputs
        if weighted.layout is not Layout.CONVOLUTION or not is_diagonal:
            return None
        if not weighted.window.is_point:
            return None
        scale = weighted.weight.read().astype(np.float64)
        form = self._by_channel(weighted, scale, weighted.form)
        return None if form is None else form.every(weighted.window.stride, self.roots)

    def _enlarging(self, weighted: Weighted, shape: Lengths | None) -> Form | None:
        """Lemma 2: a depthwise deconvolution whose kernel repeats, or goes straight from place to
        place, makes maps larger.
        """
        found = enlargements.of_weights(weighted, shape)
        if found is None:
            return None
        way, scale = found
        return self._by_channel(weighted, scale, weighted.form.larger(way, self.roots))

    def _by_channel(self, weighted: Weighted, scale: Vector, form: Form) -> Form | None:
        """A value with a factor for each channel and a layer's bias."""
        shift, bias = weighted.biases(), weighted.bias
        none = np.zeros(scale.size)
        affine = Affine(
            scale,
            shift,
            unit(scale, weighted.weight.dtype),
            none if bias is None else unit(shift, bias.dtype),
            np.abs(shift),
        )
        return self.scaled(form, affine)


def suspects_of(values: Sequence[Value]) -> tuple[Suspect, ...]:
    """All suspects of several values, each once."""
    return tuple(dict.fromkeys(one for value in values for one in value.suspects))


def _takes_all_in(weighted: Weighted, shape: Lengths | None) -> bool:
    """Whether a convolution has one window, which lies on all places and nothing else."""
    window = weighted.window
    return (
        weighted.layout is Layout.CONVOLUTION
        and weighted.group == 1
        and not window.may_pad
        and shape is not None
        and len(window.kernel) > 0
        and shape[2:] == window.kernel
        and all(k == 1 or d == 1 for k, d in zip(window.kernel, window.dilation, strict=True))
    )


def _axes(value: Value) -> int | None:
    return None if value.shape is None else len(value.shape)


def _only_zero(x: Vector) -> Vector:
    return np.where(x == 0, 0.0, np.nan)


def _keeps_order(layer: Layer) -> bool:
    order = layer.param("permute_param").integers("order")
    return order == list(range(len(order)))


def _keeps_channels(shape: Lengths | None, after: Lengths | None, dims: list[int]) -> bool:
    """Whether a Reshape leaves the first two axes as they are."""
    if len(dims) < 2 or dims[0] not in (0, -1):
        return False
    if shape is None or after is None or len(shape) < 2:
        return dims[:2] == [0, 0]
    firsts = [dims[at] == 0 or (after[at] is not None and after[at] == shape[at]) for at in (0, 1)]
    return all(firsts)
