"""`bnfold accuracy`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bnfold.cli.options import (
    FILE,
    JsonTarget,
    folded_options,
    label_options,
    pair_options,
    report_options,
    root_option,
    runtime_options,
)
from bnfold.cli.preprocess_options import input_step_options, preprocess_options
from bnfold.cli.usage import check_engine, check_json_only

if TYPE_CHECKING:
    from bnfold.checks.accuracy.report import AccuracyReport
    from bnfold.preprocess_options import PreprocessOptions


@click.command(
    epilog="Exit codes: 0 as accurate as before, 1 the accuracy dropped by more than --max-drop "
    "or is below --min-top1, 2 bad input or usage."
)
@pair_options
@folded_options
@click.option(
    "--images",
    required=True,
    type=FILE,
    metavar="LIST|DIR|LMDB",
    help="A list with `path label` on each line, a folder with one folder for each class, or an "
    "LMDB of Datum records.",
)
@root_option
@click.option(
    "--max-drop",
    default="0",
    show_default=True,
    metavar="POINTS",
    help="How many points (hundredths) of accuracy may be lost, of each kind that is reported.",
)
@click.option(
    "--min-top1",
    metavar="PERCENT",
    help="Fail, too, if the folded network is right about fewer of the images than this.",
)
@click.option("--top", metavar="K[,K...]", help="Which top-k to count  [default: 1,5]")
@click.option(
    "--batch",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many images go through at once  [default: 8]",
)
@click.option(
    "--limit", type=click.IntRange(min=1), metavar="N", help="Take only the first N images."
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many threads read images  [default: one for each processor, at most 8]",
)
@click.option(
    "--max-bad",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="N",
    help="How many unreadable images to pass over.",
)
@label_options
@preprocess_options
@input_step_options
@runtime_options
@report_options
def accuracy(
    model: Path,
    weights: Path,
    preprocess: PreprocessOptions,
    top: str | None,
    batch: int | None,
    json_target: JsonTarget,
    quiet: bool,
    **options: Any,
) -> None:
    """Compare the accuracy of the folded network with the original's, on your images.

    Both networks run on the same batches. Reported are top-k accuracy (mean average precision
    for detection networks), every image whose answer changed, and the largest difference of a
    score. What preprocessing is not given is taken from the model.

    \b
    Examples:
      bnfold accuracy --model deploy.prototxt --weights x.caffemodel --images val.txt \\
          --mean-value 104,117,123 --resize 256 --crop 224
      bnfold accuracy --model deploy.prototxt --weights x.caffemodel --images val_lmdb \\
          --mean-file mean.binaryproto --crop 227 --max-drop 0.1 --json accuracy.json
    """
    check_json_only(json_target.file)
    check_engine(options["runtime"])
    import bnfold
    from bnfold.checks.accuracy.measure import BATCH
    from bnfold.cli.progress import progress
    from bnfold.cli.terminal import say, say_json, warn
    from bnfold.errors import CheckFailedError

    with progress("measuring", quiet, unit="images") as tell:
        report = bnfold.accuracy(
            model,
            weights,
            preprocess=preprocess,
            top=_numbers(top),
            batch=BATCH if batch is None else batch,
            json_file=json_target.file,
            progress=tell,
            **options,
        )
    warn(*_warnings(report))
    if json_target.printed:
        say_json(report)
    elif not quiet:
        say(*report.lines())
    if report.failure is not None:
        raise CheckFailedError(report.failure)


def _numbers(text: str | None) -> list[int] | None:
    try:
        return None if text is None else [int(number) for number in text.split(",")]
    except ValueError:
        raise click.UsageError(f"--top {text}: give numbers, as 1,5") from None


def _warnings(report: AccuracyReport) -> list[str]:
    found = list(report.notes)
    if report.doubt is not None:
        found.append(report.doubt)
    for count, which in (
        (report.not_finite_before, "original"),
        (report.not_finite_after, "folded"),
    ):
        if count:
            found.append(
                f"the {which} network gives scores that are no finite numbers on {count} of "
                f"{report.images} images, which count as wrong"
            )
    found += [f"passed over {bad.name}: {bad.reason}" for bad in report.bad]
    return found
