"""Run one network on inputs, and keep what it gives: `bnfold.run`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bnfold.aliases import PathLike, Progress
from bnfold.caffemodel import open_weights
from bnfold.checks.feeds.arrays import Stacked, save_arrays
from bnfold.checks.feeds.choose import RunOptions
from bnfold.checks.running.report import Given, RunReport
from bnfold.errors import BnfoldError
from bnfold.graph import build
from bnfold.network_files import NetworkFiles
from bnfold.one_line import one_line_errors
from bnfold.outputs import recorded, settle
from bnfold.prototxt import load
from bnfold.runtimes import Place, Session, pick
from bnfold.spelling import did_you_mean


def run(
    model: PathLike,
    weights: PathLike,
    *,
    blobs: Sequence[str] = (),
    output: PathLike | None = None,
    save_inputs: PathLike | None = None,
    options: RunOptions | None = None,
    json_file: PathLike | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> RunReport:
    """Run a network in an engine, and write what it gives.

    Args:
        model: the prototxt.
        weights: its caffemodel.
        blobs: what to keep, by the names of blobs; by default the network's outputs. Of a blob that
            layers work on in place, it is what the last of them leaves.
        output: where to write it, as an .npz file with an array for each blob; None to only look
            at it.
        save_inputs: where to write what was fed, likewise.
        options: the inputs and the engine.
        json_file: where to write the report as JSON, too.
        force: replace files that exist.
        progress: is told after every batch how many are done, and of how many.

    Raises:
        BnfoldError: a file or an option cannot be used, there is no such blob, or no engine can
            run the network.
    """
    chosen = options or RunOptions()
    files = NetworkFiles(Path(model), Path(weights))
    read = [*files, chosen.images, chosen.inputs]
    targets = [path for path in (output, save_inputs) if path is not None]
    told = {**vars(chosen), "blobs": list(blobs)}
    with (
        one_line_errors(),
        recorded(read, targets, json_file=json_file, force=force, options=told) as record,
    ):
        settle(files)
        with (
            open_weights(files.weights) as stored,
            pick(
                chosen.runtime, [files], threads=chosen.threads, caffe_root=chosen.caffe_root
            ) as picked,
        ):
            (session,) = picked.sessions
            inputs = chosen.open(
                files.model, build(load(files.model), weights=stored), session.inputs
            )
            places = _places(files.model, session, blobs)
            fed, given = Stacked(), Stacked()
            for number, feeds in enumerate(inputs):
                fed.add(feeds)
                given.add({str(name): value for name, value in session.run(feeds, places).items()})
                if progress is not None:
                    progress(number + 1, inputs.runs)
            found = given.arrays()
            for path, stacked in ((output, given), (save_inputs, fed)):
                save_arrays(record.outputs, path, stacked)
            values = tuple(Given.of(name, array) for name, array in found.items())
            target = None if output is None else Path(output)
            return record.save(
                RunReport(
                    *files, picked.why, str(inputs), inputs.images, values, target,
                    tuple(session.notes),
                )
            )  # fmt: skip


def _places(model: Path, session: Session, blobs: Sequence[str]) -> list[Place]:
    known = {name for layer in session.layers for name in layer.tops} | set(session.inputs)
    for name in blobs:
        if name not in known:
            raise BnfoldError(f"{model}: no blob is named '{name}'{did_you_mean(name, known)}")
    return list(dict.fromkeys(blobs)) or list(session.outputs)
