"""Channels are taken out of every kind of weights file, and memory does not grow with the file."""

from __future__ import annotations

import numpy as np
import pytest
from folding import assert_same_function, merge_model, read_net
from models import Model

import bnfold

from .nets import Net, prune, start


def test_a_v1_network(tmp_path, pycaffe):
    net = Model(seed=3, v1=True)
    net.input("data", (2, 4, 9, 7))
    net.conv("c1", "data", 5).relu("r", "c1").conv("c2", "c1", 3)
    weight, _ = net.net.layers[0].blobs
    values = np.array(weight.data).reshape(5, -1)
    values[[1, 3]] = 0
    weight.data[:] = values.ravel().tolist()
    merged = merge_model(tmp_path, net)
    assert "num_output: 3" in merged.text
    assert_same_function(pycaffe, merged)


@pytest.mark.parametrize("storage", ["double", "half", "float"])
def test_what_is_only_cut_keeps_the_type_it_is_stored_in(storage, tmp_path):
    net = Net(seed=3, storage=storage)
    net.input("data", (2, 4, 9, 7))
    net.block("c1", "data", 6).block("c2", "c1", 5).conv("o", "c2", 3)
    model, weights = net.save(tmp_path)
    report = bnfold.prune(model, weights, channels={"c2": [0]})
    (old,), (new,) = (
        [layer.blobs[0] for layer in read_net(path).layer if layer.name == "c2"]
        for path in (weights, report.output_weights)
    )
    assert new.raw_data_type == old.raw_data_type
    for field in ("raw_data", "double_data", "data"):
        assert bool(getattr(new, field)) == bool(getattr(old, field))


def test_raw_float32_that_is_cut_becomes_plain(tmp_path):
    net = Net(seed=3, storage="raw_float").input("data", (2, 4, 9, 7))
    net.block("c1", "data", 6).block("c2", "c1", 5).conv("o", "c2", 3)
    report = bnfold.prune(*net.save(tmp_path), channels={"c2": [0]})
    (record,) = (layer for layer in read_net(report.output_weights).layer if layer.name == "c2")
    assert record.blobs[0].data
    assert not record.blobs[0].raw_data


def test_an_hdf5_file(tmp_path):
    h5py = pytest.importorskip("h5py")
    net = start().block("c1", "data", 6, act="Sigmoid").conv("o", "c1", 3)
    model, _ = net.save(tmp_path)
    weights = tmp_path / "net.caffemodel.h5"
    with h5py.File(weights, "w") as file:
        data = file.create_group("data")
        for record in net.net.layer:
            layer = data.create_group(record.name)
            for index, blob in enumerate(record.blobs):
                shape = tuple(blob.shape.dim)
                layer[str(index)] = np.array(blob.data, np.float32).reshape(shape)
    report = bnfold.prune(model, weights, channels={"c1": [1, 2]})
    assert report.output_weights.name == "net.pruned.caffemodel.h5"
    with h5py.File(report.output_weights) as file:
        assert file["data/c1/0"].shape == (4, 4, 3, 3)


def test_filters_longer_than_a_piece(tmp_path, pycaffe):
    net = start(shape=(1, 8, 60, 50)).conv("c1", "data", 3, 1).relu("r", "c1")
    net.inner_product("ip", "c1", 4, 3 * 60 * 50).relu("r2", "ip").inner_product("o", "ip", 2, 4)
    net.set_zero("c1", [1]).set_zero("ip", [0])
    merged = merge_model(tmp_path, net)
    gone = {dead.layer: dead.channels for dead in merged.report.plan.of_type(bnfold.DeadChannels)}
    assert gone == {"c1": (1,), "ip": (0,)}
    assert_same_function(pycaffe, merged)


def test_what_the_prototxt_says_besides_stays_as_it_is(tmp_path):
    net = start().layer(
        'name: "c1" type: "Convolution" bottom: "data" top: "c1"  # eight\n'
        "  convolution_param { num_output: 8, kernel_size: 3; group: 1 } # three by three",
        "c1",
        [np.ones((8, 4, 3, 3)), np.ones(8)],
    )
    net.channels["c1"] = 8
    net.set_zero("c1", [0]).conv("o", "c1", 3)
    text = merge_model(tmp_path, net).text
    assert text == net.text.replace("num_output: 8", "num_output: 7")


def test_a_report_names_channels_as_the_input_counts_them(tmp_path):
    net = start().block("c1", "data", 6, act="Sigmoid")
    report = prune(tmp_path, net.conv("o", "c1", 3), channels={"c1/bn": [5, 2]}).report
    assert report.layers[0].removed == (2, 5)
