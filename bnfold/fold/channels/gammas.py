"""The scales and shifts that a batch norm was trained with: gamma and beta.

Where they are depends on who wrote the network:

    Scale directly behind a BatchNorm     its two blobs (without a bias beta is zero)
    BatchNorm with 4 or 5 blobs           the fourth and fifth (NVIDIA's and Intel's forks)
    BN with mean and variance             the first two (PSPNet and its relatives)

With gamma at zero such a layer gives beta, whatever it reads. The BN of SegNet has its statistics
baked into its scale, which so says nothing about what matters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bnfold.aliases import Vector
from bnfold.caffemodel import ArrayBlob
from bnfold.fold.absorb.leaving import seen_by_others
from bnfold.fold.absorb.search import other_users
from bnfold.fold.blobs import values_of
from bnfold.fold.channels.flow import Flow, Role
from bnfold.fold.rewrite import Context
from bnfold.graph import AffineForm, Layer


@dataclass(frozen=True, eq=False)
class Gamma:
    """The scale of a batch norm, and its shift; both of shape (C,)."""

    gamma: Vector
    beta: Vector


def gammas(context: Context, flow: Flow) -> dict[Layer, Gamma]:
    """Each layer that holds the gamma of a batch norm with stored statistics."""
    found = {}
    for layer, role in flow.roles.items():
        lanes = flow.read(layer)
        if role is not Role.OWN_NUMBERS or lanes is None:
            continue
        gamma = _gamma(context, layer)
        if gamma is not None:
            found[layer] = gamma
    return found


def _gamma(context: Context, layer: Layer) -> Gamma | None:
    form, blobs = layer.kind.affine, layer.blobs
    if form is AffineForm.SCALE:
        before = layer.bottoms[0].producer
        if before is None or before.kind.affine is not AffineForm.BATCH_NORM:
            return None
    elif form is AffineForm.BATCH_NORM:
        blobs = blobs[3:]
    elif form is not AffineForm.BN or len(blobs) != 4:
        return None
    if not blobs:
        return None
    gamma = values_of(blobs[0])
    return Gamma(gamma, values_of(blobs[1]) if len(blobs) > 1 else np.zeros(gamma.size))


def mean_takes(context: Context, flow: Flow, layer: Layer, sums: Vector) -> Layer | None:
    """Take what a layer's outputs lack off the mean of the batch norm behind it, if there is one.

        (x + sum) - m  =  x - (m - sum),    m = stored mean / factor

    Args:
        layer: whose outputs lack something.
        sums: how much, shape (num_output,).

    Returns:
        The batch norm, or None if nothing has changed.
    """
    top = layer.tops[0]
    if len(top.readers) != 1 or seen_by_others(context.net, top):
        return None
    (reader,) = top.readers
    form, blobs = reader.kind.affine, reader.blobs
    if flow.roles[reader] is not Role.OWN_NUMBERS or other_users(context.net, [reader]):
        return None
    if form is AffineForm.BATCH_NORM:
        at, factor = 0, float(values_of(blobs[2])[0])
    elif form is AffineForm.BN and len(blobs) == 4:
        at, factor = 2, 1.0
    else:
        return None
    if factor == 0:
        # Caffe takes the mean as 0 then, whatever is stored.
        return None
    mean = values_of(blobs[at]) - factor * sums
    dtype = blobs[at].dtype if context.keep_dtype else np.dtype(np.float32)
    new = ArrayBlob(mean.reshape(blobs[at].shape), dtype)
    reader.give(*blobs[:at], new, *blobs[at + 1 :])
    return reader
