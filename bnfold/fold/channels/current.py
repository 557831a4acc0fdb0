"""Layers as they are after the rewrites so far: parameters and affines."""

from __future__ import annotations

from dataclasses import replace

from bnfold.fold.dialects import Reading
from bnfold.fold.plan import Reason
from bnfold.fold.rewrite import Context
from bnfold.graph import Layer


def affine_of(context: Context, layer: Layer) -> Reading | Reason | None:
    """A layer as a per-channel affine function of its first bottom: see `Reader.read`.

    Raises:
        BnfoldError: its blobs do not fit.
    """
    shape = context.shapes.get(layer.bottoms[0]) if layer.bottoms else None
    # What is suspicious was said when the layer was first read.
    return replace(context.reader, warn=_say_nothing).read(layer, shape)


def _say_nothing(warning: str) -> None:
    pass


def outputs_of(layer: Layer) -> int:
    """How many channels a layer with weights makes; 0 where that cannot be told."""
    if layer.kind.layout is None:
        return 0
    count = int(layer.param(layer.kind.message).num_output)
    if not count and layer.kind.is_depthwise and layer.blobs:
        # These keep their channels, and may leave num_output out.
        return next(iter(layer.blobs[0].shape), 0)
    return count


def groups_of(layer: Layer) -> int:
    """How many groups a convolution or deconvolution has."""
    group = max(1, int(layer.param("convolution_param").group))
    if group == 1 and layer.kind.is_depthwise:
        # These have a group for each channel whether their text says so or not.
        return outputs_of(layer) or 1
    return group
