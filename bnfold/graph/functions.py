"""Layers that do the same to every number, as functions: what a constant becomes behind them.

Sources: BVLC caffe, src/caffe/layers/*_layer.cpp, the file named after the type. ReLU6, Swish,
SiLU, Mish and HSwish are of forks that agree on them; where forks read a parameter differently, or
a parameter is not known here, no function is given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np

from bnfold.aliases import Vector as Vector
from bnfold.graph.net import Layer
from bnfold.graph.words import Words

Function: TypeAlias = Callable[[Vector], Vector]
Rule: TypeAlias = Callable[[Layer], "Activation | None"]
"""Gives the function of a layer; None where it cannot be told. Raises PrototxtError for a parameter
with a bad value."""


class Activation(NamedTuple):
    """A function of one number.

    Attributes:
        function: takes and gives float64 of any shape.
        turns: where it changes between rising and falling; between two of these it is monotone,
            so that its extremes over an interval are at the ends or here.
    """

    function: Function
    turns: tuple[float, ...] = ()


def _sigmoid(x: Vector) -> Vector:
    return 0.5 * np.tanh(0.5 * x) + 0.5


def _relu6(x: Vector) -> Vector:
    return np.clip(x, 0.0, 6.0)


def _softplus(x: Vector) -> Vector:
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


def _hswish(x: Vector) -> Vector:
    return x * _relu6(x + 3.0) / 6.0


def _selu(x: Vector) -> Vector:
    # Klambauer et al., arXiv 1706.02515.
    scale, alpha = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717
    return scale * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0.0)))


_SWISH_TURN = -1.2784645427610738
"""Where x * sigmoid(x) is lowest: 1 + x (1 - sigmoid(x)) = 0."""
_MISH_TURN = -1.1924312145154954
"""Where x * tanh(log(1 + exp(x))) is lowest."""

ABSOLUTE = Activation(np.abs, (0.0,))
HARD_SWISH = Activation(_hswish, (-3.0, -1.5))
MISH = Activation(lambda x: x * np.tanh(_softplus(x)), (_MISH_TURN,))
RELU6 = Activation(_relu6)
SELU = Activation(_selu)
SIGMOID = Activation(_sigmoid)
SILU = Activation(lambda x: x * _sigmoid(x), (_SWISH_TURN,))
SOFTPLUS = Activation(_softplus)
TANH = Activation(np.tanh)
ZERO_ALONE = Activation(lambda x: np.where(x == 0, 0.0, np.nan))
"""Only that zero stays zero is known."""


def always(activation: Activation | None) -> Rule:
    """A rule for layers that have no parameters, or for which no function is to be given."""
    return lambda layer: activation


def leaky(slope: float | Vector) -> Activation:
    """max(x, 0) + slope * min(x, 0): ReLU and PReLU."""
    return Activation(lambda x: np.maximum(x, 0.0) + slope * np.minimum(x, 0.0), (0.0,))


def relu(layer: Layer) -> Activation:
    """max(x, 0) + negative_slope * min(x, 0)."""
    return leaky(layer.param("relu_param").negative_slope)


def elu(layer: Layer) -> Activation:
    """x above zero, alpha * (exp(x) - 1) below."""
    alpha = layer.param("elu_param").alpha
    return Activation(lambda x: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0.0))), (0.0,))


def clip(layer: Layer) -> Activation | None:
    """min(max(x, min), max), where both are written."""
    words = Words.of(layer, "clip_param")
    low, high = _number(words, "min", np.nan), _number(words, "max", np.nan)
    return Activation(lambda x: np.clip(x, low, high)) if low <= high else None


def swish(layer: Layer) -> Activation:
    """x * sigmoid(beta * x)."""
    beta = _number(Words.of(layer, "swish_param"), "beta", 1.0)
    turns = (_SWISH_TURN / beta,) if beta else ()
    return Activation(lambda x: x * _sigmoid(beta * x), turns)


def power(layer: Layer) -> Activation:
    """(scale * x + shift) ^ power."""
    param = layer.param("power_param")
    exponent, scale, shift = param.power, param.scale, param.shift
    turns = () if exponent == 1 or not scale else (-shift / scale,)
    return Activation(lambda x: np.power(scale * x + shift, exponent), turns)


def exponential(layer: Layer) -> Activation | None:
    """base ^ (scale * x + shift)."""
    param = layer.param("exp_param")
    rate, scale, shift = _rate(param.base), param.scale, param.shift
    return Activation(lambda x: np.exp(rate * (scale * x + shift))) if rate else None


def logarithm(layer: Layer) -> Activation | None:
    """log_base(scale * x + shift)."""
    param = layer.param("log_param")
    rate, scale, shift = _rate(param.base), param.scale, param.shift
    return Activation(lambda x: np.log(scale * x + shift) / rate) if rate else None


def _rate(base: float) -> float:
    """The logarithm of a base, of which -1 stands for e; 0 where there is none."""
    return 1.0 if base == -1 else float(np.log(base)) if base > 0 else 0.0


def _number(words: Words, name: str, default: float) -> float:
    # The fields are floats in forks, too, so what is written is rounded to one first.
    return float(np.float32(words.number(name, default)))
