"""`bnfold inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bnfold.cli.fold_options import FoldCommand, fold_options, merge_options
from bnfold.cli.options import loose_pair_options, report_options
from bnfold.cli.usage import check_json_only


@click.command(cls=FoldCommand)
@loose_pair_options
@fold_options()
@report_options
def inspect(
    model: Path,
    weights: Path | None,
    force: bool,
    json_target: str | None,
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
    """
    check_json_only(json_target)
    from bnfold.cli.printing import show
    from bnfold.cli.terminal import json_bytes
    from bnfold.jobs import one_line_errors, plan_only
    from bnfold.outputs import Outputs

    options = merge_options(values)
    json_file = None if json_target in (None, "-") else Path(json_target)
    with one_line_errors(), Outputs() as outputs:
        if json_file is not None:
            inputs = [model] if weights is None else [model, weights]
            outputs.claim([json_file], inputs, force)
        report = plan_only(model, weights, options)
        if json_file is not None:
            outputs.write(json_file, json_bytes(report))
    show(report, to_json=json_target == "-", quiet=quiet)
