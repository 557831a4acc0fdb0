"""Rewrite: upsampling by whole factors is written as a Deconvolution with fixed weights.

Along each axis, for a factor s,

    y[s i + j] = x[i],  0 <= j < s                           kernel s, stride s, all weights 1
    y[o] = x[i] + t (x[i + 1] - x[i]),  i + t = o / s        kernel 2 s - 1, stride s, pad s - 1,
                                                             weights 1 - |k - (s - 1)| / s

and a value of one place is spread over s places by kernel s, stride 1, all weights 1. The weight of
a map is the product of those of its axes, the same for each channel, in a group of its own.

1. An Upsample of one bottom and `scale` alone repeats each value (the first line). One of two
   bottoms puts values where a pooling's mask says, and stays.
2. An Interp takes its first and last place from those of its bottom (the second line). Its
   `zoom_factor` makes n into s (n - 1) + 1; `height` and `width` must be of that form, and are then
   right for inputs of the size in the file. It may shrink or crop nothing.
3. The number of channels is known, and the weight no larger than is reasonable.

It runs before anything else, so that what follows may fold into the Deconvolution.

Sources: eric612/MobileNet-YOLO and sophgo/caffe, upsample_layer.cpp; yjxiong/caffe and
hszhao/PSPNet, interp_layer.cpp; BVLC caffe, deconv_layer.cpp.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from bnfold.aliases import Vector
from bnfold.fold.forms.form import Form, distrust, note
from bnfold.fold.plan import Code, Reason
from bnfold.fold.rewrite import Context, OptionalRewrite
from bnfold.fold.weights import Repeated
from bnfold.graph import Layer, Shape, infer_shapes, record_of
from bnfold.graph.words import Words

_PARAM = "convolution_param"
_MOST_VALUES = 1 << 24
"""The most that a weight may have: 64 MB, for a thousand channels a factor of 64."""


@dataclass(frozen=True)
class Spread:
    """How a Deconvolution makes one axis longer.

    Attributes:
        factor: how many times as long; of a value of one place, how long.
        is_linear: whether values between two are taken from both, else each is repeated.
        is_single: whether the axis has one place.
    """

    factor: int
    is_linear: bool = False
    is_single: bool = False

    @property
    def kernel(self) -> int:
        """How long the kernel is."""
        return 2 * self.factor - 1 if self.is_linear else self.factor

    @property
    def stride(self) -> int:
        """How far apart its places begin."""
        return 1 if self.is_single else self.factor

    @property
    def pad(self) -> int:
        """How much of either end is cut off."""
        return self.factor - 1 if self.is_linear else 0

    @property
    def taps(self) -> Vector:
        """The kernel, shape (kernel,)."""
        if not self.is_linear:
            return np.ones(self.kernel)
        distance = np.abs(np.arange(self.kernel) - (self.factor - 1))
        taps: Vector = 1 - distance / self.factor
        return taps


class UpsampleAsDeconvolution(OptionalRewrite):
    """Write upsampling by whole factors as Deconvolution."""

    help = "Write Upsample and Interp by whole factors as Deconvolution with fixed weights."
    on = False
    entry = Form
    first = True

    def run(self, context: Context) -> bool:
        """Apply the rewrite to all layers that make maps larger."""
        changed, sized, is_stale = False, list[str](), False
        for layer in context.net.layers:
            if layer.kind.name not in _READERS or not context.choice.allows(layer):
                continue
            spreads = _spreads(context, layer)
            if is_stale and isinstance(spreads, Reason):
                # A Deconvolution above it tells its size, where the layer that it was did not.
                context.shapes, is_stale = infer_shapes(context.net), False
                spreads = _spreads(context, layer)
            reason = spreads if isinstance(spreads, Reason) else None
            note(context, layer, "Deconvolution", reason)
            if not isinstance(spreads, Reason):
                if _has_size(layer):
                    sized.append(layer.name)
                _apply(context, layer, spreads)
                changed = is_stale = True
        if sized:
            more = f" and {len(sized) - 1} more" if len(sized) > 1 else ""
            context.plan.warnings.append(
                f"Interp of a fixed size ('{sized[0]}'{more}) became Deconvolution, which gives it "
                "for inputs of the size in the file only"
            )
        return changed


def _spreads(context: Context, layer: Layer) -> tuple[Spread, Spread] | Reason:
    """How a layer makes height and width larger, or why it cannot be a Deconvolution."""
    refusal = distrust(context, layer, "Deconvolution")
    if refusal is not None:
        return refusal
    if len(layer.bottoms) != 1 or len(layer.tops) != 1:
        second = layer.bottoms[1].name if len(layer.bottoms) > 1 else layer.tops[-1].name
        why = f"{layer} has '{second}' besides, and where its values go is told by that"
        return Reason(Code.NO_EQUAL, why)
    shape = context.shapes.get(layer.bottoms[0])
    channels = context.channels_of(layer.bottoms[0])
    if shape is None or channels is None:
        why = f"how many channels {layer} reads cannot be told"
        return Reason(Code.UNKNOWN_SHAPE, why, "give the input's shape in the prototxt")
    if len(shape) != 4:
        return Reason(Code.NO_EQUAL, f"{layer} reads {len(shape)} axes, and not 4")
    found = _READERS[layer.kind.name](layer, shape[2:])
    if isinstance(found, Reason):
        return found
    size = channels * math.prod(spread.kernel for spread in found)
    if size > _MOST_VALUES:
        why = f"the weight of a Deconvolution for {layer} would have {size:,} values"
        return Reason(Code.NO_EQUAL, why)
    return found


def _upsample(layer: Layer, lengths: Shape) -> tuple[Spread, Spread] | Reason:
    """An Upsample by a factor, as the forks have it that need no mask."""
    words = Words.of(layer, "upsample_param")
    factor = words.integer("scale")
    if words.names != {"scale"} or factor is None or factor < 1:
        has = ", ".join(sorted(words.names)) or "nothing"
        why = f"{layer} says {has}, and only `scale` by itself means the same in all forks"
        return Reason(Code.NO_EQUAL, why)
    return Spread(factor), Spread(factor)


def _interp(layer: Layer, lengths: Shape) -> tuple[Spread, Spread] | Reason:
    """An Interp that is a Deconvolution along both axes."""
    words = Words.of(layer, "interp_param")
    other = words.names - {"zoom_factor", "height", "width"}
    ignored = {name for name in other if words.integer(name) == _IDLE.get(name)}
    if other - ignored:
        why = f"{layer} has {', '.join(sorted(other - ignored))}, and does more than upsampling"
        return Reason(Code.NO_EQUAL, why)
    zoom = words.integer("zoom_factor", 1 if "shrink_factor" in words.names else None)
    if zoom is not None and zoom > 0:
        return Spread(zoom, is_linear=True), Spread(zoom, is_linear=True)
    found = []
    for length, name in zip(lengths, ("height", "width"), strict=True):
        size = words.integer(name)
        if size is None or zoom is not None:
            return Reason(Code.NO_EQUAL, f"{layer} has no zoom_factor, and no height and width")
        if length is None:
            return Reason(Code.UNKNOWN_SHAPE, f"the {name} of what {layer} reads cannot be told")
        spread = _linear(length, size)
        if spread is None:
            why = f"{layer} makes {length} into {size}, and {size - 1} is no multiple of"
            return Reason(Code.NO_EQUAL, f"{why} {length - 1}")
        found.append(spread)
    return found[0], found[1]


def _linear(length: int, size: int) -> Spread | None:
    """How so many places become so many, the first and the last staying where they are."""
    if length == 1 <= size:
        return Spread(size, is_single=True)
    if length < 2 or size < length or (size - 1) % (length - 1):
        return None
    return Spread((size - 1) // (length - 1), is_linear=True)


def _has_size(layer: Layer) -> bool:
    words = Words.of(layer, "interp_param")
    return bool(words.names) and "zoom_factor" not in words.names


def _apply(context: Context, layer: Layer, spreads: tuple[Spread, Spread]) -> None:
    channels = context.channels_of(layer.bottoms[0])
    assert channels is not None
    layer.clear("param", *layer.kind.params)
    layer.become(record_of("Deconvolution"))
    layer.set(_PARAM, "num_output", channels)
    layer.set(_PARAM, "bias_term", False)
    layer.set(_PARAM, "group", channels)
    _write(layer, "kernel_size", 0, tuple(spread.kernel for spread in spreads))
    _write(layer, "stride", 1, tuple(spread.stride for spread in spreads))
    _write(layer, "pad", 0, tuple(spread.pad for spread in spreads))
    if context.has_weights:
        kernel = np.outer(spreads[0].taps, spreads[1].taps)
        layer.give(Repeated((channels, 1, *kernel.shape), kernel.ravel(), str(layer)))


def _write(layer: Layer, field: str, usual: int, numbers: tuple[int, ...]) -> None:
    """Write a number for each axis in the way that most readers know."""
    name = field.removesuffix("_size")
    if len(set(numbers)) == 1:
        layer.set(_PARAM, field, numbers[:1] if numbers[0] != usual else ())
    elif usual in numbers:
        # OpenCV passes over a `pad_w` that stands alone, and a `pad_h: 0` would not be written.
        layer.set(_PARAM, field, numbers)
    else:
        for axis, number in zip("hw", numbers, strict=True):
            layer.set(_PARAM, f"{name}_{axis}", number)


_READERS: Mapping[str, Callable[[Layer, Shape], tuple[Spread, Spread] | Reason]] = {
    "Upsample": _upsample,
    "Interp": _interp,
}

_IDLE = {"shrink_factor": 1, "pad_beg": 0, "pad_end": 0}
"""Fields of an Interp with the values that do nothing."""
