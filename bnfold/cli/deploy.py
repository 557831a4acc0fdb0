"""`bnfold deploy`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bnfold.cli.options import (
    FILE,
    OUTPUT,
    JsonTarget,
    loose_pair_options,
    report_options,
    root_option,
)
from bnfold.cli.preprocess_options import PREPROCESS, given_preprocess_options
from bnfold.cli.usage import not_with, only_with

_CALIBRATION = "--to-calibration"
_WRITING = ("output_model", "dry_run", "force", "json_file")
_DEPLOYING = ("inputs", "phase", "strip", "modern", "merge", "weights", "preprocess_file")


class _Input(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """NAME:N,C,H,W."""

    name = "NAME:N,C,H,W"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if not isinstance(value, str):
            return value
        name, colon, shape = value.rpartition(":")
        lengths = shape.replace(" ", "").split(",")
        if not name or not colon or not all(_is_length(length) for length in lengths):
            self.fail(
                f"'{value}' is no input; give its name and shape, as data:1,3,224,224", param, ctx
            )
        return name, tuple(map(int, lengths))


def _is_length(word: str) -> bool:
    return word.isascii() and word.isdigit() and int(word[:10]) > 0 and len(word) < 10


@click.command(
    epilog="The outputs appear whole or not at all, and the inputs are never touched. The diff of "
    "the prototxt shows what the options ask for, and nothing else.",
)
@loose_pair_options("only the prototxt is written")
@click.option(
    "--input",
    "inputs",
    type=_Input(),
    multiple=True,
    help="The shape of an input that the data layer does not tell; may be given again.",
)
@click.option(
    "--phase",
    type=click.Choice(["TEST", "TRAIN"]),
    help="The phase to read; the result is written for TEST.  [default: TEST, or TRAIN if the file "
    "has only that]",
)
@click.option(
    "--batch",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many images an input takes whose shape the data layer tells  [default: 1], or are "
    "read at once with --to-calibration  [default: as the input has it].",
)
@click.option(
    "--strip",
    is_flag=True,
    help="Take out what is for training alone: fillers, lr_mult and decay_mult, loss_weight; in "
    "the weights, gradients and layers that are gone.",
)
@click.option(
    "--modern", is_flag=True, help="Put legacy inputs and V1 layers into the form of today."
)
@click.option("--merge", is_flag=True, help="Fold the result, too, as `bnfold merge` does.")
@click.option(
    "--output-model",
    type=OUTPUT,
    metavar="P",
    help="Where to write the prototxt  [default: train_val.deploy.prototxt beside the input]",
)
@click.option(
    "--output-weights",
    type=OUTPUT,
    metavar="P",
    help="Where to write the caffemodel  [default: x.deploy.caffemodel beside the input]",
)
@click.option(
    "--preprocess-file",
    type=OUTPUT,
    metavar="P",
    help="Where to write the preprocessing of the data layer, for `bnfold accuracy`  [default: "
    "train_val.deploy.preprocess.toml beside the prototxt]",
)
@click.option(
    _CALIBRATION,
    "images",
    type=FILE,
    metavar="LIST",
    help="The way back, for tools that quantise: have the input of a deploy definition read the "
    "images of this list, with the preprocessing that is given here.",
)
@root_option
@given_preprocess_options
@click.option("--dry-run", is_flag=True, help="Compute everything, write no network.")
@report_options
def deploy(
    model: Path,
    weights: Path | None,
    inputs: tuple[tuple[str, tuple[int, ...]], ...],
    images: Path | None,
    root: Path | None,
    preprocess: Any,
    json_target: JsonTarget,
    quiet: bool,
    **values: Any,
) -> None:
    """Make the definition that a network is used with of the one that it was trained with.

    Data layers become inputs, losses the scores that they compare; what labels feed and what only
    judges goes, as do layers of the other phase. What the result computes is what the training
    definition computes in phase TEST.

    \b
    Examples:
      bnfold deploy --model train_val.prototxt
      bnfold deploy --model train.prototxt --input data:1,3,300,300 --strip
      bnfold deploy --model train_val.prototxt --weights x.caffemodel --merge
      bnfold deploy --model deploy.prototxt --to-calibration val.txt --mean-value 104,117,123
    """
    only_with(_CALIBRATION, images is not None, ["root", *PREPROCESS])
    not_with(_CALIBRATION, images is not None, _DEPLOYING)
    if values["merge"] and weights is None:
        raise click.UsageError("--merge has no effect without --weights; give both")
    import bnfold
    from bnfold.cli.failed import printing_failure
    from bnfold.cli.terminal import say, say_json, warn

    shapes = dict(inputs)
    if len(shapes) < len(inputs):
        raise click.UsageError("--input gives one input two shapes; give one")
    batch, values["json_file"] = values.pop("batch"), json_target.file
    with printing_failure(json_target):
        if images is None:
            report = bnfold.deploy(model, weights, inputs=shapes, batch=batch or 1, **values)
        else:
            told = {name: values[name] for name in _WRITING}
            how = {"root": root, "preprocess": preprocess, "batch": batch}
            report = bnfold.to_calibration(model, images, **how, **told)
    warn(*report.warnings)
    if report.merged is not None:
        warn(*report.merged.plan.warnings)
    if json_target.printed:
        say_json(report)
    elif not quiet:
        say(*report.lines())
