"""Layers that do the same to every number, as functions: what a constant becomes behind them.

Sources: BVLC caffe, src/caffe/layers/*_layer.cpp, the file named after the type. ReLU6, Swish,
SiLU, Mish and HSwish are of forks that agree on them; where forks read a parameter differently, or
a parameter is not known here, no function is given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bnfold.fold.affine import Vector
from bnfold.graph import Layer
from bnfold.graph.trust import foreign_fields
from bnfold.graph.words import Words

Function = Callable[[Vector], Vector]


@dataclass(frozen=True)
class Activation:
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

_FIXED: dict[str, Activation] = {
    "AbsVal": Activation(np.abs, (0.0,)),
    "BNLL": Activation(_softplus),
    "HSwish": Activation(_hswish, (-3.0, -1.5)),
    "HardSwish": Activation(_hswish, (-3.0, -1.5)),
    "Mish": Activation(lambda x: x * np.tanh(_softplus(x)), (_MISH_TURN,)),
    "ReLU6": Activation(_relu6),
    "SELU": Activation(_selu),
    "SiLU": Activation(lambda x: x * _sigmoid(x), (_SWISH_TURN,)),
    "Sigmoid": Activation(_sigmoid),
    "Softplus": Activation(_softplus),
    "TanH": Activation(np.tanh),
}
"""Functions without parameters, but for the engine."""

_MESSAGES: dict[str, str] = {
    "Clip": "clip_param",
    "ELU": "elu_param",
    "Exp": "exp_param",
    "Log": "log_param",
    "Power": "power_param",
    "ReLU": "relu_param",
    "Swish": "swish_param",
}
"""The message of each type that has parameters."""

OTHERS = frozenset({"HSigmoid", "HardSigmoid", "LeakyReLU", "RReLU", "Threshold"})
"""Types that work number by number, but not alike in all forks; and Threshold, which jumps, so that
the last bit of a constant may decide what comes of it."""

TYPES = frozenset(_FIXED) | frozenset(_MESSAGES) | OTHERS
"""All types that do the same to every number."""

_KEEP_ZERO = frozenset({"LeakyReLU", "RReLU"})
"""Of those without a known function, the ones that leave zero alone whatever they are told."""


def activation(layer: Layer, kind: str) -> Activation | None:
    """The function of a layer of one of `TYPES`, or None where it cannot be told.

    Raises:
        PrototxtError: a parameter has a bad value.
    """
    if foreign_fields(layer, kind):
        return None
    if kind in _FIXED:
        return _FIXED[kind]
    if kind not in _MESSAGES:
        return _zero_alone(kind)
    return _with_parameters(kind, Words.of(layer, _MESSAGES[kind]))


def _zero_alone(kind: str) -> Activation | None:
    if kind not in _KEEP_ZERO:
        return None
    return Activation(lambda x: np.where(x == 0, 0.0, np.nan))


def leaky(slope: float | Vector) -> Activation:
    """max(x, 0) + slope * min(x, 0): ReLU and PReLU."""
    return Activation(lambda x: np.maximum(x, 0.0) + slope * np.minimum(x, 0.0), (0.0,))


def _with_parameters(kind: str, words: Words) -> Activation | None:
    match kind:
        case "ReLU":
            return leaky(_number(words, "negative_slope", 0.0))
        case "ELU":
            alpha = _number(words, "alpha", 1.0)
            elu: Function = lambda x: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0.0)))  # noqa: E731
            return Activation(elu, (0.0,))
        case "Clip":
            low, high = _number(words, "min", np.nan), _number(words, "max", np.nan)
            return Activation(lambda x: np.clip(x, low, high)) if low <= high else None
        case "Swish":
            beta = _number(words, "beta", 1.0)
            turns = (_SWISH_TURN / beta,) if beta else ()
            return Activation(lambda x: x * _sigmoid(beta * x), turns)
        case "Power":
            return _power(words)
    return _exponential(kind, words)


def _power(words: Words) -> Activation | None:
    power = _number(words, "power", 1.0)
    scale, shift = _number(words, "scale", 1.0), _number(words, "shift", 0.0)
    turns = () if power == 1 or not scale else (-shift / scale,)
    return Activation(lambda x: np.power(scale * x + shift, power), turns)


def _exponential(kind: str, words: Words) -> Activation | None:
    """base ^ (scale x + shift), and its inverse log_base(scale x + shift); -1 stands for e."""
    base = _number(words, "base", -1.0)
    scale, shift = _number(words, "scale", 1.0), _number(words, "shift", 0.0)
    rate = 1.0 if base == -1 else float(np.log(base)) if base > 0 else 0.0
    if not rate:
        return None
    if kind == "Exp":
        return Activation(lambda x: np.exp(rate * (scale * x + shift)))
    return Activation(lambda x: np.log(scale * x + shift) / rate)


def _number(words: Words, name: str, default: float) -> float:
    # The fields are floats in Caffe, so what is written is rounded to one first.
    return float(np.float32(words.number(name, default)))
