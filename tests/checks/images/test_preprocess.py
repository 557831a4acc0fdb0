"""Pixels to inputs: against formulas written here, and against Caffe's own Transformer."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from bnfold import BnfoldError, PreprocessOptions
from bnfold.caffemodel import schema
from bnfold.checks.images.preprocess import Preprocess, model_options
from bnfold.checks.images.preprocess_file import read_options
from bnfold.preprocess_options import parse_size
from tests.checks.pictures import photo


def prepared(image, shape, **options):
    return Preprocess.of(PreprocessOptions(**options), shape)(image)


def test_the_formula_in_numpy():
    image = photo(9, 12)
    got = prepared(
        image, (1, 3, 4, 6), crop=(4, 6), mean_value=(104.0, 117.0, 123.5), scale=0.017,
        raw_scale=127.5, channel_order="rgb",
    )  # fmt: skip
    want = np.empty((3, 4, 6))
    for c in range(3):
        for y in range(4):
            for x in range(6):
                # (9 - 4) / 2 is 2, rounded down; channels from blue, green, red to red first.
                pixel = float(image[2 + y, 3 + x, 2 - c])
                want[c, y, x] = (pixel * 127.5 / 255 - (104.0, 117.0, 123.5)[c]) * 0.017
    assert got.dtype == np.float32
    assert got.flags.c_contiguous
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_without_options_pixels_come_as_they_are_blue_first():
    image = photo(4, 6)
    np.testing.assert_array_equal(prepared(image, (1, 3, 4, 6)), image.transpose(2, 0, 1))


def test_scale_is_the_product_of_singles_as_in_caffe():
    image = photo(4, 6)
    got = prepared(image, (1, 3, 4, 6), scale=1 / 256, mean_value=(0.1,))
    mean, scale = np.float32(0.1), np.float32(1 / 256)
    np.testing.assert_array_equal(got, (image.transpose(2, 0, 1).astype("f4") - mean) * scale)


@pytest.mark.parametrize("kind", ["npy", "binaryproto", "old binaryproto", "doubles"])
def test_a_mean_image_is_cropped_where_the_image_is(tmp_path, kind):
    image, mean = photo(8, 8), np.random.default_rng(1).uniform(90, 130, (3, 8, 8))
    path = tmp_path / "mean"
    if kind == "npy":
        np.save(path.with_suffix(".npy"), mean)
        path = path.with_suffix(".npy")
    else:
        blob = schema.message("BlobProto")()
        if kind == "old binaryproto":
            blob.num, blob.channels, blob.height, blob.width = 1, *mean.shape
        else:
            blob.shape.dim.extend(mean.shape)
        (blob.double_data if kind == "doubles" else blob.data).extend(mean.ravel().tolist())
        path.write_bytes(blob.SerializeToString())
    got = prepared(image, (1, 3, 4, 4), crop=(4, 4), mean_file=path)
    want = image.transpose(2, 0, 1)[:, 2:6, 2:6] - mean[:, 2:6, 2:6]
    np.testing.assert_allclose(got, want, atol=1e-4)
    small = tmp_path / "small.npy"
    np.save(small, mean[:, 2:6, 2:6])
    np.testing.assert_allclose(prepared(image, (1, 3, 4, 4), crop=(4, 4), mean_file=small), want,
                               atol=1e-4)  # fmt: skip


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1048576, 1048576)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 3)}",
        f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({'9' * 400},)}}",
        "{'descr': '|O', 'fortran_order': False, 'shape': (3,)}",
        "(" * 5000,
        "",
    ],
)
def test_an_array_that_claims_more_than_it_holds(header, tmp_path):
    path = tmp_path / "forged.npy"
    text = header.encode() + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(12))
    with pytest.raises(BnfoldError, match=r"forged\.npy: ") as raised:
        prepared(photo(4, 4), (1, 3, 4, 4), mean_file=path)
    assert len(str(raised.value)) < 500


@pytest.mark.parametrize("dims", [(-1, 3), (1 << 40, 1 << 40, 1 << 48)])
def test_a_binaryproto_of_impossible_axes(dims, tmp_path):
    path = tmp_path / "mean.binaryproto"
    blob = schema.message("BlobProto")(data=[1.0, 2.0, 3.0])
    blob.shape.dim.extend(dims)
    path.write_bytes(blob.SerializeToString())
    with pytest.raises(BnfoldError, match="3 values for the shape"):
        prepared(photo(4, 4), (1, 3, 4, 4), mean_file=path)


@pytest.mark.parametrize(
    "text",
    [f"scale = {'1' * 400}", f"scale = {'1' * 5000}", "scale = " + "[" * 100000, "resize = 1e400"],
)
def test_toml_of_impossible_numbers(text, tmp_path):
    path = tmp_path / "options.toml"
    path.write_text(text)
    with pytest.raises(BnfoldError, match=r"options\.toml"):
        read_options(path)


def test_a_mean_of_one_dimension_is_one_for_each_channel(tmp_path):
    np.save(tmp_path / "m.npy", np.array([1.0, 2.0, 3.0]))
    got = prepared(photo(4, 4), (1, 3, 4, 4), mean_file=tmp_path / "m.npy")
    want = photo(4, 4).transpose(2, 0, 1) - np.array([1, 2, 3]).reshape(3, 1, 1)
    np.testing.assert_array_equal(got, want)


def test_images_are_resized_to_the_input_by_default():
    image = photo(40, 60)
    want = cv2.resize(image, (7, 5)).transpose(2, 0, 1)
    np.testing.assert_array_equal(prepared(image, (1, 3, 5, 7)), want)


@pytest.mark.parametrize(
    ("size", "whole"), [((40, 61), (20, 31)), ((61, 40), (31, 20)), ((40, 60), (20, 30))]
)
def test_one_number_is_the_shorter_side_and_the_middle_is_cropped(size, whole):
    image = photo(*size)
    small = cv2.resize(image, whole[::-1])
    top, left = (whole[0] - 10) // 2, (whole[1] - 10) // 2
    want = small[top : top + 10, left : left + 10].transpose(2, 0, 1)
    np.testing.assert_array_equal(prepared(image, (1, 3, 10, 10), resize=(20,)), want)


def test_a_crop_alone_resizes_nothing():
    image = photo(11, 11)
    want = image[3:7, 3:7].transpose(2, 0, 1)
    np.testing.assert_array_equal(prepared(image, (1, 3, 4, 4), crop=(4,)), want)


def test_gray_is_what_opencv_makes_of_color():
    image = photo(4, 4)
    want = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)[None]
    np.testing.assert_array_equal(prepared(image, (1, 1, 4, 4)), want)
    alpha = np.dstack([image, np.zeros((4, 4), np.uint8)])
    np.testing.assert_array_equal(prepared(alpha, (1, 1, 4, 4)), want)
    np.testing.assert_array_equal(prepared(alpha, (1, 3, 4, 4)), image.transpose(2, 0, 1))


CAFFE = """
import sys
import numpy as np
import caffe
image, mean = np.load(sys.argv[1]), np.load(sys.argv[2])
transformer = caffe.io.Transformer({"data": (1, 3, *image.shape[:2])})
transformer.set_transpose("data", (2, 0, 1))
transformer.set_channel_swap("data", (2, 1, 0))
transformer.set_raw_scale("data", 200.0)
transformer.set_mean("data", mean)
transformer.set_input_scale("data", 0.0078125)
# As caffe.io.load_image has it: red first, from 0 to 1.
np.save(sys.argv[3], transformer.preprocess("data", image[:, :, ::-1] / np.float32(255)))
"""


@pytest.mark.parametrize("by_channel", [True, False])
def test_caffes_own_transformer_agrees(pycaffe, tmp_path, by_channel):
    image = photo(6, 8)
    mean = np.random.default_rng(1).uniform(90, 130, 3 if by_channel else (3, 6, 8))
    paths = [tmp_path / name for name in ("image.npy", "mean.npy", "out.npy")]
    np.save(paths[0], image)
    np.save(paths[1], mean)
    subprocess.run(
        [sys.executable, "-c", CAFFE, *map(str, paths)], check=True, capture_output=True,
        cwd=Path(pycaffe.place).parent,
    )  # fmt: skip
    got = prepared(image, (1, 3, 6, 8), raw_scale=200.0, mean_file=paths[1], scale=0.0078125)
    np.testing.assert_allclose(got, np.load(paths[2]), rtol=1e-5, atol=1e-6)


MODEL = """
layer { name: "data" type: "Input" top: "data"
  include { phase: TEST }
  transform_param { scale: 0.5 crop_size: 4 mean_value: 10 mean_value: 20 mean_value: 30
                    mirror: true }
  input_param { shape { dim: 1 dim: 3 dim: 4 dim: 4 } } }
layer { name: "train" type: "Data" top: "data" include { phase: TRAIN }
  transform_param { scale: 7 crop_size: 2 } }
layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc"
  inner_product_param { num_output: 2 } }
"""


def test_the_models_transform_param_is_the_default(tmp_path):
    model = tmp_path / "m.prototxt"
    model.write_text(MODEL)
    assert model_options(model) == PreprocessOptions(
        mean_value=(10, 20, 30), scale=0.5, crop=(4, 4)
    )
    image = photo(9, 9)
    given = PreprocessOptions(scale=2.0)
    got = Preprocess.of(given, (1, 3, 4, 4), model)(image)
    mean = np.array([10, 20, 30]).reshape(3, 1, 1)
    np.testing.assert_array_equal(got, (image[2:6, 2:6].transpose(2, 0, 1) - mean) * 2.0)


def test_a_mean_that_is_asked_for_takes_the_place_of_the_models(tmp_path):
    model = tmp_path / "m.prototxt"
    model.write_text(MODEL)
    np.save(tmp_path / "m.npy", np.zeros(3))
    steps = Preprocess.of(PreprocessOptions(mean_file=tmp_path / "m.npy"), (1, 3, 4, 4), model)
    np.testing.assert_array_equal(steps.mean, np.zeros((3, 1, 1)))


def test_the_models_mean_file_may_lie_beside_it(tmp_path):
    model = tmp_path / "m.prototxt"
    model.write_text(MODEL.replace("mean_value: 10 mean_value: 20 mean_value: 30",
                                   'mean_file: "m.npy"'))  # fmt: skip
    np.save(tmp_path / "m.npy", np.ones(3))
    assert model_options(model).mean_file == tmp_path / "m.npy"


@pytest.mark.parametrize(
    ("shape", "options", "says"),
    [
        ((1, 10), {}, "not images"),
        ((1, 3, 4, 4), {"gray": True}, "3 channels"),
        ((1, 1, 4, 4), {"gray": False}, "1 channels"),
        ((1, 3, 4, 4), {"resize": (8, 8), "crop": (6, 6)}, "6x6"),
        ((1, 3, 4, 4), {"mean_value": (1.0, 2.0)}, "2 mean values for 3 channels"),
        ((1, 6, 4, 4), {"channel_order": "rgb"}, "6 channels"),
        ((1, 3, 4, 4), {"mean_file": Path("nowhere.npy")}, "nowhere.npy"),
        ((1, 3, 4, 4), {"mean_file": Path("m"), "mean_value": (1.0,)}, "keep one"),
        ((1, 3, 4, 4), {"scale": float("nan")}, "finite"),
    ],
)
def test_what_does_not_fit_is_refused(shape, options, says):
    with pytest.raises(BnfoldError, match=says):
        Preprocess.of(PreprocessOptions(**options), shape)


def test_an_image_below_the_crop_and_a_mean_of_another_size_are_refused(tmp_path):
    with pytest.raises(BnfoldError, match="3x9 and the crop 4x4"):
        prepared(photo(3, 9), (1, 3, 4, 4), crop=(4, 4))
    np.save(tmp_path / "m.npy", np.zeros((3, 5, 5)))
    with pytest.raises(BnfoldError, match="mean image is 5x5"):
        prepared(photo(8, 8), (1, 3, 4, 4), mean_file=tmp_path / "m.npy")


@pytest.mark.parametrize("data", [b"", b"garbage", b"\x93NUMPY\1\0", b"\x08\x01\x10\x03"])
def test_a_mean_file_that_is_none_is_named(tmp_path, data):
    (tmp_path / "m").write_bytes(data)
    with pytest.raises(BnfoldError, match=str(tmp_path / "m")):
        prepared(photo(4, 4), (1, 3, 4, 4), mean_file=tmp_path / "m")


@pytest.mark.parametrize(
    ("text", "size"), [("224x320", (224, 320)), ("256", (256,)), (" 4 X 5 ", (4, 5))]
)
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "0x4", "4x", "axb", "-4", "4x4x4", "1e3"])
def test_what_is_no_size(text):
    with pytest.raises(ValueError, match="no size"):
        parse_size(text)


def test_a_file_says_the_same_as_the_options(tmp_path):
    path = tmp_path / "p.toml"
    path.write_text(
        'mean-value = [104, 117, 123]\nscale = 1\nraw_scale = 127.5\nresize = 256\n'
        'crop = "224x224"\nchannel-order = "rgb"\ngray = false\n'
    )  # fmt: skip
    assert read_options(path) == PreprocessOptions(
        mean_value=(104, 117, 123), scale=1, raw_scale=127.5, resize=(256,), crop=(224, 224),
        channel_order="rgb", gray=False,
    )  # fmt: skip
    path.write_text('mean-file = "means/m.npy"\ncrop = [3, 4]\n')
    assert read_options(path).mean_file == tmp_path / "means" / "m.npy"
    assert read_options(path).crop == (3, 4)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("# size\nscael = 2\n", ":2: unknown key 'scael'"),
        ("scale = 1\n\n[crop]\nheight = 4\n", ":3: crop: give"),
        ("scale = true", ":1: scale: give a number"),
        ("mean-value = []", ":1: mean-value"),
        ('channel-order = "bgrx"', "bgr"),
        ("gray = 1", "true or false"),
        ("scale = \n", "p.toml"),
        ('mean-value = 3\nmean-file = "m"', "keep one"),
    ],
)
def test_a_file_with_a_mistake_names_the_line(tmp_path, text, says):
    path = tmp_path / "p.toml"
    path.write_text(text)
    with pytest.raises(BnfoldError, match=says) as caught:
        read_options(path)
    assert str(path) in str(caught.value)
