"""Which blob of a network is its answer, and how many of its answers are right."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from bnfold.aliases import Floats
from bnfold.checks.accuracy.report import Answer, Changed, Metric
from bnfold.checks.images.batches import Batch
from bnfold.errors import BnfoldError
from bnfold.graph import Net, Value, build, is_judge
from bnfold.graph.axes import is_scores
from bnfold.prototxt import load
from bnfold.runtimes import Session

DEFAULT_TOP = (1, 5)
DETECTION = "DetectionOutput"


class Interface:
    """Where images go in and answers come out.

    Attributes:
        image: the input that takes images.
        labels: inputs that only judges read.
        output: the blob with the answers.
        is_detection: whether that is the output of a DetectionOutput layer.
    """

    def __init__(self, model: Path, session: Session, wanted: str | None) -> None:
        net = build(load(model))
        judged = _label_inputs(net)
        images = [name for name in session.inputs if name not in judged]
        if len(images) != 1:
            there = ", ".join(f"'{name}'" for name in images) or "none"
            raise BnfoldError(
                f"{model}: one input for images is needed, and there are: {there}; give the deploy "
                "prototxt of a network with one input"
            )
        self.image = images[0]
        self.labels = [name for name in session.inputs if name in judged]
        kinds = {top: layer.type for layer in session.layers for top in layer.tops}
        found = [name for name in session.outputs if kinds.get(name) == DETECTION]
        if not found:
            found = _score_outputs(net, session)
        if wanted is not None:
            self.output = wanted
        elif len(found) == 1:
            self.output = found[0]
        else:
            raise BnfoldError(f"{model}: {_which(session, found)}")
        self.is_detection = kinds.get(self.output) == DETECTION


def _label_inputs(net: Net) -> set[str]:
    values: list[Value] = list(net.inputs)
    for layer in net.layers:
        if layer.kind.is_input:
            values += layer.tops
    return {
        value.name
        for value in values
        if value.readers and all(is_judge(reader) for reader in value.readers)
    }


def _score_outputs(net: Net, session: Session) -> list[str]:
    """The outputs with a score for each class; else what the judges of a training net read."""
    judges = [layer for layer in net.layers if is_judge(layer)]
    judged = {value.name for layer in judges for value in layer.tops}
    found = [
        name
        for name, shape in session.outputs.items()
        if name not in judged and (not shape or is_scores(shape))
    ]
    return found or list(dict.fromkeys(j.bottoms[0].name for j in judges if j.bottoms))


def _which(session: Session, found: Sequence[str]) -> str:
    names = found or list(session.outputs)
    shown = []
    for name in names:
        shape = session.outputs.get(name, ())
        shown.append(f"{name} ({'x'.join(map(str, shape))})" if shape else name)
    what = "several outputs may be the scores" if found else "no output has a score for each class"
    return f"{what}: {', '.join(shown) or 'none'}; name one with --output-blob"


class Tally:
    """Counts right answers as batches come in.

    An image is right within the top k if fewer than k other classes have a score at least as high
    as its own class's: BVLC caffe, src/caffe/layers/accuracy_layer.cpp, where ties count against
    the network. Other than there, scores that are no numbers are never right.
    """

    def __init__(self, where: str, top: Sequence[int] | None) -> None:
        self._where = where
        self._top = top
        self._right: dict[int, list[int]] = {}
        self.images = 0
        self.changed: list[Changed] = []
        self.largest = 0.0
        self.largest_at = ""
        self.not_finite = [0, 0]
        self.classes: int | None = None

    def add(self, batch: Batch, before: Floats, after: Floats) -> None:
        """Count a batch.

        Args:
            batch: the images, all with labels.
            before, after: the scores, (images, classes) and any number of axes of 1.

        Raises:
            BnfoldError: they are not such arrays, or a label or k is none of the classes.
        """
        both = [self._rows(array, len(batch.samples)) for array in (before, after)]
        classes = both[0].shape[1]
        if both[1].shape[1] != classes:
            raise BnfoldError(
                f"{self._where}: {classes} scores before and {both[1].shape[1]} after; is the "
                "folded network of this one?"
            )
        self.classes = classes
        if not self._right:
            self._right = {k: [0, 0] for k in self._chosen(classes)}
        labels = np.array([sample.label for sample in batch.samples])
        if (outside := np.flatnonzero(labels >= classes)).size:
            sample = batch.samples[int(outside[0])]
            raise label_error(sample.name, sample.label, self._where, classes)
        for side, scores in enumerate(both):
            finite = np.isfinite(scores).all(1)
            self.not_finite[side] += int((~finite).sum())
            own = np.take_along_axis(scores, labels[:, None], 1)
            rank = (scores >= own).sum(1) - 1
            for k, right in self._right.items():
                right[side] += int((finite & (rank < k)).sum())
        self.images += len(labels)
        self._compare(batch, *both)

    def metrics(self) -> tuple[Metric, ...]:
        """Top-k, for every k."""
        return tuple(
            Metric(f"top-{k}", Fraction(a, self.images), Fraction(b, self.images), a, b)
            for k, (a, b) in self._right.items()
        )

    def _rows(self, array: Floats, images: int) -> Floats:
        sides = "x".join(map(str, array.shape))
        if array.shape[:1] != (images,):
            raise BnfoldError(
                f"{self._where}: the output is {sides} for {images} images; use --batch 1"
            )
        if not is_scores(array.shape):
            raise BnfoldError(
                f"{self._where}: the output is {sides}, which is no score for each class; name "
                "another with --output-blob"
            )
        return array.reshape(images, -1)

    def _chosen(self, classes: int) -> list[int]:
        if self._top is None:
            return [k for k in DEFAULT_TOP if k < classes]
        for k in self._top:
            if k > classes:
                raise BnfoldError(f"{self._where}: top {k} of {classes} scores; give a smaller top")
        return sorted(set(self._top))

    def _compare(self, batch: Batch, before: Floats, after: Floats) -> None:
        with np.errstate(invalid="ignore", over="ignore"):
            difference = np.abs(before.astype(np.float64) - after)
        difference[before == after] = 0
        difference = np.where(np.isnan(difference), np.inf, difference).max(1)
        worst = int(difference.argmax())
        if difference[worst] > self.largest:
            self.largest = float(difference[worst])
            self.largest_at = batch.samples[worst].name
        answers = before.argmax(1), after.argmax(1)
        for i in np.flatnonzero(answers[0] != answers[1]):
            one, two = (int(answer[i]) for answer in answers)
            sample = batch.samples[i]
            first, second = Answer(one, float(before[i, one])), Answer(two, float(after[i, two]))
            self.changed.append(Changed(sample.name, sample.label, first, second))


def label_error(name: str, label: int | None, where: str, classes: int) -> BnfoldError:
    """The error about a label that is none of the classes."""
    return BnfoldError(
        f"{name}: label {label}, and {where} has {classes} scores, for 0 to {classes - 1}; labels "
        "count from 0"
    )
