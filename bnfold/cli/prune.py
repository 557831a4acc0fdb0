"""`bnfold prune`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bnfold.cli.fold_options import FoldCommand, fold_options
from bnfold.cli.options import (
    FILE,
    OUTPUT,
    label_options,
    pair_options,
    report_options,
    root_option,
    runtime_options,
)
from bnfold.cli.preprocess_options import PREPROCESS, preprocess_options
from bnfold.cli.usage import RUNTIME, check_engine, not_with, only_with

if TYPE_CHECKING:
    from bnfold.outputs import Outputs
    from bnfold.prune_report import PruneReport

_MEASURING = ("root", "limit", "output_blob", "annotations", "labelmap")


@click.command(
    cls=FoldCommand,
    epilog="The outputs appear whole or not at all, and the inputs are never touched. "
    "Fine-tune the smaller network to win back what it lost.",
)
@pair_options
@click.option(
    "--ratio",
    type=float,
    metavar="R",
    help="Remove this share of the channels that can go, those of the lowest |gamma|.",
)
@click.option(
    "--threshold", type=float, metavar="T", help="Remove the channels whose |gamma| is at most T."
)
@click.option(
    "--channels",
    type=FILE,
    metavar="FILE",
    help="Remove the channels that a file names: lines as `conv1: 0, 3, 5-7`, or JSON.",
)
@click.option(
    "--round",
    "round_to",
    type=int,
    default=8,
    show_default=True,
    metavar="N",
    help="Let layers keep a multiple of N channels, or all; 1 for any number.",
)
@click.option(
    "--min-channels",
    "min_channels",
    type=int,
    default=1,
    show_default=True,
    metavar="N",
    help="Let layers keep at least N channels.",
)
@click.option(
    "--exclude",
    multiple=True,
    metavar="NAME",
    help="Leave the channels of layers of this name (or glob) alone; may be given again.",
)
@click.option("--merge", is_flag=True, help="Fold the smaller network, as `bnfold merge` does.")
@fold_options("float32")
@click.option(
    "--output-model",
    type=OUTPUT,
    metavar="P",
    help="Where to write the prototxt  [default: deploy.pruned.prototxt beside the input]",
)
@click.option(
    "--output-weights",
    type=OUTPUT,
    metavar="P",
    help="Where to write the caffemodel  [default: x.pruned.caffemodel beside the input]",
)
@click.option(
    "--images",
    type=FILE,
    metavar="LIST|DIR|LMDB",
    help="Measure the accuracy of both networks on these, as `bnfold accuracy` does.",
)
@root_option
@click.option(
    "--max-drop",
    metavar="POINTS",
    help="Write nothing if more points (hundredths) of accuracy are lost than this.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Take the first N images.")
@label_options
@preprocess_options
@runtime_options
@click.option("--dry-run", is_flag=True, help="Compute everything, write no network.")
@report_options
def prune(
    model: Path,
    weights: Path,
    ratio: float | None,
    threshold: float | None,
    channels: Path | None,
    round_to: int,
    min_channels: int,
    exclude: tuple[str, ...],
    merge: bool,
    float32: bool,
    output_model: Path | None,
    output_weights: Path | None,
    dry_run: bool,
    force: bool,
    json_target: str | None,
    quiet: bool,
    images: Path | None,
    max_drop: str | None,
    **checks: Any,
) -> None:
    """Remove channels that barely matter, and write the smaller network.

    Channels are ranked by |gamma|, the scale of their batch norm, over the whole network; those
    that residual sums, depthwise layers or concats tie together are ranked by their largest and go
    together. What a removed channel still gave, its shift, goes into the next batch norm's mean or
    the next layer's bias. That is exact but where windows lie on padding; the report says by how
    much it may be off there.

    \b
    Examples:
      bnfold prune --model deploy.prototxt --weights x.caffemodel --ratio 0.3
      bnfold prune --model deploy.prototxt --weights x.caffemodel --threshold 0.01 --merge
      bnfold prune --model deploy.prototxt --weights x.caffemodel --ratio 0.1 \\
          --images val.txt --mean-value 104,117,123 --max-drop 0.5
      bnfold prune --model deploy.prototxt --weights x.caffemodel --channels list.txt --json -
    """
    if sum(given is not None for given in (ratio, threshold, channels)) != 1:
        raise click.UsageError("give one of --ratio, --threshold and --channels")
    only_with("--images", images is not None, ["max_drop", *_MEASURING, *PREPROCESS, *RUNTIME])
    not_with("--channels", channels is not None, ["round_to", "min_channels"])
    check_engine(checks["runtime"])
    if images is not None and dry_run:
        raise click.UsageError("--dry-run writes no network to measure; choose one of the two")
    from bnfold.cli.failed import reporting_failure
    from bnfold.cli.prune_printing import show
    from bnfold.cli.terminal import json_bytes
    from bnfold.fold import MergeOptions
    from bnfold.fold.channels.slim import Slimming
    from bnfold.jobs import one_line_errors
    from bnfold.outputs import Outputs
    from bnfold.pruning import PruneJob, read_channels

    json_file = None if json_target in (None, "-") else Path(json_target)
    extra = () if json_file is None else (json_file,)
    failing = reporting_failure(json_target, [model, weights], force)
    with one_line_errors(), failing, Outputs() as outputs:
        named = None if channels is None else read_channels(channels)
        wish = Slimming(ratio, threshold, named, round_to, min_channels, exclude)
        options = MergeOptions(float32=float32)
        job = PruneJob.of(model, weights, output_model, output_weights, options, wish, merge)
        if dry_run:
            outputs.claim(extra, [model, weights], force)
            report = job.rehearse()
        else:
            job.files.claim(outputs, force, extra)
            report = job.write(outputs)
            if images is not None:
                report = _measured(report, outputs, quiet, images, max_drop, checks)
        if json_file is not None:
            outputs.write(json_file, json_bytes(report))
    show(report, to_json=json_target == "-", quiet=quiet)


def _measured(
    report: PruneReport,
    outputs: Outputs,
    quiet: bool,
    images: Path,
    max_drop: str | None,
    checks: dict[str, Any],
) -> PruneReport:
    from bnfold.checks.accuracy.measured_prune import AccuracyOptions, measure
    from bnfold.cli.progress import progress

    options = AccuracyOptions(images, max_drop=max_drop, **checks)
    with progress("measuring", quiet, unit="images") as tell:
        return measure(report, outputs, options, tell)
