"""`bnfold run`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bnfold.cli.input_options import chosen_inputs, input_options
from bnfold.cli.options import OUTPUT, JsonTarget, pair_options, report_options, runtime_options
from bnfold.cli.usage import check_engine, not_with, only_with


@click.command()
@pair_options
@input_options
@click.option(
    "--blob",
    "blobs",
    multiple=True,
    metavar="NAME",
    help="Keep the blob of this name; may be given again  [default: the outputs]",
)
@click.option("--output", type=OUTPUT, metavar="P.npz", help="Write what is kept to this file.")
@runtime_options
@report_options
def run(
    model: Path,
    weights: Path,
    blobs: tuple[str, ...],
    output: Path | None,
    save_inputs: Path | None,
    runtime: str,
    caffe_root: Path | None,
    threads: int | None,
    force: bool,
    json_target: JsonTarget,
    quiet: bool,
    **values: Any,
) -> None:
    """Run a network in a real engine, and keep what it gives.

    The same inputs can then be fed on a device, and what that gives be compared with verify
    --recorded.

    \b
    Examples:
      bnfold run deploy.prototxt x.caffemodel --save-inputs in.npz --output out.npz
      bnfold run deploy.prototxt x.caffemodel --images photos/ --blob fc7 --output features.npz
    """
    files = json_target.file or output or save_inputs
    only_with("--json FILE, --output or --save-inputs", files is not None, ["force"])
    check_engine(runtime)
    inputs = chosen_inputs(values)
    not_with("--inputs", inputs["inputs"] is not None, ["seed"])
    not_with("--images", inputs["images"] is not None, ["seed"])
    import bnfold
    from bnfold.cli.progress import progress
    from bnfold.cli.terminal import say, say_json, warn

    options = bnfold.RunOptions(**inputs, runtime=runtime, threads=threads, caffe_root=caffe_root)
    with progress("running", quiet, unit="inputs") as tell:
        report = bnfold.run(
            model,
            weights,
            blobs=blobs,
            output=output,
            save_inputs=save_inputs,
            options=options,
            json_file=json_target.file,
            force=force,
            progress=tell,
        )
    warn(*report.notes)
    if json_target.printed:
        say_json(report)
    elif not quiet:
        say(*report.lines())
