"""Fields and types that look like slips: a warning with the line, and the likely name."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import pytest

import bnfold
from bnfold.caffemodel import schema
from bnfold.fold.misspelt import _meant
from bnfold.prototxt import parse

HEAD = """layer { name: "data" type: "Input" top: "data"
  input_param { shape { dim: [1, 3, 8, 8] } } }
"""


def warnings(tmp_path, text: str, **options) -> list[str]:
    model = tmp_path / "deploy.prototxt"
    model.write_text(HEAD + text)
    prefix = f"{model}:"
    found = bnfold.inspect(model, **options).plan.warnings
    return [warning.removeprefix(prefix) for warning in found]


def layer(kind: str, words: str = "", name: str = "x") -> str:
    return f'layer {{ name: "{name}" type: "{kind}" bottom: "data" top: "{name}" {words} }}\n'


@pytest.mark.parametrize(
    ("kind", "words", "wrong", "meant"),
    [
        ("BatchNorm", "batch_norm_param { epss: 1e-3 }", "epss", "eps"),
        ("Convolution", "convolution_param { num_outptu: 4 kernel_size: 1 }", "num_outptu",
         "num_output"),
        ("Convolution", "convolution_param { num_output: 4 kernel_szie: 1 }", "kernel_szie",
         "kernel_size"),
        ("Scale", "scale_param { bias_trem: true }", "bias_trem", "bias_term"),
        ("Scale", "scale_parm { bias_term: true }", "scale_parm", "scale_param"),
        ("ReLU", "includ { phase: TEST }", "includ", "include"),
    ],
)  # fmt: skip
def test_a_field_that_is_nearly_known_gets_a_warning(tmp_path, kind, words, wrong, meant):
    (warning,) = warnings(tmp_path, layer(kind, words))
    assert warning.startswith(f"3: field '{wrong}' is not known, and '{meant}' is")


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [("Batchnorm", "BatchNorm"), ("scale", "Scale"), ("Relu", "ReLU"), ("convolution",
     "Convolution")],
)  # fmt: skip
def test_a_type_in_the_wrong_case_gets_a_warning(tmp_path, wrong, meant):
    (warning,) = warnings(tmp_path, layer(wrong))
    assert warning.startswith(f"3: layer type '{wrong}' is not known, and '{meant}' is")


def test_a_slip_that_is_repeated_is_told_once(tmp_path):
    text = layer("Relu", name="a") + layer("Relu", name="b")
    assert len(warnings(tmp_path, text)) == 1


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("Convolution", "convolution_param { num_output: 4 kernel_size: 1 pad_d: 1 kernel_d: 1 }"),
        ("Convolution", "convolution_param { num_output: 4 kernel_size: 1 relu: true }"),
        ("Pooling", "pooling_param { kernel_size: 2 pad_mode: 1 ceil_mode: false }"),
        ("BN", "bn_param { slope_filler { type: 'constant' } frozen: true momentum: 0.9 }"),
        ("BatchNorm", "batch_norm_param { scale_bias: true } freeze: true"),
        ("Odd", "odd_param { epss: 1 num_outptu: 2 }"),
        ("SELU", "selu_param { alpha: 1 }"),
        ("ReLU6", "relu6_param { }"),
        ("SyncBN", ""),
        ("CReLU", ""),
    ],
)
def test_words_of_forks_get_none(tmp_path, kind, words):
    assert warnings(tmp_path, layer(kind, words)) == []


def test_a_type_that_the_user_explains_gets_none(tmp_path):
    text = layer("convolution", "convolution_param { num_output: 4 kernel_size: 1 }")
    assert warnings(tmp_path, text, treat_as={"convolution": "Convolution"}) == []


FIELDS = """
import json
from caffe.proto import caffe_pb2
messages = caffe_pb2.DESCRIPTOR.message_types_by_name
print(json.dumps({name: list(one.fields_by_name) for name, one in messages.items()}))
"""


@pytest.mark.skipif(importlib.util.find_spec("caffe") is None, reason="pycaffe is not installed")
def test_no_field_that_caffe_itself_knows_gets_one():
    # Caffe brings a protobuf of its own, which ends a process that has used another one before.
    done = subprocess.run(
        [sys.executable, "-c", FIELDS], check=True, capture_output=True, text=True
    )
    full = json.loads(done.stdout.splitlines()[-1])
    net = schema.message("NetParameter").DESCRIPTOR
    for name, mine in net.file.message_types_by_name.items():
        for field in full.get(name, ()):
            if field not in mine.fields_by_name:
                kind = field.removesuffix("_param").replace("_", "")
                layer = parse(f'type: "{kind}" {field}: 1').root
                assert _meant(field, mine.fields_by_name, layer) is None, (name, field)
