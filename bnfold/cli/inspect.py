"""`bnfold inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bnfold.cli.fold_options import fold_options, merge_options
from bnfold.cli.options import JsonTarget, loose_pair_options, report_options
from bnfold.cli.usage import check_json_only


@click.command()
@loose_pair_options
@fold_options()
@report_options
def inspect(
    model: Path,
    weights: Path | None,
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
    """
    check_json_only(json_target.file)
    import bnfold
    from bnfold.cli.printing import show

    report = bnfold.inspect(
        model, weights, merge_options(values), json_file=json_target.file, force=force
    )
    show(report, to_json=json_target.printed, quiet=quiet)
