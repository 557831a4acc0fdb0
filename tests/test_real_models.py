"""Networks that nobody here made: a trained ResNet, and one with float16 convolutions."""

from __future__ import annotations

import pytest
from folding import assert_same_function, feeds_for, merge_files

import bnfold


@pytest.fixture
def merge_real(real_models, tmp_path):
    def merge_real(name, **options):
        folder = real_models(name)
        (model,), (weights,) = folder.glob("*.prototxt"), folder.glob("*.caffemodel")
        return merge_files(
            model, weights, output_model=tmp_path / "m", output_weights=tmp_path / "w", **options
        )

    return merge_real


def test_resnet_folds_completely(merge_real):
    merged = merge_real("nsfw")
    assert len(merged.folded) == 2 * 53
    assert not merged.reasons
    assert '"BatchNorm"' not in merged.text
    assert '"Scale"' not in merged.text
    assert (
        merged.text.count("engine: CAFFE")
        == len(merged.report.plan.of_type(bnfold.EngineChange))
        >= 36
    )
    assert merged.report.after.affine == 0
    assert {"BatchNorm", "Scale"}.isdisjoint(record.type for record in merged.net.layer)


def test_resnet_computes_the_same(merge_real, runtime):
    assert_same_function(runtime, merge_real("nsfw"))


def test_licence_plate_network_in_float16_computes_the_same(merge_real, opencv):
    merged = merge_real("hyperlpr")
    assert merged.folded
    assert not merged.reasons
    # float16 to float32 is exact, and nothing is rounded to float16 again.
    assert_same_function(opencv, merged, tolerance=1e-4)


def test_licence_plate_network_kept_in_float16_computes_nearly_the_same(merge_real, opencv):
    merged = merge_real("hyperlpr", keep_dtype=True)
    assert merged.after[1].stat().st_size <= merged.before[1].stat().st_size
    with opencv.load(*merged.before) as old, opencv.load(*merged.after) as new:
        feeds = feeds_for(old.inputs)
        before, after = old.run(feeds), new.run(feeds)
    for name, values in before.items():
        assert abs(values - after[name]).max() <= 2e-2 * abs(values).max()


def test_licence_plate_network_in_plain_float32_runs_where_caffe_can_load_it(
    merge_real, opencv, engines
):
    merged = merge_real("hyperlpr", float32=True)
    assert merged.report.before.raw_blobs > 0
    assert merged.report.after.raw_blobs == 0
    for record in merged.net.layer:
        assert all(blob.data and not blob.raw_data for blob in record.blobs)
    assert_same_function(opencv, merged, tolerance=1e-4)
    pycaffe = engines["pycaffe"]
    if pycaffe is None:
        return
    with opencv.load(*merged.before) as old, pycaffe.load(*merged.after) as new:
        feeds = feeds_for(old.inputs)
        before, after = old.run(feeds), new.run(feeds)
    for name, values in before.items():
        assert abs(values - after[name]).max() <= 1e-4 * abs(values).max()
