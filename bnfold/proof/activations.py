"""Activations, as sums and products of a few functions: Lemmas 4 and 5 of docs/proof.md.

    m = slope       (1 - m) max(x, 0) + m x
    ReLU6           6 - max(6 - max(x, 0), 0)
    Clip            h - max((h - l) - max(x - l, 0), 0)
    HSwish          x (6 - max(6 - max(x + 3, 0), 0)) / 6
    Swish, SiLU     x sigmoid(b x)
    Mish            x tanh(softplus(x))
    SELU            s elu(x)

So a network in which one of these is written out has the same forms as one that names it. Sources:
BVLC caffe, the file of each layer in src/caffe/layers/; Klambauer et al., arXiv 1706.02515.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bnfold.proof import elements, lemmas
from bnfold.proof.forms import Affine, linear, total
from bnfold.proof.layers import Layer
from bnfold.proof.lemmas import Lemma, NumberFunction
from bnfold.proof.memory import Value
from bnfold.proof.stored import unit

if TYPE_CHECKING:
    from bnfold.proof.walk import FunctionKey, Walk

TYPES = elements.ELEMENTS | {"ReLU", "PReLU", "AbsVal"}


def activated(walk: Walk, layer: Layer, value: Value) -> Value | None:
    """What an activation makes of a value; None if that is not known.

    Args:
        walk: the walk that is under way.
        layer: a layer of one of TYPES.
        value: what it reads.
    """
    if layer.kind in ("ReLU", "PReLU", "AbsVal"):
        return _sloped(walk, layer, value)
    if layer.kind in ("ReLU6", "Clip"):
        low, high = 0.0, 6.0
        if layer.kind == "Clip":
            param = layer.param("clip_param")
            low, high = param.number("min", np.nan), param.number("max", np.nan)
            if not low <= high:
                return _element(walk, layer, value)
        return _clipped(walk, layer, value, low, high)
    if layer.kind in ("HSwish", "HardSwish"):
        raised = _moved(value, 1.0, 3.0)
        gate = _clipped(walk, layer, raised, 0.0, 6.0)
        return _product(walk, layer, value, _moved(gate, 1.0 / 6.0, 0.0))
    if layer.kind in ("SiLU", "Swish"):
        rate = layer.param("swish_param").number("beta", 1.0) if layer.kind == "Swish" else 1.0
        gate = _named(walk, layer, _moved(value, rate, 0.0), ("Sigmoid",), "Sigmoid")
        return _product(walk, layer, value, gate)
    if layer.kind == "Mish":
        soft = _named(walk, layer, value, ("BNLL",), "BNLL")
        return _product(walk, layer, value, _named(walk, layer, soft, ("TanH",), "TanH"))
    if layer.kind == "SELU":
        return _moved(
            _elu(walk, layer, value, float(np.float32(elements.SELU_ALPHA))),
            elements.SELU_SCALE,
            0.0,
        )
    if layer.kind == "ELU":
        return _elu(walk, layer, value, layer.param("elu_param").number("alpha", 1.0))
    if layer.kind in ("Sigmoid", "TanH", "BNLL"):
        return _named(walk, layer, value, (layer.kind,), layer.kind)
    if layer.kind == "Softplus":
        return _named(walk, layer, value, ("BNLL",), "BNLL")
    return _element(walk, layer, value)


def _sloped(walk: Walk, layer: Layer, value: Value) -> Value | None:
    """max(x, 0) + slope * min(x, 0)."""
    error = np.zeros(1)
    if layer.kind == "AbsVal":
        slope = np.full(1, -1.0)
    elif layer.kind == "ReLU":
        slope = np.full(1, layer.param("relu_param").number("negative_slope", 0))
        error = unit(slope, np.dtype(np.float32)) * (slope != 0)
    else:
        blobs = walk.stored.blobs(layer)
        if len(blobs) != 1:
            raise walk.stored.problem(layer, f"{len(blobs)} blobs, but a PReLU has 1")
        slope = walk.stored.vector(layer, blobs[0])
        error = unit(slope, blobs[0].dtype)
    if not np.isfinite(slope).all():
        return None
    above = walk.rectified(layer, value)
    if not slope.any():
        return replace(value, form=above)
    one = walk.scaled(above, linear(1 - slope, error))
    two = walk.scaled(value.form, linear(slope, error))
    form = None if one is None or two is None else total([one, two])
    return None if form is None else replace(value, form=form)


def _clipped(walk: Walk, layer: Layer, value: Value, low: float, high: float) -> Value:
    """min(max(x, low), high), by two rectifiers."""
    above = replace(value, form=walk.rectified(layer, _moved(value, 1.0, -low)))
    below = walk.rectified(layer, _moved(above, -1.0, high - low))
    return _moved(replace(value, form=below), -1.0, high)


def _moved(value: Value, scale: float, shift: float) -> Value:
    """scale * x + shift."""
    p, q, zero = np.array([scale]), np.array([shift]), np.zeros(1)
    form = value.form.scaled(Affine(p, q, zero, zero, np.abs(q)))
    assert form is not None
    return replace(value, form=form)


def _product(walk: Walk, layer: Layer, one: Value, other: Value) -> Value:
    lemma = Lemma(lemmas.multiplied, lemmas.product, keeps_places=True, is_symmetric=True)
    return walk.function(layer, [one, other], lemma, one.shape, ("PROD", 2))[0]


def _elu(walk: Walk, layer: Layer, value: Value, alpha: float) -> Value:
    return _function(walk, layer, value, ("ELU", alpha), elements.elu(alpha))


def _named(walk: Walk, layer: Layer, value: Value, key: FunctionKey, kind: str) -> Value:
    return _function(walk, layer, value, key, elements.PLAIN[kind])


def _element(walk: Walk, layer: Layer, value: Value) -> Value:
    return _function(walk, layer, value, None, elements.constant(layer))


def _function(
    walk: Walk, layer: Layer, value: Value, key: FunctionKey | None, function: NumberFunction | None
) -> Value:
    """A function of each number by itself."""
    made = None if function is None else lemmas.each(function)
    lemma = Lemma(lemmas.element(function), made, keeps_places=True)
    return walk.function(layer, [value], lemma, value.shape, key)[0]
