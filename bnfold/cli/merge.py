"""`bnfold merge`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bnfold.cli.fold_options import FoldCommand, fold_options, merge_options
from bnfold.cli.options import (
    OUTPUT,
    pair_options,
    report_options,
    runtime_options,
)


@click.command(
    cls=FoldCommand,
    epilog="The outputs appear whole or not at all, and the inputs are never touched. "
    "What is kept stays exactly as it was; the report says why.",
)
@pair_options
@click.option(
    "--output-model",
    type=OUTPUT,
    metavar="P",
    help="Where to write the prototxt  [default: deploy.folded.prototxt beside the input]",
)
@click.option(
    "--output-weights",
    type=OUTPUT,
    metavar="P",
    help="Where to write the caffemodel  [default: x.folded.caffemodel beside the input]",
)
@fold_options()
@click.option("--dry-run", is_flag=True, help="Compute everything, write no network.")
@click.option(
    "--verify",
    is_flag=True,
    help="Before the outputs take their names, run both networks in an engine; if they are not "
    "the same function, write nothing and exit with 1.",
)
@click.option(
    "--tolerance",
    type=float,
    metavar="T",
    help="For --verify: the largest difference, as a share of a value's magnitude  "
    "[default: measured]",
)
@click.option(
    "--require-complete",
    is_flag=True,
    help="If a batch norm or another per-channel layer stays, in whatever form, write nothing and "
    "exit with 1.",
)
@runtime_options
@report_options
def merge(
    model: Path,
    weights: Path,
    output_model: Path | None,
    output_weights: Path | None,
    dry_run: bool,
    verify: bool,
    tolerance: float | None,
    require_complete: bool,
    runtime: str,
    caffe_root: Path | None,
    threads: int | None,
    force: bool,
    json_target: str | None,
    quiet: bool,
    **values: Any,
) -> None:
    """Fold batch normalisation into the weights, and write the new network.

    Batch norms and other per-channel layers go into the convolution or inner product before
    or behind them. The function stays the same up to float rounding; whatever cannot be folded
    exactly becomes one Scale, and is named with the reason.

    \b
    Examples:
      bnfold merge --model deploy.prototxt --weights x.caffemodel
      bnfold merge --model deploy.prototxt --weights x.caffemodel \\
          --output-model out/deploy.prototxt --output-weights out/x.caffemodel --force
      bnfold merge --model deploy.prototxt --weights x.caffemodel --verify --runtime opencv
      bnfold merge --model deploy.prototxt --weights x.caffemodel --dry-run --json -
    """
    from bnfold.cli.failed import reporting_failure
    from bnfold.cli.merge_verify import proof, show_proof
    from bnfold.cli.printing import show
    from bnfold.cli.terminal import json_bytes
    from bnfold.jobs import MergeJob, one_line_errors
    from bnfold.outputs import Outputs
    from bnfold.report import check_complete

    options = merge_options(values)
    check = proof(verify, dry_run, options.phase.value, tolerance, runtime, caffe_root, threads)
    job = MergeJob.of(model, weights, output_model, output_weights, options)
    json_file = None if json_target in (None, "-") else Path(json_target)
    extra = () if json_file is None else (json_file,)
    failing = reporting_failure(json_target, [model, weights], force)
    with one_line_errors(), failing, Outputs() as outputs:
        if dry_run:
            outputs.claim(extra, [model, weights], force)
            report = job.rehearse()
            check_complete(report, require_complete)
        else:
            job.claim(outputs, force, extra)
            report = job.write(outputs)
            check_complete(report, require_complete)
            report = check(report, outputs, quiet)
        if json_file is not None:
            outputs.write(json_file, json_bytes(report))
    show(report, to_json=json_target == "-", quiet=quiet)
    show_proof(report, quiet=quiet or json_target == "-")
