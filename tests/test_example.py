"""The example network, trained with Caffe: the same answers before and after, on every image."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from conftest import EXAMPLE
from folding import merge_files

import bnfold

PIXEL = 1 / 256


@pytest.fixture(scope="module")
def images():
    lines = [line.rsplit(" ", 1) for line in (EXAMPLE / "val.txt").read_text().splitlines()]
    pixels = [cv2.imread(str(EXAMPLE / path), cv2.IMREAD_GRAYSCALE) for path, _ in lines]
    labels = np.array([int(label) for _, label in lines])
    return np.stack(pixels)[:, None].astype(np.float32) * np.float32(PIXEL), labels


@pytest.fixture
def merged(digits, tmp_path):
    return merge_files(
        *digits, output_model=tmp_path / "m.prototxt", output_weights=tmp_path / "w.caffemodel"
    )


def test_every_batch_norm_and_scale_goes(merged):
    assert len(merged.folded) == 10
    assert not merged.reasons
    assert [change.layer for change in merged.report.plan.of_type(bnfold.EngineChange)] == ["conv2"]
    assert merged.report.after.affine == 0


def test_all_images_get_the_same_answer(merged, runtime, images):
    pixels, labels = images
    assert len(labels) >= 350
    with runtime.load(*merged.before) as old, runtime.load(*merged.after) as new:
        before, after = (session.run({"data": pixels})["prob"] for session in (old, new))
    assert np.abs(before - after).max() < 1e-5
    np.testing.assert_array_equal(before.argmax(1), after.argmax(1))
    assert (before.argmax(1) == labels).mean() > 0.95


@pytest.mark.parametrize("blob", ["conv1", "conv2", "conv3/scale", "conv4", "fc5"])
def test_every_block_computes_what_it_did(blob, merged, runtime, images):
    pixels, _ = images
    with runtime.load(*merged.before) as old, runtime.load(*merged.after) as new:
        before, after = (s.run({"data": pixels[:32]}, [blob])[blob] for s in (old, new))
    assert np.abs(before - after).max() <= 2e-5 * np.abs(before).max()
