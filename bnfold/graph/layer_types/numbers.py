"""Layers that compute with several values at once: sums, norms, softmaxes and their like."""

from __future__ import annotations

from bnfold.graph import cost_rules, shape_rules
from bnfold.graph.layer_type import (
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
from bnfold.graph.net import Layer
from bnfold.graph.shape_rules import AlikeRule, alike


def _numbers(
    name: str,
    params: dict[str, str],
    shape: AlikeRule,
    cost: CostRule | None,
    dialect: Dialect = Dialect.BVLC,
    *,
    passes: Passes = Passes.NOTHING,
    channels: ChannelRole = ChannelRole.UNKNOWN,
    keeps_zeros: bool = False,
    reads_late: bool = False,
    places: Question | None = None,
    ending: Ending | None = None,
) -> LayerType:
    return LayerType(
        name,
        dialect,
        params={message: words(fields) for message, fields in params.items()},
        shape=alike(shape),
        keeps_shape=shape is shape_rules.same,
        cost=cost,
        passes=passes,
        channels=channels,
        keeps_zeros=keeps_zeros,
        reads_late=reads_late,
        places=places,
        ending=ending,
    )


def _is_across_channels(layer: Layer) -> bool:
    """Whether an LRN looks at the neighbours among the channels, not among the places."""
    return bool(layer.param("lrn_param").norm_region == 0)


RECORDS = (
    _numbers(
        "Eltwise",
        {"eltwise_param": "operation coeff stable_prod_grad"},
        shape_rules.eltwise,
        cost_rules.eltwise,
        passes=Passes.COMBINED,
        channels=ChannelRole.TIED,
        reads_late=True,
        places=each_place,
    ),
    _numbers("Axpy", {}, shape_rules.axpy, cost_rules.axpy, Dialect.FORKS),
    _numbers(
        "LRN",
        {"lrn_param": "local_size alpha beta norm_region k"},
        shape_rules.same,
        cost_rules.per_value(7),
        channels=ChannelRole.ACROSS,
        keeps_zeros=True,
        reads_late=True,
        places=_is_across_channels,
    ),
    _numbers(
        "MVN",
        {"mvn_param": "normalize_variance across_channels eps"},
        shape_rules.same,
        cost_rules.per_value(5),
    ),
    _numbers(
        "Normalize",
        {"norm_param": "across_spatial channel_shared eps"},
        shape_rules.same,
        cost_rules.normalize,
        Dialect.SSD,
    ),
    _numbers(
        "Softmax",
        {"softmax_param": "axis"},
        shape_rules.same,
        cost_rules.per_value(5),
        ending=Ending.SQUASHED,
    ),
    _numbers(
        "LogSoftmax",
        {"softmax_param": "axis"},
        shape_rules.same,
        cost_rules.per_value(5),
        Dialect.FORKS,
    ),
    _numbers(
        "ArgMax",
        {"argmax_param": "out_max_val top_k axis"},
        shape_rules.argmax,
        cost_rules.reduce,
        ending=Ending.DECISION,
    ),
    _numbers("Embed", {"embed_param": "num_output input_dim bias_term"}, shape_rules.embed, None),
    _numbers(
        "Reduction",
        {"reduction_param": "operation axis coeff"},
        shape_rules.reduction,
        cost_rules.reduce,
    ),
)
