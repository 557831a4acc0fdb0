"""Whether a folded network is as accurate as the one it was made of, on images of the user's."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Generator, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from bnfold.aliases import Array, Floats, PathLike, Progress
from bnfold.checks.accuracy.detection import DetectionTally
from bnfold.checks.accuracy.detection_truth import open_truth
from bnfold.checks.accuracy.input_spread import InputSpread
from bnfold.checks.accuracy.report import AccuracyReport
from bnfold.checks.accuracy.scores import Interface, Tally, label_error
from bnfold.checks.feeds.raw_input import RawInput
from bnfold.checks.images.batches import BadImage, Batch, batches
from bnfold.checks.images.preprocess import Preprocess
from bnfold.checks.images.sources import Source, open_images
from bnfold.errors import BnfoldError
from bnfold.fold.inputs.steps import InputSteps
from bnfold.network_files import PairFiles
from bnfold.one_line import one_line_errors
from bnfold.outputs import recorded
from bnfold.preprocess_options import PreprocessOptions
from bnfold.runtimes import Picked, Session, pick

BATCH = 8
"""Images in a batch by default: engines on a processor gain little from more, and need memory."""


def accuracy(
    model: PathLike,
    weights: PathLike,
    *,
    images: PathLike,
    root: PathLike | None = None,
    folded_model: PathLike | None = None,
    folded_weights: PathLike | None = None,
    preprocess: PreprocessOptions | None = None,
    input_steps: InputSteps | None = None,
    max_drop: Fraction | Decimal | float | str = 0,
    min_top1: Fraction | Decimal | float | str | None = None,
    top: Sequence[int] | None = None,
    batch: int = BATCH,
    limit: int | None = None,
    workers: int | None = None,
    max_bad: int = 0,
    output_blob: str | None = None,
    annotations: PathLike | None = None,
    labelmap: PathLike | None = None,
    runtime: str = "auto",
    threads: int | None = None,
    caffe_root: PathLike | None = None,
    json_file: PathLike | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> AccuracyReport:
    """Measure the accuracy of a network and of its folded form on the same images.

    Args:
        model: the original prototxt.
        weights: its caffemodel.
        images: a list file, a folder with a folder for each class, or an LMDB of Datum records.
        root: where the paths of a list start; by default in its own folder.
        folded_model, folded_weights: the folded network; by default what `merge` writes beside
            the original.
        preprocess: how pixels become inputs; what it leaves open is as the model's
            `transform_param` and input shape say.
        input_steps: what the folded network does to its input itself: it gets raw pixels, and the
            original gets them preprocessed by these steps, unless `preprocess` says otherwise.
        max_drop: how many points (hundredths) of any metric may be lost. It is taken as the
            decimal number it is written as, so that 0.1 is one tenth.
        min_top1: how many percent of the images the folded network must be right about at least,
            as a decimal number, too.
        top: which top-k to count; by default 1 and 5, where there are more classes than that.
        batch: images that go through at once.
        limit: how many images to take from the set; None for all.
        workers: threads that read images; None for one for each processor, and at most 8.
        max_bad: how many unreadable images to pass over.
        output_blob: the blob with the scores; by default the only output that looks like it.
        annotations: for a detection network: a folder of VOC's XML files, or COCO's JSON file.
        labelmap: for a detection network: the names of its labels, as SSD's prototxt or one a line.
        runtime: "auto", "opencv" or "pycaffe".
        threads: how many threads the engine may use; None for its own default.
        caffe_root: Caffe's folder, for pycaffe.
        json_file: where to write the report as JSON, too.
        force: replace that file if it exists.
        progress: told after each batch how many images are done, of how many.

    Returns:
        The report; whether the drop is within bounds is its `passed`.

    Raises:
        BnfoldError: a file cannot be used, no engine can load both networks, more images than
            `max_bad` are unreadable, a label is none of the network's classes, or a module is not
            installed; the message is one line that says where, what and what to do.
    """
    bounds = _Bounds.of(max_drop, min_top1, top)
    options = {
        "root": root, "preprocess": preprocess, "max_drop": max_drop, "min_top1": min_top1,
        "top": top, "batch": batch, "limit": limit, "workers": workers, "max_bad": max_bad,
        "output_blob": output_blob, "runtime": runtime, "threads": threads,
        "caffe_root": caffe_root,
    }  # fmt: skip
    with one_line_errors():
        files = PairFiles.of(model, weights, folded_model, folded_weights)
        read = [*files.all, images, annotations, labelmap]
        with recorded(read, json_file=json_file, force=force, options=options) as record:
            files.ready()
            with pick(
                runtime, files.networks, threads=threads, caffe_root=caffe_root
            ) as picked:  # fmt: skip
                interface = Interface(files.original.model, picked.sessions[0], output_blob)
                _same_inputs(picked, files)
                tally, source = _prepare(
                    interface, picked, images, root, annotations, labelmap, top
                )  # fmt: skip
                raw = _raw_input(input_steps, interface, picked, files)
                wish = raw.completing(preprocess) or PreprocessOptions()
                steps = _steps(wish, interface, picked, files)
                run = _Run(picked, interface, tally, raw)
                stream = batches(
                    source, steps, batch, limit=limit, workers=workers, max_bad=max_bad
                )  # fmt: skip
                run.through(stream, min(len(source), limit or len(source)), progress)
                report = run.report(files, source, bounds)
            return record.save(report)


class _Bounds(NamedTuple):
    """What is asked of the accuracy.

    Attributes:
        max_drop: how many points may be lost.
        min_top1: the share of images that the folded network must be right about; None for any.
    """

    max_drop: Fraction
    min_top1: Fraction | None

    @classmethod
    def of(
        cls,
        max_drop: Fraction | Decimal | float | str,
        min_top1: Fraction | Decimal | float | str | None,
        top: Sequence[int] | None,
    ) -> _Bounds:
        share = None if min_top1 is None else _share(min_top1)
        if share is not None and top is not None and 1 not in top:
            raise BnfoldError(
                "a least top-1 is asked for, but top-1 is not counted; add 1 to the top"
            )
        if top is not None and (not top or min(top) < 1):
            numbers = ", ".join(map(str, top)) or "nothing"
            raise BnfoldError(f"top {numbers}: give numbers from 1 up")
        return cls(_points(max_drop), share)


class _Run:
    """The run over all batches, and the time it takes."""

    def __init__(
        self,
        picked: Picked,
        interface: Interface,
        tally: Tally | DetectionTally,
        raw: RawInput,
    ) -> None:
        self._sessions = picked.sessions
        self._why = picked.why
        self._interface = interface
        self._tally = tally
        self._raw = raw
        self.bad: list[BadImage] = []
        self.seconds = 0.0
        self.engine_seconds = 0.0
        self.spread = InputSpread()

    def through(
        self, stream: Generator[Batch, None, None], total: int, progress: Progress | None
    ) -> None:
        start = time.perf_counter()
        with contextlib.closing(stream):
            for batch in stream:
                self.bad += batch.bad
                if batch.samples:
                    self.spread.add(batch.images)
                    before, after = self._answers(batch)
                    self._tally.add(batch, before, after)
                if progress is not None:
                    progress(self._tally.images + len(self.bad), total)
        self.seconds = time.perf_counter() - start

    def report(self, files: PairFiles, source: Source, bounds: _Bounds) -> AccuracyReport:
        """The report of the run, held against what was asked for."""
        tally = self._tally
        if not tally.images:
            raise BnfoldError(f"{source.path}: none of its images can be read")
        metrics = tally.metrics()
        if bounds.min_top1 is not None and all(metric.name != "top-1" for metric in metrics):
            counted = ", ".join(metric.name for metric in metrics) or "nothing"
            raise BnfoldError(
                f"{files.original.model}: it has no top-1 to ask a least of, but {counted}"
            )
        return AccuracyReport(
            *files.all,
            source=source.path,
            engine=self._why,
            notes=tuple(dict.fromkeys(note for s in self._sessions for note in s.notes)),
            output=self._interface.output,
            images=tally.images,
            metrics=metrics,
            changed=tuple(tally.changed),
            largest_difference=tally.largest,
            largest_at=tally.largest_at,
            not_finite_before=tally.not_finite[0],
            not_finite_after=tally.not_finite[1],
            bad=tuple(self.bad),
            max_drop=bounds.max_drop,
            seconds=self.seconds,
            engine_seconds=self.engine_seconds,
            classes=tally.classes,
            min_top1=bounds.min_top1,
            unlike=self.spread.unlike(*files.networks[0], self._interface.image),
        )

    def _answers(self, batch: Batch) -> tuple[Floats, Floats]:
        """What the original and the folded network say."""
        original, folded = self._sessions
        feeds: dict[str, Array] = {self._interface.image: batch.images}
        before = self._answer(original, batch, dict(feeds))
        return before, self._answer(folded, batch, self._raw.raw(feeds))

    def _answer(self, session: Session, batch: Batch, feeds: dict[str, Array]) -> Floats:
        labels = np.array([sample.label or 0 for sample in batch.samples], np.float32)
        for name in self._interface.labels:
            sides = session.inputs[name][1:]
            whole = labels.reshape(-1, *[1] * len(sides))
            feeds[name] = np.broadcast_to(whole, (len(labels), *sides))
        start = time.perf_counter()
        found = session.run(feeds, [self._interface.output])
        self.engine_seconds += time.perf_counter() - start
        return found[self._interface.output]


def _prepare(
    interface: Interface,
    picked: Picked,
    images: PathLike,
    root: PathLike | None,
    annotations: PathLike | None,
    labelmap: PathLike | None,
    top: Sequence[int] | None,
) -> tuple[Tally | DetectionTally, Source]:
    """Open the image set, and what counts on it."""
    where = f"output '{interface.output}'"
    if interface.is_detection:
        if top is not None:
            raise BnfoldError("--top is for classes; a detection network has an average precision")
        source = open_images(images, root, labelled=False)
        return DetectionTally(open_truth(annotations, labelmap), where), source
    if annotations is not None or labelmap is not None:
        raise BnfoldError(
            f"annotations and a labelmap are for detection networks, and {where} is not of a "
            "DetectionOutput layer"
        )
    source = open_images(images, root)
    shape = picked.sessions[0].outputs.get(interface.output, ())
    if source.top_label and len(shape) > 1 and source.top_label[0] >= math.prod(shape[1:]):
        label, place = source.top_label
        raise label_error(place, label, where, math.prod(shape[1:]))
    return Tally(where, top), source


def _steps(
    options: PreprocessOptions, interface: Interface, picked: Picked, files: PairFiles
) -> Preprocess:
    """How an image becomes what the networks are fed."""
    model = files.original.model
    steps = Preprocess.of(options, picked.sessions[0].inputs[interface.image], model)
    if interface.is_detection and (steps.crop or len(steps.resize or ()) == 1):
        raise BnfoldError(
            f"{model}: boxes belong to whole images; for a detection network give "
            "--resize HxW and no crop"
        )
    return steps


def _raw_input(
    steps: InputSteps | None, interface: Interface, picked: Picked, files: PairFiles
) -> RawInput:
    """What the folded network does to the images itself."""
    model, shapes = files.original.model, picked.sessions[0].inputs
    raw = RawInput.of(steps, shapes, model)
    if steps is not None and raw.blob != interface.image:
        raise BnfoldError(
            f"{model}: images go into '{interface.image}', and --input-blob names '{raw.blob}'"
        )
    return raw


def _same_inputs(picked: Picked, files: PairFiles) -> None:
    one, two = (dict(session.inputs) for session in picked.sessions)
    if one != two:
        raise BnfoldError(
            f"{files.folded.model}: it does not have the inputs of {files.original.model}; "
            "is it folded of it?"
        )


def _points(value: Fraction | Decimal | float | str) -> Fraction:
    points = _decimal(value)
    if points is None or points < 0:
        raise BnfoldError(f"a drop of {value} points: give a number from 0 up, as 0.5")
    return points


def _share(value: Fraction | Decimal | float | str) -> Fraction:
    points = _decimal(value)
    if points is None or not 0 <= points <= 100:
        raise BnfoldError(f"a top-1 of {value} percent: give a number from 0 to 100, as 75.5")
    return points / 100


def _decimal(value: Fraction | Decimal | float | str) -> Fraction | None:
    """A number as the decimal that it is written as; None if it is none."""
    try:
        return Fraction(str(float(value)) if isinstance(value, float) else value)
    except (ValueError, TypeError, ZeroDivisionError, OverflowError):
        return None
