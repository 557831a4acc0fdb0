"""Layers at the ends of networks, and those of which no more than the shapes is known."""

from __future__ import annotations

from bnfold.graph import shape_rules
from bnfold.graph.layer_type import (
    ChannelRole,
    Dialect,
    Ending,
    LayerType,
    ShapeRule,
    words,
)
from bnfold.graph.shape_rules import alike


def _judge(name: str, dialect: Dialect = Dialect.BVLC, *, scores: str = "") -> LayerType:
    shape: ShapeRule = shape_rules.accuracy if name == "Accuracy" else shape_rules.loss
    return LayerType(
        name, dialect, is_opaque=True, shape=shape, ending=Ending.JUDGEMENT, scores=scores
    )


def _evaluation(name: str, dialect: Dialect) -> LayerType:
    return LayerType(name, dialect, is_opaque=True, ending=Ending.JUDGEMENT)


RECORDS = (
    *(
        _judge(name)
        for name in (
            "Accuracy",
            "ContrastiveLoss",
            "EuclideanLoss",
            "HingeLoss",
            "InfogainLoss",
            "MultinomialLogisticLoss",
        )
    ),
    # Sources: `LayerSetUp` in softmax_loss_layer.cpp and sigmoid_cross_entropy_loss_layer.cpp,
    # which make a layer of that type of their own parameters.
    _judge("SigmoidCrossEntropyLoss", scores="Sigmoid"),
    _judge("SoftmaxWithLoss", scores="Softmax"),
    _judge("MultiBoxLoss", Dialect.SSD),
    _judge("SmoothL1Loss", Dialect.FORKS),
    _evaluation("DetectionEvaluate", Dialect.SSD),
    # Evaluations of segmentations (DeepLab, PSPNet) and losses of detectors (MobileNet-YOLO).
    *(
        _evaluation(name, Dialect.FORKS)
        for name in ("SegAccuracy", "RegionLoss", "YoloSeg", "Yolov3")
    ),
    LayerType(
        "Silence",
        Dialect.BVLC,
        channels=ChannelRole.LENGTHS,
        is_free=lambda layer: True,
        ending=Ending.NOTHING,
    ),
    LayerType("DetectionOutput", Dialect.SSD, is_opaque=True, ending=Ending.DETECTIONS),
    LayerType(
        "PriorBox",
        Dialect.SSD,
        params={
            "prior_box_param": words(
                "min_size max_size aspect_ratio flip clip variance img_size img_h img_w step "
                "step_h step_w offset"
            )
        },
        channels=ChannelRole.LENGTHS,
    ),
    # Normalisations of forks that keep the shape, with parameters that nobody agrees on.
    *(
        LayerType(
            name,
            Dialect.FORKS,
            is_opaque=True,
            shape=alike(shape_rules.same),
            keeps_shape=True,
        )
        for name in ("BatchNormKyle", "LCN", "SyncBN")
    ),
)
