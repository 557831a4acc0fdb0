"""`bnfold verify`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from bnfold.cli.options import (
    FILE,
    JsonTarget,
    folded_options,
    pair_options,
    report_options,
    root_option,
    runtime_options,
    tolerance_option,
    tolerances_of,
)
from bnfold.cli.preprocess_options import PREPROCESS, preprocess_options
from bnfold.cli.usage import check_engine, check_json_only, not_with, only_with
from bnfold.errors import CheckFailedError


@click.command(
    epilog="Exit codes: 0 the same function, 1 not the same, 2 bad input, or no engine can run "
    "the networks. Without --tolerance the limit is 16 times what moving every weight to a "
    "neighbouring float does, measured for each value."
)
@pair_options
@folded_options
@click.option(
    "--images",
    type=FILE,
    metavar="DIR|LIST",
    help="Feed these images: a folder, a list file or an LMDB  [default: random inputs]",
)
@root_option
@click.option(
    "--random",
    type=click.IntRange(min=1),
    metavar="N",
    help="Feed N random inputs of the scale that the network was trained on  [default: 8]",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="S",
    help="Seed of everything random.",
)
@tolerance_option()
@click.option(
    "--layers",
    is_flag=True,
    help="Compare the layers as well; one past its tolerance fails the check.",
)
@preprocess_options
@runtime_options
@report_options
def verify(
    model: Path,
    weights: Path,
    folded_model: Path | None,
    folded_weights: Path | None,
    images: Path | None,
    root: Path | None,
    random: int | None,
    seed: int,
    tolerances: Sequence[tuple[str, float]],
    layers: bool,
    preprocess: Any,
    runtime: str,
    caffe_root: Path | None,
    threads: int | None,
    force: bool,
    json_target: JsonTarget,
    quiet: bool,
) -> None:
    """Check in a real engine that the folded network is the same function.

    Both networks get the same inputs, and every output is compared, as is what a last Softmax
    was computed from. Where they differ, the first layer that does is named.

    \b
    Examples:
      bnfold verify --model deploy.prototxt --weights x.caffemodel
      bnfold verify --model deploy.prototxt --weights x.caffemodel --images photos/ --layers
      bnfold verify --model deploy.prototxt --weights x.caffemodel --runtime opencv --json -
    """
    check_json_only(json_target.file)
    check_engine(runtime)
    import bnfold
    from bnfold.cli.progress import progress
    from bnfold.cli.verify_printing import show

    if images is not None and random is not None:
        raise click.UsageError("--images and --random exclude each other; choose one of the two")
    only_with("--images", images is not None, ["root", *PREPROCESS])
    limits = tolerances_of(tolerances)
    both = images is not None and limits["tolerance"] is not None
    not_with("--images and --tolerance", both, ["seed"])
    options = bnfold.VerifyOptions(
        images=images,
        root=root,
        preprocess=preprocess,
        random=8 if random is None else random,
        seed=seed,
        **limits,
        layers=layers,
        runtime=runtime,
        threads=threads,
        caffe_root=caffe_root,
    )
    with progress("verifying", quiet, unit="inputs") as tell:
        found = bnfold.verify(
            model,
            weights,
            folded_model=folded_model,
            folded_weights=folded_weights,
            options=options,
            json_file=json_target.file,
            force=force,
            progress=tell,
        )
    show(found, to_json=json_target.printed, quiet=quiet)
    if not found.passed:
        raise CheckFailedError(found.failure)
