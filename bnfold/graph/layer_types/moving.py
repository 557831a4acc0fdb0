"""Layers that move values and change none."""

from __future__ import annotations

from bnfold.graph import cost_rules, shape_rules
from bnfold.graph.layer_type import (
    ChannelRole,
    Dialect,
    LayerType,
    Passes,
    each_place,
    words,
)
from bnfold.graph.net import Layer
from bnfold.graph.shape_rules import alike
from bnfold.graph.words import Words


def _joins_channels(layer: Layer) -> bool:
    """Whether a Concat joins axis 1, in either spelling."""
    param = layer.param("concat_param")
    return bool((param.concat_dim if param.HasField("concat_dim") else param.axis) == 1)


def _cuts_channels(layer: Layer) -> bool:
    """Whether a Slice cuts axis 1, in either spelling."""
    param = layer.param("slice_param")
    return bool((param.slice_dim if param.HasField("slice_dim") else param.axis) == 1)


def _keeps_order(layer: Layer) -> bool:
    """Axes that are not named come last, in their order (permute_layer.cpp of weiliu89/caffe)."""
    order = Words.of(layer, "permute_param").integers("order")
    return order == list(range(len(order)))


RECORDS = (
    LayerType(
        "Concat",
        Dialect.BVLC,
        params={"concat_param": words("axis concat_dim")},
        shape=alike(shape_rules.concat),
        cost=cost_rules.move,
        passes=Passes.JOINED,
        channels=ChannelRole.JOINED,
        shares_memory=lambda layer: True,
        places=_joins_channels,
    ),
    LayerType(
        "Crop",
        Dialect.BVLC,
        params={"crop_param": words("axis offset")},
        shape=alike(shape_rules.crop),
        cost=cost_rules.crop,
        channels=ChannelRole.CROPPED,
    ),
    LayerType(
        "Dropout",
        Dialect.BVLC,
        params={"dropout_param": words("dropout_ratio")},
        training="drops values at random",
        shape=alike(shape_rules.same),
        keeps_shape=True,
        cost=cost_rules.move,
        is_free=cost_rules.is_in_place,
        passes=Passes.EVERYTHING,
        channels=ChannelRole.KEPT,
        places=each_place,
    ),
    LayerType(
        "Flatten",
        Dialect.BVLC,
        params={"flatten_param": words("axis end_axis")},
        shape=alike(shape_rules.flatten),
        passes=Passes.RESHAPED,
        channels=ChannelRole.STRETCHED,
        shares_memory=lambda layer: True,
    ),
    LayerType(
        "Permute",
        Dialect.SSD,
        params={"permute_param": words("order")},
        shape=alike(shape_rules.permute),
        cost=cost_rules.move,
        shares_memory=_keeps_order,
    ),
    LayerType(
        "Reshape",
        Dialect.BVLC,
        params={"reshape_param": words("shape axis num_axes")},
        shape=alike(shape_rules.reshape),
        passes=Passes.RESHAPED,
        channels=ChannelRole.STRETCHED,
        shares_memory=lambda layer: True,
    ),
    LayerType(
        "ShuffleChannel",
        Dialect.FORKS,
        params={"shuffle_channel_param": words("group")},
        shape=alike(shape_rules.same),
        keeps_shape=True,
        cost=cost_rules.move,
        places=each_place,
    ),
    LayerType(
        "Slice",
        Dialect.BVLC,
        params={"slice_param": words("axis slice_point slice_dim")},
        shape=shape_rules.slices,
        cost=cost_rules.move,
        channels=ChannelRole.CUT,
        shares_memory=lambda layer: len(layer.tops) == 1,
        places=_cuts_channels,
    ),
    LayerType(
        "Split",
        Dialect.BVLC,
        shape=alike(shape_rules.same),
        keeps_shape=True,
        passes=Passes.EVERYTHING,
        channels=ChannelRole.KEPT,
        shares_memory=lambda layer: True,
        places=each_place,
    ),
    LayerType(
        "Tile",
        Dialect.BVLC,
        params={"tile_param": words("axis tiles")},
        shape=alike(shape_rules.tile),
        cost=cost_rules.move,
    ),
)
