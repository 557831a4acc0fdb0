"""Rewrite: what must stay becomes one Scale.

    BatchNorm, BN, Scale, Bias, Power in a row  =  Scale with scale_param { bias_term: true }

A Scale, Bias or Power that stands alone stays as it is. So no layer that uses stored
statistics is left, and merging a second time changes nothing.
"""

from __future__ import annotations

import numpy as np

from bnfold.fold.affine import Affine
from bnfold.fold.leaving import downward
from bnfold.fold.plan import Code, Fate, Outcome, Reason
from bnfold.fold.rewrite import Context
from bnfold.fold.runs import Run
from bnfold.fold.weights import Dense
from bnfold.graph import AffineForm, Layer, record_of

_ALONE = (AffineForm.SCALE, AffineForm.BIAS, AffineForm.POWER)
"""Layers that stay as they are where nothing went into them."""


class Collapse:
    """Write every run that stands as one Scale."""

    help = "Write a batch norm that cannot be absorbed as one Scale."

    def run(self, context: Context) -> bool:
        """Apply the rewrite to all runs that stand, in file order."""
        standing = context.standing_runs()
        for run in standing:
            refusal = self._check(context, run)
            if refusal is None:
                self._apply(context, run)
            else:
                for layer in run.layers:
                    # A Power is no batch norm: nobody asks why it stays.
                    if layer.kind.is_affine:
                        _note(context, layer, Fate.KEPT, refusal)
        context.runs.clear()
        return bool(standing)

    def _check(self, context: Context, run: Run) -> Reason | None:
        """Why a run is left as it is, if so."""
        why = _why_it_stays(run)
        (first, *more) = run.layers
        if not more and not run.touched and first.kind.affine in _ALONE:
            return why
        if not context.collapse:
            return why
        # What something went into was allowed then, and must be written.
        if not run.touched and not context.choice.allows(*run.layers):
            return Reason(Code.CHOSEN, "it stays as it is, as the user asked (--keep or --only)")
        obstacle = no_scale(context, run, run.affine)
        if obstacle:
            return Reason(obstacle.code, f"{why.text}; {obstacle.text}", obstacle.hint)
        return None

    def _apply(self, context: Context, run: Run) -> None:
        survivor = _survivor(context, run)
        at = run.layers.index(survivor)
        _become_scale(context, run, survivor)
        for layer in reversed(run.layers[:at]):
            context.net.remove_into_readers(layer)
            context.plan.ahead.add(layer.name)
        for layer in run.layers[at + 1 :]:
            context.net.remove_into_producer(layer)
        for layer in run.layers:
            if layer is survivor:
                _note(context, layer, Fate.SCALE, _why_it_stays(run))
            else:
                _note(context, layer, Fate.MERGED, None, (survivor.name,))


def no_scale(context: Context, run: Run, affine: Affine) -> Reason | None:
    """Why a run cannot be written as one Scale that computes `affine`, if so."""
    if context.net.is_v1:
        why = f"a V1 file has no Scale that {run.layers[-1]} could become"
        return Reason(Code.NO_SCALE_TYPE, why, "upgrade the files with Caffe's tools")
    if not context.has_weights:
        return None
    if affine.channels == 1 and _channels(context, run) is None:
        why = f"over how many channels {run.layers[-1]} acts cannot be told"
        return Reason(Code.UNKNOWN_SHAPE, why)
    return None


def _survivor(context: Context, run: Run) -> Layer:
    """The layer that becomes the Scale: the last Scale, else the last that has a record.

    What the run reads must still reach it once the layers in front of it are gone.
    """
    able = [at for at in range(len(run.layers)) if _can_be_first(context, run, at)]
    # A Power has no weights, and a record would have to be made for it.
    order: dict[AffineForm | None, int] = {AffineForm.SCALE: 2, AffineForm.POWER: 0}
    return run.layers[max(able, key=lambda at: (order.get(run.layers[at].kind.affine, 1), at))]


def _can_be_first(context: Context, run: Run, at: int) -> bool:
    return at == 0 or downward(context.net, run.layers[:at]) is None


def _become_scale(context: Context, run: Run, layer: Layer) -> None:
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
    channels = _channels(context, run)
    if not context.has_weights or channels is None:
        return
    affine = run.affine.over(channels)
    assert affine.scale is not None
    assert affine.shift is not None
    stored = layer.blobs[0].dtype if layer.blobs else np.float32
    dtype = np.dtype(stored if context.keep_dtype else np.float32)
    layer.give(
        Dense.of(affine.scale, dtype, f"scale of {layer}"),
        Dense.of(affine.shift, dtype, f"bias of {layer}"),
    )


def _channels(context: Context, run: Run) -> int | None:
    if run.channels is not None:
        return run.channels
    if run.affine.channels > 1:
        return run.affine.channels
    return context.channels_of(run.bottom)


def _why_it_stays(run: Run) -> Reason:
    """Both refusals in one sentence; the word for programs is that of the way back."""
    first, *rest = run.refusals
    text = "; ".join([first.text, *(f"ahead: {reason.text}" for reason in rest)])
    hints = dict.fromkeys(reason.hint for reason in run.refusals if reason.hint)
    return Reason(first.code, text, "; or ".join(hints))


def _note(
    context: Context, layer: Layer, fate: Fate, reason: Reason | None, into: tuple[str, ...] = ()
) -> None:
    outcome = Outcome(layer.name, layer.written_type, layer.line, fate, into, reason=reason)
    context.plan.outcomes.append(outcome)
