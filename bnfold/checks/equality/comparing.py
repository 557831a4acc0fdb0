"""Run two networks on the same inputs, and compare their values."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from bnfold.aliases import Array, Progress
from bnfold.caffemodel import Weights, open_weights
from bnfold.checks.equality.difference import RunningDifference
from bnfold.checks.equality.judging import NUDGED_IMAGES, judged, loaded
from bnfold.checks.equality.matching import Matching, Pair
from bnfold.checks.equality.options import Names, VerifyOptions
from bnfold.checks.equality.training import fed
from bnfold.checks.equality.verification import Compared, Verification
from bnfold.checks.feeds.arrays import Stacked
from bnfold.checks.feeds.choose import Inputs
from bnfold.checks.feeds.raw_input import RawInput
from bnfold.errors import BnfoldError
from bnfold.graph import Net, build
from bnfold.network_files import PairFiles
from bnfold.prototxt import load
from bnfold.runtimes import Place, Session
from bnfold.spelling import did_you_mean

Feeds = dict[str, Array]

_GROUP = 32
"""How many layers' values are held at a time; every group takes a forward pass of its own."""


class Kept:
    """What the original network was fed and what its outputs were, in all runs."""

    def __init__(self) -> None:
        self.inputs = Stacked()
        self.outputs = Stacked()


def compare_networks(
    files: PairFiles,
    options: VerifyOptions,
    progress: Progress | None = None,
    kept: Kept | None = None,
) -> Verification:
    """Run both networks on the same inputs, and compare.

    Args:
        files: the networks.
        options: how.
        progress: is told after every batch how many are done, and of how many.
        kept: takes the inputs and outputs, where they are to be kept.

    Raises:
        BnfoldError: a file or an option cannot be used, no engine can run the networks, or there
            is nothing to compare.
        PrototxtError, CaffemodelError, OSError: a file cannot be read.
    """
    files.ready()
    with contextlib.ExitStack() as stack:
        run = stack.enter_context(fed(files))
        original, folded = run.files.original, run.files.folded
        stored = stack.enter_context(open_weights(original.weights))
        new = stack.enter_context(open_weights(folded.weights))
        before, after = _net(original.model, stored), _net(folded.model, new)
        picked = stack.enter_context(loaded([original, folded], stored, new, options))
        remarks = (picked.why, *run.notes)
        check = _Check(files, options, before, after, picked.sessions, remarks, kept)
        return check.run(progress or _silent)


class _Check:
    def __init__(
        self,
        files: PairFiles,
        options: VerifyOptions,
        before: Net,
        after: Net,
        sessions: Sequence[Session],
        remarks: Sequence[str],
        kept: Kept | None,
    ) -> None:
        self._files = files
        self._options = options
        self._before = before
        self._matching = Matching(before, after, options.ahead, options.names)
        self._old, self._new = sessions[0], sessions[1]
        self._nudged = sessions[2] if len(sessions) > 2 else None
        self._why, *self._remarks = remarks
        self._kept = kept
        self._raw = RawInput.of(options.input_steps, self._old.inputs, files.original.model)

    def run(self, progress: Progress) -> Verification:
        mismatches = _mismatches(self._old, self._new, self._options.names)
        if mismatches:
            return self._found("nothing, since inputs or outputs differ", 0, mismatches=mismatches)
        outputs, scores = self._matching.outputs(), self._matching.scores()
        if not outputs:
            raise BnfoldError(f"{self._files.original.model}: it has no outputs to compare")
        self._check_tolerances([*outputs, *scores])
        wish = replace(self._options, preprocess=self._raw.completing(self._options.preprocess))
        inputs = wish.open(self._files.original.model, self._before, self._old.inputs)
        feeds, compared = self._compare([*outputs, *scores], inputs, progress)
        found = tuple(compared[: len(outputs)]), tuple(compared[len(outputs) :])
        what = f"{inputs}{self._raw}"
        result = self._found(what, inputs.images, found=found)
        if self._options.layers or not result.outputs_agree:
            layers = tuple(self._layers(feeds))
            result = self._found(what, inputs.images, found=found, layers=layers)
        return result

    def _check_tolerances(self, compared: Sequence[Pair]) -> None:
        """Refuse a tolerance that would be for nothing."""
        names = {pair.name for pair in (*compared, *self._matching.layers())}
        for name in self._options.tolerances:
            if name not in names:
                known = ", ".join(f"'{pair.name}'" for pair in compared)
                raise BnfoldError(
                    f"{self._files.folded.model}: no value that is compared is named '{name}'"
                    f"{did_you_mean(name, names)}; outputs and scores are {known}"
                )

    def _compare(
        self, pairs: Sequence[Pair], inputs: Inputs, progress: Progress
    ) -> tuple[Feeds, list[Compared]]:
        """Compare on all inputs; gives also those in which the networks were farthest apart."""
        sums, noise = [RunningDifference() for _ in pairs], [RunningDifference() for _ in pairs]
        worst, farthest = -1.0, {}
        for run, feeds in enumerate(inputs):
            measure = run * inputs.batch < NUDGED_IMAGES
            apart = self._step(pairs, feeds, sums, noise if measure else None, self._kept)
            if apart > worst:
                worst, farthest = apart, feeds
            progress(run + 1, inputs.runs)
        return farthest, [
            judged(pair, one, other, self._options)
            for pair, one, other in zip(pairs, sums, noise, strict=True)
        ]

    def _layers(self, feeds: Feeds) -> list[Compared]:
        pairs = [p for p in self._matching.layers() if p.layer not in self._options.altered]
        found = []
        for start in range(0, len(pairs), _GROUP):
            group = pairs[start : start + _GROUP]
            sums, noise = [RunningDifference() for _ in group], [RunningDifference() for _ in group]
            self._step(group, feeds, sums, noise)
            found += [
                judged(*three, self._options) for three in zip(group, sums, noise, strict=True)
            ]
        return found

    def _step(
        self,
        pairs: Sequence[Pair],
        feeds: Feeds,
        sums: Sequence[RunningDifference],
        noise: Sequence[RunningDifference] | None,
        kept: Kept | None = None,
    ) -> float:
        """One batch through the networks; gives the largest relative difference in it."""
        places: list[Place] = list(dict.fromkeys(pair.before for pair in pairs))
        feeds = self._raw.rounded(feeds)
        old = self._old.run(feeds, places)
        if kept is not None:
            kept.inputs.add(feeds)
            kept.outputs.add({pair.name: old[pair.before] for pair in pairs})
        places_after = list(dict.fromkeys(pair.after for pair in pairs))
        new = self._new.run(self._for_folded(feeds), places_after)
        largest = 0.0
        for pair, total in zip(pairs, sums, strict=True):
            largest = max(largest, total.add(old[pair.before], new[pair.after]))
        if self._nudged is not None and noise is not None:
            nudged = self._nudged.run(feeds, places)
            for pair, total in zip(pairs, noise, strict=True):
                total.add(old[pair.before], nudged[pair.before])
        return largest

    def _for_folded(self, feeds: Feeds) -> Feeds:
        names, feeds = self._options.names, self._raw.raw(feeds)
        return feeds if names is None else {new: feeds[old] for new, old in names.inputs.items()}

    def _found(
        self,
        inputs: str,
        images: int,
        *,
        mismatches: tuple[str, ...] = (),
        found: tuple[tuple[Compared, ...], tuple[Compared, ...]] = ((), ()),
        layers: tuple[Compared, ...] | None = None,
    ) -> Verification:
        files, options = self._files, self._options
        altered = [p.layer for p in self._matching.layers() if p.layer in options.altered]
        notes = [*self._remarks, *self._old.notes, *self._new.notes, *_notes(*found)]
        return Verification(
            *files.all,
            self._why,
            inputs,
            images,
            options.tolerance is None,
            options.layers,
            mismatches,
            *found,
            layers,
            tuple(dict.fromkeys(altered)),
            tuple(notes),
        )


def _net(model: Path, stored: Weights) -> Net:
    return build(load(model), weights=stored)


def _mismatches(old: Session, new: Session, names: Names | None) -> tuple[str, ...]:
    """Inputs and outputs of which the networks do not agree that they are there, or how large."""
    found = []
    inputs, outputs = new.inputs, new.outputs
    if names is not None:
        inputs = {names.inputs.get(name, name): shape for name, shape in inputs.items()}
        outputs = {names.outputs.get(name, name): shape for name, shape in outputs.items()}
    for kind, one, other in (("input", old.inputs, inputs), ("output", old.outputs, outputs)):
        found += [f"{kind} '{n}' is missing in the folded network" for n in one if n not in other]
        found += [f"{kind} '{n}' is not in the original" for n in other if n not in one]
        for name, shape in one.items():
            theirs = other.get(name, shape)
            # What a detector finds may differ in number; () is a shape that is not known.
            if kind == "input" and theirs != shape:
                found.append(f"input '{name}' has the shape {theirs}, not {shape}")
            elif len(theirs) != len(shape) and theirs and shape:
                found.append(f"output '{name}' has the shape {theirs}, not {shape}")
    return tuple(found)


def _notes(outputs: Iterable[Compared], scores: Iterable[Compared]) -> list[str]:
    notes = []
    agree = all(c.within for c in scores) and bool(tuple(scores))
    for compared in outputs:
        name, d = compared.pair.name, compared.difference
        if compared.pair.decides and agree and not compared.within:
            notes.append(
                f"output '{name}' differs ({compared}) while what it is decided from agrees: "
                "a decision that rounding tips"
            )
        elif d.magnitude == 0 and d.absolute == 0 and d.other_shape is None:
            notes.append(f"output '{name}' is zero for every input, which proves little")
    return notes


def _silent(done: int, total: int) -> None:
    pass
