"""`--to-calibration`: the input of a deploy definition reads images, as far as Caffe can."""

from __future__ import annotations

import numpy as np
import pytest

import bnfold
from bnfold import BnfoldError, PreprocessOptions
from bnfold.caffemodel import schema

DEPLOY = """name: "net"  # mine
layer {
  name: "data"
  type: "Input"
  top: "data"
  input_param { shape { dim: 2 dim: 3 dim: 8 dim: 8 } }
}
layer { name: "relu" type: "ReLU" bottom: "data" top: "relu" }
"""


@pytest.fixture
def model(tmp_path):
    (tmp_path / "val.txt").write_text("a.png 0\nb b.png 12\n\n")
    path = tmp_path / "deploy.prototxt"
    path.write_text(DEPLOY)
    return path


def calibrated(model, **options):
    preprocess = PreprocessOptions(**options.pop("preprocess", {}))
    report = bnfold.to_calibration(
        model, model.parent / "val.txt", preprocess=preprocess, **options
    )
    return report, report.output_model.read_text()


def test_the_input_reads_the_list(model):
    options = {"mean_value": (104.0, 117.0, 123.0), "scale": 0.5}
    report, text = calibrated(model, preprocess=options)
    folder = model.parent
    expected = DEPLOY.replace('"Input"', '"ImageData"').replace(
        '  top: "data"\n  input_param { shape { dim: 2 dim: 3 dim: 8 dim: 8 } }\n',
        '  top: "data"\n  top: "label"\n  transform_param { mean_value: 104 mean_value: 117 '
        "mean_value: 123 scale: 0.5 }\n  image_data_param { "
        f'source: "{folder}/val.txt" batch_size: 2 root_folder: "{folder}/" new_height: 8 '
        "new_width: 8 }\n",
    )
    assert text.split() == expected.split()
    assert text.startswith('name: "net"  # mine\nlayer {\n  name: "data"\n  type: "ImageData"\n')
    assert "images data (Input): it reads" in report.summary()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"mean_value": (104.0,), "scale": 0.25},
        {"mean_value": (1.0, 2.0, 3.0), "resize": (10, 12)},
        {"crop": (8, 8)},
        {"crop": (8,), "resize": (9, 9)},
    ],
)
def test_deploy_leads_back(model, options):
    report, _ = calibrated(model, preprocess=options)
    back = bnfold.deploy(report.output_model, batch=2)
    assert back.output_model.read_text().split() == DEPLOY.split()
    if "crop" not in options:
        options = {**options, "resize": options.get("resize", (8, 8))}
    if "resize" in options and options["resize"] != (8, 8):
        options = {**options, "crop": (8, 8)}
    if "crop" in options:
        options = {**options, "crop": (8, 8)}
    assert back.preprocess == PreprocessOptions(**options)


def test_a_raw_scale_goes_into_mean_and_scale(model):
    options = {"raw_scale": 1.0, "mean_value": (0.5,), "scale": 2.0}
    _, text = calibrated(model, preprocess=options)
    pixel, mean, scale = 200.0, 127.5, 2 / 255
    assert f"mean_value: {mean}" in text
    written = float(text.split("scale: ")[1].split()[0])
    assert (pixel - mean) * written == pytest.approx((pixel / 255 - 0.5) * 2.0, rel=1e-6)
    assert written == pytest.approx(scale, rel=1e-6)


def test_gray_images_batches_and_folders_are_as_asked(model):
    model.write_text(DEPLOY.replace("dim: 3", "dim: 1"))
    _, text = calibrated(model, batch=7, root="/images")
    assert 'root_folder: "/images/"' in text
    assert "is_color: false" in text
    assert "batch_size: 7" in text


def test_a_mean_file_of_caffe_is_named(model):
    blob = schema.message("BlobProto")(channels=3, height=8, width=8, num=1)
    blob.data.extend([0.0] * 192)
    mean = model.parent / "mean.binaryproto"
    mean.write_bytes(blob.SerializeToString())
    assert f'mean_file: "{mean}"' in calibrated(model, preprocess={"mean_file": mean})[1]


def test_legacy_inputs_become_a_layer(model):
    model.write_text(
        'input: "data"\ninput_dim: [2, 3, 8, 8]\n' + DEPLOY[DEPLOY.index('layer { name: "relu"') :]
    )
    _, text = calibrated(model)
    assert "input_dim" not in text
    assert text.index("ImageData") < text.index("ReLU")


@pytest.mark.parametrize(
    ("change", "options", "says"),
    [
        (None, {"channel_order": "rgb"}, "no rgb"),
        (None, {"resize": (256,)}, "keeps no proportions"),
        (None, {"crop": (6, 6)}, "cannot be cropped"),
        (None, {"mean_value": (1.0, 2.0)}, "as many means"),
        (None, {"gray": True}, "takes 3 channels"),
        (("dim: 8 }", "dim: 9 }"), {"crop": (8, 9)}, "crops squares"),
        (("dim: 3", "dim: 5"), {}, "1 or 3 channels"),
        (("dim: 2 ", ""), {}, "one input for images"),
        (('type: "Input"', 'type: "Data"'), {}, "has data layers"),
    ],
)
def test_what_caffe_cannot_do_is_refused(model, change, options, says):
    if change is not None:
        model.write_text(DEPLOY.replace(*change))
    with pytest.raises(BnfoldError, match=says):
        calibrated(model, preprocess=options)
    assert not model.with_name("deploy.calibration.prototxt").exists()


def test_a_mean_of_numpy_is_refused(model):
    np.save(model.parent / "mean.npy", np.zeros(3, np.float32))
    with pytest.raises(BnfoldError, match="binaryproto"):
        calibrated(model, preprocess={"mean_file": model.parent / "mean.npy"})


def test_a_list_without_labels_is_refused(model):
    (model.parent / "val.txt").write_text("a.png 0\nb.png\n")
    with pytest.raises(BnfoldError, match=r"val\.txt:2: no label"):
        calibrated(model)
    (model.parent / "val.txt").unlink()
    with pytest.raises(BnfoldError, match=r"val\.txt"):
        calibrated(model)
