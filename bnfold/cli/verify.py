"""`bnfold verify`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bnfold.cli.input_options import chosen_inputs, input_options
from bnfold.cli.options import (
    OUTPUT,
    JsonTarget,
    folded_options,
    pair_options,
    report_options,
    runtime_options,
    tolerance_option,
    tolerances_of,
)
from bnfold.cli.preprocess_options import INPUT_STEPS, input_step_options
from bnfold.cli.recorded_options import ONLY_OF_TWO, Source, arrays_of, recorded_options
from bnfold.cli.usage import check_engine, not_with, only_with
from bnfold.errors import CheckFailedError

if TYPE_CHECKING:
    from bnfold import DeviceCheck, Verification


@click.command(
    epilog="Exit codes: 0 the same function, 1 not the same, 2 bad input, or no engine can run "
    "the networks. Without --tolerance the limit is 16 times what moving every weight to a "
    "neighbouring float does, measured for each value."
)
@pair_options
@folded_options
@input_options
@input_step_options
@click.option(
    "--save-outputs",
    type=OUTPUT,
    metavar="P.npz",
    help="Write the original's outputs and scores to this file.",
)
@recorded_options
@tolerance_option()
@click.option(
    "--layers",
    is_flag=True,
    help="Compare the layers as well; one past its tolerance fails the check.",
)
@runtime_options
@report_options
def verify(
    model: Path,
    weights: Path,
    folded_model: Path | None,
    folded_weights: Path | None,
    input_steps: Any,
    save_inputs: Path | None,
    save_outputs: Path | None,
    recorded: Sequence[Source],
    recorded_layout: str | None,
    tolerances: Sequence[tuple[str, float]],
    layers: bool,
    runtime: str,
    caffe_root: Path | None,
    threads: int | None,
    force: bool,
    json_target: JsonTarget,
    quiet: bool,
    **values: Any,
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
    files = json_target.file or save_inputs or save_outputs
    only_with("--json FILE, --save-inputs or --save-outputs", files is not None, ["force"])
    check_engine(runtime)
    only_with("--recorded", bool(recorded), ["recorded_layout"])
    not_with("--recorded", bool(recorded), [*ONLY_OF_TWO, *INPUT_STEPS])
    inputs, limits = chosen_inputs(values), tolerances_of(tolerances)
    for name in ("images", "inputs"):
        fixed = inputs[name] is not None and limits["tolerance"] is not None
        not_with(f"--{name} and --tolerance", fixed, ["seed"])
    import bnfold
    from bnfold.cli.progress import progress
    from bnfold.cli.verify_printing import show

    options = bnfold.VerifyOptions(
        **inputs, **limits, layers=layers, input_steps=input_steps,
        runtime=runtime, threads=threads, caffe_root=caffe_root,
    )  # fmt: skip
    common: dict[str, Any] = {
        "options": options, "json_file": json_target.file, "force": force
    }  # fmt: skip
    with progress("verifying", quiet, unit="inputs") as tell:
        common["progress"] = tell
        found: DeviceCheck | Verification
        if recorded:
            arrays = arrays_of(recorded)
            found = bnfold.verify_recorded(model, weights, arrays, layout=recorded_layout, **common)
        else:
            found = bnfold.verify(
                model,
                weights,
                folded_model=folded_model,
                folded_weights=folded_weights,
                save_inputs=save_inputs,
                save_outputs=save_outputs,
                **common,
            )
    show(found, to_json=json_target.printed, quiet=quiet)
    if not found.passed:
        raise CheckFailedError(found.failure)
