"""BatchNorm and the two dialects of BN, read as an `Affine`.

Sources: BVLC caffe, src/caffe/layers/batch_norm_layer.cpp; NVIDIA's fork, the same file;
hszhao/PSPNet and yjxiong/caffe, src/caffe/layers/bn_layer.cpp; alexgkendall/caffe-segnet, the
same file.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from bnfold.aliases import Vector
from bnfold.errors import BnfoldError
from bnfold.fold.affines.affine import Affine, batch_norm, normalise
from bnfold.fold.blobs import checked_blobs, vector
from bnfold.fold.plan import Code, Reason
from bnfold.graph import Layer, Phase, own_phase

BN_DIALECTS = ("variance", "inverse-std", "scale-shift")
"""What the blobs of a `BN` layer may be.

variance: slope, bias, mean, variance (PSPNet and its relatives).
inverse-std: slope, bias, mean, 1 / standard deviation (later versions of yjxiong/caffe).
scale-shift: scale, shift, with the statistics baked in (SegNet, ENet).
"""

_NVIDIA_EPS = 1e-5
"""NVIDIA's fork never uses a smaller eps (cuDNN's CUDNN_BN_MIN_EPSILON)."""

_NEGATIVE = 1e-6
"""A variance this far below zero, relative to the layer's largest, is taken for rounding."""

_BN_FIELDS = frozenset(
    {
        *("slope_filler", "bias_filler", "momentum", "eps", "frozen", "engine"),
        *("scale_filler", "shift_filler", "bn_mode"),
    }
)


_SEGNET_FIELDS = frozenset({"scale_filler", "shift_filler"})
"""Fields that only the dialect with two blobs has: the others say slope and bias."""


_NOTHING = 1e-3
"""An eps from the user that leaves no channel more than this of its own scale leaves nothing."""


def uses_batch(layer: Layer, phase: Phase) -> Reason | None:
    """Why a BatchNorm normalises by the batch it sees and not by stored statistics, if so."""
    param = layer.param("batch_norm_param")
    if param.HasField("use_global_stats"):
        stored = bool(param.use_global_stats)
        why = "use_global_stats is false"
    else:
        stored = own_phase(layer.text, phase) is Phase.TEST
        why = "in phase TRAIN use_global_stats is false unless written"
        if layer.text.get("phase") is not None:
            why = "the layer says `phase: TRAIN`"
    if stored:
        return None
    return Reason(
        Code.BATCH_STATISTICS,
        f"it normalises by each batch's own statistics ({why}), which no weights can express",
        "if the network was trained to use stored statistics, write `use_global_stats: true`",
    )


def read_batch_norm(
    layer: Layer, eps: float | None, warn: Callable[[str], None], swamped: list[str]
) -> Affine:
    """What a BatchNorm with stored statistics computes.

    Three blobs are BVLC's: mean, variance, moving-average factor. A fourth and fifth are the
    scale and bias that NVIDIA's and Intel's forks apply afterwards (Intel may leave the bias
    out). They are told apart by their count, not by flags.

    Args:
        layer: the layer, with its record.
        eps: replaces the layer's own, where given.
        warn: told of statistics that were never trained.
        swamped: gets the layer's name if `eps` is larger than most of its variances.

    Raises:
        BnfoldError: the blobs are missing, do not fit, or hold impossible statistics.
    """
    blobs = checked_blobs(
        layer,
        {
            3: "mean, variance and moving-average factor",
            4: "those and a scale",
            5: "those and a scale and bias",
        },
    )
    if len(blobs) == 3 and layer.param("batch_norm_param").scale_bias:
        # NVIDIA's Caffe refuses such a pair, too (NVIDIA/caffe, issue 394).
        raise BnfoldError(
            f"{layer} (line {layer.line}) says scale_bias: true, which calls for 5 blobs, and the "
            "weights file has 3 for it, without a scale and a bias; give the definition that it "
            "was trained with, where a Scale layer has them"
        )
    mean = vector(layer, blobs[0], None, "mean")
    channels = mean.size
    variance = vector(layer, blobs[1], channels, "variance")
    factor = float(vector(layer, blobs[2], 1, "moving-average factor")[0])
    least = float(np.float32(_NVIDIA_EPS)) if len(blobs) == 5 else 0.0
    own = max(_written_eps(layer, "batch_norm_param"), least)
    eps = max(_eps(layer, "batch_norm_param", eps), least)
    if factor == 0:
        warn(
            f"{layer}: its moving-average factor is 0, so Caffe takes mean and variance as 0; "
            "these statistics were never trained"
        )
    seen = variance * (0.0 if factor == 0 else 1.0 / factor)
    _check_variance(layer, seen, eps)
    _check_chosen(layer, seen, own, eps, swamped)
    affine = batch_norm(mean, variance, factor, eps)
    if len(blobs) == 3:
        return affine
    scale = vector(layer, blobs[3], channels, "scale")
    shift = vector(layer, blobs[4], channels, "bias") if len(blobs) == 5 else np.zeros(channels)
    return affine.then(Affine(scale, shift))


def bn_dialect(layer: Layer, chosen: str | None, phase: Phase) -> str | Reason:
    """Which of BN_DIALECTS a `BN` layer speaks, or why that cannot be told."""
    text = layer.written("bn_param")
    param = layer.param("bn_param")
    inference = param.bn_mode == 1
    if chosen is None:
        names = {field.name for field in text.message().fields} if text else set()
        unknown = sorted(names - _BN_FIELDS)
        count = len(layer.blobs) if layer.record else None
        if unknown:
            return _unclear(f"its bn_param has {', '.join(unknown)}")
        if inference and count not in (None, 2):
            return _unclear(f"it says bn_mode: INFERENCE but has {count} blobs")
        if not inference and count not in (None, 2, 4):
            return _unclear(f"it has {count} blobs")
        learns = sorted(names & _SEGNET_FIELDS)
        if learns and count == 4:
            return _unclear(f"its bn_param has {', '.join(learns)} but it has 4 blobs")
        chosen = "scale-shift" if inference or learns or count == 2 else "variance"
    if chosen == "scale-shift" and not inference:
        return Reason(
            Code.BATCH_STATISTICS,
            "it normalises by each batch's own statistics (bn_mode is not INFERENCE), which no "
            "weights can express",
            "if its statistics are baked in, write `bn_mode: INFERENCE`",
        )
    if chosen != "scale-shift" and own_phase(layer.text, phase) is Phase.TRAIN and not param.frozen:
        return Reason(
            Code.BATCH_STATISTICS,
            "in phase TRAIN it normalises by each batch's own statistics (it is not frozen)",
        )
    return chosen


def _unclear(seen: str) -> Reason:
    return Reason(
        Code.DIALECT,
        f"which dialect of BN it speaks cannot be told: {seen}",
        f"say which with --bn-dialect {'|'.join(BN_DIALECTS)}",
    )


def read_bn(layer: Layer, dialect: str, eps: float | None, swamped: list[str]) -> Affine:
    """What a `BN` layer of a dialect computes; its blobs may be shaped C or 1xCx1x1.

    `eps` and `swamped` are as for `read_batch_norm`.

    Raises:
        BnfoldError: the blobs are missing, do not fit, or hold impossible statistics.
    """
    if dialect == "scale-shift":
        blobs = checked_blobs(layer, {2: "scale and shift"})
        scale = vector(layer, blobs[0], None, "scale")
        return Affine(scale, vector(layer, blobs[1], scale.size, "shift"))
    spread = "variance" if dialect == "variance" else "inverse standard deviation"
    blobs = checked_blobs(layer, {4: f"slope, bias, mean and {spread}"})
    slope = vector(layer, blobs[0], None, "slope")
    bias = vector(layer, blobs[1], slope.size, "bias")
    mean = vector(layer, blobs[2], slope.size, "mean")
    width = vector(layer, blobs[3], slope.size, spread)
    if dialect == "inverse-std":
        return Affine(width, -mean * width).then(Affine(slope, bias))
    own, eps = _written_eps(layer, "bn_param"), _eps(layer, "bn_param", eps)
    _check_variance(layer, width, eps)
    _check_chosen(layer, width, own, eps, swamped)
    return normalise(mean, width, eps).then(Affine(slope, bias))


def _check_variance(layer: Layer, variance: Vector, eps: float) -> None:
    lowest = float(variance.min(initial=0.0))
    largest = float(np.abs(variance).max(initial=0.0))
    floor = float(variance.min()) if variance.size else 1.0
    if lowest >= -_NEGATIVE * (largest + eps) and floor + eps > 0:
        return
    at = int(variance.argmin())
    what = "the statistics are damaged" + ("" if floor < 0 else " or eps is too small (see --eps)")
    raise BnfoldError(
        f"{layer}: variance {floor:.6g} plus eps {eps:.6g} in channel {at} cannot be normalised "
        f"by; {what}"
    )


def _check_chosen(
    layer: Layer, variance: Vector, own: float, eps: float, swamped: list[str]
) -> None:
    """Hold an eps that the user chose against the variances that it is added to.

    An eps stands beside a variance to avoid a division by zero. One that is larger than more than
    half of a layer's variances replaces what was trained, and deserves a warning. One that leaves
    every channel of a layer less than a thousandth of the scale that the layer's own eps gives it
    makes the layer a constant, and is refused.
    """
    if eps <= own or not variance.size:
        return
    positive = np.maximum(variance, 0.0)
    left = np.sqrt((positive + own) / (positive + eps))
    # Without any eps a variance of zero has no scale to lose: there the user's mends the layer.
    if bool(np.all((left < _NOTHING) & (positive + own > 0))):
        raise BnfoldError(
            f"{layer}: with eps {eps:.6g} every scale is less than {_NOTHING:g} of what it is with "
            f"the layer's own eps, {own:.6g}, and nothing is left of the input; the largest "
            f"variance is {float(positive.max()):.6g}; choose a smaller --eps"
        )
    if 2 * int(np.count_nonzero(eps > positive)) > variance.size:
        swamped.append(layer.name)


def _eps(layer: Layer, holder_name: str, override: float | None) -> float:
    # The field is a float in Caffe, so what is written is rounded to one first.
    if override is not None:
        return float(np.float32(override))
    own = float(layer.param(holder_name).eps)
    if not (math.isfinite(own) and own >= 0):
        holder = layer.text.get(holder_name)
        written = holder.message().get("eps") if holder else None
        assert written is not None
        raise written.error(f"{own:g} must be a finite number that is not negative")
    return own


def _written_eps(layer: Layer, holder_name: str) -> float:
    """The layer's own eps, or 0 where it cannot be used; `_eps` refuses that if it is to be."""
    own = float(layer.param(holder_name).eps)
    return own if math.isfinite(own) and own > 0 else 0.0
