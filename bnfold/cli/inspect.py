"""`bnfold inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bnfold.cli.fold_options import FoldCommand, fold_options, merge_options
from bnfold.cli.numpy_import import import_numpy
from bnfold.cli.options import JsonTarget, loose_pair_options, report_options
from bnfold.cli.usage import check_json_only, not_with


@click.command(cls=FoldCommand)
@loose_pair_options("the plan is made from the prototxt alone")
@fold_options()
@click.option(
    "--for",
    "reader",
    type=click.Choice(["bvlc", "opencv4", "ncnn", "mnn"]),
    help="List what that reader of Caffe's files does not load, or loses without a word, instead.",
)
@report_options
def inspect(
    model: Path,
    weights: Path | None,
    reader: str | None,
    force: bool,
    json_target: JsonTarget,
    quiet: bool,
    **values: Any,
) -> None:
    """Show what `merge` would do, and write no network.

    Every batch norm and other per-channel layer is listed: what it goes into, or what it
    becomes, and why it could not go further.

    \b
    Examples:
      bnfold inspect --model deploy.prototxt
      bnfold inspect --model deploy.prototxt --weights x.caffemodel --json plan.json
      bnfold inspect --model deploy.prototxt --for opencv4
    """
    check_json_only(json_target.file)
    not_with("--for", reader is not None, [name for name in values if name != "phase"])
    if reader is not None:
        _show_problems(reader, model, weights, values["phase"], force, json_target, quiet)
        return
    import_numpy()
    import bnfold
    from bnfold.cli.printing import show

    report = bnfold.inspect(
        model, weights, merge_options(values), json_file=json_target.file, force=force
    )
    show(report, to_json=json_target.printed, quiet=quiet)


def _show_problems(
    reader: str,
    model: Path,
    weights: Path | None,
    phase: str,
    force: bool,
    json_target: JsonTarget,
    quiet: bool,
) -> None:
    """Print what a reader does not load of a network."""
    import bnfold
    from bnfold.cli.terminal import say, say_json

    report = bnfold.inspect_for(
        reader, model, weights, phase=phase, json_file=json_target.file, force=force
    )
    if json_target.printed:
        say_json(report)
    elif not quiet:
        say(*report.lines())
