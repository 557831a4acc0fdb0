"""A merge from reading to writing, in steps that the library and the command line share."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bnfold.aliases import PathLike
from bnfold.caffemodel import LayerEdit, NewLayer, Rounding, Weights, open_weights
from bnfold.errors import BnfoldError
from bnfold.fold import MergeOptions, Plan, edit_document, fold, weight_additions, weight_edits
from bnfold.graph import Net, infer_shapes
from bnfold.merging.naming import check_suffix, naming
from bnfold.merging.portable import unportable
from bnfold.merging.reading import read_net
from bnfold.merging.report import Counts, Onto, Report, warn_of_raw
from bnfold.merging.rounding import rounding_of, warn_of_vanished
from bnfold.network_files import NetworkFiles
from bnfold.one_line import one_line_errors
from bnfold.outputs import Outputs, settle

if TYPE_CHECKING:
    from bnfold.graph.readers import Problem


class Folding(NamedTuple):
    """A folded network, before anything is written.

    Attributes:
        stored: the weights file, open.
        text: the new prototxt; None where the weights are for a file that there is.
        edits: what changes in the weights file, by layer name.
        additions: what is new in it.
        plan: what was decided.
        before, after: sizes, without that of the new weights file.
        onto: what was found of the file that the weights are for, if there is one.
        unportable: what stock Caffe does not know of it, if that was asked.
    """

    stored: Weights
    text: bytes | None
    edits: dict[str, LayerEdit]
    additions: list[NewLayer]
    plan: Plan
    before: Counts
    after: Counts
    onto: Onto | None = None
    unportable: tuple[Problem, ...] | None = None

    def with_edits(self, also: Mapping[str, LayerEdit]) -> Folding:
        """The folding with records that go, and gradients that do, besides what it changes."""
        edits = dict(self.edits)
        for name, edit in also.items():
            own = edits.get(name, LayerEdit())
            gone = own.remove or edit.remove
            edits[name] = own._replace(remove=gone, drop_gradients=edit.drop_gradients)
        return self._replace(edits=edits)


class MergeJob(NamedTuple):
    """Which files to merge into which, and how.

    Attributes:
        model, weights: the network.
        output_model, output_weights: what is written; no model where `onto` is given.
        options: how to fold.
        onto: the prototxt that weights are wanted for, where somebody else wrote it.
    """

    model: Path
    weights: Path
    output_model: Path
    output_weights: Path
    options: MergeOptions
    onto: Path | None = None

    @classmethod
    def of(
        cls,
        model: PathLike,
        weights: PathLike,
        output_model: PathLike | None,
        output_weights: PathLike | None,
        options: MergeOptions,
        word: str = "folded",
        onto: PathLike | None = None,
    ) -> MergeJob:
        """A job with default names for the outputs that are not given.

        Raises:
            BnfoldError: a prototxt is to be written and one that there is kept.
        """
        if onto is not None and options.portable is not None:
            raise BnfoldError(f"--portable changes the prototxt, and {onto} stays as it is")
        if onto is not None and output_model is not None:
            raise BnfoldError(
                f"weights are written for {onto}, which stays as it is, and no prototxt; leave out "
                f"the output model {output_model}"
            )
        files = NetworkFiles(Path(model), Path(weights))
        made = files.beside(word, output_model, output_weights)
        given = None if onto is None else Path(onto)
        return cls(files.model, files.weights, made.model, made.weights, options, given)

    @property
    def inputs(self) -> tuple[Path, ...]:
        """What is read."""
        return (self.model, self.weights, *([] if self.onto is None else [self.onto]))

    @property
    def targets(self) -> tuple[Path, ...]:
        """What is written.

        Raises:
            BnfoldError: the inputs are one file, whose default outputs would be one, too.
        """
        if self.model == self.weights:
            raise BnfoldError(
                f"{self.model}: given as the model and as the weights; give a .prototxt and a "
                ".caffemodel"
            )
        made = self.output_model, self.output_weights
        return made if self.onto is None else made[1:]

    def write(self, outputs: Outputs) -> Report:
        """Fold and write both files into `outputs`; they take their names when it is left."""
        with self._folded() as folding:
            return self._write(outputs, folding)

    def write_net(
        self,
        outputs: Outputs,
        net: Net,
        stored: Weights,
        also: Mapping[str, LayerEdit] | None = None,
    ) -> Report:
        """Fold and write a network of the job's files, whatever rewrites have made of it.

        Args:
            outputs: holds the files.
            net: the network.
            stored: its weights file.
            also: what else changes in records: those that go, and gradients that do.
        """
        return self._write(outputs, self._fold(net, stored, None).with_edits(also or {}))

    def rehearse_net(
        self, net: Net, stored: Weights, also: Mapping[str, LayerEdit] | None = None
    ) -> Report:
        """Do what `write_net` does, and keep nothing."""
        return self._rehearse(self._fold(net, stored, None).with_edits(also or {}))

    def _write(self, outputs: Outputs, folding: Folding) -> Report:
        check_suffix(self.output_weights, folding.stored)
        rounding = rounding_of(self.options)
        with outputs.open(self.output_weights) as descriptor, naming(self.model):
            folding.stored.write(
                descriptor, folding.edits, additions=folding.additions, rounding=rounding
            )
            size = os.fstat(descriptor).st_size
        warn_of_vanished(folding.plan, rounding)
        if folding.text is not None:
            outputs.write(self.output_model, folding.text)
        model = None if folding.text is None else self.output_model
        return self._report(folding, model, self.output_weights, size)

    def rehearse(self) -> Report:
        """Compute every output value and write none: what `write` refuses is refused."""
        with self._folded() as folding:
            return self._rehearse(folding)

    def _rehearse(self, folding: Folding) -> Report:
        rounding = rounding_of(self.options)
        with naming(self.model):
            compute_only(folding.stored, folding.edits, folding.additions, rounding)
        warn_of_vanished(folding.plan, rounding)
        return self._report(folding, None, None, None)

    @contextlib.contextmanager
    def _folded(self) -> Iterator[Folding]:
        settle(self.inputs)
        with open_weights(self.weights) as stored:
            if self.onto is not None:
                yield self._fold_onto(self.onto, stored)
                return
            net = read_net(self.model, self.options, stored)
            yield self._fold(net, stored, self.weights.stat().st_size)

    def _fold(self, net: Net, stored: Weights, size: int | None) -> Folding:
        with naming(self.model):
            shapes = infer_shapes(net)
            before = Counts.of(net, shapes, size)
            plan = fold(net, self.options, shapes)
            edits, additions = weight_edits(net), weight_additions(net)
            shapes = infer_shapes(net)
            after = Counts.of(net, shapes, None, rounding_of(self.options))
            warn_of_raw(after, plan, self.options)
            document = edit_document(net)
            left = unportable(net, document.render(), self.options)
        text = document.to_bytes()
        return Folding(stored, text, edits, additions, plan, before, after, unportable=left)

    def _fold_onto(self, given: Path, stored: Weights) -> Folding:
        from bnfold.merging.onto.folding import fold_onto

        fitted = fold_onto(self.model, given, self.options, stored)
        sizes = fitted.before, fitted.after
        return Folding(
            stored, None, fitted.edits, fitted.additions, fitted.plan, *sizes, fitted.onto
        )

    def _report(
        self, folding: Folding, model: Path | None, weights: Path | None, size: int | None
    ) -> Report:
        after = replace(folding.after, weights_bytes=size)
        phase = self.options.phase
        return Report(
            self.model,
            self.weights,
            model,
            weights,
            phase,
            folding.plan,
            folding.before,
            after,
            onto=folding.onto,
            unportable=folding.unportable,
        )


def compute_only(
    stored: Weights,
    edits: dict[str, LayerEdit],
    additions: Sequence[NewLayer] = (),
    rounding: Rounding | None = None,
) -> None:
    """Compute every value of a changed weights file, and keep none."""
    descriptor = os.open(os.devnull, os.O_WRONLY)
    try:
        stored.write(descriptor, edits, additions=additions, rounding=rounding)
    finally:
        os.close(descriptor)


def plan_only(model: Path, weights: Path | None, options: MergeOptions) -> Report:
    """Plan a fold, with or without weights, and compute none of the outputs.

    Raises:
        BnfoldError: the files cannot be used.
    """
    with one_line_errors(), contextlib.ExitStack() as stack:
        settle([model] if weights is None else [model, weights])
        stored = None if weights is None else stack.enter_context(open_weights(weights))
        size = None if weights is None else weights.stat().st_size
        net = read_net(model, options, stored)
        stack.enter_context(naming(model))
        shapes = infer_shapes(net)
        before = Counts.of(net, shapes, size)
        plan = fold(net, options, shapes)
        shapes = infer_shapes(net)
        after = Counts.of(net, shapes, None, rounding_of(options))
        warn_of_raw(after, plan, options)
        text = edit_document(net).render() if options.portable else ""
        left = unportable(net, text, options)
    return Report(model, weights, None, None, options.phase, plan, before, after, unportable=left)
