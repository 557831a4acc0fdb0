"""The way from four files to the report of a proof."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from bnfold.network_files import NetworkFiles, PairFiles
from bnfold.outputs import Outputs
from bnfold.proof import Ending, Pixels, Reading, Step, attempt
from bnfold.proving.report import Break, Proof, ProvedLayer

if TYPE_CHECKING:
    from bnfold.fold import MergeOptions
    from bnfold.merging.report import Report

ULPS = 1.0
"""By how many units in the last place a stored number may be off, unless somebody says so."""


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


def reading_of(options: MergeOptions) -> Reading:
    """How a proof has to read two networks of which one was merged with options."""
    asked = options.input_mean, options.input_scale, options.input_swap
    pixels = None
    if asked != (None, None, False):
        mean = (0.0,) if options.input_mean is None else tuple(options.input_mean)
        scale = 1.0 if options.input_scale is None else options.input_scale
        pixels = Pixels(mean, scale, options.input_swap, options.input_blob)
    return Reading(options.phase.value, options.eps, options.bn_dialect, pixels)


def with_proof(report: Report, outputs: Outputs, options: MergeOptions) -> Report:
    """The report of a merge whose outputs have not taken their names yet, with the proof of it.

    A merge is right whether it can be proved or not: what cannot is a warning.

    Args:
        report: what the merge did; its outputs are the names that they will take.
        outputs: holds the files.
        options: what it was made with.
    """
    assert report.weights is not None
    assert report.output_model is not None
    assert report.output_weights is not None
    original = NetworkFiles(report.model, report.weights)
    files = map(outputs.pending, (report.output_model, report.output_weights))
    reading = reading_of(options)
    try:
        pair = PairFiles(original, NetworkFiles(*files))
        proof = prove_files(pair, reading, options.treat_as, ULPS)
    except Exception as error:
        # Nothing that goes wrong in a second opinion may keep anybody from the first.
        why = outputs.by_target(str(error) or type(error).__name__)
        report.plan.warnings.append(f"the network was written, and not proved: {why}")
        return report
    proof = replace(proof, folded_model=report.output_model, folded_weights=report.output_weights)
    if not proof.proved:
        report.plan.warnings.append(f"the network was written, but {proof.failure}")
    return replace(report, proof=proof)


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
