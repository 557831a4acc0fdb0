"""`bnfold accuracy`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bnfold.cli.options import (
    FILE,
    folded_options,
    label_options,
    pair_options,
    report_options,
    root_option,
    runtime_options,
)
from bnfold.cli.preprocess_options import preprocess_options
from bnfold.cli.usage import check_engine, check_json_only

if TYPE_CHECKING:
    from bnfold.checks.accuracy_report import AccuracyReport, Answer
    from bnfold.checks.preprocess import PreprocessOptions

_SHOWN = 20


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
@runtime_options
@report_options
def accuracy(
    model: Path,
    weights: Path,
    preprocess: PreprocessOptions,
    top: str | None,
    batch: int | None,
    json_target: str | None,
    force: bool,
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
    check_json_only(json_target)
    check_engine(options["runtime"])
    import bnfold
    from bnfold.checks.accuracy import BATCH
    from bnfold.cli.progress import progress
    from bnfold.cli.terminal import json_bytes, say, say_json, warn
    from bnfold.errors import CheckFailedError
    from bnfold.jobs import folded_name, one_line_errors
    from bnfold.outputs import Outputs

    json_file = None if json_target in (None, "-") else Path(json_target)
    with one_line_errors(), Outputs() as outputs:
        if json_file is not None:
            inputs = [model, weights, options["folded_model"] or folded_name(model)]
            inputs += [options["folded_weights"] or folded_name(weights), options["images"]]
            outputs.claim([json_file], inputs, force)
        with progress("measuring", quiet, unit="images") as tell:
            report = bnfold.accuracy(
                model,
                weights,
                preprocess=preprocess,
                top=_numbers(top),
                batch=BATCH if batch is None else batch,
                progress=tell,
                **options,
            )
        if json_file is not None:
            outputs.write(json_file, json_bytes(report))
    warn(*_warnings(report))
    if json_target == "-":
        say_json(report)
    elif not quiet:
        say(*_lines(report))
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


def _lines(report: AccuracyReport) -> list[str]:
    lines = [f"engine {report.engine}", f"images {report.images} of {report.source}"]
    if report.bad:
        lines[-1] += f", {len(report.bad)} unreadable ones passed over"
    for changed in report.changed[:_SHOWN]:
        label = "" if changed.label is None else f" (class {changed.label})"
        lines.append(
            f"changed {changed.name}{label}: {_answer(changed.before)} -> {_answer(changed.after)}"
        )
    if len(report.changed) > _SHOWN:
        lines.append(f"changed: {len(report.changed) - _SHOWN} more, all of them in the --json")
    lines += metric_lines(report)
    same = report.images - len(report.changed)
    where = f" ({report.largest_at})" if report.largest_at else ""
    lines.append(
        f"same answer on {same} of {report.images} images; largest difference of a score "
        f"{report.largest_difference:.3g}{where}"
    )
    share = report.engine_seconds / report.seconds if report.seconds else 1.0
    lines.append(f"{report.seconds:.1f} s, {100 * share:.0f} % of them in the engine")
    return lines


def metric_lines(report: AccuracyReport) -> list[str]:
    """A line for each kind of accuracy, before and after."""
    from bnfold.checks.accuracy_report import percent

    lines = []
    for metric in report.metrics:
        right = ""
        if metric.right_before is not None:
            right = f" ({metric.right_before} -> {metric.right_after} of {report.images})"
        drop = float(metric.drop)
        move = "the same" if not drop else f"{abs(drop):.4g} points {'lost' if drop > 0 else 'won'}"
        lines.append(
            f"{metric.name} {percent(metric.before)} -> {percent(metric.after)}{right}, {move}"
        )
    return lines


def _answer(answer: Answer) -> str:
    return "nothing" if answer.label is None else f"{answer.label} at {answer.score:.4f}"
