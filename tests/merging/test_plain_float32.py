"""Files with float16 in raw_data, which few readers know: what is written, and what is said."""

from __future__ import annotations

import numpy as np
import pytest
from folding import feeds_for, merge_files, read_net
from models import Model

import bnfold


def network(storage: str) -> Model:
    net = Model(seed=3, storage=storage).input("data", (1, 4, 9, 7))
    net.conv("c", "data", 6).batch_norm("b", "c").scale("s", "c").relu("r", "c")
    return net.inner_product("f", "c", 3, 210)


def stored(path):
    return {record.name: list(record.blobs) for record in read_net(path).layer}


@pytest.mark.parametrize("storage", ["half", "raw_float", "double", "float"])
def test_float32_makes_a_file_that_caffe_reads(storage, tmp_path, pycaffe):
    (tmp_path / "plain").mkdir()
    plain = network("float").save(tmp_path / "plain")
    merged = merge_files(*network(storage).save(tmp_path), float32=True)
    for blobs in stored(merged.after[1]).values():
        assert all(blob.data and not blob.raw_data and not blob.double_data for blob in blobs)
    with pycaffe.load(*plain) as old, pycaffe.load(*merged.after) as new:
        feeds = feeds_for(old.inputs)
        before, after = old.run(feeds), new.run(feeds)
    tolerance = 5e-3 if storage == "half" else 1e-5
    for name, values in before.items():
        assert abs(values - after[name]).max() <= tolerance * abs(values).max()


def test_raw_blobs_that_stay_are_counted_and_the_option_named(tmp_path):
    pair = network("half").save(tmp_path)
    report = bnfold.merge(*pair, force=True)
    assert (report.before.raw_blobs, report.after.raw_blobs) == (9, 2)
    (warning,) = report.plan.warnings
    assert "2 blobs stay in raw_data" in warning
    assert "--float32" in warning
    assert report.to_json()["after"]["raw_blobs"] == 2
    assert bnfold.inspect(*pair).plan.warnings == [warning]
    assert [bool(blob.raw_data) for blob in stored(report.output_weights)["f"]] == [True, True]


@pytest.mark.parametrize(("options", "left"), [({"float32": True}, 0), ({"keep_dtype": True}, 4)])
def test_whoever_chose_is_not_warned(options, left, tmp_path):
    report = bnfold.merge(*network("half").save(tmp_path), **options)
    assert report.after.raw_blobs == left
    assert report.plan.warnings == []
    blobs = [b for found in stored(report.output_weights).values() for b in found]
    assert sum(bool(blob.raw_data) for blob in blobs) == left


def test_float32_and_keep_dtype_exclude_each_other(tmp_path):
    with pytest.raises(bnfold.BnfoldError, match="choose one"):
        bnfold.merge(*network("half").save(tmp_path), float32=True, keep_dtype=True)


@pytest.mark.parametrize("dry_run", [False, True])
def test_double_that_float32_cannot_hold_leaves_no_output(dry_run, tmp_path):
    net = network("double")
    next(r for r in net.net.layer if r.name == "f").blobs[0].double_data[0] = 1e300
    pair = net.save(tmp_path)
    with pytest.raises(bnfold.BnfoldError, match=r"'f'.*leave out --float32"):
        bnfold.merge(*pair, float32=True, dry_run=dry_run)
    assert sorted(tmp_path.iterdir()) == sorted(pair)


@pytest.mark.parametrize("merge", [False, True])
def test_prune_can_do_it_too(merge, tmp_path):
    pair = network("half").save(tmp_path)
    said = bnfold.prune(*pair, channels={"c": [1]}, merge=merge)
    left = sum(bool(b.raw_data) for bs in stored(said.output_weights).values() for b in bs)
    (warning,) = [line for line in said.to_json()["warnings"] if "--float32" in line]
    assert warning.startswith(f"{left} blob")
    report = bnfold.prune(*pair, channels={"c": [1]}, merge=merge, float32=True, force=True)
    assert report.after.raw_blobs == 0
    assert not any("--float32" in line for line in report.warnings)
    for blobs in stored(report.output_weights).values():
        assert all(blob.data and not blob.raw_data for blob in blobs)


def test_command_has_the_option(tmp_path, capsys):
    from bnfold.cli.app import cli

    model, weights = network("half").save(tmp_path)
    files = ["--model", str(model), "--weights", str(weights), "--force", "--float32"]
    # Through the program, as a user does: click keeps the first help option of a command, and
    # of one that runs alone it has no -h.
    for command, more in (("merge", []), ("prune", ["--ratio", "0.2", "--round", "1"])):
        cli.main([command, *files, *more], standalone_mode=False)
    assert capsys.readouterr().err == ""
    for name in ("net.folded.caffemodel", "net.pruned.caffemodel"):
        for blobs in stored(tmp_path / name).values():
            assert all(np.array(blob.data).size for blob in blobs)
