"""Rewrite: an affine layer goes into the weights of the layer that feeds it.

    scale * (W x + b) + shift  =  (scale * W) x + (scale * b + shift)

It applies where

1. the layer is an affine function of each channel (and not of the batch, or of another blob);
2. its bottom is made by a Convolution or InnerProduct whose outputs are those channels;
3. nobody else reads that bottom, inside the phase or outside of it;
4. no other layer uses the weights of either, by `param` name or by layer name.

A run of affine layers goes in one by one, in file order. The last top's name lives on.
"""

from __future__ import annotations

from collections.abc import Sequence

from bnfold.errors import BnfoldError
from bnfold.fold.dialects import AFFINE_TYPES
from bnfold.fold.hosts import HOST_PARAMS, Host
from bnfold.fold.plan import Code, Folded, Kept, Reason
from bnfold.fold.rewrite import Context
from bnfold.graph import Layer, Net


class AbsorbBackward:
    """Fold every affine layer that can be into its producer."""

    def run(self, context: Context) -> None:
        """Apply the rewrite to all affine layers, in file order.

        Raises:
            BnfoldError: a layer that would fold has blobs that do not fit.
        """
        for layer in context.net.layers:
            if layer.type in AFFINE_TYPES:
                self._fold_or_keep(context, layer)
        for layer in context.net.outside:
            if layer.type in AFFINE_TYPES:
                phase = context.reader.phase.value
                reason = Reason(Code.OUTSIDE_PHASE, f"it does not run in phase {phase}")
                context.plan.kept.append(Kept(layer.name, layer.type, layer.line, reason))

    def _fold_or_keep(self, context: Context, layer: Layer) -> None:
        found = self._check(context, layer)
        if isinstance(found, Reason):
            context.plan.kept.append(Kept(layer.name, layer.type, layer.line, found))
        else:
            self._apply(context, layer, found)

    def _check(self, context: Context, layer: Layer) -> Host | Reason:
        # Only a Scale may be given its factors as a second bottom.
        most = 2 if layer.type == "Scale" else 1
        if not 1 <= len(layer.bottoms) <= most or len(layer.tops) != 1:
            raise BnfoldError(
                f"{layer} (line {layer.line}) has {len(layer.bottoms)} bottoms and "
                f"{len(layer.tops)} tops; it takes one of each"
            )
        not_affine = context.reader.obstacle(layer)
        if not_affine:
            return not_affine
        host = _producer(layer)
        if isinstance(host, Reason):
            return host
        return (
            host.obstacle()
            or context.reader.misfit(layer, host.ndim)
            or _other_readers(layer)
            or _other_users(context.net, [host.layer, layer])
            or host
        )

    def _apply(self, context: Context, layer: Layer, host: Host) -> None:
        if context.has_weights:
            host.absorb(context.reader.affine(layer, host.channels), context.keep_dtype)
        added = not host.has_bias and not any(
            fold.into == host.layer.name for fold in context.plan.folded
        )
        context.plan.folded.append(
            Folded(layer.name, layer.type, layer.line, host.layer.name, host.layer.type, added)
        )
        context.net.remove_into_producer(layer)


def _producer(layer: Layer) -> Host | Reason:
    """The layer to fold into, or why what feeds the layer cannot be one."""
    bottom = layer.bottoms[0]
    producer = bottom.producer
    if producer is None:
        why = f"it reads '{bottom.name}', an input of the network, so no layer above can take it in"
        return Reason(Code.NO_HOST, why)
    if producer.type in AFFINE_TYPES:
        return Reason(Code.NO_HOST, f"it follows {producer}, which is kept")
    if producer.type not in HOST_PARAMS:
        kinds = " or ".join(HOST_PARAMS)
        why = f"it reads '{bottom.name}', which {producer} makes; only a {kinds} can take it in"
        return Reason(Code.NO_HOST, why)
    if len(producer.tops) != 1:
        why = f"{producer} has {len(producer.tops)} tops, which all come from the same weights"
        return Reason(Code.SHARED_WEIGHTS, why)
    return Host.of(producer)


def _other_readers(layer: Layer) -> Reason | None:
    bottom = layer.bottoms[0]
    others = [reader for reader in bottom.readers if reader is not layer]
    if others:
        return Reason(Code.OTHER_READER, f"'{bottom.name}' is also read by {_names(others)}")
    others = [reader for reader in bottom.outside_readers if reader is not layer]
    if others:
        why = f"'{bottom.name}' is also read by {_names(others)}, outside this phase"
        return Reason(Code.OUTSIDE_READER, why)
    return None


def _other_users(net: Net, layers: Sequence[Layer]) -> Reason | None:
    for layer in layers:
        sharers = net.sharers(layer)
        if sharers:
            why = f"the blobs of {layer} are shared, by param name, with {_names(sharers)}"
            return Reason(Code.SHARED_WEIGHTS, why)
        twins = net.twins(layer)
        if twins:
            lines = ", ".join(str(twin.line) for twin in twins)
            why = (
                f"a layer outside this phase (line {lines}) is also named '{layer.name}' and so "
                "uses the same weights"
            )
            return Reason(Code.SAME_NAME, why)
    return None


def _names(layers: Sequence[Layer]) -> str:
    return ", ".join(dict.fromkeys(str(layer) for layer in layers))
