"""The library's front door: `merge`, `inspect` and `prune`. They never print and never exit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnfold.aliases import PathLike
from bnfold.errors import BnfoldError
from bnfold.fold import MergeOptions
from bnfold.fold.channels.slim import Slimming
from bnfold.graph import Phase
from bnfold.jobs import MergeJob, one_line_errors, plan_only
from bnfold.outputs import Outputs
from bnfold.prune_report import PruneReport
from bnfold.pruning import PruneJob
from bnfold.report import Report, check_complete

if TYPE_CHECKING:
    from bnfold.checks.accuracy.measured_prune import AccuracyOptions
    from bnfold.checks.equality.verify import VerifyOptions


def merge(
    model: PathLike,
    weights: PathLike,
    options: MergeOptions | None = None,
    *,
    output_model: PathLike | None = None,
    output_weights: PathLike | None = None,
    dry_run: bool = False,
    force: bool = False,
    require_complete: bool = False,
    verify: bool | VerifyOptions = False,
    **choices: Any,
) -> Report:
    """Fold the batch normalisation of a trained network into its weights.

    Args:
        model: the network's prototxt.
        weights: its caffemodel, binary or HDF5.
        options: how the network is read, what is done to it and how it is stored.
        output_model: where to write the new prototxt; by default beside the old one, as
            `deploy.folded.prototxt`.
        output_weights: where to write the new caffemodel, `x.folded.caffemodel` by default.
        dry_run: compute everything, and write nothing.
        force: replace outputs that exist.
        require_complete: write nothing if an affine layer is left, as it was or as one Scale.
        verify: run both networks in an engine, and write nothing unless they are the same
            function; a VerifyOptions says how.
        **choices: fields of `MergeOptions`, each in place of what `options` has.

    Returns:
        What was folded, what was kept and why, and the sizes before and after; with `verify` a
        VerifiedReport, which also has what the verification found.

    Raises:
        BnfoldError: the input cannot be used; the message is one line that says where, what
            and what to do. Nothing has been written then.
        CheckFailedError: `verify` found that the folded network is not the same function, or
            `require_complete` that an affine layer is left; its `report` is what this would return.
    """
    options = MergeOptions.of(options, choices)
    if verify and dry_run:
        raise BnfoldError("a dry run writes no network to verify; choose one of the two")
    if verify and options.phase is not Phase.TEST:
        raise BnfoldError("engines run phase TEST, and so cannot verify a merge for TRAIN")
    job = MergeJob.of(model, weights, output_model, output_weights, options)
    with one_line_errors():
        if dry_run:
            report = job.rehearse()
            check_complete(report, require_complete)
            return report
        with Outputs() as outputs:
            job.claim(outputs, force)
            report = job.write(outputs)
            check_complete(report, require_complete)
            if verify:
                from bnfold.checks.equality.verified_merge import prove

                report = prove(report, outputs, None if verify is True else verify)
            return report


def inspect(
    model: PathLike,
    weights: PathLike | None = None,
    options: MergeOptions | None = None,
    **choices: Any,
) -> Report:
    """Say what `merge` would do, and write nothing.

    Args:
        model: the network's prototxt.
        weights: its caffemodel; without it the plan is made from the prototxt alone.
        options, **choices: as for `merge`.

    Returns:
        The plan; its outputs are None.

    Raises:
        BnfoldError: as for `merge`.
    """
    options = MergeOptions.of(options, choices)
    return plan_only(Path(model), None if weights is None else Path(weights), options)


def prune(
    model: PathLike,
    weights: PathLike,
    *,
    ratio: float | None = None,
    threshold: float | None = None,
    channels: Mapping[str, Sequence[int]] | None = None,
    round_to: int = 8,
    min_channels: int = 1,
    exclude: Sequence[str] = (),
    merge: bool = False,
    accuracy: AccuracyOptions | None = None,
    output_model: PathLike | None = None,
    output_weights: PathLike | None = None,
    eps: float | None = None,
    bn_dialect: str | None = None,
    treat_as: Mapping[str, str] | None = None,
    float32: bool = False,
    dry_run: bool = False,
    force: bool = False,
) -> PruneReport:
    """Take channels out of a trained network whose batch norms barely let them through.

    The result computes what the network computes whose gammas are zero in those channels: exactly
    where no padding is met, and up to a bound that the report gives where it is.

    Args:
        model: the network's prototxt.
        weights: its caffemodel, binary or HDF5.
        ratio: remove this share of the channels that can go, those of the lowest |gamma|.
        threshold: or remove the channels whose |gamma| is at most this.
        channels: or remove these, by the name of a layer that makes or hands them on.
        round_to: layers keep a multiple of so many channels, or all.
        min_channels: layers keep at least so many.
        exclude: layers, by name or glob, whose channels stay.
        merge: fold the smaller network, too.
        accuracy: measure both networks on images, and write nothing if too much is lost.
        output_model: where to write the new prototxt; by default beside the old one, as
            `deploy.pruned.prototxt`.
        output_weights: where to write the new caffemodel, `x.pruned.caffemodel` by default.
        eps, bn_dialect, treat_as, float32: as for `merge`.
        dry_run: compute everything, and write nothing.
        force: replace outputs that exist.

    Returns:
        What was removed, where the result is not exact, what could not go and why, and the sizes
        before and after; with `accuracy` a MeasuredPruneReport, which also has what was measured.

    Raises:
        CheckFailedError: more accuracy is lost than `accuracy.max_drop` allows; its `report` is
            what this would return.
        BnfoldError: the input cannot be used, or a channel asked for by name cannot go; the message
            is one line that says where, what and what to do. Nothing has been written then.
    """
    options = MergeOptions(eps=eps, bn_dialect=bn_dialect, treat_as=treat_as or {}, float32=float32)
    wish = Slimming(ratio, threshold, channels, round_to, min_channels, tuple(exclude))
    job = PruneJob.of(model, weights, output_model, output_weights, options, wish, merge)
    if accuracy is not None and dry_run:
        raise BnfoldError("a dry run writes no network to measure; choose one of the two")
    with one_line_errors():
        if dry_run:
            return job.rehearse()
        with Outputs() as outputs:
            job.files.claim(outputs, force)
            report = job.write(outputs)
            if accuracy is None:
                return report
            from bnfold.checks.accuracy.measured_prune import measure

            return measure(report, outputs, accuracy)
