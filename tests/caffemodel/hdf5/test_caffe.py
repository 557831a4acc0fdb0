"""Caffe's own HDF5 files, and what Caffe makes of ours.

Every run of Caffe is a process of its own: what it does not like ends it.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bnfold.caffemodel import ArrayBlob, LayerEdit, NewLayer, open_weights

h5py = pytest.importorskip("h5py")

ROOT = Path(__file__).resolve().parents[3]
DIGITS = ROOT / "examples" / "digits"

SAVE = """
net = caffe.Net(model, weights, caffe.TEST)
net.save_hdf5(target)
"""
FORWARD = """
net = caffe.Net(model, weights, caffe.TEST)
inputs = net.inputs[0]
net.blobs[inputs].data[...] = np.random.default_rng(7).random(net.blobs[inputs].shape)
net.forward()
np.save(target, net.blobs[net.outputs[0]].data)
"""
# Weights are drawn, and those that layers share are shared.
DRAW = """
net = caffe.Net(model, caffe.TEST)
for name, blobs in net.params.items():
    for blob in blobs:
        blob.data[...] = np.random.default_rng(len(name)).random(blob.shape)
net.save(target + ".caffemodel")
net.save_hdf5(target)
"""


@pytest.fixture
def caffe(tmp_path):
    """A function that runs a program in a process with Caffe: model, weights -> path it wrote.

    None stands for a process that Caffe ended.
    """
    probe = subprocess.run([sys.executable, "-c", "import caffe"], capture_output=True)
    if probe.returncode:
        if os.environ.get("BNFOLD_REQUIRE_PYCAFFE") == "1":
            pytest.fail("pycaffe is required and not there")
        pytest.skip("pycaffe is not there")

    def run(program, model, weights, target):
        head = "import os, sys; os.environ['GLOG_minloglevel'] = '2'\nimport caffe, numpy as np\n"
        head += "model, weights, target = sys.argv[1:]\n"
        path = tmp_path / target
        done = subprocess.run(
            [sys.executable, "-c", head + program, str(model), str(weights), str(path)],
            capture_output=True,
        )
        return path if done.returncode == 0 else None

    return run


def test_caffes_own_file_holds_what_its_binary_file_holds(caffe):
    path = caffe(SAVE, DIGITS / "deploy.prototxt", DIGITS / "digits.caffemodel", "x.caffemodel.h5")
    with open_weights(path) as ours, open_weights(DIGITS / "digits.caffemodel") as binary:
        # The loss and the images of training have records, too, and no blobs.
        for record in filter(lambda record: record.blobs, binary.records):
            blobs = ours.get(record.name).blobs
            assert len(blobs) == len(record.blobs)
            for one, other in zip(blobs, record.blobs, strict=True):
                assert (one.shape, one.dtype) == (other.shape, other.dtype)
                assert np.array_equal(one.array(), other.array())
        held = [sum(len(record.blobs) for record in file.records) for file in (ours, binary)]
        assert held[0] == held[1]


def test_a_folded_file_loads_in_caffe_and_computes_the_same(caffe, tmp_path):
    model, weights = DIGITS / "deploy.prototxt", DIGITS / "digits.caffemodel"
    stored = caffe(SAVE, model, weights, "digits.caffemodel.h5")
    # Slashes in the names of layers: Caffe writes what it cannot read.
    assert caffe(FORWARD, model, stored, "none.npy") is None
    folded = tmp_path / "deploy.folded.prototxt"
    command = ["merge", "--model", model, "--weights", stored, "--output-model", folded]
    subprocess.run(
        [sys.executable, "-m", "bnfold", *map(str, command)], check=True, capture_output=True
    )
    output = tmp_path / "digits.folded.caffemodel.h5"
    before = np.load(caffe(FORWARD, model, weights, "before.npy"))
    after = np.load(caffe(FORWARD, folded, output, "after.npy"))
    assert np.abs(before - after).max() < 1e-5
    with open_weights(output) as result:
        assert result.get("conv1/bn") is None
    # once more changes nothing, and nothing of the file
    command = ["merge", "--model", folded, "--weights", output]
    subprocess.run(
        [sys.executable, "-m", "bnfold", *map(str, command)], check=True, capture_output=True
    )
    again = tmp_path / "digits.folded.folded.caffemodel.h5"
    assert again.read_bytes() == output.read_bytes()


SHARED = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 5 } } }
layer { name: "one" type: "InnerProduct" bottom: "data" top: "one" param { name: "w" }
  inner_product_param { num_output: 3 } }
layer { name: "three" type: "InnerProduct" bottom: "data" top: "three" param { name: "w" }
  inner_product_param { num_output: 3 } }
layer { name: "sum" type: "Eltwise" bottom: "one" bottom: "three" top: "sum" }
"""


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8"])
def test_what_is_written_anew_is_read_by_caffe(caffe, tmp_path, dtype):
    model = tmp_path / "model.prototxt"
    model.write_text(SHARED)
    stored = caffe(DRAW, model, "none", "shared.h5")
    with open_weights(stored) as weights, (tmp_path / "changed.h5").open("w+b") as out:
        # The blob that both have is with its owner, as Caffe writes it.
        one, three = weights.get("one").blobs, weights.get("three").blobs
        assert [blob.shape for blob in one] == [(3, 5), (3,)]
        assert [blob.size for blob in three] == [0, 3]
        new = ArrayBlob(np.arange(15).reshape(3, 5), dtype)
        bias = ArrayBlob(np.arange(3), dtype)
        edits = {
            "one": LayerEdit(blobs=(new, one[1])),
            "three": LayerEdit(blobs=(three[0], bias)),
        }
        added = NewLayer("added", "Scale", (), (), (bias,))
        weights.write(out, edits, additions=[added])
        old_bias = one[1].read()
    got = np.load(caffe(FORWARD, model, tmp_path / "changed.h5", "got.npy"))
    inputs = np.random.default_rng(7).random((2, 5)).astype("<f4")
    product = inputs @ np.arange(15).reshape(3, 5).T
    assert np.allclose(got, 2 * product + old_bias + np.arange(3), rtol=1e-5)


def test_caffe_reads_a_copy_without_changes(caffe, tmp_path):
    model = tmp_path / "model.prototxt"
    model.write_text(SHARED)
    stored = caffe(DRAW, model, "none", "shared.h5")
    with open_weights(stored) as weights, (tmp_path / "copy.h5").open("w+b") as out:
        weights.write(out, {"sum": LayerEdit(remove=True)})
    files = [stored, tmp_path / "copy.h5", f"{stored}.caffemodel"]
    first, *others = [np.load(caffe(FORWARD, model, file, "x.npy")) for file in files]
    for other in others:
        assert np.array_equal(first, other)
