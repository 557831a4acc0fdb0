"""Which of two networks is faster, by how much, and what one could hope for.

An engine that can merge layers on its own is measured twice: with that switched off, and on.
Everything else is as its users have it; Winograd's convolutions are on in both.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bnfold.aliases import PathLike
from bnfold.caffemodel import open_weights
from bnfold.checks.feeds.timing_inputs import timing_inputs
from bnfold.checks.speed.peak_memory import peak_of
from bnfold.checks.speed.report import BenchReport, Comparison, Side
from bnfold.checks.speed.rounds import (
    SECONDS,
    Network,
    Rounds,
    Setting,
    StageProgress,
    compare,
    input_shapes,
    removed_layers,
)
from bnfold.checks.speed.spread import spread
from bnfold.errors import BnfoldError
from bnfold.fold import MergeOptions
from bnfold.fold.strides.unread import unread_shares
from bnfold.graph import infer_shapes
from bnfold.merging.reading import read_net
from bnfold.merging.report import Counts
from bnfold.network_files import NetworkFiles, PairFiles
from bnfold.one_line import one_line_errors
from bnfold.outputs import recorded
from bnfold.runtimes import Runtime, pick


def bench(
    model: PathLike,
    weights: PathLike,
    *,
    folded_model: PathLike | None = None,
    folded_weights: PathLike | None = None,
    batch: int | None = None,
    threads: int | None = None,
    seconds: float = SECONDS,
    repeats: int | None = None,
    runtime: str = "auto",
    caffe_root: PathLike | None = None,
    json_file: PathLike | None = None,
    force: bool = False,
    progress: StageProgress | None = None,
) -> BenchReport:
    """Measure how long a network and its folded form take, side by side in one engine.

    Args:
        model: the original prototxt.
        weights: its caffemodel.
        folded_model, folded_weights: the folded network; by default what `merge` writes beside
            the original.
        batch: how many inputs go through at once; by default as many as the prototxt says.
        threads: how many threads the engine may use; None for its own default.
        seconds: how long to compare, in each setting of the engine; at least 10 rounds are made,
            so that large networks may take longer.
        repeats: make exactly so many rounds instead.
        runtime: "auto", "opencv" or "pycaffe".
        caffe_root: Caffe's folder, for pycaffe.
        json_file: where to write the report as JSON, too.
        force: replace that file if it exists.
        progress: told of every round.

    Returns:
        Times, ratios, the limit, and the size of both networks. Inputs are random and the same
        in every run.

    Raises:
        BnfoldError: a file cannot be used, no engine can load both networks, or they do not take
            the same inputs; the message is one line that says where, what and what to do.
    """
    _check_fit(batch, seconds, repeats)
    with one_line_errors():
        files = PairFiles.of(model, weights, folded_model, folded_weights)
        job = _Job(files.networks, threads, caffe_root, progress or (lambda what, done: None))
        options = {
            "batch": batch, "threads": threads, "seconds": seconds, "repeats": repeats,
            "runtime": runtime, "caffe_root": caffe_root,
        }  # fmt: skip
        with recorded(files.all, json_file=json_file, force=force, options=options) as record:
            files.ready()
            before, after = _counts(files.original), _counts(files.folded)
            job = job._replace(unread=_unread(files.original))
            with pick(
                runtime, files.networks, threads=threads, caffe_root=caffe_root
            ) as picked:  # fmt: skip
                first, second = picked.sessions
                models = files.original.model, files.folded.model
                shapes = input_shapes(first, second, models, batch)
                feeds = timing_inputs(*files.networks[0], shapes)
                removed = removed_layers(first, second)
                # They may be as large as memory allows two to be; each setting loads its own.
                first.close()
                second.close()
                engine = picked.runtime
                settings = [
                    Setting(fusion, feeds, seconds, repeats)
                    for fusion in ((False, True) if engine.has_fusion else (None,))
                ]
                measured = job.run(engine, settings)
            report = BenchReport(
                *files.all, engine.name, engine.version, picked.why, threads, shapes, before,
                after, removed, job.weigh(engine.name, settings, measured),
            )  # fmt: skip
            return record.save(report)


class _Job(NamedTuple):
    """What stays the same over all settings of the engine."""

    pairs: tuple[Network, Network]
    threads: int | None
    caffe_root: PathLike | None
    tell: StageProgress
    unread: Mapping[str, float] = {}

    def run(self, engine: Runtime, settings: Sequence[Setting]) -> list[Rounds]:
        """Run both networks in every setting."""
        found = []
        for number, setting in enumerate(settings):

            def tell(done: float, number: int = number) -> None:
                self.tell("time", (number + done) / len(settings))

            found.append(compare(engine, self.pairs, setting, tell, self.unread))
        return found

    def weigh(
        self, engine: str, settings: Sequence[Setting], measured: Sequence[Rounds]
    ) -> tuple[Comparison, ...]:
        """Add the memory to what was measured; the engine in this process may be closed by now."""
        found: list[Comparison] = []
        for setting, rounds in zip(settings, measured, strict=True):
            peaks: list[int | None] = []
            for pair in self.pairs:
                self.tell("memory", (2 * len(found) + len(peaks)) / (2 * len(settings)))
                peaks.append(self._peak(engine, pair, setting))
            found.append(
                Comparison(
                    fusion=setting.fusion,
                    original=Side(spread(rounds.original), peaks[0]),
                    folded=Side(spread(rounds.folded), peaks[1]),
                    ratio=spread(rounds.ratios),
                    limit=spread(rounds.limits) if rounds.profiles else None,
                    merged_by_engine=rounds.merged,
                )
            )
        return tuple(found)

    def _peak(self, engine: str, pair: Network, setting: Setting) -> int | None:
        return peak_of(
            engine,
            *pair,
            feeds=setting.feeds,
            fusion=setting.fusion,
            threads=self.threads,
            caffe_root=None if self.caffe_root is None else os.fspath(self.caffe_root),
        )


def _counts(files: NetworkFiles) -> Counts:
    with open_weights(files.weights) as stored:
        net = read_net(files.model, MergeOptions(), stored)
        return Counts.of(net, infer_shapes(net), files.weights.stat().st_size)


def _unread(files: NetworkFiles) -> Mapping[str, float]:
    with open_weights(files.weights) as stored:
        return unread_shares(read_net(files.model, MergeOptions(), stored))


def _check_fit(batch: int | None, seconds: float, repeats: int | None) -> None:
    for name, number in (("batch", batch), ("repeats", repeats)):
        if number is not None and number < 1:
            raise BnfoldError(f"{name}: it must be at least 1, not {number}")
    if not 0 < seconds < float("inf"):
        raise BnfoldError(f"seconds: it must be a positive number, not {seconds:g}")
