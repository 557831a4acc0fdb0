"""Every layer type that is a per-channel affine function, read as an `Affine`.

This is the one place that knows how they are written; rewrites see only affines.
Sources: BVLC caffe, src/caffe/layers/{scale,bias,power}_layer.cpp; see batch_norms.py for the
rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from bnfold.errors import BnfoldError
from bnfold.fold.affines.affine import Affine
from bnfold.fold.affines.batch_norms import bn_dialect, read_batch_norm, read_bn, uses_batch
from bnfold.fold.blobs import checked_blobs, size_of, vector
from bnfold.fold.plan import Code, Reason
from bnfold.graph import AffineForm, Layer, Phase, untrusted
from bnfold.graph.axes import Shape


class Reading(NamedTuple):
    """What a layer was read as.

    Attributes:
        affine: the function.
        channels: how many channels it tells apart; None where it treats all alike, or where
            there are no weights to tell from.
    """

    affine: Affine
    channels: int | None


@dataclass(frozen=True)
class AffineReader:
    """How the layers are read in this chain.

    Attributes:
        phase: the phase the network runs in; it decides what `use_global_stats` defaults to.
        eps: replaces every batch norm's own eps, where given.
        bn_dialect: settles what the blobs of `BN` layers are, where given.
        has_weights: whether numbers are at hand; without them affines are unknown.
        warn: called with a sentence for each thing that is legal but suspicious.
        swamped: the batch norms most of whose variances are smaller than `eps`.
    """

    phase: Phase
    eps: float | None
    bn_dialect: str | None
    has_weights: bool
    warn: Callable[[str], None]
    swamped: list[str] = field(default_factory=list)

    def read(self, layer: Layer, shape: Shape | None) -> Reading | Reason | None:
        """Read a layer as an affine function of the value it is given.

        Args:
            layer: any layer.
            shape: the shape of its first bottom, where it is known.

        Returns:
            The function; or why a layer of an affine type is none; or None for other types.

        Raises:
            BnfoldError: its blobs are missing, of a wrong count or size, or hold values that
                no trained network has.
            PrototxtError: a parameter has a bad value.
        """
        form = layer.kind.affine
        if form is None:
            return None
        distrust = untrusted(layer, self.phase)
        if form is AffineForm.POWER:
            return None if distrust else _read_power(layer)
        # Only a Scale or Bias may be given its numbers as a second bottom.
        most = 2 if form in (AffineForm.SCALE, AffineForm.BIAS) else 1
        if not 1 <= len(layer.bottoms) <= most or len(layer.tops) != 1:
            raise BnfoldError(
                f"{layer} (line {layer.line}) has {len(layer.bottoms)} bottoms and "
                f"{len(layer.tops)} tops; it takes one of each"
            )
        if distrust:
            return Reason(Code.UNKNOWN_LAYER, distrust)
        if form is AffineForm.BATCH_NORM:
            return uses_batch(layer, self.phase) or self._batch_norm(layer)
        if form is AffineForm.BN:
            return self._bn(layer)
        return self._scale_or_bias(layer, shape)

    def _batch_norm(self, layer: Layer) -> Reading:
        if not self.has_weights:
            return Reading(Affine(None, None), None)
        affine = read_batch_norm(layer, self.eps, self.warn, self.swamped)
        return Reading(affine, affine.channels)

    def _bn(self, layer: Layer) -> Reading | Reason:
        dialect = bn_dialect(layer, self.bn_dialect, self.phase)
        if isinstance(dialect, Reason):
            return dialect
        if not self.has_weights:
            return Reading(Affine(None, None), None)
        affine = read_bn(layer, dialect, self.eps, self.swamped)
        return Reading(affine, affine.channels)

    def _scale_or_bias(self, layer: Layer, shape: Shape | None) -> Reading | Reason:
        two = _two_bottoms(layer)
        if two:
            return two
        param = layer.param(layer.kind.message)
        per_channel = _acts_per_channel(param, shape)
        if isinstance(per_channel, Reason):
            return per_channel
        affine = _stored(layer, param) if self.has_weights else _unread(layer, param)
        return Reading(affine, affine.channels if per_channel and self.has_weights else None)


def _read_power(layer: Layer) -> Reading | None:
    """A Power with power 1 is (scale * x + shift), one number each for all channels."""
    param = layer.param("power_param")
    if param.power != 1 or len(layer.bottoms) != 1 or len(layer.tops) != 1:
        return None
    return Reading(Affine(np.array([float(param.scale)]), np.array([float(param.shift)])), None)


def _two_bottoms(layer: Layer) -> Reason | None:
    if len(layer.bottoms) == 1:
        return None
    names = " and ".join(f"'{value.name}'" for value in layer.bottoms)
    what = "scale" if layer.kind.affine is AffineForm.SCALE else "bias"
    return Reason(
        Code.TWO_BOTTOMS,
        f"it has two bottoms ({names}), so its {what} is computed by the network and differs "
        "from input to input",
    )


def _acts_per_channel(param: Any, shape: Shape | None) -> bool | Reason:
    """True for one number a channel, False for one number for all, or why it is neither."""
    axis, count = param.axis, param.num_axes
    if count == 0:
        return False
    if (axis, count) == (1, 1):
        return True
    if shape is None:
        return Reason(
            Code.UNKNOWN_SHAPE,
            f"axis: {axis} with num_axes: {count} depends on the shape of what it reads, which "
            "cannot be told from the prototxt",
            "write `axis: 1` and `num_axes: 1` if it acts on channels",
        )
    first = axis + len(shape) if axis < 0 else axis
    last = len(shape) if count == -1 else first + count
    if first == 1 and last >= 2 and all(size == 1 for size in shape[2:last]):
        return True
    return Reason(
        Code.NOT_PER_CHANNEL,
        f"axis: {axis} with num_axes: {count} covers axes {first} to {last - 1} of a "
        f"{len(shape)}-D blob; only axis 1 alone is the channels",
    )


def _stored(layer: Layer, param: Any) -> Affine:
    if layer.kind.affine is AffineForm.BIAS:
        (blob,) = checked_blobs(layer, {1: "bias"})
        return Affine(np.ones(size_of(blob)), vector(layer, blob, None, "bias"))
    if not param.bias_term:
        (blob,) = checked_blobs(layer, {1: "scale (bias_term is off)"})
        return Affine(vector(layer, blob, None, "scale"), np.zeros(size_of(blob)))
    blobs = checked_blobs(layer, {2: "scale and bias"})
    scale = vector(layer, blobs[0], None, "scale")
    return Affine(scale, vector(layer, blobs[1], scale.size, "bias"))


def _unread(layer: Layer, param: Any) -> Affine:
    """What can be told without weights: a Bias does not scale, a Scale may not shift."""
    if layer.kind.affine is AffineForm.BIAS:
        return Affine(np.ones(1), None)
    return Affine(None, None if param.bias_term else np.zeros(1))
