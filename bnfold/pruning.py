"""A pruning from reading to writing, in steps that the library and the command line share."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bnfold.aliases import PathLike
from bnfold.caffemodel import Weights, open_weights
from bnfold.errors import BnfoldError
from bnfold.fold import MergeOptions, Plan, edit_document, weight_edits
from bnfold.fold.channels.slim import Slimming, slim
from bnfold.fold.driver import context_of
from bnfold.graph import Net, infer_shapes
from bnfold.jobs import MergeJob, compute_only, naming, read_net
from bnfold.outputs import Outputs, settle
from bnfold.prune_report import PrunedLayer, PruneReport, sizes
from bnfold.report import Counts, Report, after_writing
from bnfold.whole import read_whole


@dataclass(frozen=True)
class Pruned:
    """A pruned network, before anything is written.

    Attributes:
        stored: the weights file, open.
        net: the network without what was taken out.
        report: what was taken out; without outputs.
    """

    stored: Weights
    net: Net
    report: PruneReport


@dataclass(frozen=True)
class PruneJob:
    """Which files to prune into which, and how.

    Attributes:
        files: the inputs and outputs, and how networks are read and folded.
        wish: what to take out.
        merge: whether the smaller network is folded, too.
    """

    files: MergeJob
    wish: Slimming
    merge: bool

    @classmethod
    def of(
        cls,
        model: PathLike,
        weights: PathLike,
        output_model: PathLike | None,
        output_weights: PathLike | None,
        options: MergeOptions,
        wish: Slimming,
        merge: bool,
    ) -> PruneJob:
        """A job with default names, `deploy.pruned.prototxt`, for outputs that are not given."""
        files = MergeJob.of(model, weights, output_model, output_weights, options, "pruned")
        return cls(files, wish, merge)

    def write(self, outputs: Outputs) -> PruneReport:
        """Prune and write both files into `outputs`; they take their names when it is left.

        Raises:
            BnfoldError: a channel that was asked for cannot go, or the files cannot be used.
        """
        with self._pruned() as pruned:
            if self.merge:
                return self._write_merged(outputs, pruned)
            self.files.check_suffix(pruned.stored)
            with outputs.open(self.files.output_weights) as descriptor, naming(self.files.model):
                edits = weight_edits(pruned.net)
                pruned.stored.write(descriptor, edits, float32=self.files.options.float32)
                size = os.fstat(descriptor).st_size
            outputs.write(self.files.output_model, edit_document(pruned.net).to_bytes())
            return self._written(pruned.report, replace(pruned.report.after, weights_bytes=size))

    def rehearse(self) -> PruneReport:
        """Compute every output value of the pruning and write none."""
        with self._pruned() as pruned:
            if self.merge:
                merged = self.files.rehearse_net(pruned.net, pruned.stored)
                return _with_merge(replace(pruned.report, after=merged.after), merged)
            with naming(self.files.model):
                edits = weight_edits(pruned.net)
                compute_only(pruned.stored, edits, float32=self.files.options.float32)
            return pruned.report

    def _write_merged(self, outputs: Outputs, pruned: Pruned) -> PruneReport:
        """Fold what was pruned; the weights are written once, at the end."""
        merged = self.files.write_net(outputs, pruned.net, pruned.stored)
        return _with_merge(self._written(pruned.report, merged.after), merged)

    def _written(self, report: PruneReport, after: Counts) -> PruneReport:
        return replace(
            report,
            output_model=self.files.output_model,
            output_weights=self.files.output_weights,
            after=after,
        )

    @contextlib.contextmanager
    def _pruned(self) -> Iterator[Pruned]:
        options, plan = self.files.options, Plan()
        settle([self.files.model, self.files.weights])
        with open_weights(self.files.weights) as stored:
            net = read_net(self.files.model, options, stored)
            shapes = infer_shapes(net)
            size = self.files.weights.stat().st_size
            before = Counts.of(net, shapes, size)
            with naming(self.files.model):
                context = context_of(net, plan, options, shapes)
                old = sizes(context, shapes)
                slimmed = slim(context, self.wish)
            shapes = infer_shapes(net)
            new = sizes(context, shapes)
            after = Counts.of(net, shapes, None)
            if not self.merge:
                after = after_writing(after, plan, options)
            layers = [
                PrunedLayer(
                    layer.name,
                    layer.type,
                    layer.line,
                    slimmed.removed.get(layer, ()),
                    old[layer],
                    new[layer],
                )
                for layer in old
            ]
            report = PruneReport(
                self.files.model,
                self.files.weights,
                None,
                None,
                tuple(layers),
                slimmed.absorbed,
                tuple(slimmed.borders),
                tuple(slimmed.stays),
                slimmed.highest,
                tuple(plan.warnings),
                before,
                after,
            )
            yield Pruned(stored, net, report)


_MOST = 1 << 20
"""Channels that a file may ask for, in all."""


def _with_merge(report: PruneReport, merged: Report) -> PruneReport:
    warnings = dict.fromkeys((*report.warnings, *merged.plan.warnings))
    return replace(report, warnings=tuple(warnings), merged=merged)


def read_channels(path: Path) -> dict[str, list[int]]:
    """Read which channels to remove, from a file.

    A file is a JSON object, {"conv1": [0, 3, 5]}, or text of a line for each layer, which may be
    written as in TOML:

        conv1: 0, 3, 5-7
        "conv2/3x3" = [1, 2]    # a comment

    Raises:
        BnfoldError: the file is neither; the message names the line.
        OSError: it cannot be read.
    """
    text = read_whole(path).decode("utf-8", "surrogateescape")
    if text.lstrip().startswith("{"):
        return _from_json(path, text)
    found: dict[str, list[int]] = {}
    room = _MOST
    for number, line in enumerate(text.splitlines(), 1):
        line = line.split("#")[0].strip()
        if not line:
            continue
        name, channels = _halves(line)
        if not name or channels is None or name in found:
            what = "a second line for that layer" if name in found else _FORM
            raise BnfoldError(f"{path}:{number}: {what}")
        found[name] = _indices(path, number, channels, room)
        room -= len(found[name])
    return found


_FORM = "not of the form `layer: 0, 3, 5-7`"


def _halves(line: str) -> tuple[str, str | None]:
    """The name and the channels of a line; "" and None for what is neither."""
    at = max(line.rfind(":"), line.rfind("="))
    name, channels = line[: max(at, 0)].strip(), line[at + 1 :].strip()
    name = name.removeprefix(name[:1] if name[:1] in "\"'" else "").rstrip("\"'")
    channels = channels.removeprefix("[").removesuffix("]")
    fits = at > 0 and not set("\"'") & set(name) and set(channels) <= set("0123456789,- \t")
    return name, channels if fits else None


def _indices(path: Path, line: int, text: str, room: int) -> list[int]:
    found: list[int] = []
    for part in text.replace(",", " ").split():
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or len(part) > 40:
            raise BnfoldError(f"{path}:{line}: '{part[:40]}' is no channel, and no range as 5-7")
        wanted = range(int(first), int(last if dash else first) + 1)
        if wanted.stop - wanted.start > room - len(found):
            raise BnfoldError(f"{path}:{line}: '{part}' is more channels than any network has")
        found += wanted
    return found


def _from_json(path: Path, text: str) -> dict[str, list[int]]:
    import json

    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BnfoldError(f"{path}: {error}") from None
    for name, channels in found.items():
        numbers = isinstance(channels, list) and all(type(one) is int for one in channels)
        if not numbers:
            raise BnfoldError(f"{path}: '{name}' must have a list of channel numbers")
    return dict(found)
