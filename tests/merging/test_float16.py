"""`--float16`: all weights half as large, for those who read that."""

from __future__ import annotations

import numpy as np
import pytest
from folding import feeds_for, merge_files, merge_model, read_net
from models import Model

import bnfold


def network(storage: str = "float") -> Model:
    net = Model(seed=3, storage=storage).input("data", (1, 4, 9, 7))
    net.conv("c", "data", 6).batch_norm("b", "c").scale("s", "c").relu("r", "c")
    net.plain("TanH", "t", "c").batch_norm("k", "t", "k").plain("TanH", "u", "k")
    return net.inner_product("f", "u", 3, 210, bias=False)


def halves(path) -> dict[str, list[np.ndarray]]:
    """The numbers of each layer, which are all stored as float16."""
    found = {}
    for record in read_net(path).layer:
        assert all(blob.raw_data_type == 2 and not blob.data for blob in record.blobs)
        found[record.name] = [np.frombuffer(blob.raw_data, "<f2") for blob in record.blobs]
    return found


def with_values(*values: float) -> Model:
    """A network of one layer, whose weight has some numbers."""
    net = network()
    data = net.net.layer[-1].blobs[0].data
    data[: len(values)] = values
    return net


@pytest.mark.parametrize("storage", ["float", "half", "double", "legacy", "raw_float"])
def test_all_blobs_become_float16(storage, tmp_path):
    merged = merge_model(tmp_path, network(storage), float16=True)
    names = {"c", "k", "f"}
    assert set(halves(merged.after[1])) == names
    assert merged.report.after.raw_blobs == 5
    assert merged.report.plan.warnings == []


def test_each_value_is_rounded_once(tmp_path):
    wide = network("double")
    (tmp_path / "wide").mkdir()
    exact = merge_model(tmp_path / "wide", wide, keep_dtype=True)
    (weight,) = (r.blobs[0].double_data for r in exact.net.layer if r.name == "c")
    merged = merge_model(tmp_path, wide, float16=True)
    assert halves(merged.after[1])["c"][0].tolist() == np.array(weight).astype("<f2").tolist()


def test_a_second_merge_changes_nothing(tmp_path):
    merged = merge_model(tmp_path, network(), float16=True)
    again = merge_files(*merged.after, float16=True)
    assert merged.after[1].read_bytes() == again.after[1].read_bytes()


def test_opencv_runs_it(tmp_path, opencv):
    merged = merge_model(tmp_path, network(), float16=True)
    with opencv.load(*merged.before) as old, opencv.load(*merged.after) as new:
        feeds = feeds_for(old.inputs)
        before, after = old.run(feeds), new.run(feeds)
    assert before
    for name, values in before.items():
        assert 0 < np.abs(values - after[name]).max() < 5e-3 * np.abs(values).max()


def test_caffe_runs_it_made_float32_again(tmp_path, pycaffe):
    merged = merge_model(tmp_path, network(), float16=True)
    plain = merge_files(*merged.after, float32=True)
    with pycaffe.load(*merged.before) as old, pycaffe.load(*plain.after) as new:
        feeds = feeds_for(old.inputs)
        before, after = old.run(feeds), new.run(feeds)
    assert before
    for name, values in before.items():
        assert 0 < np.abs(values - after[name]).max() < 5e-3 * np.abs(values).max()


def test_verify_allows_what_float16_costs(tmp_path, opencv):
    report = bnfold.merge(
        *network().save(tmp_path), float16=True, verify=bnfold.VerifyOptions(runtime="opencv")
    )
    assert report.verification.passed


def test_the_smallest_and_the_largest_numbers_are_kept(tmp_path):
    numbers = [2.0**-24, -(2.0**-14), 65504.0, -65519.0, 0.0, -0.0]
    merged = merge_model(tmp_path, with_values(*numbers), float16=True)
    stored = halves(merged.after[1])["f"][0][:6]
    assert stored.tolist() == [2.0**-24, -(2.0**-14), 65504.0, -65504.0, 0.0, 0.0]
    assert merged.report.plan.warnings == []


def test_numbers_that_are_none_stay(tmp_path):
    net = with_values(np.nan, np.inf, -np.inf)
    merged = merge_model(tmp_path, net, float16=True, keep=["k"])
    stored = halves(merged.after[1])["f"][0][:3]
    assert np.isnan(stored[0])
    assert stored[1:].tolist() == [np.inf, -np.inf]


@pytest.mark.parametrize("dry_run", [False, True])
def test_what_becomes_zero_is_counted_by_layer(dry_run, tmp_path):
    net = with_values(1e-8, -1e-9, 1e-12)
    report = bnfold.merge(*net.save(tmp_path), float16=True, dry_run=dry_run)
    (warning,) = report.plan.warnings
    assert warning == "3 values of 'f' became 0: they are smaller than float16 holds"


@pytest.mark.parametrize("dry_run", [False, True])
def test_what_overflows_is_refused_by_the_name_of_its_layer(dry_run, tmp_path):
    pair = with_values(65520.0).save(tmp_path)
    with pytest.raises(bnfold.BnfoldError, match=r"layer 'f'.*6\.55e\+04.*leave out --float16"):
        bnfold.merge(*pair, float16=True, dry_run=dry_run)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.caffemodel", "net.prototxt"]


def test_what_overflows_when_it_is_folded_is_refused_too(tmp_path):
    net = network()
    # A variance of nearly nothing.
    net.net.layer[1].blobs[1].data[0] = 0.0
    net.texts = [
        text.replace("batch_norm_param {", "batch_norm_param { eps: 1e-14") for text in net.texts
    ]
    with pytest.raises(bnfold.BnfoldError, match=r"layer 'c'.*float16"):
        merge_model(tmp_path, net, float16=True)


def test_hdf5_holds_it_too(tmp_path):
    h5py = pytest.importorskip("h5py")
    model, weights = network().save(tmp_path)
    with h5py.File(tmp_path / "w.h5", "w") as file:
        for record in read_net(weights).layer:
            for number, blob in enumerate(record.blobs):
                shape = tuple(blob.shape.dim)
                file[f"data/{record.name}/{number}"] = np.array(blob.data, "<f4").reshape(shape)
    report = bnfold.merge(model, tmp_path / "w.h5", float16=True)
    assert report.after.raw_blobs == 0
    with h5py.File(report.output_weights) as file:
        assert {file[f"data/{name}/0"].dtype for name in "ckf"} == {np.dtype("<f2")}


@pytest.mark.parametrize("other", ["float32", "keep_dtype"])
def test_it_excludes_the_other_types(other, tmp_path):
    with pytest.raises(bnfold.BnfoldError, match="choose one"):
        bnfold.merge(*network().save(tmp_path), float16=True, **{other: True})
