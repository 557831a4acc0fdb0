"""Activations as functions: their values, and their extremes over intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnfold.graph import LAYER_TYPES, Phase, build, untrusted
from bnfold.graph.functions import Activation
from bnfold.prototxt import parse


def layer_of(kind: str, words: str = ""):
    text = f'input: "x" layer {{ name: "a" type: "{kind}" bottom: "x" top: "y" {words} }}'
    (layer,) = build(parse(text)).layers
    return layer


def function_of(kind: str, words: str = "") -> Activation | None:
    """The function of a layer that can be trusted."""
    layer = layer_of(kind, words)
    assert layer.kind.function is not None
    return None if untrusted(layer, Phase.TEST) else layer.kind.function(layer)


WORDS = {"Log": "log_param { shift: 10 }", "Clip": "clip_param { min: -1 max: 2 }"}
TYPES = [name for name, kind in LAYER_TYPES.items() if kind.function is not None]
KNOWN = {kind: known for kind in TYPES if (known := function_of(kind, WORDS.get(kind, "")))}

X = np.array([-8.0, -3.0, -1.0, -0.25, 0.0, 0.25, 1.0, 3.0, 8.0])

FORMULAS = {
    "ReLU6": lambda x: np.minimum(np.maximum(x, 0), 6),
    "SiLU": lambda x: x / (1 + np.exp(-x)),
    "Swish": lambda x: x / (1 + np.exp(-x)),
    "Swish swish_param { beta: 2 }": lambda x: x / (1 + np.exp(-2 * x)),
    "Mish": lambda x: x * np.tanh(np.log(1 + np.exp(x))),
    "HSwish": lambda x: x * np.minimum(np.maximum(x + 3, 0), 6) / 6,
    "Softplus": lambda x: np.log(1 + np.exp(x)),
    "Sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "Clip clip_param { min: -1 max: 2 }": lambda x: np.clip(x, -1, 2),
    "Exp exp_param { base: 2 scale: 0.5 shift: 1 }": lambda x: 2 ** (0.5 * x + 1),
    "SELU": lambda x: np.where(x > 0, 1.0507009873554805 * x, 1.7580993408473766 * np.expm1(x)),
}


@pytest.mark.parametrize("words", FORMULAS)
def test_values(words):
    kind, _, rest = words.partition(" ")
    known = function_of(kind, rest)
    assert known is not None
    assert known.function(X) == pytest.approx(FORMULAS[words](X), rel=1e-9, abs=1e-12)


def test_types_whose_parameters_say_all_have_a_function():
    assert set(TYPES) - set(KNOWN) == {"HardSigmoid", "HSigmoid", "Threshold"}


@pytest.mark.parametrize("kind", sorted(KNOWN))
@given(ends=st.tuples(st.floats(-9, 9), st.floats(-9, 9)))
def test_extremes_are_at_the_ends_or_at_a_turn(kind, ends):
    known = KNOWN[kind]
    low, high = sorted(ends)
    turns = [turn for turn in known.turns if low < turn < high]
    told = known.function(np.array([low, high, *turns]))
    between = known.function(np.linspace(low, high, 401))
    if np.isfinite(told).all():
        assert between.min() >= told.min() - 1e-9
        assert between.max() <= told.max() + 1e-9


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("HardSigmoid", ""),
        ("Threshold", ""),
        ("ReLU6", "relu6_param { negative_slope: 0.1 }"),
        ("Swish", "swish_param { alpha: 2 }"),
        ("Clip", ""),
    ],
)
def test_what_forks_read_differently_has_no_function(kind, words):
    assert function_of(kind, words) is None


@pytest.mark.parametrize("kind", ["LeakyReLU", "RReLU"])
def test_whatever_the_slope_zero_stays_zero(kind):
    known = function_of(kind)
    assert known is not None
    assert known.function(np.array([0.0, 1.0])).tolist() == [
        0.0,
        pytest.approx(np.nan, nan_ok=True),
    ]
