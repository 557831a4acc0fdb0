"""Layers that an affine can pass: what must hold, and what arrives on the other side.

For a layer f and an affine A this is about A(f(x)) = f(B(x)), read from right to left on the
way back to what feeds the layer, and from left to right on the way ahead to what reads it.

    Dropout (in TEST), Split, Concat of one    B = A
    Flatten, Reshape that keep axis 1          B = A
    Flatten of channels and all behind them    ahead only: each number of A as often as needed
    Pooling with a window behind the end       never
    MAX pooling                                B = A, if the scale is positive
    AVE pooling                                B = A, if there is no padding or no shift
    ReLU, PReLU                                B = A, if the scale is positive, without a shift
    Concat on channels                         each bottom gets its slice of A
    Concat on another axis                     B = A for each bottom
    Eltwise SUM, y = sum c_i x_i               the scale for each bottom, the shift for one
    Eltwise MAX                                B = A for each bottom, if the scale is positive

Sources: BVLC caffe, src/caffe/layers/{dropout,split,concat,flatten,reshape,pooling,relu,prelu,
eltwise}_layer.cpp. Caffe's MAX pooling never looks at the padding; its AVE pooling divides by
the window as it lies on the padded input, so padded zeros count.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate

from bnfold.fold.affines.affine import Affine
from bnfold.fold.plan import Code, Reason
from bnfold.fold.rewrite import Context
from bnfold.graph import Layer, Passes, Value
from bnfold.graph.axes import Shape, axis_index, item_count
from bnfold.graph.windows import may_miss

_MAX, _AVE = 0, 1
_PROD, _SUM = 0, 1


def upstream(context: Context, layer: Layer, affine: Affine) -> list[tuple[Value, Affine]] | Reason:
    """What each bottom of a layer must take, so that its top need not take `affine`."""
    if len(layer.tops) != 1:
        why = f"{layer} has {len(layer.tops)} tops, so what follows one cannot go in front of all"
        return Reason(Code.OTHER_READER, why)
    distrust = _distrust(context, layer)
    if distrust:
        return distrust
    if layer.kind.passes is Passes.JOINED and len(layer.bottoms) > 1:
        return _over_concat(context, layer, affine)
    if layer.kind.passes is Passes.COMBINED:
        return _over_eltwise(layer, affine)
    refusal = _commutes(context, layer, affine)
    return refusal or [(layer.bottoms[0], affine)]


def downstream(
    context: Context, layer: Layer, affine: Affine
) -> list[tuple[Value, Affine]] | Reason:
    """What each top of a layer must take, so that its bottom need not take `affine`."""
    distrust = _distrust(context, layer)
    if distrust:
        return distrust
    if layer.kind.passes is Passes.RESHAPED:
        return _over_flatten(context, layer, affine)
    refusal = _commutes(context, layer, affine)
    return refusal or [(top, affine) for top in layer.tops]


def _commutes(context: Context, layer: Layer, affine: Affine) -> Reason | None:
    """Why a layer of one bottom does not commute with an affine, if so."""
    if len(layer.bottoms) != 1 or not layer.tops:
        return _opaque(layer)
    match layer.kind.passes:
        case Passes.EVERYTHING | Passes.JOINED:
            return None
        case Passes.RESHAPED:
            return _keeps_channels(context, layer, affine)
        case Passes.POOLED:
            return _pooling(context, layer, affine)
        case Passes.POSITIVE_SCALE:
            if affine.is_shiftless and affine.is_positive:
                return None
            return _values(layer, affine, "a positive scale and no shift")
    return _opaque(layer)


def _distrust(context: Context, layer: Layer) -> Reason | None:
    why = context.untrusted(layer)
    if why is None:
        return None
    hint = ""
    if not layer.kind.is_known and layer.text.get("convolution_param") is not None:
        hint = f"if it is a convolution, say so: --treat-as {layer.type}=Convolution"
    return Reason(Code.NO_HOST, why, hint)


def _opaque(layer: Layer) -> Reason:
    return Reason(Code.NO_HOST, f"{layer} is in the way")


def _values(layer: Layer, affine: Affine, needed: str) -> Reason:
    if not affine.is_known:
        why = f"only {needed} can pass {layer}, and there are no weights to tell from"
        return Reason(Code.NEEDS_WEIGHTS, why, "give the weights with --weights")
    return Reason(Code.SIGN_OR_SHIFT, f"only {needed} can pass {layer}")


def _keeps_channels(context: Context, layer: Layer, affine: Affine) -> Reason | None:
    """Flatten and Reshape move no value; they keep channels where axis 1 keeps its length."""
    if affine.is_known and affine.channels == 1:
        return None
    source, target = (context.shapes.get(v) for v in (layer.bottoms[0], layer.tops[0]))
    if source is None or target is None or None in (*source[:2], *target[:2]):
        if layer.type == "Flatten" and layer.param("flatten_param").axis > 1:
            return None
        why = f"whether {layer} keeps channels apart depends on shapes that cannot be told"
        return Reason(Code.UNKNOWN_SHAPE, why)
    if len(target) < 2 or len(source) < 2 or source[:2] != target[:2]:
        return Reason(Code.NOT_PER_CHANNEL, f"{layer} mixes channels with other axes")
    if not _follows_batch(layer, source, target):
        why = f"{layer} has the batch size written down, and with another would mix channels"
        return Reason(Code.NOT_PER_CHANNEL, why)
    return None


def _follows_batch(layer: Layer, source: Shape, target: Shape) -> bool:
    """Whether a Flatten or Reshape does the same to each item of a batch of any size."""
    batch, *rest = source
    if batch is None:
        return layer.type == "Flatten"
    assert layer.kind.shape is not None
    (doubled,) = layer.kind.shape(layer, [(2 * batch, *rest)])
    return target[0] == batch and doubled == (2 * batch, *target[1:])


def _over_flatten(
    context: Context, layer: Layer, affine: Affine
) -> list[tuple[Value, Affine]] | Reason:
    """Where channels and all axes behind them become one, each channel's numbers repeat."""
    refusal = _keeps_channels(context, layer, affine)
    if refusal is None:
        return [(layer.tops[0], affine)]
    source, target = (context.shapes.get(v) for v in (layer.bottoms[0], layer.tops[0]))
    each = item_count(source[2:]) if source is not None else None
    if source is None or target is None or each is None or len(target) != 2:
        return refusal
    if source[1] is None or target[1] != source[1] * each or target[1] > context.most_channels:
        return refusal
    if not _follows_batch(layer, source, target) or affine.channels not in (1, source[1]):
        return refusal
    return [(layer.tops[0], affine.over(source[1]).repeated(each))]


def _pooling(context: Context, layer: Layer, affine: Affine) -> Reason | None:
    param = layer.param("pooling_param")
    if len(layer.tops) != 1:
        return Reason(Code.OTHER_READER, f"{layer} also gives out where its maxima were")
    if may_miss(layer, context.shapes.get(layer.bottoms[0])):
        why = f"{layer} may have a last window with no value in it, since its stride is longer than"
        hint = "with a kernel as long as the stride, or padding, it would fold"
        return Reason(Code.PADDING, f"{why} its kernel", hint)
    if param.pool == _MAX:
        return None if affine.is_positive else _values(layer, affine, "a positive scale")
    if param.pool != _AVE:
        return Reason(Code.NO_HOST, f"{layer} draws at random")
    pads = param.pad or param.pad_h or param.pad_w
    if not pads or affine.is_shiftless:
        return None
    if affine.shift is None:
        return _values(layer, affine, "a scale without a shift")
    return Reason(
        Code.PADDING,
        f"{layer} averages over padded zeros, and the shift is not zero",
        "with `pad: 0` it would fold",
    )


def _over_concat(
    context: Context, layer: Layer, affine: Affine
) -> list[tuple[Value, Affine]] | Reason:
    param = layer.param("concat_param")
    axis = param.concat_dim if param.HasField("concat_dim") else param.axis
    if axis < 0:
        shape = context.shapes.get(layer.tops[0])
        found = None if shape is None else axis_index(axis, len(shape))
        if found is None:
            return Reason(Code.UNKNOWN_SHAPE, f"the axis that {layer} joins cannot be told")
        axis = found
    if axis != 1:
        return [(bottom, affine) for bottom in layer.bottoms]
    shapes = [context.shapes.get(bottom) for bottom in layer.bottoms]
    sizes = [shape[1] if shape is not None and len(shape) > 1 else None for shape in shapes]
    known = [size for size in sizes if size is not None]
    if len(known) < len(sizes):
        return Reason(
            Code.UNKNOWN_SHAPE,
            f"how many channels each bottom brings to {layer} cannot be told from the prototxt",
        )
    stops = list(accumulate(known))
    if affine.channels not in (1, stops[-1]):
        why = f"{layer} joins {stops[-1]} channels, but what follows has {affine.channels}"
        return Reason(Code.UNKNOWN_SHAPE, why)
    starts = [0, *stops[:-1]]
    slices = zip(layer.bottoms, starts, stops, strict=True)
    return [(bottom, affine.part(start, stop)) for bottom, start, stop in slices]


def _over_eltwise(layer: Layer, affine: Affine) -> list[tuple[Value, Affine]] | Reason:
    param = layer.param("eltwise_param")
    if param.operation == _PROD:
        return Reason(Code.NO_HOST, f"{layer} multiplies its bottoms")
    if param.operation != _SUM:
        if affine.is_positive:
            return [(bottom, affine) for bottom in layer.bottoms]
        return _values(layer, affine, "a positive scale")
    coefficients = list(param.coeff) or [1.0] * len(layer.bottoms)
    takes_shift = next((i for i, c in enumerate(coefficients) if c != 0), None)
    if len(coefficients) != len(layer.bottoms) or takes_shift is None:
        return Reason(Code.NO_HOST, f"{layer} has coefficients that no bottom can answer to")
    share = None if affine.shift is None else affine.shift / coefficients[takes_shift]
    return [
        (bottom, replace(affine, shift=share) if i == takes_shift else affine.without_shift())
        for i, bottom in enumerate(layer.bottoms)
    ]
