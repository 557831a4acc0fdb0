"""Whether two networks are the same function: `bnfold.verify`."""

from __future__ import annotations

from bnfold.aliases import PathLike, Progress
from bnfold.checks.equality.comparing import Kept, compare_networks
from bnfold.checks.equality.options import VerifyOptions
from bnfold.checks.equality.training import fed
from bnfold.checks.equality.verification import Verification
from bnfold.checks.feeds.arrays import save_arrays
from bnfold.errors import BnfoldError
from bnfold.fold import MergeOptions, Plan
from bnfold.fold.inputs.steps import InputSteps
from bnfold.merging.job import plan_only
from bnfold.network_files import PairFiles
from bnfold.one_line import one_line_errors
from bnfold.outputs import recorded


def verify(
    model: PathLike,
    weights: PathLike,
    *,
    folded_model: PathLike | None = None,
    folded_weights: PathLike | None = None,
    options: VerifyOptions | None = None,
    save_inputs: PathLike | None = None,
    save_outputs: PathLike | None = None,
    json_file: PathLike | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Verification:
    """Run a network and its folded version on the same inputs in an engine, and compare.

    No engine can be fed through a data layer: a training definition is run as `deploy` writes it,
    in phase TEST, with inputs as large as the other network's.

    Args:
        model: the original prototxt.
        weights: its caffemodel.
        folded_model: the folded prototxt; by default what `merge` would have called it.
        folded_weights: the folded caffemodel, likewise.
        options: the inputs, the tolerance, the engine; see VerifyOptions for the defaults.
        save_inputs: where to write what was fed, as an .npz file with an array for each input.
        save_outputs: where to write the outputs and scores of the original, likewise by name.
        json_file: where to write what was found as JSON, too.
        force: replace files that exist.
        progress: is told after every batch how many are done, and of how many.

    Returns:
        What was found; `passed` says whether the two are the same function, and `failure` why not.

    Raises:
        BnfoldError: a file or an option cannot be used, or no engine can run the networks.
    """
    with one_line_errors():
        files = PairFiles.of(model, weights, folded_model, folded_weights)
        chosen = options or VerifyOptions()
        read, told = [*files.all, chosen.images, chosen.inputs], vars(chosen)
        saved = [path for path in (save_inputs, save_outputs) if path is not None]
        with recorded(read, saved, json_file=json_file, force=force, options=told) as record:
            plan = _default_plan(files, chosen.input_steps)
            kept = Kept() if saved else None
            chosen = chosen.knowing(plan.altered, plan.ahead)
            found = compare_networks(files, chosen, progress, kept)
            if kept is not None:
                save_arrays(record.outputs, save_inputs, kept.inputs)
                save_arrays(record.outputs, save_outputs, kept.outputs)
            return record.save(found)


def _default_plan(files: PairFiles, steps: InputSteps | None) -> Plan:
    """What a merge with default options does, which other options do no more than."""
    files.ready()
    given = {} if steps is None else {f"input_{name}": value for name, value in vars(steps).items()}
    try:
        with fed(files) as run:
            original = run.files.original
            return plan_only(original.model, original.weights, MergeOptions(**given)).plan
    except BnfoldError:
        # Only --bn-dialect, say, makes sense of this network; then all layers are compared.
        return Plan()
