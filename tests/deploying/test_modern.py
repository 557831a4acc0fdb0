"""`--modern` writes old files in the form of today, as Caffe upgrades them."""

from __future__ import annotations

import numpy as np
import pytest
from models import Model

from bnfold import BnfoldError
from tests.deploying.training import deployed

OLD = """name: "old"
input: "data"  # an image
input_dim: 1
input_dim: 3
input_dim: 8
input_dim: 8

# the first
layers {
  bottom: "data"
  top: "conv"
  name: "conv"
  type: CONVOLUTION
  blobs_lr: 1
  blobs_lr: 2
  weight_decay: 1
  weight_decay: 0
  convolution_param { num_output: 2 kernel_size: 3 }
}
layers { name: "relu" type: 18 bottom: "conv" top: "conv" }
"""

NEW = """name: "old"
layer {
  name: "data"
  type: "Input"
  top: "data"
  input_param {
    shape {
      dim: 1
      dim: 3
      dim: 8
      dim: 8
    }
  }
}

# the first
layer {
  bottom: "data"
  top: "conv"
  name: "conv"
  type: "Convolution"
  param {
    lr_mult: 1
    decay_mult: 1
  }
  param {
    lr_mult: 2
    decay_mult: 0
  }
  convolution_param { num_output: 2 kernel_size: 3 }
}
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
"""


def test_an_old_file_comes_out_new(tmp_path):
    report, text = deployed(tmp_path, OLD, modern=True)
    assert text == NEW
    assert report.modernised == 3


def test_an_old_file_stays_old_unless_asked(tmp_path):
    assert deployed(tmp_path, OLD)[1] == OLD


def test_a_new_file_stays_as_it_is(tmp_path):
    report, text = deployed(tmp_path, NEW, modern=True)
    assert text == NEW
    assert report.modernised == 0


def test_names_of_shared_blobs_stay_theirs(tmp_path):
    words = 'param: "w" param: "b" blob_share_mode: PERMISSIVE blobs_lr: 1'
    text = OLD.replace("  blobs_lr: 1\n  blobs_lr: 2\n", f"  {words}\n")
    text = text.replace("  weight_decay: 1\n  weight_decay: 0\n", "")
    _, text = deployed(tmp_path, text, modern=True)
    assert " ".join(text.split()).count(
        'param { name: "w" share_mode: PERMISSIVE lr_mult: 1 } param { name: "b" }'
    )


def test_several_legacy_inputs_become_a_layer_each(tmp_path):
    head = (
        'input: "data" input_shape { dim: [1, 3, 8, 8] } input: "size" input_shape { dim: [1, 2] }'
    )
    rest = 'layer { name: "data" type: "ReLU" bottom: "data" top: "relu" }\n'
    _, text = deployed(tmp_path, f"{head}\n{rest}", modern=True)
    assert text.count('"Input"') == 2
    assert 'name: "data/input"' in text
    assert text.endswith(rest)


def test_a_training_file_of_before_2014_comes_out_new(tmp_path):
    text = OLD.replace(
        OLD[OLD.index("input:") : OLD.index("\n\n")],
        'layers { name: "data" type: DATA top: "data" top: "label" data_param { crop_size: 8 } '
        "transform_param { force_color: true } }",
    )
    text += 'layers { name: "loss" type: SOFTMAX_LOSS bottom: "conv" bottom: "label" top: "l" }\n'
    _, text = deployed(tmp_path, text, modern=True)
    assert "layers" not in text
    assert "LOSS" not in text
    assert "dim: 8" in text
    assert 'type: "Softmax" bottom: "conv" top: "prob"' in text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('layers { layer { name: "c" type: "conv" } }', "V0"),
        (OLD.replace("type: 18", "type: RELU_SIX"), "no V1 type of that name"),
        (OLD.replace("input_dim: 8\n", "", 1), "has no shape"),
        (OLD[OLD.index("# the") :] + OLD[: OLD.index("# the")].partition("\n")[2], "behind"),
    ],
)
def test_what_cannot_be_upgraded_is_refused(tmp_path, text, says):
    with pytest.raises(BnfoldError, match=says):
        deployed(tmp_path, text, modern=True)


def test_old_and_new_compute_the_same(tmp_path, pycaffe):
    model = Model(seed=1, v1=True).input("data", (1, 3, 8, 8))
    model.conv("conv", "data", 4, outer="blobs_lr: 1 blobs_lr: 2").relu("relu", "conv")
    report, text = deployed(tmp_path, model, modern=True, strip=True)
    assert "layers" not in text
    x = {"data": np.random.default_rng(1).normal(0, 1, (1, 3, 8, 8))}
    with pycaffe.load(report.model, report.weights) as old:
        before = old.run(x)
    with pycaffe.load(report.output_model, report.output_weights) as new:
        after = new.run(x)
    np.testing.assert_array_equal(before["conv"], after["conv"])
