"""`bnfold prune`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bnfold.cli.fold_options import fold_options
from bnfold.cli.numpy_import import import_numpy
from bnfold.cli.options import (
    FILE,
    OUTPUT,
    JsonTarget,
    label_options,
    pair_options,
    report_options,
    root_option,
    runtime_options,
)
from bnfold.cli.preprocess_options import PREPROCESS, preprocess_options
from bnfold.cli.usage import RUNTIME, check_engine, not_with, only_with

_MEASURING = ("root", "limit", "output_blob", "annotations", "labelmap")


@click.command(
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
    images: Path | None,
    max_drop: str | None,
    dry_run: bool,
    json_target: JsonTarget,
    quiet: bool,
    **values: Any,
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
    checks = {name: values.pop(name) for name in (*_MEASURING, "preprocess", *RUNTIME)}
    ways = (values["ratio"], values["threshold"], values["channels"])
    if sum(given is not None for given in ways) != 1:
        raise click.UsageError("give one of --ratio, --threshold and --channels")
    only_with("--images", images is not None, ["max_drop", *_MEASURING, *PREPROCESS, *RUNTIME])
    not_with("--channels", values["channels"] is not None, ["round_to", "min_channels"])
    check_engine(checks["runtime"])
    if images is not None and dry_run:
        raise click.UsageError("--dry-run writes no network to measure; choose one of the two")
    import_numpy()
    import bnfold
    from bnfold.cli.failed import printing_failure
    from bnfold.cli.progress import progress
    from bnfold.cli.prune_printing import show

    accuracy = None
    if images is not None:
        accuracy = bnfold.AccuracyOptions(images, max_drop=max_drop, **checks)
    with printing_failure(json_target), progress("pruning", quiet or images is None) as tell:
        report = bnfold.prune(
            model,
            weights,
            accuracy=accuracy,
            dry_run=dry_run,
            json_file=json_target.file,
            progress=lambda done, total: tell(done, total, "measuring"),
            **values,
        )
    show(report, to_json=json_target.printed, quiet=quiet)
