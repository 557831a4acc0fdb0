"""`bnfold prove`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bnfold.cli.fold_options import fold_options, merge_options
from bnfold.cli.options import JsonTarget, folded_options, pair_options, report_options
from bnfold.cli.usage import check_json_only
from bnfold.errors import CheckFailedError


@click.command(
    epilog="Exit codes: 0 proved, 1 a number is wrong or a step does not follow, 2 bad input.",
)
@pair_options
@folded_options
@fold_options(
    *("phase", "eps", "bn_dialect", "treat_as"),
    *("input_mean", "input_scale", "input_swap", "input_blob"),
)
@click.option(
    "--ulps",
    type=float,
    default=1.0,
    show_default=True,
    metavar="U",
    help="By how many units in its last place a stored number may be off.",
)
@click.option("--layers", is_flag=True, help="List what was proved of each layer.")
@report_options
def prove(
    model: Path,
    weights: Path,
    folded_model: Path | None,
    folded_weights: Path | None,
    ulps: float,
    layers: bool,
    force: bool,
    json_target: JsonTarget,
    quiet: bool,
    **values: Any,
) -> None:
    """Prove from the files that the folded network is the same function; no engine is needed.

    Every number of the folded network is held against what the original makes it, whichever tool
    folded it. The first that is wrong is named, with its layer, channel and place.

    \b
    Examples:
      bnfold prove --model deploy.prototxt --weights x.caffemodel
      bnfold prove a.prototxt a.caffemodel --folded-model b.prototxt --folded-weights b.caffemodel
    """
    check_json_only(json_target.file)
    import bnfold
    from bnfold.cli.prove_printing import show

    options = merge_options(values)
    found = bnfold.prove(
        model,
        weights,
        folded_model=folded_model,
        folded_weights=folded_weights,
        phase=options.phase,
        eps=options.eps,
        bn_dialect=options.bn_dialect,
        treat_as=options.treat_as,
        input_mean=options.input_mean,
        input_scale=options.input_scale,
        input_swap=options.input_swap,
        input_blob=options.input_blob,
        ulps=ulps,
        json_file=json_target.file,
        force=force,
    )
    show(found, listed=layers, to_json=json_target.printed, quiet=quiet)
    if not found.proved:
        raise CheckFailedError(found.failure)
