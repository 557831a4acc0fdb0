"""The library's front door: `merge` and `inspect`. They never print and never exit."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from bnfold.caffemodel import open_weights
from bnfold.errors import BnfoldError
from bnfold.fold import Options, fold, weight_edits
from bnfold.graph import Phase
from bnfold.jobs import MergeJob, PathLike, one_line_errors, read_net
from bnfold.outputs import Outputs
from bnfold.report import Counts, Report

if TYPE_CHECKING:
    from bnfold.checks.verify import VerifyOptions


def merge(
    model: PathLike,
    weights: PathLike,
    *,
    output_model: PathLike | None = None,
    output_weights: PathLike | None = None,
    eps: float | None = None,
    engine_caffe: bool = True,
    phase: Phase | str = Phase.TEST,
    keep_dtype: bool = False,
    dry_run: bool = False,
    force: bool = False,
    verify: bool | VerifyOptions = False,
) -> Report:
    """Fold the batch normalisation of a trained network into its weights.

    Args:
        model: the network's prototxt.
        weights: its caffemodel.
        output_model: where to write the new prototxt; by default beside the old one, as
            `deploy.folded.prototxt`.
        output_weights: where to write the new caffemodel, `x.folded.caffemodel` by default.
        eps: replaces every BatchNorm's own `eps`; without it each layer's own holds.
        engine_caffe: set `engine: CAFFE` on convolutions whose kernel is 1 in all axes.
        phase: the phase whose function is preserved.
        keep_dtype: store changed blobs in the type they had; by default they become float32.
        dry_run: compute everything, and write nothing.
        force: replace outputs that exist.
        verify: run both networks in an engine, and write nothing unless they are the same
            function; a VerifyOptions says how.

    Returns:
        What was folded, what was kept and why, and the sizes before and after; with `verify` a
        VerifiedReport, which also has what the verification found.

    Raises:
        BnfoldError: the input cannot be used; the message is one line that says where, what
            and what to do. Nothing has been written then.
        CheckFailedError: `verify` found that the folded network is not the same function.
    """
    if verify and dry_run:
        raise BnfoldError("a dry run writes no network to verify; choose one of the two")
    if verify and Phase(phase) is not Phase.TEST:
        raise BnfoldError("engines run phase TEST, and so cannot verify a merge for TRAIN")
    options = Options.of(phase, eps, engine_caffe, keep_dtype)
    job = MergeJob.of(model, weights, output_model, output_weights, options)
    with one_line_errors():
        if dry_run:
            return job.rehearse()
        job.check_targets(force)
        with Outputs() as outputs:
            report = job.write(outputs)
            if verify:
                from bnfold.checks.proof import prove

                report = prove(report, outputs, None if verify is True else verify)
            return report


def inspect(
    model: PathLike,
    weights: PathLike | None = None,
    *,
    eps: float | None = None,
    engine_caffe: bool = True,
    phase: Phase | str = Phase.TEST,
) -> Report:
    """Say what `merge` would do, and write nothing.

    Args:
        model: the network's prototxt.
        weights: its caffemodel; without it the plan is made from the prototxt alone.
        eps, engine_caffe, phase: as for `merge`.

    Returns:
        The plan; its outputs are None.

    Raises:
        BnfoldError: as for `merge`.
    """
    options = Options.of(phase, eps, engine_caffe)
    model = Path(model)
    weights = None if weights is None else Path(weights)
    with one_line_errors(), contextlib.ExitStack() as stack:
        stored = None if weights is None else stack.enter_context(open_weights(weights))
        size = None if weights is None else weights.stat().st_size
        net = read_net(model, options, stored)
        before = Counts.of(net, stored, {}, size)
        plan = fold(net, options)
        after = Counts.of(net, stored, weight_edits(net), None)
    return Report(model, weights, None, None, options.phase, plan, before, after)
