"""Layers that are an affine function of each channel, from their own numbers: Lemma 2.

Sources: BVLC caffe, src/caffe/layers/{batch_norm,scale,bias,power}_layer.cpp; NVIDIA's fork for
five blobs of a BatchNorm; hszhao/PSPNet, yjxiong/caffe and alexgkendall/caffe-segnet for BN.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bnfold.aliases import Vector
from bnfold.caffemodel import Blob
from bnfold.proof.forms import Affine
from bnfold.proof.layers import Layer
from bnfold.proof.shapes import Lengths
from bnfold.proof.stored import Stored, unit

NVIDIA_EPS = float(np.float32(1e-5))
"""NVIDIA's fork never uses a smaller eps for a BatchNorm with a scale and a bias."""


@dataclass(frozen=True)
class Pixels:
    """What was done to pixels for the original, and what the folded network does to them itself.

        x = scale * (S p - mean)        S turns the order of channels round, or leaves it

    Attributes:
        mean: one for all channels, or one for each of the original's.
        scale: the factor behind the mean.
        swap: whether the order of channels is turned round first.
        blob: the input; None for the only one that has four axes.
    """

    mean: tuple[float, ...] = (0.0,)
    scale: float = 1.0
    swap: bool = False
    blob: str | None = None

    def affine(self, channels: int) -> Affine:
        """What is done to each channel of the original, once the order is right."""
        zero = np.zeros(channels)
        shift = -self.scale * np.broadcast_to(np.array(self.mean, np.float64), (channels,))
        return Affine(zero + self.scale, shift, zero, zero, np.abs(shift))


@dataclass(frozen=True)
class Reading:
    """How a user reads networks.

    Attributes:
        phase: "TEST" or "TRAIN".
        eps: in place of each batch norm's own, where given.
        bn_dialect: what the blobs of `BN` layers are, where given.
        pixels: what the folded network does to its input that was done for the original before.
    """

    phase: str = "TEST"
    eps: float | None = None
    bn_dialect: str | None = None
    pixels: Pixels | None = None


def read_affine(
    layer: Layer, stored: Stored, reading: Reading, shape: Lengths | None
) -> Affine | None:
    """The function of a layer; None if it is none of each channel, or that cannot be told.

    Args:
        layer: a layer with one bottom and one top.
        stored: where its numbers are.
        reading: how to read it.
        shape: that of the value that it reads, where it is known.

    Raises:
        BnfoldError: its blobs do not fit what it says.
    """
    if layer.kind == "BatchNorm":
        return _batch_norm(layer, stored, reading)
    if layer.kind == "BN":
        return _bn(layer, stored, reading)
    if layer.kind == "Power":
        return _power(layer)
    if layer.kind in ("Scale", "Bias"):
        return _scale(layer, stored, shape)
    return None


@dataclass(frozen=True, eq=False)
class _Number:
    """Stored numbers, and one unit in the last place of each."""

    value: Vector
    unit: Vector


def _number(layer: Layer, stored: Stored, blob: Blob, size: int | None = None) -> _Number:
    value = stored.vector(layer, blob, size)
    # A zero that is stored is zero.
    return _Number(value, np.where(value == 0, 0.0, unit(value, blob.dtype)))


def _blobs(layer: Layer, stored: Stored, *counts: int) -> tuple[Blob, ...]:
    blobs = stored.blobs(layer)
    if len(blobs) not in counts:
        expected = " or ".join(map(str, counts))
        raise stored.problem(layer, f"{len(blobs)} blobs, but its parameters call for {expected}")
    return blobs


def _power(layer: Layer) -> Affine | None:
    param = layer.param("power_param")
    if param.number("power", 1.0) != 1:
        return None
    p, q = (np.array([param.number(*one)]) for one in (("scale", 1.0), ("shift", 0.0)))
    # What is written may be rounded, unless it is a whole number.
    ep, eq = (np.where(x == np.rint(x), 0.0, unit(x, np.dtype(np.float32))) for x in (p, q))
    return Affine(p, q, ep, eq, np.abs(q))


def _is_per_channel(axis: int, count: int, shape: Lengths | None) -> bool:
    """Whether the axes from one on, so many, are the channels and others of length one."""
    if (axis, count) == (1, 1):
        return True
    if shape is None:
        return False
    first = axis + len(shape) if axis < 0 else axis
    last = len(shape) if count == -1 else first + count
    return first == 1 and last > 1 and all(n == 1 for n in shape[2:last])


def _scale(layer: Layer, stored: Stored, shape: Lengths | None) -> Affine | None:
    param = layer.param(f"{layer.kind.lower()}_param")
    axis, count = param.integer("axis", 1), param.integer("num_axes", 1)
    if count != 0 and not _is_per_channel(axis, count, shape):
        return None
    size = 1 if count == 0 else None
    if layer.kind == "Bias":
        shift = _number(layer, stored, _blobs(layer, stored, 1)[0], size)
        zero = np.zeros(shift.value.size)
        return Affine(zero + 1, shift.value, zero, shift.unit, np.abs(shift.value))
    has_bias = param.flag("bias_term", False)
    blobs = _blobs(layer, stored, 1 + has_bias)
    scale = _number(layer, stored, blobs[0], size)
    zero = np.zeros(scale.value.size)
    if not has_bias:
        return Affine(scale.value, zero, scale.unit, zero, zero)
    shift = _number(layer, stored, blobs[1], scale.value.size)
    return Affine(scale.value, shift.value, scale.unit, shift.unit, np.abs(shift.value))


def _eps(layer: Layer, param: str, reading: Reading) -> float:
    if reading.eps is not None:
        return float(np.float32(reading.eps))
    return layer.param(param).number("eps", 1e-5)


def _batch_norm(layer: Layer, stored: Stored, reading: Reading) -> Affine | None:
    if not layer.param("batch_norm_param").flag("use_global_stats", layer.phase == "TEST"):
        return None
    blobs = _blobs(layer, stored, 3, 4, 5)
    mean = _number(layer, stored, blobs[0])
    size = mean.value.size
    variance = _number(layer, stored, blobs[1], size)
    factor = float(stored.vector(layer, blobs[2], 1)[0])
    s = 0.0 if factor == 0 else 1.0 / factor
    eps = _eps(layer, "batch_norm_param", reading)
    if len(blobs) == 5:
        eps = max(eps, NVIDIA_EPS)
    affine = _normalising(layer, stored, _times(mean, s), _times(variance, s), eps)
    if len(blobs) == 3:
        return affine
    scale = _number(layer, stored, blobs[3], size)
    zero = np.zeros(size)
    shift = _number(layer, stored, blobs[4], size) if len(blobs) == 5 else _Number(zero, zero)
    return affine.then(_linear(scale, shift))


def _times(number: _Number, factor: float) -> _Number:
    return _Number(number.value * factor, number.unit * abs(factor))


def _linear(scale: _Number, shift: _Number) -> Affine:
    return Affine(scale.value, shift.value, scale.unit, shift.unit, np.abs(shift.value))


def _normalising(
    layer: Layer, stored: Stored, mean: _Number, variance: _Number, eps: float
) -> Affine:
    """(x - mean) / sqrt(variance + eps), with the derivatives by what is stored."""
    under = variance.value + eps
    if not np.all(under > 0):
        raise stored.problem(layer, "a variance plus eps is not above zero")
    p = 1.0 / np.sqrt(under)
    ep = p * 0.5 * variance.unit / under
    return Affine(
        p,
        -mean.value * p,
        ep,
        np.abs(mean.value) * ep + p * mean.unit,
        np.abs(mean.value) * p,
    )


_SEGNET = frozenset({"scale_filler", "shift_filler"})
_FIELDS = _SEGNET | {
    *("slope_filler", "bias_filler", "momentum", "eps", "frozen", "engine", "bn_mode")
}


def _bn(layer: Layer, stored: Stored, reading: Reading) -> Affine | None:
    """One of the dialects of BN, or None where it normalises by each batch or cannot be told."""
    param = layer.param("bn_param")
    is_baked = param.choice("bn_mode", "LEARN", "INFERENCE") == "INFERENCE"
    dialect = reading.bn_dialect
    if dialect is None:
        count = len(stored.blobs(layer))
        speaks_segnet = bool(is_baked or param.names & _SEGNET or count == 2)
        if param.names - _FIELDS or count != (2 if speaks_segnet else 4):
            return None
        dialect = "scale-shift" if speaks_segnet else "variance"
    if dialect == "scale-shift":
        if not is_baked:
            return None
        blobs = _blobs(layer, stored, 2)
        scale = _number(layer, stored, blobs[0])
        return _linear(scale, _number(layer, stored, blobs[1], scale.value.size))
    if layer.phase == "TRAIN" and not param.flag("frozen", False):
        return None
    blobs = _blobs(layer, stored, 4)
    slope = _number(layer, stored, blobs[0])
    size = slope.value.size
    bias, mean, width = (_number(layer, stored, blob, size) for blob in blobs[1:])
    if dialect == "inverse-std":
        before = Affine(
            width.value,
            -mean.value * width.value,
            width.unit,
            np.abs(mean.value) * width.unit + np.abs(width.value) * mean.unit,
            np.abs(mean.value * width.value),
        )
    else:
        before = _normalising(layer, stored, mean, width, _eps(layer, "bn_param", reading))
    return before.then(_linear(slope, bias))
