"""`bnfold bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bnfold.cli.options import (
    JsonTarget,
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
    json_target: JsonTarget,
    quiet: bool,
    **options: Any,
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
    check_json_only(json_target.file)
    check_engine(options["runtime"])
    not_with("--repeats", options["repeats"] is not None, ["seconds"])
    import bnfold
    from bnfold.cli.bench_printing import show
    from bnfold.cli.progress import progress

    with progress("loading", quiet) as tell:
        report = bnfold.bench(
            model,
            weights,
            json_file=json_target.file,
            progress=lambda what, done: tell(done, 1, what),
            **options,
        )
    show(report, to_json=json_target.printed, quiet=quiet)
