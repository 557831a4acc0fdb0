"""The table of OpenCV 4's reader, held to OpenCV itself, and what it loses held to Caffe."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from bnfold.graph.layer_types import LAYER_TYPES
from bnfold.graph.readers import OPENCV4, Effect, ProblemKind, problems
from bnfold.prototxt import parse
from graph.readers.smallest import IMAGE, detection, network, opencv_says, smallest
from graph.test_layer_types import Drawn, Lab, close, feeds_of


@pytest.mark.parametrize("kind", sorted(LAYER_TYPES))
def test_every_type_loads_or_not_as_the_table_says(kind, tmp_path):
    drawn = smallest(kind)
    said = opencv_says(network(drawn), drawn, tmp_path)
    assert (said == "") == (kind in OPENCV4.types), said


NEEDED = [(kind, path) for kind, paths in OPENCV4.needs.items() for path in paths]


@pytest.mark.parametrize(("kind", "path"), NEEDED)
def test_some_fields_must_be_written(kind, path, tmp_path):
    name = path.rpartition(".")[2]
    drawn = detection(name) if kind == "DetectionOutput" else Drawn(
        kind, (IMAGE, IMAGE), "prior_box_param { min_size: 1 }"
    )  # fmt: skip
    net = network(drawn)
    (found,) = problems(parse(net.text), OPENCV4)
    assert (found.field, found.kind, found.effect) == (path, ProblemKind.FIELD, Effect.REFUSED)
    assert opencv_says(net, drawn, tmp_path)


def read(text: str) -> str:
    """What OpenCV says of a text."""
    try:
        cv2.dnn.readNetFromCaffe(np.frombuffer(text.encode(), np.uint8))
    except cv2.error as error:
        return str(error)
    return ""


def holders() -> dict[str, list[str]]:
    """The way from the file to each message of the table."""
    found: dict[str, list[str]] = {"net": [], "layer": ["layer"], "layers": ["layers"]}
    waiting = list(found)
    while waiting:
        holder = waiting.pop(0)
        for name, kind in OPENCV4.schema.messages[holder].items():
            if kind.is_message and kind.name not in found:
                found[kind.name] = [*found[holder], name]
                waiting.append(kind.name)
    return found


def test_opencv_knows_every_field_of_the_table():
    """A field that it did not know would take any word."""
    ways = holders()
    assert ways.keys() == OPENCV4.schema.messages.keys()
    for message, fields in OPENCV4.schema.messages.items():
        for name in fields:
            text = f"{name}: NONSENSE"
            for holder in reversed(ways[message]):
                text = f"{holder} {{ {text} }}"
            assert read(f"{text}\n"), text


TAKEN = (
    "more: 1",
    "more: WORD",
    "more: -0.5",
    "more { inner: 1 }",
    "relu_param { more: 1 }",
    'param { more: "text" }',
)
REFUSED = (
    'more: "text"',
    'more { inner: "text" }',
    'relu_param { more: "text" }',
    'relu_param { more { inner: "text" } }',
    "relu_param { engine: MKL2017 }",
    "relu_param { negative_slope: 0 negative_slope: 0 }",
)


@pytest.mark.parametrize("words", [*TAKEN, *REFUSED])
def test_fields_that_it_does_not_know_pass_unless_there_is_a_string_in_them(words):
    text = (
        'name: "n" more: "text"\n'
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 } } }\n'
        f'layer {{ name: "r" type: "ReLU" bottom: "x" top: "y" {words} }}\n'
    )
    found = problems(parse(text), OPENCV4)
    assert bool(found) == bool(read(text)) == (words in REFUSED)
    assert all((one.line, one.layer, one.effect) == (3, "r", Effect.REFUSED) for one in found)


SHAPE = (2, 4, 6, 5)
LOST = (
    Drawn("Concat", (SHAPE, SHAPE), "concat_param { concat_dim: 2 }"),
    Drawn(
        "Deconvolution",
        (SHAPE,),
        "convolution_param { num_output: 3 kernel_size: 2 dilation: 2 }",
        (np.ones((4, 3, 2, 2)), np.ones(3)),
    ),
    Drawn(
        "InnerProduct",
        ((2, 3),),
        "inner_product_param { num_output: 3 transpose: true }",
        (np.arange(9).reshape(3, 3), np.ones(3)),
    ),
    Drawn("LRN", (SHAPE,), "lrn_param { k: 2 }"),
    Drawn("Log", (SHAPE,), "log_param { shift: 9 }"),
    Drawn("MVN", (SHAPE,), "mvn_param { eps: 0.5 }"),
    Drawn("Slice", (SHAPE,), "slice_param { slice_dim: 2 slice_point: 2 }", tops=2),
)


@pytest.mark.parametrize("drawn", LOST, ids=lambda drawn: drawn.kind)
def test_what_it_passes_over_makes_another_network(drawn, pycaffe, opencv, tmp_path):
    net = network(drawn)
    found = problems(parse(net.text), OPENCV4)
    assert [(one.kind, one.effect) for one in found] == [(ProblemKind.VALUE, Effect.IGNORED)]
    feeds = feeds_of(drawn, np.random.default_rng(0))
    one, other = (Lab(engine, tmp_path).outputs(drawn, feeds) for engine in (pycaffe, opencv))
    assert not all(close(*pair) for pair in zip(one, other, strict=True))


def test_every_field_that_the_table_says_is_lost_is_tried():
    assert {drawn.kind for drawn in LOST} == OPENCV4.ignored.keys()


def test_it_runs_layers_of_every_phase():
    text = (
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 } } }\n'
        'layer { name: "t" type: "TanH" bottom: "x" top: "y" include { phase: TRAIN } }\n'
    )
    (found,) = problems(parse(text), OPENCV4)
    assert (found.kind, found.effect, found.line) == (ProblemKind.RULE, Effect.IGNORED, 2)
    net = cv2.dnn.readNetFromCaffe(np.frombuffer(text.encode(), np.uint8))
    assert "t" in net.getLayerNames()
