"""Functions of each number alone, of which more is known than that: what they make of a constant.

Source: BVLC caffe, the files of the layers in src/caffe/layers/.
"""

from __future__ import annotations

import numpy as np

from bnfold.aliases import Vector
from bnfold.proof.layers import Layer
from bnfold.proof.lemmas import NumberFunction


def _softplus(x: Vector) -> Vector:
    return np.logaddexp(0.0, x)


def _sigmoid(x: Vector) -> Vector:
    return np.exp(-np.logaddexp(0.0, -x))


def _relu6(x: Vector) -> Vector:
    return np.minimum(np.maximum(x, 0.0), 6.0)


def _only_zero(x: Vector) -> Vector:
    return np.where(x == 0, 0.0, np.nan)


_SELU_SCALE, _SELU_ALPHA = 1.0507009873554804934, 1.6732632423543772848

_PLAIN: dict[str, NumberFunction] = {
    "Sigmoid": _sigmoid,
    "TanH": np.tanh,
    "BNLL": _softplus,
    "Softplus": _softplus,
    "ReLU6": _relu6,
    "SiLU": lambda x: x * _sigmoid(x),
    "Mish": lambda x: x * np.tanh(_softplus(x)),
    "HSwish": lambda x: x * _relu6(x + 3.0) / 6.0,
    "HardSwish": lambda x: x * _relu6(x + 3.0) / 6.0,
    "SELU": lambda x: _SELU_SCALE * np.where(x > 0, x, _SELU_ALPHA * np.expm1(np.minimum(x, 0))),
    "LeakyReLU": _only_zero,
    "RReLU": _only_zero,
}

ELEMENTS = frozenset(
    {*_PLAIN, "ELU", "Exp", "Log", "Power", "Clip", "Swish", "Threshold", "HSigmoid", "HardSigmoid"}
)
"""Types that do the same to every number."""


def constant(layer: Layer) -> NumberFunction | None:
    """What a layer of one of these types makes of a constant; None if forks disagree on it."""
    if layer.kind in _PLAIN:
        return _PLAIN[layer.kind]
    return _with_parameters(layer)


def _with_parameters(layer: Layer) -> NumberFunction | None:
    param = layer.param(f"{layer.kind.lower()}_param")
    if layer.kind == "ELU":
        alpha = param.number("alpha", 1.0)
        return lambda x: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0.0)))
    if layer.kind == "Swish":
        beta = param.number("beta", 1.0)
        return lambda x: x * _sigmoid(beta * x)
    if layer.kind == "Clip" and {"min", "max"} <= param.names:
        low, high = param.number("min", 0.0), param.number("max", 0.0)
        return (lambda x: np.minimum(np.maximum(x, low), high)) if low <= high else None
    scale, shift = param.number("scale", 1.0), param.number("shift", 0.0)
    if layer.kind == "Power":
        power = param.number("power", 1.0)
        return lambda x: np.power(scale * x + shift, power)
    base = param.number("base", -1.0)
    rate = 1.0 if base == -1 else float(np.log(base)) if base > 0 else 0.0
    if layer.kind == "Exp" and rate:
        return lambda x: np.exp(rate * (scale * x + shift))
    if layer.kind == "Log" and rate:
        return lambda x: np.log(scale * x + shift) / rate
    return None
