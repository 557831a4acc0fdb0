"""Rewrite: activations that only forks have are written as layers that stock Caffe has.

    ReLU6      6 - relu(6 - relu(x))
    Clip       h - relu((h - l) - relu(x - l))            for its bounds l and h
    Softplus   log(1 + exp(x)), which is Caffe's BNLL
    SELU       s elu(x), with the constants of its paper
    SiLU       x sigmoid(x);  Swish: x sigmoid(b x)
    Mish       x tanh(log(1 + exp(x)))
    HSwish     x (1 - relu(6 - relu(x + 3)) / 6)

All but the products work in place, each layer on the top of the one before, so that nobody else
sees a value in between. What is clipped is rounded to the precision of the bounds, 2.4e-7 for 6.

1. Forks agree on what the layer computes (see the register), and it says nothing else.
2. The bounds of a Clip are of a size that numbers in a network have.
3. A product reads the layer's bottom again, so that the layer must not work in place.

Sources: chuanqi305/MobileNetv2-SSDLite and eric612/MobileNet-YOLO, relu6_layer.cpp; BVLC caffe,
{relu,power,bnll,elu,eltwise}_layer.cpp; Klambauer et al., arXiv 1706.02515.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from bnfold.fold.forms.form import Form, note
from bnfold.fold.forms.names import Names
from bnfold.fold.plan import Code, Reason
from bnfold.fold.rewrite import Context, OptionalRewrite
from bnfold.graph import Layer, ParamValue, record_of
from bnfold.graph.words import Words

_LARGEST = 64.0
"""The largest bound of a Clip: what is clipped is then rounded to 4e-6 at most."""

Step: TypeAlias = tuple[str, Mapping[str, ParamValue]]
"""A layer that works on one value: its type, and the fields of its one parameter message."""


@dataclass(frozen=True)
class _Recipe:
    """Layers that compute an activation.

    Attributes:
        steps: one after the other.
        gates: whether what they make is multiplied by what they read.
    """

    steps: Sequence[Step]
    gates: bool = False

    @property
    def form(self) -> str:
        """The types of its layers."""
        types = [kind for kind, _ in self.steps] + ["Eltwise"] * self.gates
        return " and ".join(filter(None, (", ".join(types[:-1]), types[-1])))


class ActivationsAsStock(OptionalRewrite):
    """Write the activations of forks as layers that stock Caffe has."""

    help = "Write activations that only forks have as layers of stock Caffe."
    on = False
    entry = Form
    first = True

    def run(self, context: Context) -> bool:
        """Apply the rewrite to all layers of such a type."""
        net, changed = context.net, False
        names = Names(net)
        for layer in list(net.layers):
            if layer.kind.name not in _RECIPES or not context.choice.allows(layer):
                continue
            recipe = _recipe(context, layer)
            if isinstance(recipe, Reason):
                note(context, layer, "", recipe)
                continue
            note(context, layer, recipe.form, None)
            _apply(context, layer, recipe, names)
            changed = True
        if changed:
            net.look_at_order_anew()
        return changed


def _recipe(context: Context, layer: Layer) -> _Recipe | Reason:
    """The layers that compute what a layer does, or why there are none."""
    untrusted = context.untrusted(layer)
    if untrusted:
        return Reason(Code.UNKNOWN_LAYER, untrusted)
    if context.net.is_v1:
        why = f"{layer} would become several layers, which bnfold does not write in the V1 form"
        return Reason(Code.NO_SCALE_TYPE, why, "upgrade the files with Caffe's tools")
    if len(layer.bottoms) != 1 or len(layer.tops) != 1:
        return Reason(Code.NO_EQUAL, f"{layer} has more than one bottom or top")
    recipe = _RECIPES[layer.kind.name](layer)
    if isinstance(recipe, _Recipe) and recipe.gates and layer.bottoms[0].name == layer.tops[0].name:
        why = f"{layer} works in place, and what it becomes reads its bottom twice"
        return Reason(Code.NO_EQUAL, why, "give its top another name")
    return recipe


def _apply(context: Context, layer: Layer, recipe: _Recipe, names: Names) -> None:
    """Have a layer do the first step, and new layers behind it the others."""
    net, (kind, fields), others = context.net, recipe.steps[0], recipe.steps[1:]
    layer.clear(*layer.kind.params)
    layer.become(record_of(kind))
    _set(layer, fields)
    if recipe.gates:
        between = names.new(f"{layer.name}/gate")
        name = names.new(f"{layer.name}/product")
        product = net.hand_over(
            layer, record_of("Eltwise"), name, between=between, beside=layer.bottoms[0]
        )
        _set(product, {"operation": "PROD"})
    last = layer
    for kind, fields in others:
        last = net.hand_over(last, record_of(kind), names.new(f"{layer.name}/{kind.lower()}"))
        _set(last, fields)


def _set(layer: Layer, fields: Mapping[str, ParamValue]) -> None:
    for name, value in fields.items():
        layer.set(layer.kind.message, name, value)


def _power(scale: float, shift: float) -> Step:
    """scale * x + shift."""
    fields = {"scale": scale, "shift": shift}
    plain = {"scale": 1.0, "shift": 0.0}
    return "Power", {name: value for name, value in fields.items() if value != plain[name]}


_RELU: Step = ("ReLU", {})


def _below(high: float) -> list[Step]:
    """min(x, high) for an x that is not negative, once it is a relu."""
    return [_power(-1.0, high), _RELU]


def _relu6(layer: Layer) -> _Recipe:
    return _Recipe([_RELU, *_below(6.0), _power(-1.0, 6.0)])


def _clip(layer: Layer) -> _Recipe | Reason:
    words = Words.of(layer, "clip_param")
    low, high = words.number("min", float("nan")), words.number("max", float("nan"))
    if not -_LARGEST <= low <= high <= _LARGEST:
        why = f"{layer} has bounds of which a difference would lose digits, or none"
        return Reason(Code.NO_EQUAL, why)
    first = [] if low == 0 else [_power(1.0, -low)]
    return _Recipe([*first, _RELU, *_below(high - low), _power(-1.0, high)])


def _selu(layer: Layer) -> _Recipe:
    return _Recipe([("ELU", {"alpha": 1.6732632423543772}), _power(1.0507009873554805, 0.0)])


def _swish(layer: Layer) -> _Recipe:
    beta = Words.of(layer, "swish_param").number("beta", 1.0)
    first = [] if beta == 1 else [_power(beta, 0.0)]
    return _Recipe([*first, ("Sigmoid", {})], gates=True)


def _hard_swish(layer: Layer) -> _Recipe:
    return _Recipe([_power(1.0, 3.0), _RELU, *_below(6.0), _power(-1.0 / 6.0, 1.0)], gates=True)


_RECIPES: Mapping[str, Callable[[Layer], _Recipe | Reason]] = {
    "Clip": _clip,
    "HSwish": _hard_swish,
    "HardSwish": _hard_swish,
    "Mish": lambda layer: _Recipe([("BNLL", {}), ("TanH", {})], gates=True),
    "ReLU6": _relu6,
    "SELU": _selu,
    "SiLU": _swish,
    "Softplus": lambda layer: _Recipe([("BNLL", {})]),
    "Swish": _swish,
}
"""The activations of forks that stock Caffe can compute, each with the way to do so."""
