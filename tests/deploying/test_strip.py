"""`--strip` takes out what is for training alone, and nothing that says what is computed."""

from __future__ import annotations

import numpy as np
import pytest

import bnfold
from bnfold import BnfoldError
from bnfold.caffemodel import schema
from tests.deploying.training import body, classification, data_layer, deployed, network

INPUT = 'input: "data" input_shape { dim: [1, 3, 8, 8] }\n'


def stripped(tmp_path, words: str, kind: str = "Convolution", name: str = "layer") -> str:
    """The words of a layer after they were stripped."""
    kind = kind if name == "layers" else f'"{kind}"'
    head = f'{name} {{ name: "l" type: {kind} bottom: "data" top: "t" '
    _, text = deployed(tmp_path, f"{INPUT}{head}{words} }}\n", strip=True, force=True)
    assert text.startswith(INPUT + head[:-1])
    return text[len(INPUT + head) : -3].strip()


@pytest.mark.parametrize(
    ("kind", "words", "after"),
    [
        ("Convolution", "param { lr_mult: 1 } loss_weight: 1", ""),
        ("Convolution", "param { lr_mult: 1 decay_mult: 0 } param { lr_mult: 2 }", ""),
        ("Convolution", 'param { name: "w" lr_mult: 1 }', 'param { name: "w" }'),
        (
            "Convolution",
            'param { lr_mult: 1 } param { name: "b" lr_mult: 1 } param { decay_mult: 0 }',
            'param { } param { name: "b" }',
        ),
        ("Convolution", "param { share_mode: STRICT }", "param { share_mode: STRICT }"),
        (
            "Convolution",
            "convolution_param { num_output: 2 weight_filler { } kernel_size: 3 bias_filler { } }",
            "convolution_param { num_output: 2 kernel_size: 3 }",
        ),
        ("Scale", "scale_param { filler { value: 1 } }", ""),
        ("PReLU", "prelu_param { filler { value: 1 } channel_shared: true }",
         "prelu_param { channel_shared: true }"),
        (
            "Deconvolution",
            'convolution_param { num_output: 2 weight_filler { type: "bilinear" } kernel_size: 4 }',
            'convolution_param { num_output: 2 weight_filler { type: "bilinear" } kernel_size: 4 }',
        ),
        ("BatchNorm", "batch_norm_param { scale_filler { value: 1 } }",
         "batch_norm_param { scale_filler { value: 1 } }"),
        ("BN", "bn_param { slope_filler { value: 1 } }", "bn_param { slope_filler { value: 1 } }"),
        ("NeverHeardOf", "my_param { weight_filler { } }", "my_param { weight_filler { } }"),
    ],
)  # fmt: skip
def test_what_goes_and_what_stays(tmp_path, kind, words, after):
    assert stripped(tmp_path, words, kind) == after


def test_v1_layers_lose_their_rates_and_keep_shared_names(tmp_path):
    words = 'blobs_lr: 1 blobs_lr: 2 weight_decay: 1 weight_decay: 0 param: "w" loss_weight: 1'
    assert stripped(tmp_path, words, "CONVOLUTION", "layers") == 'param: "w"'


def test_a_filler_stays_where_the_weights_that_it_makes_are_not_there(tmp_path):
    model = body(network(data_layer()))
    filler = "weight_filler { value: 0.5 }"
    model.conv("up", "conv2", 5, 4, kind="Deconvolution", group=5, words=filler)
    _, text = deployed(tmp_path, model, strip=True)
    assert "filler" not in text
    del model.net.layer[-1]
    _, text = deployed(tmp_path, model, strip=True, force=True)
    assert filler in text
    assert "xavier" not in text


@pytest.mark.parametrize("merge", [False, True])
def test_gradients_and_weights_of_layers_that_are_gone_go(tmp_path, merge):
    model = classification()
    for record in model.net.layer:
        for blob in record.blobs:
            blob.diff.extend(np.ones(len(blob.data)).tolist())
    gone = model.net.layer.add(name="auxiliary")
    gone.blobs.add().data.extend([1.0, 2.0])
    before = {record.name: record for record in model.net.layer}
    kept, _ = deployed(tmp_path, model)
    report = bnfold.deploy(kept.model, kept.weights, strip=True, merge=merge, force=True)
    after = schema.message("NetParameter").FromString(report.output_weights.read_bytes())
    names = ["conv1", "conv2", "fc"] if merge else ["conv1", "bn1", "sc1", "conv2", "fc"]
    assert [record.name for record in after.layer] == names
    assert not any(blob.diff for record in after.layer for blob in record.blobs)
    for record in after.layer:
        if not merge:
            was = before[record.name].blobs
            assert [list(blob.data) for blob in record.blobs] == [list(blob.data) for blob in was]
            assert [blob.shape for blob in record.blobs] == [blob.shape for blob in was]


def test_weights_stay_as_they_are_unless_they_are_stripped(tmp_path):
    report, _ = deployed(tmp_path, classification())
    assert report.output_weights.read_bytes() == report.weights.read_bytes()


def test_a_name_that_the_format_does_not_go_with_is_refused(tmp_path):
    with pytest.raises(BnfoldError, match=r"does not end in \.h5"):
        deployed(tmp_path, classification(), output_weights=tmp_path / "x.h5")
    assert len(list(tmp_path.iterdir())) == 2


def test_gradients_of_an_hdf5_file_go(tmp_path):
    h5py = pytest.importorskip("h5py")
    model = body(network(data_layer()))
    path, _ = model.save(tmp_path)
    weights = tmp_path / "net.caffemodel.h5"
    with h5py.File(weights, "w") as file:
        for top in ("data", "diff"):
            for record in model.net.layer:
                for at, blob in enumerate(record.blobs):
                    file[f"{top}/{record.name}/{at}"] = np.array(blob.data, np.float32).reshape(
                        blob.shape.dim
                    )
    report = bnfold.deploy(path, weights, strip=True)
    with h5py.File(report.output_weights) as file:
        assert not list(file.get("diff", ()))
        assert sorted(file["data"]) == ["bn1", "conv1", "conv2", "sc1"]
        assert file["data/conv1/0"].shape == (4, 3, 3, 3)
