"""`bnfold merge`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from bnfold.cli.fold_options import FoldCommand, fold_options, merge_options
from bnfold.cli.merge_verify import show_verification, verify_options
from bnfold.cli.numpy_import import import_numpy
from bnfold.cli.options import (
    FILE,
    OUTPUT,
    JsonTarget,
    pair_options,
    report_options,
    runtime_options,
    tolerance_option,
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
@click.option(
    "--onto",
    type=FILE,
    metavar="PROTOTXT",
    help="Write weights for this file, which must be the folded network under any names, and no "
    "prototxt; MODEL may be a training definition.",
)
@fold_options()
@click.option("--dry-run", is_flag=True, help="Compute everything, write no network.")
@click.option(
    "--verify",
    is_flag=True,
    help="Before the outputs take their names, run both networks in an engine; if they are not "
    "the same function, write nothing and exit with 1.",
)
@tolerance_option("For --verify: ")
@click.option(
    "--prove",
    is_flag=True,
    help="Prove from the files that both networks are one function; a warning says where that "
    "fails.",
)
@click.option(
    "--require-complete",
    is_flag=True,
    help="If a batch norm or another per-channel layer stays, in whatever form, write nothing and "
    "exit with 1.",
)
@click.option(
    "--attest",
    type=OUTPUT,
    metavar="P",
    help="Write an unsigned in-toto Statement about the outputs to file P, too.",
)
@runtime_options
@report_options
def merge(
    model: Path,
    weights: Path,
    output_model: Path | None,
    output_weights: Path | None,
    onto: Path | None,
    dry_run: bool,
    verify: bool,
    tolerances: Sequence[tuple[str, float]],
    prove: bool,
    require_complete: bool,
    attest: Path | None,
    runtime: str,
    caffe_root: Path | None,
    threads: int | None,
    force: bool,
    json_target: JsonTarget,
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
      bnfold merge --model train_val.prototxt --weights x.caffemodel --onto deploy.prototxt
      bnfold merge --model deploy.prototxt --weights x.caffemodel --dry-run --json -
    """
    how = verify_options(verify, dry_run, values["phase"], tolerances, runtime, caffe_root, threads)
    import_numpy()
    import bnfold
    from bnfold.cli.failed import printing_failure
    from bnfold.cli.printing import show
    from bnfold.cli.progress import progress

    options = merge_options(values)
    with printing_failure(json_target, quiet), progress("merging", quiet or not verify) as tell:
        report = bnfold.merge(
            model,
            weights,
            options,
            output_model=output_model,
            output_weights=output_weights,
            dry_run=dry_run,
            force=force,
            require_complete=require_complete,
            verify=how or False,
            prove=prove,
            attest=attest,
            onto=onto,
            json_file=json_target.file,
            progress=lambda done, total: tell(done, total, "verifying"),
        )
    show(report, to_json=json_target.printed, quiet=quiet)
    show_verification(report, quiet=quiet or json_target.printed)
