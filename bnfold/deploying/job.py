"""A deployment from reading to writing, in steps that the library and the command line share."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bnfold.aliases import ArrayShape, PathLike
from bnfold.caffemodel import LayerEdit, Weights, open_weights
from bnfold.deploying.calibration import read_images
from bnfold.deploying.definition import Definition, deploy_definition
from bnfold.deploying.modern import modernise
from bnfold.deploying.preprocessing import layer_options, mean_image, to_toml, whole, words_of
from bnfold.deploying.report import DeployReport
from bnfold.deploying.strip import strip_definition, strip_weights
from bnfold.errors import BnfoldError
from bnfold.fold import MergeOptions
from bnfold.graph import Net, build
from bnfold.graph.phase import Phase
from bnfold.merging.job import MergeJob, compute_only
from bnfold.merging.naming import check_suffix
from bnfold.merging.reading import check_belonging
from bnfold.merging.report import Report
from bnfold.network_files import default_name
from bnfold.outputs import Outputs, settle
from bnfold.preprocess_options import PreprocessOptions
from bnfold.prototxt import Document, load, parse

_DEPLOYED = " (deployed)"


@dataclass(frozen=True)
class DeployOptions:
    """How a training definition is deployed.

    Attributes:
        inputs: shapes of inputs, by the names of their blobs.
        phase: which phase to read; None for TEST, or for TRAIN if the file has only that.
        batch: how many images an input takes whose shape the data layer tells.
        strip: whether what is for training alone goes.
        modern: whether V1 layers and legacy inputs are put into the form of today.
        merge: how to fold the result; None not to.

    Raises:
        BnfoldError: a number is out of range, or a shape is none.
    """

    inputs: Mapping[str, ArrayShape]
    phase: Phase | None = None
    batch: int = 1
    strip: bool = False
    modern: bool = False
    merge: MergeOptions | None = None

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise BnfoldError(f"a batch of {self.batch} cannot be; give 1 or more")
        for name, shape in self.inputs.items():
            if not shape or min(shape) < 1:
                words = ",".join(map(str, shape))
                raise BnfoldError(f"--input {name}:{words}: give whole numbers from 1 on")


@dataclass(frozen=True)
class DeployFiles:
    """The files of a deployment.

    Attributes:
        model, weights: what is read; there may be no weights.
        output_model, output_weights: what is written.
        preprocess: where the preprocessing of the data layer is written, if it tells one.
    """

    model: Path
    weights: Path | None
    output_model: Path
    output_weights: Path | None
    preprocess: Path

    @classmethod
    def of(
        cls,
        model: PathLike,
        weights: PathLike | None,
        output_model: PathLike | None,
        output_weights: PathLike | None,
        preprocess: PathLike | None,
        word: str = "deploy",
    ) -> DeployFiles:
        """The files with default names, `train_val.deploy.prototxt`, for those not given.

        Raises:
            BnfoldError: a default name is asked for, and the path has none; or an output for
                weights is given without weights.
        """
        if weights is None and output_weights is not None:
            raise BnfoldError(f"{output_weights}: there are no weights to write; give --weights")
        given = Path(model), None if weights is None else Path(weights)
        made = default_name(given[0], word) if output_model is None else Path(output_model)
        stored = None if output_weights is None else Path(output_weights)
        if given[1] is not None and stored is None:
            stored = default_name(given[1], word)
        beside = made.with_name(f"{made.stem}.preprocess.toml")
        return cls(*given, made, stored, beside if preprocess is None else Path(preprocess))

    @property
    def targets(self) -> list[Path]:
        """What is written."""
        weights = [] if self.output_weights is None else [self.output_weights]
        return [self.output_model, *weights, self.preprocess]


@dataclass(frozen=True)
class Deployed:
    """A deploy definition, before anything is written.

    Attributes:
        net: the network of the deploy definition, in phase TEST, on a document without edits.
        stored: its weights file, open; None if there is none.
        edits: what changes in the weights file, besides folding.
        toml: the preprocessing as a file; "" if there is none.
        report: what was done; without outputs.
    """

    net: Net
    stored: Weights | None
    edits: Mapping[str, LayerEdit]
    toml: str
    report: DeployReport


@dataclass(frozen=True)
class DeployJob:
    """Which training definition to deploy, and how."""

    files: DeployFiles
    options: DeployOptions

    def write(self, outputs: Outputs) -> DeployReport:
        """Write all files into `outputs`; they take their names when it is left.

        Raises:
            BnfoldError: the files cannot be used, or a shape is not told.
        """
        with self._deployed() as deployed:
            report = replace(
                deployed.report,
                output_model=self.files.output_model,
                output_weights=self.files.output_weights,
                preprocess_file=self.files.preprocess if deployed.toml else None,
            )
            if deployed.toml:
                outputs.write(self.files.preprocess, deployed.toml.encode())
            job = self._merge_job()
            if job is not None and deployed.stored is not None:
                merged = job.write_net(outputs, deployed.net, deployed.stored, deployed.edits)
                return replace(report, merged=merged)
            outputs.write(self.files.output_model, deployed.net.document.to_bytes())
            if deployed.stored is not None and self.files.output_weights is not None:
                check_suffix(self.files.output_weights, deployed.stored)
                with outputs.open(self.files.output_weights) as descriptor:
                    deployed.stored.write(descriptor, deployed.edits)
            return report

    def rehearse(self) -> DeployReport:
        """Compute every output and write none: what `write` refuses is refused."""
        with self._deployed() as deployed:
            job = self._merge_job()
            if deployed.stored is None:
                return deployed.report
            if job is None:
                compute_only(deployed.stored, dict(deployed.edits))
                return deployed.report
            merged: Report = job.rehearse_net(deployed.net, deployed.stored, deployed.edits)
            return replace(deployed.report, merged=merged)

    def _merge_job(self) -> MergeJob | None:
        files, options = self.files, self.options.merge
        if options is None or files.weights is None or files.output_weights is None:
            return None
        return MergeJob(
            files.model, files.weights, files.output_model, files.output_weights, options
        )

    @contextlib.contextmanager
    def _deployed(self) -> Iterator[Deployed]:
        files, options = self.files, self.options
        settle([files.model] if files.weights is None else [files.model, files.weights])
        with contextlib.ExitStack() as stack:
            stored = None
            if files.weights is not None:
                stored = stack.enter_context(open_weights(files.weights))
            definition = deploy_definition(
                load(files.model),
                stored,
                inputs=options.inputs,
                phase=options.phase,
                batch=options.batch,
            )
            net = _read_again(definition.document, stored)
            check_belonging(net, files.model, stored)
            modernised = stripped = None
            if options.modern:
                modernised = modernise(net)
                net = _read_again(net.document, stored)
            if options.strip:
                stripped = strip_definition(net)
                net = _read_again(net.document, stored)
            edits = strip_weights(net, stored) if options.strip and stored is not None else {}
            preprocess, toml, warnings = _preprocessing(files, definition)
            report = DeployReport(
                files.model,
                files.weights,
                None,
                None,
                definition.phase,
                definition.inputs,
                preprocess,
                None,
                definition.changes,
                stripped,
                modernised,
                (*definition.warnings, *warnings),
            )
            yield Deployed(net, stored, edits, toml, report)


@dataclass(frozen=True)
class CalibrationJob:
    """Which deploy definition is to read which images, and how.

    Attributes:
        model: the deploy definition.
        output_model: where to write the definition that reads images.
        images: the list of images.
        root: where its paths start; None for its own folder.
        preprocess: what is done to the images.
        batch: how many are read at once; None for the batch of the input.
    """

    model: Path
    output_model: Path
    images: Path
    root: Path | None
    preprocess: PreprocessOptions
    batch: int | None

    def write(self, outputs: Outputs) -> DeployReport:
        """Write the definition into `outputs`; it takes its name when that is left.

        Raises:
            BnfoldError: as for `read_images`.
        """
        document, report = self._made()
        outputs.write(self.output_model, document.to_bytes())
        return replace(report, output_model=self.output_model)

    def rehearse(self) -> DeployReport:
        """Do what `write` does, and keep nothing."""
        return self._made()[1]

    def _made(self) -> tuple[Document, DeployReport]:
        settle([self.model, self.images])
        document, change = read_images(
            load(self.model), self.images, self.root, self.preprocess, self.batch
        )
        build(parse(document.render(), document.path))
        report = DeployReport(
            self.model,
            None,
            None,
            None,
            Phase.TEST,
            (),
            self.preprocess,
            None,
            (change,),
            None,
            None,
            (),
        )
        return document, report


def _read_again(document: Document, stored: Weights | None) -> Net:
    """The network of a document with its edits made, whose lines are none of the file's."""
    path = document.path.removesuffix(_DEPLOYED) + _DEPLOYED
    return build(parse(document.render(), path), Phase.TEST, stored)


def _preprocessing(
    files: DeployFiles, definition: Definition
) -> tuple[PreprocessOptions | None, str, list[str]]:
    """What the data layers did to images, the file that says so, and what it cannot say."""
    found = []
    for layer in definition.sources:
        options = whole(layer_options(layer, files.model), mean_image(layer, files.model))
        if words_of(options):
            found.append((layer, options))
    if not found:
        return None, "", []
    layer, options = found[0]
    if any(other != options for _, other in found):
        several = " and ".join(str(one) for one, _ in found)
        return None, "", [f"{several} preprocess images differently, so no file says how"]
    of = f"{layer} of {files.model.name}"
    warnings = []
    if options.mean_file is not None and not options.mean_file.is_file():
        warnings.append(
            f"{options.mean_file}: the mean file of {layer} is not there; put it there before the "
            "preprocessing is used"
        )
    return options, to_toml(options, files.preprocess.parent, of), warnings
