"""What a device gave against what an engine gives: `bnfold.verify_recorded`."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from bnfold.aliases import Array, ArrayShape, PathLike, Progress
from bnfold.caffemodel import open_weights
from bnfold.checks.equality.device_report import DeviceCheck
from bnfold.checks.equality.difference import RunningDifference
from bnfold.checks.equality.judging import NUDGED_IMAGES, judged, loaded
from bnfold.checks.equality.matching import Matching, Pair
from bnfold.checks.equality.options import VerifyOptions
from bnfold.checks.equality.verification import Compared
from bnfold.checks.feeds.arrays import ArrayFile, raw_array
from bnfold.errors import BnfoldError
from bnfold.graph import Net, build
from bnfold.network_files import NetworkFiles
from bnfold.one_line import one_line_errors
from bnfold.outputs import recorded, settle
from bnfold.prototxt import load
from bnfold.runtimes import Session
from bnfold.spelling import did_you_mean

LAYOUTS = ("nchw", "nhwc")
"""The orders of axes that a device may write; those of Caffe come first."""


class RawArray(NamedTuple):
    """A file of numbers without a header.

    Attributes:
        path: the file.
        shape: the shape of the array in it.
        dtype: numpy's name of the numbers' type.
    """

    path: Path
    shape: ArrayShape
    dtype: str = "float32"


def verify_recorded(
    model: PathLike,
    weights: PathLike,
    arrays: PathLike | Mapping[str, RawArray],
    *,
    layout: str | None = None,
    options: VerifyOptions | None = None,
    json_file: PathLike | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> DeviceCheck:
    """Run a network in an engine, and compare what a device gave for the same inputs.

    Args:
        model: the prototxt.
        weights: its caffemodel.
        arrays: what the device gave: an .npz file with an array for each blob, by its name, or raw
            files by the names of blobs. All inputs stand one behind the other along the first axis.
        layout: "nchw" or "nhwc", the order of the axes of arrays with four; None to tell it by
            their shape, and to take the first where both fit.
        options: the inputs, which must be those of the device; the tolerance, the engine.
        json_file: where to write what was found as JSON, too.
        force: replace that file if it exists.
        progress: is told after every batch how many are done, and of how many.

    Returns:
        What was found; `passed` says whether all agrees.

    Raises:
        BnfoldError: a file cannot be used, an array does not fit its blob, or no engine can run
            the network.
    """
    chosen = options or VerifyOptions()
    if layout not in (None, *LAYOUTS):
        raise BnfoldError(f"layout '{layout}': must be one of {', '.join(LAYOUTS)}")
    raw = arrays if isinstance(arrays, Mapping) else {}
    paths = [one.path for one in raw.values()] if raw else [Path(str(arrays))]
    files = NetworkFiles(Path(model), Path(weights))
    told = {**vars(chosen), "layout": layout, "recorded": raw}
    with one_line_errors():
        read = [*files, *paths, chosen.images, chosen.inputs]
        with recorded(read, json_file=json_file, force=force, options=told) as record:
            settle(files)
            given: Mapping[str, Array] = (
                {name: raw_array(*one) for name, one in raw.items()} if raw else ArrayFile(paths[0])
            )
            if not given:
                raise BnfoldError(f"{paths[0]}: holds no arrays; record some outputs by name")
            with _engine(files, chosen) as (net, sessions, why):
                device = _Device(files.model, given, layout, net, sessions, chosen)
                values, inputs, images = device.compare(progress)
            found = DeviceCheck(
                *files, tuple(paths), why, inputs, images, chosen.tolerance is None, values,
                (*sessions[0].notes, *device.notes()),
            )  # fmt: skip
            return record.save(found)


@contextlib.contextmanager
def _engine(
    files: NetworkFiles, options: VerifyOptions
) -> Iterator[tuple[Net, tuple[Session, ...], str]]:
    """The network in an engine; where that is needed, also with every weight moved a little."""
    with (
        open_weights(files.weights) as stored,
        loaded([files], stored, stored, options) as picked,
    ):
        yield build(load(files.model), weights=stored), picked.sessions, picked.why


class _Device:
    def __init__(
        self,
        model: Path,
        given: Mapping[str, Array],
        layout: str | None,
        net: Net,
        sessions: tuple[Session, ...],
        options: VerifyOptions,
    ) -> None:
        self._model = model
        self._given = given
        self._layout = layout
        self._net = net
        self._sessions = sessions
        self._options = options
        # What the last layer that writes a blob leaves has the blob's name.
        known = {pair.name: pair for pair in Matching(net, net).layers()}
        for name in given:
            if name not in known:
                raise BnfoldError(
                    f"{model}: no blob is named '{name}'{did_you_mean(name, known)}; name what was "
                    "recorded as the prototxt does"
                )
        self._pairs: list[Pair] = [known[name] for name in given]

    def notes(self) -> list[str]:
        """Outputs of which nothing was recorded."""
        missing = [name for name in self._sessions[0].outputs if name not in self._given]
        return [f"output '{name}' was not recorded, and is not compared" for name in missing]

    def compare(self, progress: Progress | None) -> tuple[tuple[Compared, ...], str, int]:
        """Compare on all inputs; gives also what they are, and how many."""
        inputs = self._options.open(self._model, self._net, self._sessions[0].inputs)
        sums = [RunningDifference() for _ in self._pairs]
        noise = [RunningDifference() for _ in self._pairs]
        arrays = [self._given[pair.name] for pair in self._pairs]
        places = [pair.before for pair in self._pairs]
        for run, feeds in enumerate(inputs):
            old = self._sessions[0].run(feeds, places)
            for pair, total, array in zip(self._pairs, sums, arrays, strict=True):
                expected = old[pair.before]
                total.add(expected, self._part(pair.name, array, expected.shape, run, inputs.runs))
            if len(self._sessions) > 1 and run * inputs.batch < NUDGED_IMAGES:
                nudged = self._sessions[1].run(feeds, places)
                for pair, total in zip(self._pairs, noise, strict=True):
                    total.add(old[pair.before], nudged[pair.before])
            if progress is not None:
                progress(run + 1, inputs.runs)
        triples = zip(self._pairs, sums, noise, strict=True)
        values = tuple(judged(*three, self._options) for three in triples)
        return values, str(inputs), inputs.images

    def _part(self, name: str, array: Array, shape: ArrayShape, run: int, runs: int) -> Array:
        """What was recorded for one run, in Caffe's order of axes."""
        if array.size != math.prod(shape) * runs:
            raise BnfoldError(
                f"{self._model}: blob '{name}' has the shape {shape} for each of {runs} batches, "
                f"and {array.shape} was recorded; record the inputs that are fed here"
            )
        part: Array = array.reshape(runs, -1)[run]
        if self._is_nhwc(array.shape, shape):
            batch, channels, height, width = shape
            part = part.reshape(batch, height, width, channels).transpose(0, 3, 1, 2)
        return part.reshape(shape)

    def _is_nhwc(self, recorded: ArrayShape, shape: ArrayShape) -> bool:
        if len(shape) != 4 or self._layout == "nchw":
            return False
        # An axis of one may be left out.
        one = [size for size in recorded[-3:] if size != 1]
        as_caffe = [size for size in shape[1:] if size != 1]
        turned = [size for size in (*shape[2:], shape[1]) if size != 1]
        return self._layout == "nhwc" or (one == turned and one != as_caffe)
