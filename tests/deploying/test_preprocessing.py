"""What the data layer did to images is not lost: it is printed, and written for `accuracy`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import bnfold
from bnfold.checks.images.preprocess_file import read_options
from tests.deploying.training import body, classification, data_layer, deployed, network


def text_of(words: str, kind: str = "Data") -> str:
    return body(network(data_layer(kind=kind, words=words))).text


@pytest.mark.parametrize(
    ("kind", "words", "options"),
    [
        (
            "Data",
            "transform_param { mean_value: [1, 2, 3] scale: 0.017 mirror: true crop_size: 8 }",
            {"mean_value": (1.0, 2.0, 3.0), "scale": 0.017, "crop": (8, 8)},
        ),
        (
            "ImageData",
            "image_data_param { new_height: 9 new_width: 8 } transform_param { crop_size: 8 }",
            {"resize": (9, 8), "crop": (8, 8)},
        ),
        (
            "AnnotatedData",
            "transform_param { resize_param { height: 8 width: 9 } force_color: true }",
            {"resize": (8, 9), "gray": False},
        ),
        (
            "Data",
            "data_param { scale: 0.00390625 crop_size: 8 } transform_param { force_gray: true }",
            {"scale": 0.00390625, "crop": (8, 8), "gray": True},
        ),
    ],
)
def test_the_file_says_what_the_layer_did(tmp_path, kind, words, options):
    report, _ = deployed(tmp_path, text_of(words, kind))
    assert report.preprocess_file == tmp_path / "net.deploy.preprocess.toml"
    wanted = bnfold.PreprocessOptions(**options)
    assert report.preprocess == wanted
    assert read_options(report.preprocess_file) == wanted
    assert "preprocessing: " in report.summary()


def test_a_mean_file_is_found_from_where_the_file_of_options_is(tmp_path):
    np.save(tmp_path / "mean.npy", np.zeros((3, 12, 14), np.float32))
    text = text_of('transform_param { mean_file: "mean.npy" crop_size: 8 }')
    (tmp_path / "out").mkdir()
    place = tmp_path / "out" / "preprocess.toml"
    report, _ = deployed(tmp_path, text, preprocess_file=place)
    assert report.preprocess_file == place
    found = read_options(place)
    assert found.mean_file is not None
    assert found.mean_file.samefile(tmp_path / "mean.npy")
    # The mean image tells how large all images were.
    assert (found.resize, found.crop) == ((12, 14), (8, 8))


def test_a_mean_file_that_is_not_there_is_a_warning(tmp_path):
    text = text_of('transform_param { mean_file: "gone.binaryproto" crop_size: 8 }')
    report, _ = deployed(tmp_path, text, inputs={"data": (1, 3, 8, 8)})
    (warning,) = report.warnings
    assert "gone.binaryproto" in warning
    assert "gone.binaryproto" in report.preprocess_file.read_text()


def test_a_layer_that_tells_nothing_gives_no_file(tmp_path):
    report, _ = deployed(tmp_path, text_of("", "Python"), inputs={"data": (1, 3, 8, 8)})
    assert report.preprocess is None
    assert report.preprocess_file is None
    assert not list(tmp_path.glob("*.toml"))


def test_layers_that_tell_different_things_give_a_warning_and_no_file(tmp_path):
    net = network(data_layer(), data_layer().replace('"data"', '"more"').replace("8", "9"))
    net.texts[-1] = net.texts[-1].replace('top: "label"', "")
    net.channels["more"] = 3
    report, _ = deployed(tmp_path, net.conv("a", "data", 4).conv("b", "more", 4))
    assert "preprocess images differently" in report.warnings[0]
    assert report.preprocess_file is None


def test_names_cannot_write_options(tmp_path):
    """A name that ends the comment that it stands in would set options of its own."""
    text = classification().text.replace('name: "data"', r'name: "data\nscale = 7\n#"')
    report, _ = deployed(tmp_path, text)
    assert read_options(report.preprocess_file).scale == 0.017


def test_a_dry_run_tells_and_writes_nothing(tmp_path):
    report, written = None, None
    path = Path(tmp_path / "net.prototxt")
    path.write_text(classification().text)
    report = bnfold.deploy(path, dry_run=True)
    written = [one.name for one in tmp_path.iterdir()]
    assert written == ["net.prototxt"]
    assert report.preprocess is not None
    assert report.output_model is None
