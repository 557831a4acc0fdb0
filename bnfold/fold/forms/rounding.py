"""Rewrite: a pooling that rounds down is one that rounds up, without the last windows.

Stock Caffe rounds the number of windows up. Each window lies where it lies whichever way that is
rounded, so that rounding up only adds a last row or column, and a Slice cuts that off again.

1. How long the layer's bottom is along both axes is known. The cut is for inputs of that size.
2. It is the layer's own rounding alone that differs, and it says nothing that only a fork knows
   besides.

Sources: BVLC caffe, src/caffe/layers/pooling_layer.cpp, `Reshape`, and its `ceil_mode` in forks
with SSD's layers; BVLC caffe master, `round_mode`.
"""

from __future__ import annotations

from bnfold.fold.forms.form import Form, note
from bnfold.fold.forms.names import Names
from bnfold.fold.plan import Code, Reason
from bnfold.fold.rewrite import Context, OptionalRewrite
from bnfold.graph import Layer, Value, record_of
from bnfold.graph.windows import ROUNDING, rounded, rounds_up
from bnfold.prototxt import Field, Message

_PARAM = "pooling_param"


class RoundUpAndCut(OptionalRewrite):
    """Have poolings that round down round up, and cut off what that adds."""

    help = "Write a Pooling that rounds down as one that rounds up, with Slices behind it."
    on = False
    entry = Form
    first = True

    def run(self, context: Context) -> bool:
        """Apply the rewrite to all poolings."""
        net, sized = context.net, list[str]()
        names = Names(net)
        for layer in list(net.layers):
            if layer.kind.name != "Pooling" or not context.choice.allows(layer):
                continue
            cuts = _cuts(context, layer)
            if not cuts:
                continue
            note(context, layer, "Pooling, Slice and Silence", _reason(cuts))
            if not isinstance(cuts, Reason):
                _apply(context, layer, cuts, names)
                sized.append(layer.name)
        if sized:
            more = f" and {len(sized) - 1} more" if len(sized) > 1 else ""
            context.plan.warnings.append(
                f"Pooling '{sized[0]}'{more} rounded down, and now is cut to the size that it has "
                "for inputs of the size in the file"
            )
            net.look_at_order_anew()
        return bool(sized)


def _reason(cuts: dict[int, int] | Reason) -> Reason | None:
    return cuts if isinstance(cuts, Reason) else None


def _cuts(context: Context, layer: Layer) -> dict[int, int] | Reason:
    """Where a pooling must be cut, by axis; none where it rounds as stock Caffe does."""
    untrusted = context.untrusted(layer)
    if untrusted:
        return {}
    param = layer.param(_PARAM)
    if rounds_up(layer) or param.global_pooling or len(layer.tops) != 1:
        return {}
    lengths = rounded(layer, context.shapes.get(layer.bottoms[0]))
    if lengths is None:
        why = f"{layer} rounds down, and for which size cannot be told"
        return Reason(Code.UNKNOWN_SHAPE, why, "give the input's shape in the prototxt")
    pairs = zip(*lengths, strict=True)
    cuts = {
        axis: shorter
        for axis, (longer, shorter) in enumerate(pairs, 2)
        if longer != shorter and shorter is not None
    }
    if cuts and context.net.is_v1:
        why = f"{layer} would be cut by layers that bnfold does not write in the V1 form"
        return Reason(Code.NO_SCALE_TYPE, why, "upgrade the files with Caffe's tools")
    return cuts


def _apply(context: Context, layer: Layer, cuts: dict[int, int], names: Names) -> None:
    """Let a pooling round up, and cut off what that adds along each axis."""
    net = context.net
    for field in _rounding(layer):
        net.strike(field, layer)
    for axis, length in cuts.items():
        between = names.new(f"{layer.name}/up")
        name = names.new(f"{layer.name}/cut")
        # Each cut stands right behind the pooling, before those that there are.
        cut = net.hand_over(layer, record_of("Slice"), name, between=between)
        cut.set("slice_param", "axis", axis)
        cut.set("slice_param", "slice_point", (length,))
        rest = Value(names.new(f"{layer.name}/rest"), cut)
        cut.tops.append(rest)
        net.put_behind(cut, record_of("Silence"), names.new(f"{layer.name}/silence"), [rest], [])


def _rounding(layer: Layer) -> list[Field]:
    """The fields in which a pooling says how it rounds."""
    holder = layer.written(_PARAM)
    fields = holder.value.fields if holder and isinstance(holder.value, Message) else ()
    return [field for field in fields if field.name in ROUNDING]
