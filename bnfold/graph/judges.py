"""Layers that judge what a network computes, and are no part of it."""

from __future__ import annotations

from bnfold.graph.layer_type import Ending
from bnfold.graph.net import Layer


def is_judge(layer: Layer) -> bool:
    """Whether a layer compares scores with labels, as Accuracy and all the losses do.

    A type that nobody knows is a loss if its name says so, or if it has a loss weight.

    Raises:
        PrototxtError: a loss weight is no number.
    """
    if layer.kind.is_known:
        return layer.kind.ending is Ending.JUDGEMENT
    return layer.type.endswith("Loss") or "WithLoss" in layer.type or loss_weight(layer) != 0


def loss_weight(layer: Layer) -> float:
    """The weight that a layer's text gives it among the losses; 0 for none.

    Source: BVLC caffe, include/caffe/layer.hpp, `SetLossWeights`: one for each top. The largest is
    returned.

    Raises:
        PrototxtError: it is no number.
    """
    return max((field.floating() for field in layer.text.all("loss_weight")), default=0.0)
