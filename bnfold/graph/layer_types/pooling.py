"""Layers that look at the places of each channel: poolings, and what changes a channel's size."""

from __future__ import annotations

from bnfold.graph import cost_rules, shape_rules
from bnfold.graph.layer_type import ChannelRole, CostRule, Dialect, LayerType, Passes, words
from bnfold.graph.shape_rules import alike

_RESAMPLED = words(
    "height width zoom_factor shrink_factor pad_beg pad_end intepolation_type scale scale_h "
    "scale_w pad_out_h pad_out_w upsample_h upsample_w"
)


def _resampling(
    name: str, cost: CostRule | None, channels: ChannelRole = ChannelRole.KEPT
) -> LayerType:
    """Layers of forks that change lengths from axis 2 on and keep the first two."""
    return LayerType(
        name,
        Dialect.FORKS,
        params={f"{name.lower()}_param": _RESAMPLED},
        shape=alike(shape_rules.resampled),
        cost=cost,
        channels=channels,
        keeps_zeros=True,
    )


RECORDS = (
    LayerType(
        "Pooling",
        Dialect.BVLC,
        params={
            "pooling_param": words(
                "pool kernel_size stride pad kernel_h kernel_w stride_h stride_w pad_h pad_w "
                "global_pooling ceil_mode round_mode"
            )
        },
        shape=alike(shape_rules.pooling),
        cost=cost_rules.pooling,
        passes=Passes.POOLED,
        channels=ChannelRole.KEPT,
        reads_late=True,
    ),
    _resampling("Interp", cost_rules.interpolation),
    _resampling("NNInterp", None),
    _resampling("Resize", None),
    _resampling("Unpooling", cost_rules.move, ChannelRole.UNKNOWN),
    _resampling("Upsample", cost_rules.move),
    LayerType(
        "ROIPooling",
        Dialect.FORKS,
        params={"roi_pooling_param": words("pooled_h pooled_w spatial_scale")},
        shape=alike(shape_rules.roi_pooling),
    ),
)
