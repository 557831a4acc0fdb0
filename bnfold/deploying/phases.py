"""In which phase a training definition is read, and what its rules of phase become."""

from __future__ import annotations

from collections.abc import Iterable

from bnfold.caffemodel import Weights
from bnfold.deploying.changes import Action, Change
from bnfold.fold.affines.batch_norms import bn_dialect, uses_batch
from bnfold.fold.plan import Code, Reason
from bnfold.graph import AffineForm, Layer, Net, NotProducedError, Phase, build
from bnfold.prototxt import Document, Ident

_RULES = ("include", "exclude")


def read_net(
    document: Document, weights: Weights | None = None, phase: Phase | None = None
) -> tuple[Net, Phase]:
    """Read a training definition.

    Args:
        document: its prototxt.
        weights: its weights file, if there is one.
        phase: in which phase; None for TEST, or for TRAIN if the file has only that: where in TEST
            a layer reads what is produced in TRAIN alone.

    Raises:
        PrototxtError: the network cannot run.
    """
    if phase is not None:
        return build(document, phase, weights), phase
    try:
        return build(document, Phase.TEST, weights), Phase.TEST
    except NotProducedError as error:
        try:
            return build(document, Phase.TRAIN, weights), Phase.TRAIN
        except NotProducedError:
            raise error.but(
                "nor does it run in the other phase; if a rule asks for a stage, begin the file "
                'with state { stage: "..." }'
            ) from None


def leave_out(document: Document, net: Net, phase: Phase) -> list[Change]:
    """Take out the layers that do not run in the phase."""
    for layer in net.outside:
        document.remove(layer.field)
    text = f"it does not run in phase {phase.value}"
    return [Change.of(Action.REMOVED, layer, text) for layer in net.outside]


def settle(document: Document, layers: Iterable[Layer], phase: Phase) -> list[Change]:
    """Take out the rules of layers that stay: what they decide is decided.

    A layer's own `phase` says how it computes; TRAIN goes where the network is written for TEST.
    """
    names = (*_RULES, "phase") if phase is Phase.TRAIN else _RULES
    changes = []
    for layer in layers:
        fields = [field for name in names for field in layer.text.all(name)]
        for field in fields:
            document.remove(field)
        if fields:
            words = ", ".join(dict.fromkeys(field.name for field in fields))
            changes.append(Change.of(Action.RULES, layer, f"its {words} went, since it runs"))
    return changes


def store_statistics(document: Document, layers: Iterable[Layer]) -> list[Change]:
    """Have batch norms of a network that was read in TRAIN use what they have stored."""
    changes = []
    for layer in layers:
        if layer.kind.affine is AffineForm.BATCH_NORM and _is_off(layer):
            document.replace(layer.text.all("batch_norm_param")[0].message().all(_GLOBAL)[0], True)
            text = f"{_GLOBAL} was false, for training; now it is true"
            changes.append(Change.of(Action.STATISTICS, layer, text))
        elif _learns(layer):
            _set_inference(document, layer)
            text = (
                "bn_mode is INFERENCE now; its weights must be those with the statistics baked in, "
                "as SegNet's compute_bn_statistics.py makes them"
            )
            changes.append(Change.of(Action.STATISTICS, layer, text))
    return changes


def batch_statistics(layers: Iterable[Layer]) -> list[str]:
    """A warning where batch norms of phase TEST use the statistics of the batch."""
    found = [layer for layer in layers if _uses_batch(layer)]
    if not found:
        return []
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    text = (
        f"{found[0]}{more}: in phase TEST, too, it normalises by each batch's own statistics, and "
        "so does the deploy definition; if stored ones are meant, give --phase TRAIN, which writes "
        "for TEST what was meant for training"
    )
    return [text]


_GLOBAL = "use_global_stats"


def _is_off(layer: Layer) -> bool:
    param = layer.param("batch_norm_param")
    return param.HasField(_GLOBAL) and not param.use_global_stats


def _learns(layer: Layer) -> bool:
    if layer.kind.affine is not AffineForm.BN:
        return False
    dialect = bn_dialect(layer, None, Phase.TEST)
    return isinstance(dialect, Reason) and dialect.code is Code.BATCH_STATISTICS


def _uses_batch(layer: Layer) -> bool:
    if layer.kind.affine is AffineForm.BATCH_NORM:
        return uses_batch(layer, Phase.TEST) is not None
    return _learns(layer)


def _set_inference(document: Document, layer: Layer) -> None:
    holder = layer.text.get("bn_param")
    if holder is None:
        document.add(layer.text, "bn_param", [("bn_mode", Ident("INFERENCE"))])
        return
    mode = holder.message().get("bn_mode")
    if mode is None:
        document.add(holder.message(), "bn_mode", Ident("INFERENCE"))
    else:
        document.replace(mode, Ident("INFERENCE"))
