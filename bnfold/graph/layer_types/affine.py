"""Layers that are an affine function of each channel: normalisations, scales and shifts."""

from __future__ import annotations

from collections.abc import Mapping

from bnfold.graph import cost_rules
from bnfold.graph.layer_type import (
    AffineForm,
    ChannelRole,
    CostRule,
    Dialect,
    Fields,
    LayerType,
    words,
)
from bnfold.graph.shape_rules import alike, same


def _affine(
    name: str,
    dialect: Dialect,
    params: Mapping[str, Fields | None],
    cost: CostRule,
    form: AffineForm,
    reads_phase: bool = False,
) -> LayerType:
    return LayerType(
        name,
        dialect,
        params=params,
        reads_phase=reads_phase,
        shape=alike(same),
        keeps_shape=True,
        cost=cost,
        affine=form,
        channels=ChannelRole.NUMBERED,
    )


RECORDS = (
    _affine(
        "BatchNorm",
        Dialect.BVLC,
        # The last two are of forks and say which blobs there are, which their count says too.
        {
            "batch_norm_param": words(
                "use_global_stats moving_average_fraction eps scale_bias bias_term"
            )
        },
        cost_rules.batch_norm,
        AffineForm.BATCH_NORM,
        reads_phase=True,
    ),
    # Which of its dialects it is of is told by more than its fields: fold/affines/batch_norms.py.
    _affine(
        "BN", Dialect.PSPNET, {"bn_param": None}, cost_rules.bn, AffineForm.BN, reads_phase=True
    ),
    _affine(
        "Scale",
        Dialect.BVLC,
        {"scale_param": words("axis num_axes bias_term")},
        cost_rules.scale,
        AffineForm.SCALE,
    ),
    _affine(
        "Bias",
        Dialect.BVLC,
        {"bias_param": words("axis num_axes")},
        cost_rules.bias,
        AffineForm.BIAS,
    ),
)
