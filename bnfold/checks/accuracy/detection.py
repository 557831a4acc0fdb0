"""Mean average precision of a detection network, by pycocotools.

The output of a DetectionOutput layer is 1 x 1 x n x 7: for each detection the number of its image
in the batch, label, score, xmin, ymin, xmax, ymax, the last four as parts of the image's width and
height (weiliu89's Caffe, branch ssd, src/caffe/layers/detection_output_layer.cpp).
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from bnfold.aliases import Floats
from bnfold.checks.accuracy.detection_truth import Box, Thing, Truth
from bnfold.checks.accuracy.report import Answer, Changed, Metric
from bnfold.checks.images.batches import Batch
from bnfold.errors import BnfoldError


@dataclass(frozen=True)
class Detection:
    """One detection: the number of its image, its category, its score, its box in pixels."""

    image: int
    category: int
    score: float
    box: Box


def average_precision(
    things: Sequence[Sequence[Thing]], detections: Sequence[Detection]
) -> tuple[float, float]:
    """COCO's average precision, of all sizes and at most 100 detections an image and class.

    It is pycocotools' own: precision at 101 recalls, the mean over all classes that occur. Crowds,
    and VOC's difficult objects, neither count nor harm.

    Args:
        things: what is on each image.
        detections: what was found.

    Returns:
        At an overlap of 0.5, and the mean over 0.5, 0.55 to 0.95; both from 0 to 1, or -1 if the
        images have no objects.
    """
    coco, evaluation = _pycocotools()
    images = [{"id": i + 1} for i in range(len(things))]
    found = {thing.category for image in things for thing in image}
    found.update(detection.category for detection in detections)
    categories = [{"id": category, "name": str(category)} for category in sorted(found)]

    def indexed(annotations: list[dict[str, Any]]) -> Any:
        for number, annotation in enumerate(annotations, 1):
            annotation["id"] = number  # pycocotools takes a number of 0 for no match
        store = coco()
        store.dataset = {"images": images, "categories": categories, "annotations": annotations}
        store.createIndex()
        return store

    truth = [
        _entry(i, thing.category, thing.box, iscrowd=int(thing.ignored), area=thing.area)
        for i, image in enumerate(things)
        for thing in image
    ]
    answers = [
        _entry(d.image, d.category, d.box, score=d.score, area=d.box[2] * d.box[3], iscrowd=0)
        for d in detections
    ]
    with contextlib.redirect_stdout(io.StringIO()):  # it prints at every step
        run = evaluation(indexed(truth), indexed(answers), "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return float(run.stats[1]), float(run.stats[0])


def _entry(image: int, category: int, box: Box, **more: Any) -> dict[str, Any]:
    return {"image_id": image + 1, "category_id": category, "bbox": list(box), **more}


def _pycocotools() -> tuple[Any, Any]:
    try:
        from pycocotools.coco import COCO  # type: ignore[import-untyped,unused-ignore]
        from pycocotools.cocoeval import COCOeval  # type: ignore[import-untyped,unused-ignore]
    except ImportError as error:
        raise BnfoldError(
            "average precision is computed by pycocotools, and importing it fails "
            f"({error}); pip install 'bnfold[detection]'"
        ) from None
    return COCO, COCOeval


class DetectionTally:
    """Collects what is on images, and what two networks find there."""

    def __init__(self, truth: Truth, where: str) -> None:
        _pycocotools()  # now, and not when hours of work are done
        self._truth = truth
        self._where = where
        self._things: list[Sequence[Thing]] = []
        self._found: tuple[list[Detection], list[Detection]] = ([], [])
        self.changed: list[Changed] = []
        self.largest = 0.0
        self.largest_at = ""
        self.not_finite = [0, 0]
        self.classes = None

    @property
    def images(self) -> int:
        """How many images came in."""
        return len(self._things)

    def add(self, batch: Batch, before: Floats, after: Floats) -> None:
        """Take a batch and the outputs of both networks, (1, 1, n, 7).

        Raises:
            BnfoldError: the arrays are no detections, or an image has no annotation.
        """
        start = len(self._things)
        sizes = []
        for sample, size in zip(batch.samples, batch.sizes, strict=True):
            size, things = self._truth.of(sample, size)
            self._things.append(things)
            sizes.append(size)
        answers = [
            self._take(side, rows, start, sizes) for side, rows in enumerate((before, after))
        ]
        for sample, one, two in zip(batch.samples, *answers, strict=True):
            difference = abs(one.score - two.score)
            if difference > self.largest:
                self.largest, self.largest_at = difference, sample.name
            if one.label != two.label:
                self.changed.append(Changed(sample.name, None, one, two))

    def metrics(self) -> tuple[Metric, ...]:
        """Mean average precision, at 0.5 and over 0.5 to 0.95.

        Raises:
            BnfoldError: the annotations of the images have no objects.
        """
        before, after = (average_precision(self._things, found) for found in self._found)
        if before[0] < 0:
            raise BnfoldError(
                "none of the images has an annotated object; are these their annotations?"
            )
        names = "mAP@0.5", "mAP@[.5:.95]"
        return tuple(
            Metric(name, Fraction(one), Fraction(two))
            for name, one, two in zip(names, before, after, strict=True)
        )

    def _take(
        self, side: int, rows: Floats, start: int, sizes: Sequence[tuple[int, int]]
    ) -> list[Answer]:
        """Note a network's detections; gives the best one of each image."""
        if rows.ndim < 2 or rows.shape[-1] != 7:
            raise BnfoldError(f"{self._where}: {rows.shape} are no detections, 1 x 1 x n x 7")
        best = [Answer(None, 0.0)] * len(sizes)
        spoilt = set()
        for image, label, score, *corners in rows.reshape(-1, 7).tolist():
            # Where nothing is found Caffe gives a row of -1 for each image, OpenCV one of 0.
            if not np.isfinite([image, label, score, *corners]).all():
                spoilt.add(image)
                continue
            if label < 0 or (score == 0 and not any(corners)):
                continue
            if not 0 <= image < len(sizes):
                raise BnfoldError(
                    f"{self._where}: a detection on image {image:g} of {len(sizes)}; use --batch 1"
                )
            category = self._truth.category(int(label))
            height, width = sizes[int(image)]
            left, top, right, bottom = corners
            box = (left * width, top * height, (right - left) * width, (bottom - top) * height)
            self._found[side].append(Detection(start + int(image), category, score, box))
            if score > best[int(image)].score:
                best[int(image)] = Answer(int(label), score)
        self.not_finite[side] += len(spoilt)
        return best
