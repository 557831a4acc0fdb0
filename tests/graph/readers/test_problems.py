"""What the readers without an engine here do not load, and what all lists have in common."""

from __future__ import annotations

import pytest
from models import Model

from bnfold.caffemodel import open_weights
from bnfold.graph import Phase
from bnfold.graph.readers import MNN, NCNN, READERS, problems, stored_blobs
from bnfold.prototxt import PrototxtError, parse

INPUT = 'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 2 } } }\n'


def layer(kind: str, words: str = "") -> str:
    return f'{INPUT}layer {{ name: "f" type: "{kind}" bottom: "x" top: "y" {words} }}\n'


def found(key: str, text: str, **how) -> list[tuple]:
    asked = problems(parse(text), READERS[key], **how)
    return [(one.line, one.field, one.kind.value, one.effect.value) for one in asked]


@pytest.mark.parametrize("key", READERS)
def test_a_plain_network_has_no_problems(key):
    assert found(key, layer("ReLU", "relu_param { negative_slope: 0.1 }")) == []


@pytest.mark.parametrize("key", READERS)
def test_a_type_that_nobody_has(key):
    assert found(key, layer("Mystery")) == [(2, "type", "type", "refused")]


def test_problems_come_in_the_order_of_the_file():
    text = layer("Mystery", "\n a: 1 relu_param {\n b: 1 } ") + 'c: "d"'
    lines = [one.line for one in problems(parse(text), READERS["bvlc"])]
    assert lines == sorted(lines) == [2, 3, 4, 5]


def test_each_problem_is_a_sentence_that_names_its_layer():
    (one,) = problems(parse(layer("BN")), READERS["bvlc"])
    assert one.sentence() == (
        "BN layer 'f': no such layer type; the network is refused [type, refused]"
    )


@pytest.mark.parametrize("key", ["ncnn", "mnn"])
@pytest.mark.parametrize(
    ("kind", "words", "path"),
    [
        ("Convolution", "convolution_param { axis: 2 }", "convolution_param.axis"),
        ("LRN", "lrn_param { k: 2 }", "lrn_param.k"),
        ("BatchNorm", "batch_norm_param { use_global_stats: false }",
         "batch_norm_param.use_global_stats"),
        ("Scale", "scale_param { axis: 0 }", "scale_param.axis"),
        ("Reshape", "reshape_param { num_axes: 1 }", "reshape_param.num_axes"),
        ("Interp", "interp_param { pad_beg: -1 }", "interp_param.pad_beg"),
    ],
)  # fmt: skip
def test_what_a_converter_never_asks_for_is_lost(key, kind, words, path):
    assert found(key, layer(kind, words)) == [(2, path, "value", "ignored")]


@pytest.mark.parametrize("key", ["ncnn", "mnn"])
@pytest.mark.parametrize("value", ["1", "0x1", "01"])
def test_a_value_that_says_what_is_so_anyway_is_not_lost(key, value):
    assert found(key, layer("Scale", f"scale_param {{ axis: {value} }}")) == []
    assert found(key, layer("BatchNorm", "batch_norm_param { use_global_stats: 1 }")) == []


def test_ncnn_writes_no_parameters_of_types_that_it_hands_on():
    assert found("ncnn", layer("Exp", "exp_param { base: 2 }")) == [
        (2, "exp_param.base", "value", "ignored")
    ]
    assert found("ncnn", layer("Tile", "tile_param { tiles: 1 }")) == [
        (2, "tile_param.tiles", "value", "ignored")
    ]


@pytest.mark.parametrize("key", ["ncnn", "mnn"])
def test_windows_of_several_values(key):
    square = layer("Convolution", "convolution_param { kernel_size: 3 kernel_size: 3 }")
    assert found(key, square) == []
    oblong = layer("Convolution", "convolution_param { kernel_size: [3, 1] }")
    assert found(key, oblong) == [(2, "convolution_param.kernel_size", "value", "ignored")]


def test_old_ways_to_write_a_network():
    inputs = 'input: "x"\ninput_dim: [1, 2, 3, 4]\nlayer { name: "r" type: "ReLU" bottom: "x" }'
    assert found("ncnn", inputs) == [(1, "input", "old", "refused")]
    assert found("mnn", inputs) == found("bvlc", inputs) == found("opencv4", inputs) == []
    old = 'input: "x"\ninput_dim: [1, 2, 3, 4]\nlayers { name: "r" type: RELU bottom: "x" }'
    assert found("ncnn", old) == [(1, "input", "old", "refused"), (3, "layers", "old", "refused")]
    assert found("mnn", old) == [(3, "layers", "old", "refused")]
    assert found("bvlc", old) == found("opencv4", old) == []


def test_old_layers_of_a_fork_are_named_once():
    old = 'input: "x"\ninput_dim: [1, 2, 3, 4]\nlayers { name: "r" type: BN bottom: "x" top: "y" }'
    assert found("bvlc", old) == [(3, "type", "type", "refused")]


@pytest.mark.parametrize("key", ["opencv4", "ncnn", "mnn"])
def test_rules_are_for_caffe_alone(key):
    text = layer("ReLU", "include { phase: TRAIN }")
    assert found(key, text) == [(2, None, "rule", "ignored")]
    assert found(key, text, phase=Phase.TRAIN) == found("bvlc", text) == []


@pytest.fixture
def stored(tmp_path):
    def stored(text: str, blobs, storage="float"):
        net = Model(storage=storage)
        net.texts = [text]
        record = net.layer("", "f", blobs)
        record.texts.pop()
        return open_weights(net.save(tmp_path)[1])

    return stored


def test_blobs_beyond_those_that_a_converter_reads(stored):
    text = layer("BatchNorm")
    with stored(text, [[1.0, 1.0]] * 5) as weights:
        assert found("bvlc", text, blobs=stored_blobs(weights)) == [(2, None, "blobs", "refused")]
        for key in ("ncnn", "mnn"):
            assert found(key, text, blobs=stored_blobs(weights)) == [(2, None, "blobs", "ignored")]
        assert found("opencv4", text, blobs=stored_blobs(weights)) == []


def test_half_floats_are_for_opencv(stored):
    text = layer("InnerProduct", "inner_product_param { num_output: 1 }")
    with stored(text, [[[1.0, 1.0]], [1.0]], "half") as weights:
        assert found("opencv4", text, blobs=stored_blobs(weights)) == []
        for key in ("bvlc", "ncnn", "mnn"):
            assert found(key, text, blobs=stored_blobs(weights)) == [(2, None, "blobs", "refused")]


def test_a_file_that_is_no_network_is_an_error():
    for text in ('name: "n"', "layer { }", "layers { layer { } }", "layer: 1"):
        with pytest.raises(PrototxtError):
            problems(parse(text), NCNN)


def test_every_message_of_a_schema_is_there():
    for reader in READERS.values():
        for fields in reader.schema.messages.values():
            for kind in fields.values():
                assert not kind.is_message or kind.name in reader.schema.messages


def test_every_field_that_a_table_names_is_in_its_schema():
    for reader in READERS.values():
        for kind, lost in reader.ignored.items():
            assert kind in reader.types
            for path in lost:
                message, _, name = path.partition(".")
                assert name in reader.schema.messages[message]


def test_each_table_names_its_source_and_version():
    for reader in READERS.values():
        assert "/" in reader.source.split(",")[0]
        assert any(letter.isdigit() for letter in reader.source)
    assert MNN.source != NCNN.source
