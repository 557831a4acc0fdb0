"""Every layer type that is a per-channel affine function in TEST phase, read as an `Affine`.

This is the one place that knows how BatchNorm and Scale are written; rewrites see only
affines. Sources: BVLC caffe, src/caffe/layers/{batch_norm,scale}_layer.cpp.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bnfold.caffemodel import Blob
from bnfold.errors import BnfoldError
from bnfold.fold.affine import Affine, Vector, batch_norm
from bnfold.fold.plan import Code, Reason
from bnfold.graph import Layer, Phase

AFFINE_TYPES = frozenset({"BatchNorm", "Scale"})
"""The layer types that are looked at, and that reports count."""

_NEGATIVE = 1e-6
"""A variance this far below zero, relative to the layer's largest, is taken for rounding."""


@dataclass(frozen=True)
class Reader:
    """How the layers are read in this run.

    Attributes:
        phase: the phase the network runs in; it decides what `use_global_stats` defaults to.
        eps: replaces every BatchNorm's own eps, where given.
        warn: called with a sentence for each thing that is legal but suspicious.
    """

    phase: Phase
    eps: float | None
    warn: Callable[[str], None]

    def obstacle(self, layer: Layer) -> Reason | None:
        """Why a layer of an affine type is not an affine function at all, if so."""
        if layer.type == "BatchNorm":
            return _batch_statistics(layer, self.phase)
        return _two(layer)

    def misfit(self, layer: Layer, ndim: int) -> Reason | None:
        """Why an affine layer does not act per channel on a value of `ndim` axes, if so."""
        return None if layer.type == "BatchNorm" else _scale_axes(layer, ndim)

    def affine(self, layer: Layer, channels: int) -> Affine:
        """The function a layer computes on a value of so many channels.

        Raises:
            BnfoldError: its blobs are missing, of a wrong count or size, or hold values
                that no trained network has.
        """
        if layer.type == "BatchNorm":
            return self._batch_norm(layer, channels)
        return _scale(layer, channels)

    def _batch_norm(self, layer: Layer, channels: int) -> Affine:
        blobs = stored_blobs(layer, 3, "mean, variance and moving-average factor")
        mean = vector(layer, blobs[0], channels, "mean")
        variance = vector(layer, blobs[1], channels, "variance")
        factor = float(vector(layer, blobs[2], 1, "moving-average factor")[0])
        eps = self._eps(layer)
        if factor == 0:
            self.warn(
                f"{layer}: its moving-average factor is 0, so Caffe takes mean and variance as 0; "
                "these statistics were never trained"
            )
        scaled = variance * (0.0 if factor == 0 else 1.0 / factor)
        lowest = float(scaled.min())
        if lowest < -_NEGATIVE * (float(np.abs(scaled).max()) + eps) or lowest + eps <= 0:
            at = int(scaled.argmin())
            raise BnfoldError(
                f"{layer}: variance {lowest:.6g} plus eps {eps:.6g} in channel {at} cannot be "
                "normalised by; the statistics are damaged"
                + ("" if lowest < 0 else " or eps is too small (see --eps)")
            )
        return batch_norm(mean, variance, factor, eps)

    def _eps(self, layer: Layer) -> float:
        # The field is a float in Caffe, so what is written is rounded to one first.
        if self.eps is not None:
            return float(np.float32(self.eps))
        own = float(layer.param("batch_norm_param").eps)
        if not (math.isfinite(own) and own >= 0):
            holder = layer.text.get("batch_norm_param")
            written = holder.message().get("eps") if holder else None
            assert written is not None
            raise written.error(f"{own:g} must be a finite number that is not negative")
        return own


def _batch_statistics(layer: Layer, phase: Phase) -> Reason | None:
    param = layer.param("batch_norm_param")
    own_phase = layer.text.get("phase")
    if param.HasField("use_global_stats"):
        stored = bool(param.use_global_stats)
        why = "use_global_stats is false"
    elif own_phase is not None:
        stored = own_phase.enum({"TRAIN": 0, "TEST": 1}) == Phase.TEST.number
        why = "the layer says `phase: TRAIN`"
    else:
        stored = phase is Phase.TEST
        why = "in phase TRAIN use_global_stats is false unless written"
    if stored:
        return None
    return Reason(
        Code.BATCH_STATISTICS,
        f"it normalises by each batch's own statistics ({why}), which no weights can express",
    )


def _two(layer: Layer) -> Reason | None:
    if len(layer.bottoms) == 1:
        return None
    names = " and ".join(f"'{value.name}'" for value in layer.bottoms)
    return Reason(
        Code.TWO_BOTTOMS,
        f"it has {len(layer.bottoms)} bottoms ({names}), so its scale is computed by the network "
        "and differs from input to input",
    )


def _scale_axes(layer: Layer, ndim: int) -> Reason | None:
    param = layer.param("scale_param")
    axis, count = param.axis, param.num_axes
    first = axis + ndim if axis < 0 else axis
    last = ndim if count == -1 else first + count
    if (first, last) == (1, 2):
        return None
    what = "one number for all" if count == 0 else f"axes {first} to {last - 1}"
    return Reason(
        Code.NOT_PER_CHANNEL,
        f"axis: {axis} with num_axes: {count} scales {what} of a {ndim}-D blob; only axis 1 "
        "alone is the channels",
    )


def _scale(layer: Layer, channels: int) -> Affine:
    with_bias = layer.param("scale_param").bias_term
    blobs = stored_blobs(
        layer, 2 if with_bias else 1, "scale and bias" if with_bias else "scale (bias_term is off)"
    )
    scale = vector(layer, blobs[0], channels, "scale")
    shift = vector(layer, blobs[1], channels, "bias") if with_bias else np.zeros(channels)
    return Affine(scale, shift)


def stored_blobs(layer: Layer, count: int, what: str) -> tuple[Blob, ...]:
    """The blobs that the weights file has for a layer.

    Raises:
        BnfoldError: there are none, or not as many as the layer's parameters call for.
    """
    record = layer.record
    if record is None or not record.blobs:
        raise BnfoldError(
            f"{layer} (line {layer.line}) has no weights in the weights file; do the two files "
            "belong together?"
        )
    if len(record.blobs) != count:
        raise BnfoldError(
            f"{layer} (line {layer.line}): {_count(len(record.blobs))} in the weights file, but "
            f"its parameters call for {count}: {what}; do the two files belong together?"
        )
    return record.blobs


def vector(layer: Layer, blob: Blob, size: int, what: str) -> Vector:
    """A blob of one number a channel, as float64 of shape (size,).

    Raises:
        BnfoldError: it has another size, or holds a NaN or an infinity.
    """
    if blob.size != size:
        raise BnfoldError(
            f"{layer} (line {layer.line}): its {what} blob has {_values(blob.size)}, expected "
            f"{size}; do the two files belong together?"
        )
    values = blob.read().astype(np.float64)
    if not np.isfinite(values).all():
        raise BnfoldError(
            f"{layer}: NaN or infinity in its {what} blob; the weights file is damaged"
        )
    return values


def _count(blobs: int) -> str:
    return f"{blobs} blob" if blobs == 1 else f"{blobs} blobs"


def _values(size: int) -> str:
    return "1 value" if size == 1 else f"{size} values"
