"""Layers that do the same to every number, and PReLU, which does so in each channel."""

from __future__ import annotations

from bnfold.graph import cost_rules, functions
from bnfold.graph.cost_rules import per_value
from bnfold.graph.functions import Rule, always
from bnfold.graph.layer_type import (
    AffineForm,
    ChannelRole,
    CostRule,
    Dialect,
    Ending,
    LayerType,
    Passes,
    Question,
    each_place,
    words,
)
from bnfold.graph.shape_rules import alike, same


def _function(
    name: str,
    function: Rule,
    cost: CostRule,
    params: dict[str, str] | None = None,
    dialect: Dialect = Dialect.BVLC,
    *,
    passes: Passes = Passes.NOTHING,
    training: str = "",
    is_free: Question | None = None,
    affine: AffineForm | None = None,
    ending: Ending | None = None,
) -> LayerType:
    return LayerType(
        name,
        dialect,
        params={message: words(fields) for message, fields in (params or {}).items()},
        training=training,
        shape=alike(same),
        keeps_shape=True,
        cost=cost,
        is_free=is_free,
        affine=affine,
        passes=passes,
        channels=ChannelRole.KEPT,
        function=function,
        places=each_place,
        ending=ending,
    )


_FORKS = Dialect.FORKS
_UNTOLD = always(None)

RECORDS = (
    _function("AbsVal", always(functions.ABSOLUTE), per_value(1)),
    _function("BNLL", always(functions.SOFTPLUS), per_value(1)),
    _function("ELU", functions.elu, per_value(2), {"elu_param": "alpha"}),
    _function("Exp", functions.exponential, per_value(1), {"exp_param": "base scale shift"}),
    _function("Log", functions.logarithm, per_value(1), {"log_param": "base scale shift"}),
    _function(
        "Power",
        functions.power,
        cost_rules.power,
        {"power_param": "power scale shift"},
        is_free=cost_rules.is_power_of_nothing,
        affine=AffineForm.POWER,
    ),
    _function(
        "ReLU",
        functions.relu,
        per_value(1),
        {"relu_param": "negative_slope"},
        passes=Passes.POSITIVE_SCALE,
    ),
    _function(
        "Sigmoid",
        always(functions.SIGMOID),
        per_value(4),
        {"sigmoid_param": ""},
        ending=Ending.SQUASHED,
    ),
    _function("TanH", always(functions.TANH), per_value(1), {"tanh_param": ""}),
    # It jumps, so that the last bit of a constant may decide what comes of it.
    _function("Threshold", _UNTOLD, per_value(1), {"threshold_param": "threshold"}),
    # Forks agree on these.
    _function("Clip", functions.clip, per_value(2), {"clip_param": "min max"}, _FORKS),
    _function("HSwish", always(functions.HARD_SWISH), per_value(5), dialect=_FORKS),
    _function("HardSwish", always(functions.HARD_SWISH), per_value(5), dialect=_FORKS),
    _function("Mish", always(functions.MISH), per_value(5), dialect=_FORKS),
    _function("ReLU6", always(functions.RELU6), per_value(2), {"relu6_param": ""}, _FORKS),
    _function("SELU", always(functions.SELU), per_value(2), dialect=_FORKS),
    _function("SiLU", always(functions.SILU), per_value(5), dialect=_FORKS),
    _function("Softplus", always(functions.SOFTPLUS), per_value(2), dialect=_FORKS),
    _function("Swish", functions.swish, per_value(5), {"swish_param": "beta"}, _FORKS),
    # On these they do not.
    *(
        _function(
            name,
            _UNTOLD,
            per_value(4),
            {"hsigmoid_param": "alpha beta", "hardsigmoid_param": "alpha beta"},
            _FORKS,
        )
        for name in ("HSigmoid", "HardSigmoid")
    ),
    _function(
        "LeakyReLU",
        always(functions.ZERO_ALONE),
        per_value(1),
        {"relu_param": "negative_slope", "leaky_relu_param": "negative_slope"},
        _FORKS,
    ),
    _function(
        "RReLU",
        always(functions.ZERO_ALONE),
        per_value(2),
        {"rrelu_param": "lower upper negative_slope"},
        _FORKS,
        training="draws its slopes at random",
    ),
    LayerType(
        "PReLU",
        Dialect.BVLC,
        params={"prelu_param": words("channel_shared")},
        shape=alike(same),
        keeps_shape=True,
        cost=cost_rules.prelu,
        passes=Passes.POSITIVE_SCALE,
        channels=ChannelRole.NUMBERED,
        places=each_place,
    ),
)
