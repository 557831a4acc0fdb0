"""`bnfold bench`."""

from __future__ import annotations

from pathlib import Path

import click

from bnfold.cli.options import (
    folded_options,
    pair_options,
    report_options,
    runtime_options,
)
from bnfold.cli.usage import check_engine, check_json_only, not_with


@click.command(
    epilog="A ratio below 1 means that the folded network is faster. The limit is the ratio if "
    "folding saved exactly the time that the engine's own profile gives to the removed layers. "
    "Brackets hold the quartiles of times, and what the median of ratios is in with 95 %."
)
@pair_options
@folded_options
@click.option(
    "--batch",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many inputs go through at once  [default: what the prototxt says]",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    metavar="S",
    default=5.0,
    show_default=True,
    help="How long to compare, in each setting of the engine; never fewer than 10 rounds.",
)
@click.option(
    "--repeats",
    type=click.IntRange(min=1),
    metavar="N",
    help="Make exactly N rounds, however long they take.",
)
@runtime_options
@report_options
def bench(
    model: Path,
    weights: Path,
    folded_model: Path | None,
    folded_weights: Path | None,
    batch: int | None,
    seconds: float,
    repeats: int | None,
    runtime: str,
    caffe_root: Path | None,
    threads: int | None,
    force: bool,
    json_target: str | None,
    quiet: bool,
) -> None:
    """Measure how much faster the folded network is.

    Both networks run in turns in one process, on random inputs. Where the engine can merge
    layers on its own, that is switched off first and then on, to show what it had done anyway.

    \b
    Examples:
      bnfold bench --model deploy.prototxt --weights x.caffemodel
      bnfold bench --model deploy.prototxt --weights x.caffemodel \\
          --runtime opencv --threads 1 --batch 8 --seconds 20 --json -
    """
    check_json_only(json_target)
    check_engine(runtime)
    not_with("--repeats", repeats is not None, ["seconds"])
    import bnfold
    from bnfold.cli.bench_printing import show
    from bnfold.cli.progress import progress
    from bnfold.cli.terminal import json_bytes
    from bnfold.jobs import folded_name, one_line_errors
    from bnfold.outputs import Outputs

    json_file = None if json_target in (None, "-") else Path(json_target)
    folded_model = folded_model or folded_name(model)
    folded_weights = folded_weights or folded_name(weights)
    with one_line_errors(), Outputs() as outputs:
        if json_file is not None:
            outputs.claim([json_file], [model, weights, folded_model, folded_weights], force)
        with progress("loading", quiet) as tell:
            report = bnfold.bench(
                model,
                weights,
                folded_model=folded_model,
                folded_weights=folded_weights,
                batch=batch,
                threads=threads,
                seconds=seconds,
                repeats=repeats,
                runtime=runtime,
                caffe_root=caffe_root,
                progress=lambda what, done: tell(done, 1, what),
            )
        if json_file is not None:
            outputs.write(json_file, json_bytes(report))
    show(report, to_json=json_target == "-", quiet=quiet)
