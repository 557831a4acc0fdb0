"""`verify --layers` on folds that change values on purpose: it looks past those, and only those."""

from __future__ import annotations

import pytest
from models import Model

import bnfold


def residual() -> Model:
    net = Model(seed=3).input("data", (2, 3, 8, 8))
    for name in ("a", "b"):
        net.conv(name, "data", 4, 1)
    net.channels["sum"] = 4
    net.layer('name: "sum" type: "Eltwise" bottom: "a" bottom: "b" top: "sum"')
    return net.batch_norm("n", "sum").scale("s", "sum").relu("r", "sum").conv("end", "sum", 2, 1)


def collapsed() -> Model:
    net = Model(seed=3).input("data", (2, 3, 8, 8)).conv("a", "data", 4, 3).relu("r", "a")
    net.batch_norm("n", "a", "n").scale("s", "n", "s").relu("r2", "s")
    return net.conv("end", "s", 2, 3, words="pad: 1")


def ahead() -> Model:
    net = Model(seed=3).input("data", (2, 3, 8, 8)).conv("a", "data", 4, 3).relu("r", "a")
    net.channels["pool"] = 4
    pooling = "pooling_param { pool: AVE kernel_size: 2 stride: 2 }"
    net.batch_norm("n", "a", "n")
    net.layer(f'name: "pool" type: "Pooling" bottom: "n" top: "pool" {pooling}')
    return net.conv("end", "pool", 2, 3)


def narrowed() -> Model:
    net = Model(seed=3).input("data", (2, 3, 8, 8))
    net.conv("a", "data", 4, 3, bias=False).batch_norm("n", "a").scale("s", "a").relu("r", "a")
    (scale,) = (record for record in net.net.layer if record.name == "s")
    scale.blobs[0].data[1] = 0
    scale.blobs[1].data[1] = -1
    return net.conv("end", "a", 2, 3, words="pad: 1")


@pytest.mark.parametrize("build", [residual, collapsed, ahead, narrowed])
def test_what_is_meant_to_change_is_left_out_and_all_else_agrees(build, tmp_path, runtime):
    model, weights = build().save(tmp_path)
    bnfold.merge(model, weights)
    options = bnfold.VerifyOptions(layers=True, runtime=runtime.name)
    found = bnfold.verify(model, weights, options=options)
    assert found.passed, found.failure
    assert found.layers[-1].pair.layer == "end"


def test_only_layers_that_are_passed_or_lose_channels_are_left_out(tmp_path, opencv):
    left_out = {}
    for build in (residual, collapsed, ahead, narrowed):
        folder = tmp_path / build.__name__
        folder.mkdir()
        report = bnfold.merge(*build().save(folder))
        left_out[build.__name__] = (report.plan.altered, report.plan.ahead)
    assert left_out == {
        "residual": ({"a", "b"}, set()),
        "collapsed": (set(), {"n"}),
        "ahead": ({"pool"}, {"n"}),
        "narrowed": ({"a", "r"}, set()),
    }
