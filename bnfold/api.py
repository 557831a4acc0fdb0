"""The library's front door: `merge`, `inspect`, `deploy`, `prove`, `prune`. They never print."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnfold.aliases import PathLike, Progress
from bnfold.errors import BnfoldError
from bnfold.fold import MergeOptions
from bnfold.graph import Phase
from bnfold.merging.job import MergeJob, plan_only
from bnfold.merging.report import Report, check_complete, check_portable
from bnfold.network_files import PairFiles
from bnfold.one_line import one_line_errors
from bnfold.outputs import described, json_document, recorded

if TYPE_CHECKING:
    from bnfold.checks.accuracy.measured_prune import AccuracyOptions
    from bnfold.checks.equality.options import VerifyOptions
    from bnfold.deploying.report import DeployReport
    from bnfold.preprocess_options import PreprocessOptions
    from bnfold.proving.report import Proof
    from bnfold.pruning.report import PruneReport
    from bnfold.reading.report import ReaderReport
    from bnfold.runtimes import RuntimesReport


def merge(
    model: PathLike,
    weights: PathLike,
    options: MergeOptions | None = None,
    *,
    output_model: PathLike | None = None,
    output_weights: PathLike | None = None,
    dry_run: bool = False,
    force: bool = False,
    require_complete: bool = False,
    verify: bool | VerifyOptions = False,
    prove: bool = False,
    attest: PathLike | None = None,
    onto: PathLike | None = None,
    json_file: PathLike | None = None,
    progress: Progress | None = None,
    **choices: Any,
) -> Report:
    """Fold the batch normalisation of a trained network into its weights.

    Args:
        model: the network's prototxt.
        weights: its caffemodel, binary or HDF5.
        options: how the network is read, what is done to it and how it is stored.
        output_model: where to write the new prototxt; by default beside the old one, as
            `deploy.folded.prototxt`.
        output_weights: where to write the new caffemodel, `x.folded.caffemodel` by default.
        dry_run: compute everything, and write nothing.
        force: replace outputs that exist.
        require_complete: write nothing if an affine layer is left, as it was or as one Scale.
        verify: run both networks in an engine, and write nothing unless they are the same
            function; a VerifyOptions says how.
        prove: prove from the files that the two networks are one function, before the outputs take
            their names; where that fails, they are written all the same, with a warning.
        attest: where to write an in-toto Statement about the outputs, too: what they were made of,
            what was folded, and what `verify` found.
        onto: write weights for this prototxt, which somebody else wrote, which stays as it is and
            which must be the folded network; layers may have other names in it. No prototxt is
            written then. `model` may be a training definition, read as it runs in phase TEST.
        json_file: where to write the report as JSON, too: with the networks, or alone where a check
            fails.
        progress: for `verify`: is told after every batch how many inputs are done, and of how many.
        **choices: fields of `MergeOptions`, each in place of what `options` has.

    Returns:
        What was folded, what was kept and why, and the sizes before and after; with `verify` a
        VerifiedReport, which also has what the verification found.

    Raises:
        BnfoldError: the input cannot be used; the message is one line that says where, what
            and what to do. Nothing has been written then.
        CheckFailedError: `verify` found that the folded network is not the same function,
            `require_complete` that an affine layer is left, or `portable="refuse"` that stock Caffe
            would not load it; its `report` is what this would return.
    """
    options = MergeOptions.of(options, choices)
    if verify and dry_run:
        raise BnfoldError("a dry run writes no network to verify; choose one of the two")
    if verify and options.phase is not Phase.TEST:
        raise BnfoldError("engines run phase TEST, and so cannot verify a merge for TRAIN")
    if prove and (dry_run or onto is not None):
        what = "a dry run writes no network to prove" if dry_run else "a proof goes by names"
        raise BnfoldError(f"{what}; leave out one of the two")
    if attest is not None and dry_run:
        raise BnfoldError("a dry run writes no network to attest; choose one of the two")
    with one_line_errors():
        job = MergeJob.of(model, weights, output_model, output_weights, options, onto=onto)
        targets = () if dry_run else job.targets
        told = {**vars(options), "require_complete": require_complete, "verify": verify}
        told["prove"] = prove
        with recorded(
            job.inputs, targets,
            json_file=json_file, force=force, beside=attest, options=told,
        ) as record:  # fmt: skip
            report = job.rehearse() if dry_run else job.write(record.outputs)
            check_complete(report, require_complete)
            check_portable(report, options.portable == "refuse")
            if prove:
                from bnfold.proving.job import with_proof

                report = with_proof(report, record.outputs, options)
            if verify:
                from bnfold.checks.equality.verified_merge import verified

                how = None if verify is True else verify
                report = verified(report, record.outputs, how, progress)
            report = record.save(report)
            if attest is not None:
                from bnfold.evidence.statement import statement

                target = Path(attest)
                said = statement((str(model), described(report)), [], target)
                record.outputs.write(target, json_document(said))
            return report


def inspect(
    model: PathLike,
    weights: PathLike | None = None,
    options: MergeOptions | None = None,
    *,
    json_file: PathLike | None = None,
    force: bool = False,
    **choices: Any,
) -> Report:
    """Say what `merge` would do, and write nothing.

    Args:
        model: the network's prototxt.
        weights: its caffemodel; without it the plan is made from the prototxt alone.
        options, **choices: as for `merge`.
        json_file: where to write the plan as JSON, too.
        force: replace that file if it exists.

    Returns:
        The plan; its outputs are None.

    Raises:
        BnfoldError: as for `merge`.
    """
    options = MergeOptions.of(options, choices)
    with (
        one_line_errors(),
        recorded(
            [model, weights], json_file=json_file, force=force, options=vars(options)
        ) as record,
    ):
        report = plan_only(Path(model), None if weights is None else Path(weights), options)
        return record.save(report)


def inspect_for(
    reader: str,
    model: PathLike,
    weights: PathLike | None = None,
    *,
    phase: Phase | str = Phase.TEST,
    json_file: PathLike | None = None,
    force: bool = False,
) -> ReaderReport:
    """List what another program does not load of a network, or loses without a word.

    Args:
        reader: the program, "bvlc", "opencv4", "ncnn" or "mnn"; the tables and their sources are in
            `bnfold.graph.readers`.
        model: the network's prototxt.
        weights: its caffemodel, if its blobs are to be looked at, too.
        phase: the phase that the network is for.
        json_file: where to write the list as JSON, too.
        force: replace that file if it exists.

    Raises:
        BnfoldError: there is no table of the reader, or a file cannot be used.
    """
    from bnfold.reading.job import read_for, reader_named

    table, stage = reader_named(reader), Phase.named(phase)
    told = {"reader": reader, "phase": stage}
    with (
        one_line_errors(),
        recorded([model, weights], json_file=json_file, force=force, options=told) as record,
    ):
        report = read_for(Path(model), None if weights is None else Path(weights), table, stage)
        return record.save(report)


def deploy(
    model: PathLike,
    weights: PathLike | None = None,
    *,
    inputs: Mapping[str, Sequence[int]] | None = None,
    phase: Phase | str | None = None,
    batch: int = 1,
    strip: bool = False,
    modern: bool = False,
    merge: bool | MergeOptions = False,
    output_model: PathLike | None = None,
    output_weights: PathLike | None = None,
    preprocess_file: PathLike | None = None,
    dry_run: bool = False,
    force: bool = False,
    json_file: PathLike | None = None,
) -> DeployReport:
    """Make the definition that a network is used with of the one that it was trained with.

    The result computes what the training definition computes in phase TEST.

    Args:
        model: the training definition, a prototxt.
        weights: its caffemodel, binary or HDF5; None to write only the prototxt.
        inputs: shapes of inputs that the data layers do not tell, by the names of their blobs.
        phase: which phase to read; None for TEST, or for TRAIN if the file has only that. The
            result is written for TEST.
        batch: how many images an input takes whose shape the data layer tells.
        strip: take out what is for training alone, in both files.
        modern: put V1 layers and legacy inputs into the form of today.
        merge: fold the result, too; MergeOptions say how.
        output_model: where to write the new prototxt; by default beside the old one, as
            `train_val.deploy.prototxt`.
        output_weights: where to write the new caffemodel, `x.deploy.caffemodel` by default.
        preprocess_file: where to write what the data layer did to images, in the form that
            `bnfold accuracy --preprocess-file` reads; `train_val.deploy.preprocess.toml` beside the
            new prototxt by default. It is written where the data layer tells.
        dry_run: compute everything, and write nothing.
        force: replace outputs that exist.
        json_file: where to write the report as JSON, too.

    Returns:
        What was done to which layer, the inputs, and the preprocessing.

    Raises:
        BnfoldError: the input cannot be used, or the shape of an input is neither told nor given;
            the message is one line that says where, what and what to do. Nothing has been written
            then.
    """
    from bnfold.deploying.job import DeployFiles, DeployJob, DeployOptions

    options = DeployOptions(
        {name: tuple(shape) for name, shape in (inputs or {}).items()},
        None if phase is None else Phase.named(phase),
        batch,
        strip,
        modern,
        (merge if isinstance(merge, MergeOptions) else MergeOptions()) if merge else None,
    )
    if options.merge is not None and weights is None:
        raise BnfoldError("there are no weights to fold; give them, or leave out merge")
    with one_line_errors():
        files = DeployFiles.of(model, weights, output_model, output_weights, preprocess_file)
        job = DeployJob(files, options)
        targets = () if dry_run else job.files.targets
        with recorded(
            [model, weights], targets, json_file=json_file, force=force, options=vars(options)
        ) as record:
            return record.save(job.rehearse() if dry_run else job.write(record.outputs))


def to_calibration(
    model: PathLike,
    images: PathLike,
    *,
    root: PathLike | None = None,
    preprocess: PreprocessOptions | None = None,
    batch: int | None = None,
    output_model: PathLike | None = None,
    dry_run: bool = False,
    force: bool = False,
    json_file: PathLike | None = None,
) -> DeployReport:
    """Have the input of a deploy definition read images, as tools that quantise ask for.

    Its Input becomes an ImageData layer with a second top for the labels of the list.

    Args:
        model: the deploy definition, a prototxt.
        images: a list file, with a path and a label in each line.
        root: where the paths of the list start; its own folder by default.
        preprocess: what is done to the images; what Caffe's ImageData cannot do is refused.
        batch: how many are read at once; the batch of the input by default.
        output_model: where to write the new prototxt; by default beside the old one, as
            `deploy.calibration.prototxt`.
        dry_run: compute everything, and write nothing.
        force: replace outputs that exist.
        json_file: where to write the report as JSON, too.

    Raises:
        BnfoldError: the network has not one input for images, the list cannot be used, or Caffe
            cannot do what `preprocess` says. Nothing has been written then.
    """
    from bnfold.deploying.job import CalibrationJob
    from bnfold.network_files import default_name
    from bnfold.preprocess_options import PreprocessOptions

    if batch is not None and batch < 1:
        raise BnfoldError(f"a batch of {batch} cannot be; give 1 or more")
    with one_line_errors():
        path = Path(model)
        made = default_name(path, "calibration") if output_model is None else Path(output_model)
        start = None if root is None else Path(root)
        options = preprocess or PreprocessOptions()
        job = CalibrationJob(path, made, Path(images), start, options, batch)
        read, targets = [model, images, options.mean_file], () if dry_run else (made,)
        with recorded(read, targets, json_file=json_file, force=force, options=vars(job)) as record:
            return record.save(job.rehearse() if dry_run else job.write(record.outputs))


def prune(
    model: PathLike,
    weights: PathLike,
    *,
    ratio: float | None = None,
    threshold: float | None = None,
    channels: Mapping[str, Sequence[int]] | PathLike | None = None,
    round_to: int = 8,
    min_channels: int = 1,
    exclude: Sequence[str] = (),
    merge: bool = False,
    accuracy: AccuracyOptions | None = None,
    output_model: PathLike | None = None,
    output_weights: PathLike | None = None,
    eps: float | None = None,
    bn_dialect: str | None = None,
    treat_as: Mapping[str, str] | None = None,
    float32: bool = False,
    dry_run: bool = False,
    force: bool = False,
    json_file: PathLike | None = None,
    progress: Progress | None = None,
) -> PruneReport:
    """Take channels out of a trained network whose batch norms barely let them through.

    The result computes what the network computes whose gammas are zero in those channels: exactly
    where no padding is met, and up to a bound that the report gives where it is.

    Args:
        model: the network's prototxt.
        weights: its caffemodel, binary or HDF5.
        ratio: remove this share of the channels that can go, those of the lowest |gamma|.
        threshold: or remove the channels whose |gamma| is at most this.
        channels: or remove these, by the name of a layer that makes or hands them on; or the path
            of a file that names them, in lines as `conv1: 0, 3, 5-7` or in JSON.
        round_to: layers keep a multiple of so many channels, or all.
        min_channels: layers keep at least so many.
        exclude: layers, by name or glob, whose channels stay.
        merge: fold the smaller network, too.
        accuracy: measure both networks on images, and write nothing if too much is lost.
        output_model: where to write the new prototxt; by default beside the old one, as
            `deploy.pruned.prototxt`.
        output_weights: where to write the new caffemodel, `x.pruned.caffemodel` by default.
        eps, bn_dialect, treat_as, float32: as for `merge`.
        dry_run: compute everything, and write nothing.
        force: replace outputs that exist.
        json_file: where to write the report as JSON, too: with the networks, or alone where a check
            fails.
        progress: for `accuracy`: is told after every batch how many images are done, and of how
            many.

    Returns:
        What was removed, where the result is not exact, what could not go and why, and the sizes
        before and after; with `accuracy` a MeasuredPruneReport, which also has what was measured.

    Raises:
        CheckFailedError: more accuracy is lost than `accuracy.max_drop` allows; its `report` is
            what this would return.
        BnfoldError: the input cannot be used, or a channel asked for by name cannot go; the message
            is one line that says where, what and what to do. Nothing has been written then.
    """
    # A merge need not wait for it.
    from bnfold.fold.channels.slim import Slimming
    from bnfold.pruning.channels_file import read_channels
    from bnfold.pruning.job import PruneJob

    options = MergeOptions(eps=eps, bn_dialect=bn_dialect, treat_as=treat_as or {}, float32=float32)
    if accuracy is not None and dry_run:
        raise BnfoldError("a dry run writes no network to measure; choose one of the two")
    with one_line_errors():
        inputs = [model, weights, None if accuracy is None else accuracy.images]
        if isinstance(channels, (str, os.PathLike)):
            inputs.append(channels)
            channels = read_channels(Path(channels))
        wish = Slimming(ratio, threshold, channels, round_to, min_channels, tuple(exclude))
        job = PruneJob.of(model, weights, output_model, output_weights, options, wish, merge)
        targets = () if dry_run else job.files.targets
        told = {**vars(options), **vars(wish), "merge": merge, "accuracy": accuracy}
        with recorded(inputs, targets, json_file=json_file, force=force, options=told) as record:
            report = job.rehearse() if dry_run else job.write(record.outputs)
            if accuracy is not None:
                from bnfold.checks.accuracy.measured_prune import measured

                report = measured(report, record.outputs, accuracy, progress)
            return record.save(report)


def find_runtimes(
    caffe_root: PathLike | None = None, *, json_file: PathLike | None = None, force: bool = False
) -> RuntimesReport:
    """List the engines that can run networks here, and how to get the others.

    Args:
        caffe_root: Caffe's folder, for pycaffe; None for whatever `import caffe` finds.
        json_file: where to write the list as JSON, too.
        force: replace that file if it exists.

    Raises:
        BnfoldError: the file cannot be written.
    """
    from bnfold.runtimes import RuntimesReport, available

    told = {"caffe_root": caffe_root}
    with one_line_errors(), recorded([], json_file=json_file, force=force, options=told) as record:
        return record.save(RuntimesReport(tuple(available(caffe_root))))


def prove(
    model: PathLike,
    weights: PathLike,
    *,
    folded_model: PathLike | None = None,
    folded_weights: PathLike | None = None,
    phase: Phase | str = Phase.TEST,
    eps: float | None = None,
    bn_dialect: str | None = None,
    treat_as: Mapping[str, str] | None = None,
    input_mean: float | Sequence[float] | None = None,
    input_scale: float | None = None,
    input_swap: bool = False,
    input_blob: str | None = None,
    ulps: float = 1.0,
    json_file: PathLike | None = None,
    force: bool = False,
) -> Proof:
    """Prove from their files alone that a network and its folded version are one function.

    Every number of the folded network is held against what the original makes it. No engine runs,
    and nothing is believed of the tool that made the folded network. docs/proof.md has the steps.

    Args:
        model: the original prototxt.
        weights: its caffemodel.
        folded_model: the folded prototxt; by default what `merge` would have called it.
        folded_weights: the folded caffemodel, likewise.
        phase, eps, bn_dialect, treat_as, input_mean, input_scale, input_swap, input_blob: as for
            `merge`; what the fold was made with.
        ulps: by how many units in the last place a stored number may be off.
        json_file: where to write the proof as JSON, too.
        force: replace that file if it exists.

    Returns:
        What was proved, layer by layer; `proved` says whether all is, and `failure` why not.

    Raises:
        BnfoldError: a file or an option cannot be used.
    """
    from bnfold.proving.job import prove_files, reading_of

    chosen: dict[str, Any] = {"eps": eps, "bn_dialect": bn_dialect, "treat_as": treat_as or {}}
    chosen |= {"input_mean": input_mean, "input_scale": input_scale}
    chosen |= {"input_swap": input_swap, "input_blob": input_blob}
    options = MergeOptions.of(None, {"phase": phase, **chosen})
    if not 0 < ulps < float("inf"):
        raise BnfoldError(f"{ulps} units in the last place: must be a number above zero")
    told = {"phase": options.phase, **chosen, "ulps": ulps}
    with one_line_errors():
        files = PairFiles.of(model, weights, folded_model, folded_weights)
        with recorded(files.all, json_file=json_file, force=force, options=told) as record:
            files.ready()
            proof = prove_files(files, reading_of(options), options.treat_as, ulps)
            return record.save(proof)
