"""`bnfold prune`."""

from __future__ import annotations

from pathlib import Path

import click

from bnfold.cli.options import FILE, model_option, report_options


@click.command(
    epilog="The outputs appear whole or not at all, and the inputs are never touched. "
    "Fine-tune the smaller network to win back what it lost."
)
@model_option
@click.option(
    "--weights", required=True, type=FILE, metavar="CAFFEMODEL", help="Its trained weights."
)
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
    "multiple",
    type=int,
    default=1,
    show_default=True,
    metavar="N",
    help="Let layers keep a multiple of N channels, or all.",
)
@click.option(
    "--min-channels",
    "least",
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
@click.option(
    "--output-model",
    type=FILE,
    metavar="P",
    help="Where to write the prototxt  [default: deploy.pruned.prototxt beside the input]",
)
@click.option(
    "--output-weights",
    type=FILE,
    metavar="P",
    help="Where to write the caffemodel  [default: x.pruned.caffemodel beside the input]",
)
@click.option("--dry-run", is_flag=True, help="Compute everything, write no network.")
@report_options
def prune(
    model: Path,
    weights: Path,
    ratio: float | None,
    threshold: float | None,
    channels: Path | None,
    multiple: int,
    least: int,
    exclude: tuple[str, ...],
    merge: bool,
    output_model: Path | None,
    output_weights: Path | None,
    dry_run: bool,
    force: bool,
    json_target: str | None,
    quiet: bool,
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
      bnfold prune --model deploy.prototxt --weights x.caffemodel --threshold 0.01 --round 8 --merge
      bnfold prune --model deploy.prototxt --weights x.caffemodel --channels list.txt --json -
    """
    if sum(given is not None for given in (ratio, threshold, channels)) != 1:
        raise click.UsageError("give one of --ratio, --threshold and --channels")
    from bnfold.cli.prune_printing import json_bytes, show
    from bnfold.fold import Options
    from bnfold.fold.channels.slim import Slimming
    from bnfold.jobs import one_line_errors
    from bnfold.outputs import Outputs, check_targets
    from bnfold.pruning import PruneJob, read_channels

    json_file = None if json_target in (None, "-") else Path(json_target)
    extra = () if json_file is None else (json_file,)
    with one_line_errors(), Outputs() as outputs:
        named = None if channels is None else read_channels(channels)
        wish = Slimming(ratio, threshold, named, multiple, least, exclude)
        job = PruneJob.of(model, weights, output_model, output_weights, Options(), wish, merge)
        if dry_run:
            check_targets(extra, [model, weights], force)
            report = job.rehearse()
        else:
            job.files.check_targets(force, extra)
            report = job.write(outputs)
        if json_file is not None:
            outputs.write(json_file, json_bytes(report))
    show(report, to_json=json_target == "-", quiet=quiet)
