"""Layers that multiply by a matrix: they can take an affine function in, on either side."""

from __future__ import annotations

from bnfold.graph import cost_rules, shape_rules
from bnfold.graph.layer_type import (
    ChannelRole,
    CostRule,
    Dialect,
    LayerType,
    Layout,
    words,
)
from bnfold.graph.shape_rules import AlikeRule, alike

_WINDOW = words(
    "num_output bias_term pad kernel_size group stride pad_h pad_w kernel_h kernel_w stride_h "
    "stride_w axis force_nd_im2col dilation"
)
_FORKS_WINDOW = words(
    "hole hole_h hole_w pad_mode pad_type pad_l pad_r pad_t pad_b pad_left pad_right pad_top "
    "pad_bottom"
)
_DEPTHWISE = (
    "ConvolutionDepthWise",
    "ConvolutionDepthwise",
    "DepthWiseConv",
    "DepthWiseConvolution",
    "DepthwiseConv",
    "DepthwiseConvolution",
)
"""What forks call a convolution with one group for each channel."""


def _convolution(
    name: str,
    layout: Layout,
    shape: AlikeRule,
    cost: CostRule,
    dialect: Dialect = Dialect.BVLC,
    is_depthwise: bool = False,
) -> LayerType:
    return LayerType(
        name,
        dialect,
        params={"convolution_param": _WINDOW},
        window_fields=_FORKS_WINDOW,
        shape=alike(shape),
        cost=cost,
        layout=layout,
        is_depthwise=is_depthwise,
        channels=ChannelRole.MIXED,
        reads_late=True,
    )


RECORDS = (
    _convolution(
        "Convolution", Layout.CONVOLUTION, shape_rules.convolution, cost_rules.convolution
    ),
    _convolution(
        "Deconvolution", Layout.DECONVOLUTION, shape_rules.deconvolution, cost_rules.deconvolution
    ),
    *(
        _convolution(
            name,
            Layout.CONVOLUTION,
            shape_rules.depthwise,
            cost_rules.depthwise,
            Dialect.FORKS,
            is_depthwise=True,
        )
        for name in _DEPTHWISE
    ),
    LayerType(
        "InnerProduct",
        Dialect.BVLC,
        params={"inner_product_param": words("num_output bias_term axis transpose")},
        shape=alike(shape_rules.inner_product),
        cost=cost_rules.inner_product,
        layout=Layout.INNER_PRODUCT,
        channels=ChannelRole.MIXED,
        reads_late=True,
    ),
)
