"""`bnfold deploy` at the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.deploying.training import classification, data_layer, network


@pytest.fixture
def pair(tmp_path):
    model, weights = classification().save(tmp_path, "train_val")
    return "--model", model, "--weights", weights


def test_the_outputs_stand_beside_the_inputs(run, pair, tmp_path):
    ran = run("deploy", *pair)
    assert ran.code == 0, ran.err
    assert ran.err == ""
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        *("train_val.prototxt", "train_val.deploy.prototxt", "train_val.deploy.preprocess.toml"),
        *("train_val.caffemodel", "train_val.deploy.caffemodel"),
    }
    lines = ran.out.splitlines()
    assert "scores loss (SoftmaxWithLoss): a Softmax of 'fc' now, with the top 'prob'" in lines
    assert "input 'data' 1x3x8x8, by its own parameters" in lines
    assert any(line.startswith("preprocessing: crop 8x8, mean 104,117,123, sc") for line in lines)


def test_without_weights_only_text_is_written(run, pair, tmp_path):
    assert run("deploy", *pair[:2], "--batch", 4, "--quiet").out == ""
    assert not (tmp_path / "train_val.deploy.caffemodel").exists()
    assert "dim: 4" in (tmp_path / "train_val.deploy.prototxt").read_text()


def test_what_comes_out_can_be_folded_in_one_pass(run, pair, tmp_path):
    ran = run("deploy", *pair, "--merge", "--strip")
    assert "folded bn1 (BatchNorm) into conv1" in ran.out
    text = (tmp_path / "train_val.deploy.prototxt").read_text()
    assert "BatchNorm" not in text
    assert run("inspect", tmp_path / "train_val.deploy.prototxt").out.startswith("0 affine layers")


def test_the_report_is_json_on_request(run, pair):
    report = json.loads(run("deploy", *pair, "--json", "-").out)
    assert report["format"] == "bnfold.deploy/1"
    assert report["inputs"] == [
        {"name": "data", "shape": [1, 3, 8, 8], "told_by": "its own parameters"}
    ]
    assert {change["action"] for change in report["changes"]} == {"removed", "input", "scores"}


def test_a_dry_run_writes_nothing(run, pair, tmp_path):
    before = sorted(tmp_path.iterdir())
    for more in ([], ["--merge"]):
        assert run("deploy", *pair, "--dry-run", *more).code == 0
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--input", "imgs:1,3,8,8"], "no data layer of"),
        (["--input", "data:1,3,8"], "provides 4 axes"),
        (["--input", "data"], "'data' is no input; give its name and shape"),
        (["--input", "data:1,3,x,8"], "is no input"),
        (["--input", "data:1,3,-1,8"], "is no input"),
        (["--input", "data:1,3,0,8"], "is no input"),
        (["--input", ":1,3,8,8"], "is no input"),
        (["--input", "data:1,3,8,8", "--input", "data:1,3,9,9"], "two shapes"),
        (["--batch", "0"], "--batch"),
        (["--phase", "LEARN"], "--phase"),
    ],
)
def test_bad_input_is_refused_in_one_line_and_nothing_is_written(refused, pair, options, says):
    refused("deploy", *pair, *options, says=says)


def test_merge_needs_weights(refused, pair):
    refused("deploy", *pair[:2], "--merge", says="no effect without --weights")
    refused("deploy", *pair[:2], "--output-weights", "x", says="no weights to write")


def test_a_crop_that_contradicts_the_mean_file_is_refused(refused, tmp_path):
    np.save(tmp_path / "mean.npy", np.zeros((3, 6, 6), np.float32))
    words = 'transform_param { mean_file: "mean.npy" crop_size: 8 }'
    model, _ = classification(data_layer(words=words)).save(tmp_path)
    refused("deploy", "--model", model, says=["crops 8x8 out of it", "mean.npy"])


def test_a_shape_that_is_not_told_is_asked_for(refused, run, tmp_path):
    net = network(data_layer(kind="Python", words="")).conv("conv", "data", 4)
    model, weights = net.save(tmp_path)
    said = refused("deploy", model, weights, says="does not tell how large 'data' is; give --input")
    assert "data:N,CHANNELS,HEIGHT,WIDTH" in said
    assert run("deploy", model, weights, "--input", "data:1,3,9,9").code == 0


@pytest.mark.parametrize("command", ["inspect", "merge"])
def test_training_definitions_are_pointed_to_deploy(refused, tmp_path, command):
    model, weights = classification(data_layer("TRAIN")).save(tmp_path)
    said = refused(command, model, weights, says="reads 'data', which no layer above it produces")
    assert "`bnfold deploy`" in said
    assert "Data layer 'data' on line 2" in said


def test_the_way_back_reads_images(run, refused, pair, tmp_path):
    assert run("deploy", *pair, "--quiet").code == 0
    made, images = tmp_path / "train_val.deploy.prototxt", tmp_path / "val.txt"
    images.write_text("a.png 0\n")
    told = tmp_path / "train_val.deploy.preprocess.toml"
    back = ("deploy", "--model", made, "--to-calibration", images)
    ran = run(*back, "--preprocess", told, "--batch", "5")
    assert ran.code == 0, ran.err
    text = (tmp_path / "train_val.deploy.calibration.prototxt").read_text()
    assert "crop_size: 8" in text
    assert "batch_size: 5" in text
    refused(*back, "--strip", says="no effect with --to-calibration")
    refused("deploy", *pair, "--mean-value", "1", says="no effect without --to-calibration")
