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


def _only_zero(x: Vector) -> Vector:
    return np.where(x == 0, 0.0, np.nan)


SELU_SCALE, SELU_ALPHA = 1.0507009873554804934, 1.6732632423543772848

PLAIN: dict[str, NumberFunction] = {
    "Sigmoid": _sigmoid,
    "TanH": np.tanh,
    "BNLL": _softplus,
    "LeakyReLU": _only_zero,
    "RReLU": _only_zero,
}

ELEMENTS = frozenset(
    {
        *PLAIN,
        *("ELU", "Exp", "Log", "Power", "Clip", "Swish", "Threshold", "HSigmoid", "HardSigmoid"),
        *("ReLU6", "HSwish", "HardSwish", "SiLU", "Mish", "SELU", "Softplus"),
    }
)
"""Types that do the same to every number."""


def constant(layer: Layer) -> NumberFunction | None:
    """What a layer of one of these types makes of a constant; None if forks disagree on it."""
    if layer.kind in PLAIN:
        return PLAIN[layer.kind]
    return _with_parameters(layer)


def elu(alpha: float) -> NumberFunction:
    """x above zero, alpha (exp(x) - 1) below."""
    return lambda x: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0.0)))


def _with_parameters(layer: Layer) -> NumberFunction | None:
    param = layer.param(f"{layer.kind.lower()}_param")
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
