"""Data layers become inputs: of every kind, of a shape that is told or asked for, never guessed."""

from __future__ import annotations

import re

import numpy as np
import pytest

from bnfold import BnfoldError
from tests.deploying.training import SOURCE, body, classification, data_layer, deployed, network


def layer(kind: str, words: str, tops: str = "data label") -> str:
    made = " ".join(f'top: "{top}"' for top in tops.split())
    return f'layer {{ name: "data" type: "{kind}" {made} {words} }}\n'


RANDOM = """dummy_data_param { shape { dim: [7, 3, 5, 5] } shape { dim: 7 }
                               data_filler { type: "gaussian" } data_filler { } }"""
MEANS = "transform_param { mean_value: [1, 2, 3]"
CONV = (
    'layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" '
    "convolution_param { num_output: 4 kernel_size: 3 } }\n"
)
LOSS = 'layer { name: "loss" type: "EuclideanLoss" bottom: "conv" bottom: "label" top: "loss" }\n'


def shapes(report) -> dict[str, tuple[int, ...]]:
    return {one.name: one.shape for one in report.inputs}


# ---------------------------------------------------------------- what tells a shape


@pytest.mark.parametrize(
    ("kind", "words", "shape"),
    [
        (
            "Data",
            f"transform_param {{ crop_size: 227 mean_value: [1, 2, 3] }} {SOURCE}",
            "3,227,227",
        ),
        ("Data", "data_param { crop_size: 9 } transform_param { force_gray: true }", "1,9,9"),
        ("Data", "data_param { crop_size: 9 } transform_param { force_color: true }", "3,9,9"),
        ("ImageData", "transform_param { crop_size: 32 } image_data_param { }", "3,32,32"),
        ("ImageData", "image_data_param { new_height: 6 new_width: 7 is_color: false }", "1,6,7"),
        ("ImageSegData", "transform_param { crop_size: 513 } image_data_param { }", "3,513,513"),
        ("DenseImageData", "dense_image_data_param { new_height: 6 new_width: 8 }", "3,6,8"),
        (
            "MemoryData",
            "memory_data_param { batch_size: 4 channels: 2 height: 5 width: 6 }",
            "2,5,6",
        ),
        (
            "WindowData",
            "window_data_param { crop_size: 227 } transform_param { mean_value: [1, 2, 3] }",
            "3,227,227",
        ),
        (
            "AnnotatedData",
            f"{MEANS} resize_param {{ prob: 1 resize_mode: WARP height: 300 width: 400 }} }}",
            "3,300,400",
        ),
        (
            "AnnotatedData",
            f"{MEANS} resize_param {{ height: 9 width: 9 resize_mode: FIT_LARGE_SIZE_AND_PAD }} }}",
            "3,9,9",
        ),
        (
            "DummyData",
            RANDOM,
            "3,5,5",
        ),
    ],
)
def test_a_layer_tells_the_shape_of_its_data(tmp_path, kind, words, shape):
    report, text = deployed(tmp_path, layer(kind, words) + CONV + LOSS)
    expected = tuple(map(int, f"1,{shape}".split(",")))
    assert shapes(report) == {"data": expected}
    assert 'type: "Input"' in text
    assert re.findall(r"dim: (\d+)", text) == list(map(str, expected))
    assert kind not in text
    assert "label" not in text


def test_the_batch_is_chosen(tmp_path):
    report, _ = deployed(tmp_path, classification(), batch=16)
    assert shapes(report) == {"data": (16, 3, 8, 8)}


def test_a_mean_file_tells_the_shape(tmp_path):
    np.save(tmp_path / "mean.npy", np.zeros((3, 12, 14), np.float32))
    words = 'transform_param { mean_file: "mean.npy" }'
    report, _ = deployed(tmp_path, layer("Data", words) + CONV + LOSS)
    assert shapes(report) == {"data": (1, 3, 12, 14)}


def test_weights_tell_the_channels(tmp_path):
    words = f"transform_param {{ crop_size: 8 }} {SOURCE}"
    model = body(network(data_layer(words=words)))
    report, _ = deployed(tmp_path, model)
    assert shapes(report) == {"data": (1, 3, 8, 8)}
    assert "weights" in report.inputs[0].told_by


def test_a_python_layer_tells_nothing_and_gets_its_shapes_from_the_user(tmp_path):
    text = layer("Python", 'python_param { module: "m" }', "data label roi") + CONV + LOSS
    report, text = deployed(tmp_path, text, inputs={"data": (1, 3, 12, 12)})
    assert shapes(report) == {"data": (1, 3, 12, 12)}
    assert "python_param" not in text
    assert "roi" not in text


def test_a_layer_with_several_tops_that_are_read_becomes_one_input_layer(tmp_path):
    two = CONV.replace('"conv"', '"conv2"').replace('"data"', '"more"')
    text = layer("HDF5Data", "hdf5_data_param { }", "data more label") + CONV + two + LOSS
    given = {"more": (2, 1, 9, 9), "data": (2, 3, 8, 8)}
    report, text = deployed(tmp_path, text, inputs=given)
    assert shapes(report) == given
    assert re.findall(r"dim: (\d+)", text) == list("23882199")
    assert text.count('type: "Input"') == 1


def test_several_data_layers_become_several_inputs(tmp_path):
    other = layer("HDF5Data", "", "more").replace('name: "data"', 'name: "other"')
    two = CONV.replace('"conv"', '"conv2"').replace('"data"', '"more"')
    words = "memory_data_param { batch_size: 4 channels: 2 height: 5 width: 6 }"
    text = layer("MemoryData", words) + other + CONV + two + LOSS
    report, text = deployed(tmp_path, text, inputs={"more": (2, 1, 9, 9)})
    assert shapes(report) == {"data": (1, 2, 5, 6), "more": (2, 1, 9, 9)}
    assert text.count('type: "Input"') == 2


def test_v1_data_layers_become_legacy_inputs(tmp_path):
    """V1 has no Input layer."""
    text = """name: "old"
layers { name: "d" type: DATA top: "data" top: "label" data_param { crop_size: 9 }
         transform_param { mean_value: [1, 2, 3] } include: { phase: TEST } }
layers { name: "c" type: CONVOLUTION bottom: "data" top: "c"
         convolution_param { num_output: 4 kernel_size: 9 } }
layers { name: "l" type: SOFTMAX_LOSS bottom: "c" bottom: "label" top: "l" }
"""
    _, text = deployed(tmp_path, text)
    assert text.startswith(
        'name: "old"\ninput: "data"\ninput_dim: 1\ninput_dim: 3\ninput_dim: 9\ninput_dim: 9\n'
    )
    assert 'type: SOFTMAX bottom: "c" top: "prob"' in text
    assert "DATA" not in text


def test_constants_stay_where_something_else_feeds_the_network(tmp_path):
    constant = layer("DummyData", "dummy_data_param { shape { dim: [1, 3, 8, 8] } }", "more")
    constant = constant.replace('name: "data"', 'name: "zeros"')
    words = f"transform_param {{ crop_size: 8 mean_value: [1, 2, 3] }} {SOURCE}"
    add = 'layer { name: "add" type: "Eltwise" bottom: "data" bottom: "more" top: "sum" }\n'
    text = layer("Data", words) + constant + add + CONV.replace('"data"', '"sum"') + LOSS
    _, text = deployed(tmp_path, text)
    assert constant in text
    alone, text = deployed(tmp_path, constant + CONV.replace('"data"', '"more"'), force=True)
    assert shapes(alone) == {"more": (1, 3, 8, 8)}
    assert "DummyData" not in text


# ---------------------------------------------------------------- what is asked for, and refused


@pytest.mark.parametrize(
    ("kind", "words", "asks"),
    [
        ("Data", f"transform_param {{ crop_size: 9 }} {SOURCE}", "--input data:1,CHANNELS,9,9"),
        ("ImageData", "image_data_param { }", "--input data:1,3,HEIGHT,WIDTH"),
        ("Python", "", "--input data:N,CHANNELS,HEIGHT,WIDTH"),
        ("HDF5Data", "", "--input data:N,CHANNELS,HEIGHT,WIDTH"),
        ("NeverHeardOf", "", "--input data:N,CHANNELS,HEIGHT,WIDTH"),
        (
            "AnnotatedData",
            f"{MEANS} resize_param {{ height: 3 width: 3 prob: 0.5 }} resize_param {{ }} }}",
            "--input data:1,3,HEIGHT,WIDTH",
        ),
        (
            "AnnotatedData",
            "transform_param { resize_param { resize_mode: FIT_SMALL_SIZE height: 3 width: 3 } }",
            "--input data:1,CHANNELS,HEIGHT,WIDTH",
        ),
    ],
)
def test_what_is_not_told_is_asked_for(tmp_path, kind, words, asks):
    with pytest.raises(BnfoldError, match=r"does not tell how large 'data' is") as caught:
        deployed(tmp_path, layer(kind, words) + CONV + LOSS)
    assert asks in str(caught.value)
    assert "line 1" in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["net.prototxt"]


def test_all_that_is_not_told_is_asked_for_at_once(tmp_path):
    two = CONV.replace('"conv"', '"conv2"').replace('"data"', '"more"')
    text = layer("HDF5Data", "", "data more label") + CONV + two + LOSS
    with pytest.raises(BnfoldError, match=r"'data' or 'more'") as caught:
        deployed(tmp_path, text)
    assert str(caught.value).count("--input ") == 2


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ({"image": (1, 3, 8, 8)}, "no data layer of"),
        ({"dat": (1, 3, 8, 8)}, "did you mean 'data'?"),
        ({"data": (1, 3, 8)}, "provides 4 axes and not 3"),
        ({"data": (1, 1, 8, 8)}, "provides 3 channels and not 1"),
        ({"data": ()}, "give whole numbers"),
        ({"data": (1, 0, 8, 8)}, "give whole numbers"),
    ],
)
def test_an_input_of_a_wrong_name_or_rank_is_refused(tmp_path, inputs, says):
    model = classification()
    with pytest.raises(BnfoldError) as caught:
        deployed(tmp_path, model, inputs=inputs)
    assert says in str(caught.value)
    assert {path.suffix for path in tmp_path.iterdir()} == {".prototxt", ".caffemodel"}
    assert len(list(tmp_path.iterdir())) == 2


def test_an_input_that_the_weights_contradict_is_refused(tmp_path):
    model = body(network(data_layer(kind="Python", words="")))
    with pytest.raises(BnfoldError, match="was trained on 3 channels"):
        deployed(tmp_path, model, inputs={"data": (1, 1, 8, 8)})
    with pytest.raises(BnfoldError, match="was trained on 4 axes"):
        deployed(tmp_path, model, inputs={"data": (1, 3, 8)})


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("crop_size: 20", "crops 20x20 out of it"),
        ("crop_size: 8 mean_value: [1, 2]", "the mean has 3 channels"),
    ],
)
def test_a_crop_or_channels_that_the_mean_file_contradicts_are_refused(tmp_path, words, says):
    np.save(tmp_path / "mean.npy", np.zeros((3, 12, 14), np.float32))
    text = layer("Data", f'transform_param {{ mean_file: "mean.npy" {words} }}') + CONV + LOSS
    with pytest.raises(BnfoldError) as caught:
        deployed(tmp_path, text)
    assert says in str(caught.value)
    assert "mean.npy" in str(caught.value)


def test_a_size_that_the_mean_file_contradicts_is_refused(tmp_path):
    np.save(tmp_path / "mean.npy", np.zeros((3, 12, 14), np.float32))
    words = (
        'transform_param { mean_file: "mean.npy" } image_data_param { new_height: 9 new_width: 9 }'
    )
    with pytest.raises(BnfoldError, match="resizes to 9x9"):
        deployed(tmp_path, layer("ImageData", words) + CONV + LOSS)


@pytest.mark.parametrize("crop", ["-8", "99999999999", "1.5"])
def test_a_crop_that_is_none_is_refused(tmp_path, crop):
    words = f"transform_param {{ crop_size: {crop} mean_value: [1, 2, 3] }}"
    with pytest.raises(BnfoldError, match=r"net\.prototxt:1:\d+: crop_size"):
        deployed(tmp_path, layer("Data", words) + CONV + LOSS)


def test_a_layer_that_only_lacks_its_bottom_is_no_data_layer(tmp_path):
    lost = CONV.replace('bottom: "data"', "").replace('"conv"', '"lost"')
    words = f"transform_param {{ crop_size: 8 mean_value: [1, 2, 3] }} {SOURCE}"
    _, text = deployed(tmp_path, layer("Data", words) + CONV + LOSS + lost)
    assert text.endswith(lost)


def test_an_input_that_is_there_keeps_its_shape(tmp_path):
    text = (
        'layer { name: "data" type: "Input" top: "data" '
        "input_param { shape { dim: [1, 3, 8, 8] } } }\n" + CONV
    )
    _, same = deployed(tmp_path, text, inputs={"data": (1, 3, 8, 8)})
    assert same == text
    with pytest.raises(BnfoldError, match=r"is an input of .* already, of the shape 1x3x8x8"):
        deployed(tmp_path, text, inputs={"data": (1, 3, 9, 9)}, force=True)
