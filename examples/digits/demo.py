"""Fold the example network, show what changed, and count right answers before and after.

Run by `make demo`. Needs OpenCV 4 (`pip install bnfold[opencv]`) and no Caffe.
"""

from __future__ import annotations

import difflib
import tempfile
from pathlib import Path

import cv2
import numpy as np

import bnfold

HERE = Path(__file__).parent
PIXEL = 0.00390625  # the network was trained on pixel / 256


def answers(model: Path, weights: Path, images: np.ndarray) -> np.ndarray:
    """The network's probabilities, shape (images, 10), with OpenCV's own fusion off."""
    net = cv2.dnn.readNetFromCaffe(str(model), str(weights))
    net.enableFusion(False)
    net.enableWinograd(False)
    net.setInput(images)
    return net.forward()


def main() -> None:
    """Print the diff, the accuracies, and the largest difference of an output."""
    model, weights = HERE / "deploy.prototxt", HERE / "digits.caffemodel"
    lines = [line.rsplit(" ", 1) for line in (HERE / "val.txt").read_text().splitlines()]
    pixels = [cv2.imread(str(HERE / path), cv2.IMREAD_GRAYSCALE) for path, _ in lines]
    images = np.stack(pixels)[:, None].astype(np.float32) * PIXEL
    labels = np.array([int(label) for _, label in lines])

    with tempfile.TemporaryDirectory() as folder:
        new_model, new_weights = Path(folder, "deploy.prototxt"), Path(folder, "digits.caffemodel")
        report = bnfold.merge(model, weights, output_model=new_model, output_weights=new_weights)
        old_text, new_text = (p.read_text().splitlines() for p in (model, new_model))
        print(*difflib.unified_diff(old_text, new_text, "before", "after", "", "", 1, ""), sep="\n")
        before = answers(model, weights, images)
        after = answers(new_model, new_weights, images)

    right = [int((out.argmax(1) == labels).sum()) for out in (before, after)]
    print()
    plan = report.plan
    print(f"folded {len(plan.folded)} BatchNorm and Scale layers, kept {len(plan.kept)}")
    print(f"layers {report.before.layers} -> {report.after.layers}")
    for name, count in zip(("before", "after"), right, strict=True):
        print(f"accuracy {name:6} {count}/{len(labels)} = {count / len(labels):.2%}")
    print(f"largest difference of an output: {np.abs(before - after).max():.2e}")


if __name__ == "__main__":
    main()
