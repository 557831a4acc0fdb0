"""A pruning from reading to writing, in steps that the library and the command line share."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

from bnfold.aliases import PathLike
from bnfold.caffemodel import Weights, open_weights
from bnfold.fold import MergeOptions, Plan, edit_document, weight_edits
from bnfold.fold.channels.slim import Slimming, slim
from bnfold.fold.driver import context_of
from bnfold.graph import Net, infer_shapes
from bnfold.merging.job import MergeJob, compute_only
from bnfold.merging.naming import check_suffix, naming
from bnfold.merging.reading import read_net
from bnfold.merging.report import Counts, Report, warn_of_raw
from bnfold.merging.rounding import rounding_of
from bnfold.outputs import Outputs, settle
from bnfold.pruning.report import PrunedLayer, PruneReport, sizes


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
            check_suffix(self.files.output_weights, pruned.stored)
            with outputs.open(self.files.output_weights) as descriptor, naming(self.files.model):
                edits = weight_edits(pruned.net)
                rounding = rounding_of(self.files.options)
                pruned.stored.write(descriptor, edits, rounding=rounding)
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
                compute_only(pruned.stored, edits, rounding=rounding_of(self.files.options))
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
        settle([self.files.model, self.files.weights])
        with open_weights(self.files.weights) as stored:
            net = read_net(self.files.model, self.files.options, stored)
            yield Pruned(stored, net, self._slim(net))

    def _slim(self, net: Net) -> PruneReport:
        """Take out of a network what is wished for."""
        options, plan = self.files.options, Plan()
        shapes = infer_shapes(net)
        before = Counts.of(net, shapes, self.files.weights.stat().st_size)
        with naming(self.files.model):
            context = context_of(net, plan, options, shapes)
            old = sizes(context, shapes)
            slimmed = slim(context, self.wish)
        shapes = infer_shapes(net)
        new = sizes(context, shapes)
        after = Counts.of(net, shapes, None, rounding_of(options))
        if not self.merge:
            warn_of_raw(after, plan, options)
        layers = tuple(
            PrunedLayer(
                layer.name, layer.type, layer.line, slimmed.removed.get(layer, ()),
                old[layer], new[layer],
            )
            for layer in old
        )  # fmt: skip
        return PruneReport(
            self.files.model, self.files.weights, None, None, layers, slimmed.absorbed,
            tuple(slimmed.borders), tuple(slimmed.stays), slimmed.highest, tuple(plan.warnings),
            before, after,
        )  # fmt: skip


def _with_merge(report: PruneReport, merged: Report) -> PruneReport:
    warnings = dict.fromkeys((*report.warnings, *merged.plan.warnings))
    return replace(report, warnings=tuple(warnings), merged=merged)
