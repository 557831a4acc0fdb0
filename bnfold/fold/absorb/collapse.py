"""Rewrite: what must stay becomes one Scale.

    BatchNorm, BN, Scale, Bias, Power in a row  =  Scale with scale_param { bias_term: true }

A Scale, Bias or Power that stands alone stays as it is. So no layer that uses stored
statistics is left, and merging a second time changes nothing.
"""

from __future__ import annotations

import numpy as np

from bnfold.fold.absorb.leaving import downward
from bnfold.fold.affines.affine import Affine
from bnfold.fold.affines.chains import Chain
from bnfold.fold.plan import Code, Fate, Outcome, Reason
from bnfold.fold.rewrite import Context
from bnfold.fold.weights import Dense
from bnfold.graph import AffineForm, Layer, record_of

_ALONE = (AffineForm.SCALE, AffineForm.BIAS, AffineForm.POWER)
"""Layers that stay as they are where nothing went into them."""


class Collapse:
    """Write every chain that stands as one Scale."""

    help = "Write a batch norm that cannot be absorbed as one Scale."

    def run(self, context: Context) -> bool:
        """Apply the rewrite to all chains that stand, in file order."""
        changed = False
        for chain in context.standing_chains():
            refusal = self._check(context, chain)
            if refusal is None:
                self._apply(context, chain)
                changed = True
                continue
            for layer in chain.layers:
                # A Power is no batch norm: nobody asks why it stays.
                if layer.kind.is_affine:
                    fate = Fate.SCALE if layer in context.scales else Fate.KEPT
                    _note(context, layer, fate, refusal)
        context.chains.clear()
        return changed

    def _check(self, context: Context, chain: Chain) -> Reason | None:
        """Why a chain is left as it is, if so."""
        why = _why_it_stays(chain)
        (first, *more) = chain.layers
        if not more and not chain.touched and first.kind.affine in _ALONE:
            return why
        if not context.collapse:
            return why
        # What something went into was allowed then, and must be written.
        if not chain.touched and not context.choice.allows(*chain.layers):
            return Reason(Code.CHOSEN, "it stays as it is, as the user asked (--keep or --only)")
        obstacle = no_scale(context, chain, chain.affine)
        if obstacle:
            return Reason(obstacle.code, f"{why.text}; {obstacle.text}", obstacle.hint)
        return None

    def _apply(self, context: Context, chain: Chain) -> None:
        survivor = _survivor(context, chain)
        context.scales.add(survivor)
        at = chain.layers.index(survivor)
        _become_scale(context, chain, survivor)
        for layer in reversed(chain.layers[:at]):
            context.net.remove_into_readers(layer)
            context.plan.ahead.add(layer.name)
        for layer in chain.layers[at + 1 :]:
            context.net.remove_into_producer(layer)
        for layer in chain.layers:
            if layer is survivor:
                _note(context, layer, Fate.SCALE, _why_it_stays(chain))
            else:
                _note(context, layer, Fate.MERGED, None, (survivor.name,))


def no_scale(context: Context, chain: Chain, affine: Affine) -> Reason | None:
    """Why a chain cannot be written as one Scale that computes `affine`, if so."""
    if context.net.is_v1:
        why = f"a V1 file has no Scale that {chain.layers[-1]} could become"
        return Reason(Code.NO_SCALE_TYPE, why, "upgrade the files with Caffe's tools")
    if not context.has_weights:
        return None
    if affine.channels == 1 and _channels(context, chain) is None:
        why = f"over how many channels {chain.layers[-1]} acts cannot be told"
        return Reason(Code.UNKNOWN_SHAPE, why)
    return None


def _survivor(context: Context, chain: Chain) -> Layer:
    """The layer that becomes the Scale: the last Scale, else the last that has a record.

    What the chain reads must still reach it once the layers in front of it are gone.
    """
    able = [at for at in range(len(chain.layers)) if _can_be_first(context, chain, at)]
    # A Power has no weights, and a record would have to be made for it.
    order: dict[AffineForm | None, int] = {AffineForm.SCALE: 2, AffineForm.POWER: 0}
    return chain.layers[max(able, key=lambda at: (order.get(chain.layers[at].kind.affine, 1), at))]


def _can_be_first(context: Context, chain: Chain, at: int) -> bool:
    return at == 0 or downward(context.net, chain.layers[:at]) is None


def _become_scale(context: Context, chain: Chain, layer: Layer) -> None:
    if layer.kind.affine is AffineForm.SCALE:
        if any(layer.blob_names):
            layer.clear("param")
        for field, default in (("axis", 1), ("num_axes", 1)):
            if getattr(layer.param("scale_param"), field) != default:
                layer.set("scale_param", field, default)
    else:
        layer.clear("param", layer.kind.message)
        layer.become(record_of("Scale"))
    layer.set("scale_param", "bias_term", True)
    channels = _channels(context, chain)
    if not context.has_weights or channels is None:
        return
    affine = chain.affine.over(channels)
    assert affine.scale is not None
    assert affine.shift is not None
    stored = layer.blobs[0].dtype if layer.blobs else np.float32
    dtype = np.dtype(stored if context.keep_dtype else np.float32)
    layer.give(
        Dense.of(affine.scale, dtype, f"scale of {layer}"),
        Dense.of(affine.shift, dtype, f"bias of {layer}"),
    )


def _channels(context: Context, chain: Chain) -> int | None:
    if chain.channels is not None:
        return chain.channels
    if chain.affine.channels > 1:
        return chain.affine.channels
    return context.fixed_channels_of(chain.bottom)


def _why_it_stays(chain: Chain) -> Reason:
    """Both refusals in one sentence; the word for programs is that of the way back."""
    first, *rest = chain.refusals
    text = "; ".join([first.text, *(f"ahead: {reason.text}" for reason in rest)])
    hints = dict.fromkeys(reason.hint for reason in chain.refusals if reason.hint)
    return Reason(first.code, text, "; or ".join(hints))


def _note(
    context: Context, layer: Layer, fate: Fate, reason: Reason | None, into: tuple[str, ...] = ()
) -> None:
    outcome = Outcome(layer.name, layer.written_type, layer.line, fate, into, reason=reason)
    context.plan.outcomes.append(outcome)
