"""The way from four files to the report of a proof."""

from __future__ import annotations

from collections.abc import Mapping

from bnfold.network_files import PairFiles
from bnfold.proof import Ending, Reading, Step, attempt
from bnfold.proving.report import Break, Proof, ProvedLayer


def prove_files(
    files: PairFiles, reading: Reading, treat_as: Mapping[str, str], ulps: float
) -> Proof:
    """Try to prove that two pairs of files are one function.

    Raises:
        PrototxtError, CaffemodelError, BnfoldError, OSError: a file cannot be used.
    """
    original, folded = files.networks
    findings, ending = attempt(original, folded, reading, treat_as, ulps)
    return Proof(
        model=original[0],
        weights=original[1],
        folded_model=folded[0],
        folded_weights=folded[1],
        allowed=ulps,
        layers=tuple(_layer(step) for step in findings.steps),
        ends=None if ending is None else _break(ending),
    )


def _layer(step: Step) -> ProvedLayer:
    layer = step.layer
    return ProvedLayer(
        layer.name, layer.type, layer.line, step.relation, step.coefficients, step.deviation
    )


def _break(ending: Ending) -> Break:
    layer, spot = ending.layer, ending.spot
    name, kind, line = (None,) * 3 if layer is None else (layer.name, layer.type, layer.line)
    if spot is None:
        return Break(name, kind, line, ending.why)
    why = "a number is not what the original makes it"
    numbers = (spot.what, spot.channel, spot.expected, spot.found, spot.ulps)
    return Break(name, kind, line, why, *numbers)
