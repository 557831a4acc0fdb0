"""The table of BVLC Caffe 1.0, held to Caffe itself."""

from __future__ import annotations

import pytest
from models import Model

from bnfold.caffemodel import open_weights
from bnfold.graph.layer_types import LAYER_TYPES, Dialect
from bnfold.graph.readers import BVLC, ProblemKind, problems, stored_blobs
from bnfold.prototxt import parse
from bnfold.runtimes import EngineError
from graph.readers.smallest import caffe_loads, network, smallest

BEYOND = {
    *("AnnotatedData", "BatchNormKyle", "DetectionOutput", "HardSigmoid", "HardSwish"),
    *("MultiBoxLoss", "Normalize", "Permute", "PriorBox", "ReLU6", "Resize", "SmoothL1Loss"),
    "Upsample",
}
"""What the Caffe of the tests has beyond 1.0; it cannot tell whether stock Caffe has them."""

FILES = {"Data", "HDF5Data", "ImageData", "WindowData"}
"""Types that load only where their files are."""


def test_it_is_the_table_of_the_types_that_the_register_says_are_bvlcs():
    of_bvlc = {name for name, record in LAYER_TYPES.items() if record.dialect is Dialect.BVLC}
    assert of_bvlc == BVLC.types & LAYER_TYPES.keys()


def test_every_type_loads_in_caffe_or_not_as_the_table_says(pycaffe, tmp_path):
    judged = LAYER_TYPES.keys() - BEYOND - FILES
    found = caffe_loads({name: network(smallest(name)).text for name in judged}, tmp_path)
    assert found == {name: name in BVLC.types for name in judged}
    assert not BEYOND & BVLC.types


def values_of(kind) -> str:
    """A value that a field of a kind may have."""
    if kind.name == "enum":
        return next(reversed(kind.values))
    return {"bool": "true", "string": '"x"', "float": "0.5", "double": "0.5"}.get(kind.name, "1")


def filled(message: str, depth: int = 0) -> str:
    """All fields of a message, each with a value."""
    parts = []
    for name, kind in BVLC.schema.messages[message].items():
        # Rules would let the layer run, and the tests' Caffe is older than the field of losses.
        if (message, name) in {("layer", "exclude"), ("infogain_loss_param", "axis")}:
            continue
        if (message, name) == ("rule", "phase"):
            parts.append("phase: TRAIN")
        elif kind.is_message:
            parts.append(f"{name} {{ {filled(kind.name)} }}")
        else:
            parts.append(f"{name}: {values_of(kind)}")
    return " ".join(parts)


def test_caffe_knows_every_field_of_the_table_and_no_other(pycaffe, tmp_path):
    """Caffe parses the whole file, also the layers that it then leaves out."""
    start = 'layer { name: "i" type: "Input" top: "x" input_param { shape { dim: 1 } } }\n'
    everything = f"{start}layer {{ {filled('layer')} }}"
    assert problems(parse(everything), BVLC) == []
    wrong = {
        "net": f'{start}engine: "MKL2017"',
        "layer": f'{start}layer {{ name: "s" type: "Split" bottom: "x" top: "y" quantize: 1 }}',
        "param": relu("relu_param { slope: 1 }"),
        "spec": relu("param { lr: 1 }"),
        "enum": relu("relu_param { engine: MKL2017 }"),
        "number of an enum": relu("relu_param { engine: 7 }"),
        "float": relu('relu_param { negative_slope: "0" }'),
        "int": relu("flatten_param { axis: 1.0 }"),
        "uint": relu("lrn_param { local_size: -1 }"),
        "bool": relu("prelu_param { channel_shared: yes }"),
        "string": relu("param { name: x }"),
        "twice": relu("relu_param { negative_slope: 0 negative_slope: 0 }"),
        "message twice": relu("relu_param { } relu_param { }"),
        "message": relu("relu_param: 1"),
    }
    assert all(problems(parse(text), BVLC) for text in wrong.values())
    found = caffe_loads({"everything": everything, **wrong}, tmp_path)
    assert found == {"everything": True, **dict.fromkeys(wrong, False)}


def relu(words: str) -> str:
    return (
        'layer { name: "i" type: "Input" top: "x" input_param { shape { dim: 1 } } }\n'
        f'layer {{ name: "r" type: "ReLU" bottom: "x" top: "y" {words} }}'
    )


def test_caffe_is_asked_only_for_the_types_that_run(pycaffe, tmp_path):
    text = relu("") + 'layer { name: "n" type: "None" include { phase: TRAIN } }'
    assert problems(parse(text), BVLC) == []
    assert caffe_loads({"net": text}, tmp_path) == {"net": True}


def test_more_blobs_than_three_are_refused(pycaffe, tmp_path):
    net = Model().input("x", (1, 2, 4, 4))
    ones = [[1.0, 1.0]] * 2
    net.layer('name: "b" type: "BatchNorm" bottom: "x" top: "y"', "b", [*ones, [1.0], *ones])
    model, weights = net.save(tmp_path)
    with open_weights(weights) as stored:
        (found,) = problems(parse(net.text), BVLC, blobs=stored_blobs(stored))
    assert (found.kind, found.layer, found.line) == (ProblemKind.BLOBS, "b", 5)
    with pytest.raises(EngineError, match="blobs"):
        pycaffe.load(model, weights)
