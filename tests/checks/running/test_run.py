"""Running one network, keeping what it gives, and comparing what a device gave."""

from __future__ import annotations

import numpy as np
import pytest
from models import Model

import bnfold


@pytest.fixture
def pair(tmp_path):
    net = Model(seed=1).input("data", (2, 3, 6, 5)).conv("c", "data", 4, 3).relu("r", "c")
    return net.conv("d", "c", 2, 1).save(tmp_path)


@pytest.fixture
def kept(pair, tmp_path, runtime):
    """What a run of four random inputs took and gave."""
    options = bnfold.RunOptions(random=4, runtime=runtime.name)
    where = {"output": tmp_path / "out.npz", "save_inputs": tmp_path / "in.npz"}
    report = bnfold.run(*pair, blobs=["c", "d"], options=options, **where)
    return report, np.load(where["save_inputs"]), np.load(where["output"])


def test_a_run_keeps_all_inputs_behind_each_other(kept, pair, runtime):
    report, fed, given = kept
    assert (report.images, sorted(fed), sorted(given)) == (4, ["data"], ["c", "d"])
    assert fed["data"].shape == (4, 3, 6, 5)
    with runtime.load(*pair) as session:
        for run in (0, 1):
            part = slice(2 * run, 2 * run + 2)
            found = session.run({"data": fed["data"][part]}, ["c", "d"])
            for name, value in found.items():
                assert np.array_equal(given[name][part], value)


def test_a_run_describes_what_it_keeps(kept):
    report, _, given = kept
    for value in report.values:
        array = given[value.name]
        assert (value.shape, value.least, value.largest) == (array.shape, array.min(), array.max())
        assert value.mean == pytest.approx(array.mean(dtype=np.float64))


def test_the_same_inputs_give_the_same_again(kept, pair, tmp_path, runtime):
    options = bnfold.RunOptions(inputs=tmp_path / "in.npz", runtime=runtime.name)
    bnfold.run(*pair, output=tmp_path / "again.npz", options=options)
    with np.load(tmp_path / "again.npz") as again:
        assert list(again) == ["d"]
        assert np.array_equal(again["d"], kept[2]["d"])


def test_a_blob_that_is_not_there(pair, opencv):
    with pytest.raises(bnfold.BnfoldError, match="no blob is named 'e'"):
        bnfold.run(*pair, blobs=["e"], options=bnfold.RunOptions(runtime="opencv"))


def verified(pair, tmp_path, arrays, **more):
    options = bnfold.VerifyOptions(inputs=tmp_path / "in.npz", runtime="opencv")
    return bnfold.verify_recorded(*pair, arrays, options=options, **more)


@pytest.fixture
def recorded(pair, tmp_path, opencv):
    """What a device gave that is as good as the engine."""
    options = bnfold.RunOptions(random=4, runtime="opencv")
    where = {"output": tmp_path / "out.npz", "save_inputs": tmp_path / "in.npz"}
    bnfold.run(*pair, blobs=["c", "d"], options=options, **where)
    return dict(np.load(where["output"]))


def as_recorded(arrays):
    return {name: array.copy() for name, array in arrays.items()}


def test_a_device_that_gives_the_same(recorded, pair, tmp_path):
    found = verified(pair, tmp_path, tmp_path / "out.npz")
    assert found.passed
    assert [value.difference.absolute for value in found.values] == [0, 0]
    assert found.notes == ()


def test_a_device_that_gives_something_else(recorded, pair, tmp_path):
    recorded["c"][3, 1, 2, 0] += 0.1
    np.savez(tmp_path / "device.npz", **recorded)
    found = verified(pair, tmp_path, tmp_path / "device.npz")
    assert not found.passed
    assert "device.npz: not what" in found.failure
    assert "'c'" in found.failure
    (wrong,) = (value for value in found.values if not value.within)
    assert (wrong.difference.run, wrong.difference.where) == (1, (1, 1, 2, 0))


@pytest.mark.parametrize("layout", [None, "nhwc"])
def test_the_order_of_axes_is_told_by_the_shape_or_given(layout, recorded, pair, tmp_path):
    turned = {name: array.transpose(0, 2, 3, 1) for name, array in recorded.items()}
    np.savez(tmp_path / "device.npz", **turned)
    assert verified(pair, tmp_path, tmp_path / "device.npz", layout=layout).passed
    assert not verified(pair, tmp_path, tmp_path / "device.npz", layout="nchw").passed


def test_files_of_bare_numbers(recorded, pair, tmp_path):
    recorded["d"].astype(np.float64).tofile(tmp_path / "d.bin")
    raw = {"d": bnfold.RawArray(tmp_path / "d.bin", recorded["d"].shape, "float64")}
    found = verified(pair, tmp_path, raw)
    assert found.passed
    assert [value.pair.name for value in found.values] == ["d"]


def test_an_output_that_was_not_recorded_is_told(recorded, pair, tmp_path):
    np.savez(tmp_path / "device.npz", c=recorded["c"])
    found = verified(pair, tmp_path, tmp_path / "device.npz")
    assert found.passed
    assert found.notes == ("output 'd' was not recorded, and is not compared",)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({}, "holds no arrays"),
        ({"e": np.ones(3)}, "no blob is named 'e'"),
        ({"d": np.ones((4, 2, 4, 4))}, "(4, 2, 4, 4) was recorded"),
    ],
)
def test_what_does_not_fit_is_refused(arrays, says, recorded, pair, tmp_path):
    np.savez(tmp_path / "device.npz", **arrays)
    with pytest.raises(bnfold.BnfoldError) as error:
        verified(pair, tmp_path, tmp_path / "device.npz")
    assert says in str(error.value)


def test_verify_keeps_what_it_fed_and_what_came_out(pair, tmp_path, opencv):
    bnfold.merge(*pair)
    options = bnfold.VerifyOptions(random=4, runtime="opencv")
    where = {"save_inputs": tmp_path / "fed.npz", "save_outputs": tmp_path / "given.npz"}
    assert bnfold.verify(*pair, options=options, **where).passed
    options = bnfold.VerifyOptions(inputs=tmp_path / "fed.npz", runtime="opencv")
    found = bnfold.verify_recorded(*pair, tmp_path / "given.npz", options=options)
    assert found.passed
    assert found.images == 4
