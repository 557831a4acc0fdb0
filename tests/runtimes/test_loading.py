"""What users read when an engine does not take their network."""

import numpy as np
import pytest

from bnfold.caffemodel import schema
from bnfold.runtimes import EngineError
from tests.runtimes.networks import CHAIN, CHAIN_BLOBS, chain_values, images, save, weights_bytes


def refusal(runtime, folder, text, blobs=None):
    """The error of loading a network; the engine must be usable afterwards."""
    with pytest.raises(EngineError) as caught:
        runtime.load(*save(folder, text, blobs or CHAIN_BLOBS, "bad"))
    x = images(1)
    with runtime.load(*save(folder, CHAIN, CHAIN_BLOBS, "good")) as session:
        np.testing.assert_allclose(
            session.run({"data": x})["prob"], chain_values(x)["prob"], rtol=1e-4
        )
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_layer_type_that_the_engine_lacks(runtime, tmp_path):
    error = refusal(runtime, tmp_path, CHAIN.replace('"Softmax"', '"NoSuchType"'))
    assert error.layer == "prob"
    assert error.engine == runtime.name
    assert "NoSuchType" in error.reason
    assert "try the runtime" in str(error)
    assert "known types" not in str(error)


def test_weights_of_another_shape(runtime, tmp_path):
    error = refusal(runtime, tmp_path, CHAIN.replace("num_output: 5", "num_output: 6"))
    assert error.layer == "ip"


def test_a_layer_that_cannot_be_built(runtime, tmp_path):
    broken = CHAIN.replace("kernel_size: 3 pad: 1", "kernel_size: 3 pad: 1 stride: 0")
    assert refusal(runtime, tmp_path, broken).layer == "conv"


def test_a_weights_file_that_is_cut_off(runtime, tmp_path):
    error = refusal(runtime, tmp_path, CHAIN, weights_bytes(CHAIN_BLOBS)[:-50])
    assert "bad.caffemodel" in str(error)
    assert "is the file complete?" in str(error)
    assert error.layer is None


def test_float16_weights_are_opencv_s_alone(runtime, tmp_path):
    net = schema.message("NetParameter").FromString(weights_bytes(CHAIN_BLOBS))
    weight = net.layer[3].blobs[0]
    half = np.array(weight.data, "<f2")
    weight.ClearField("data")
    weight.raw_data_type, weight.raw_data = 2, half.tobytes()
    if runtime.name == "pycaffe":
        error = refusal(runtime, tmp_path, CHAIN, net.SerializeToString())
        assert error.layer == "ip"
        assert "has 0 in the forms that this Caffe reads" in error.reason
        return
    x = images(2)
    with runtime.load(*save(tmp_path, CHAIN, net.SerializeToString())) as session:
        found = session.run({"data": x})["prob"]
    np.testing.assert_allclose(found, chain_values(x)["prob"], atol=2e-3)


@pytest.mark.parametrize("data", [b" ", b"this is no weights file " * 9])
def test_a_weights_file_of_something_else(runtime, tmp_path, data):
    assert "bad.caffemodel" in str(refusal(runtime, tmp_path, CHAIN, data))


def test_a_prototxt_that_is_cut_off(runtime, tmp_path):
    error = refusal(runtime, tmp_path, CHAIN.rstrip()[:-1])
    assert "bad.prototxt" in str(error)


@pytest.mark.parametrize("which", [0, 1])
def test_a_file_that_is_not_there(runtime, tmp_path, which):
    files = list(save(tmp_path, CHAIN, CHAIN_BLOBS))
    files[which].unlink()
    with pytest.raises(EngineError, match=f"{files[which].name}: .*cannot read it: No such file"):
        runtime.load(*files)


def test_layers_without_weights_do_not_pass_unnoticed(runtime, tmp_path):
    files = save(tmp_path, CHAIN.replace('"ip" type', '"fc" type'), CHAIN_BLOBS)
    if runtime.name == "opencv":
        with pytest.raises(EngineError, match=r"layer 'fc': .*net\.caffemodel has no weights"):
            runtime.load(*files)
    else:
        (note,) = runtime.load(*files).notes
        assert "no weights for layer 'fc'" in note


def test_a_network_that_reads_its_own_data_is_refused_by_opencv(opencv, tmp_path):
    first = CHAIN.index("layer", CHAIN.index("layer") + 1)
    text = 'layer { name: "data" type: "Data" top: "data" }\n' + CHAIN[first:]
    assert "give the deploy prototxt" in str(refusal(opencv, tmp_path, text))


def test_opencv_prints_nothing(opencv, tmp_path, capfd):
    refusal(opencv, tmp_path, CHAIN, weights_bytes({"conv": CHAIN_BLOBS["conv"]}))
    session = opencv.load(*save(tmp_path, CHAIN, CHAIN_BLOBS))
    with pytest.raises(EngineError):
        session.run({"data": images(1, (2, 6, 7))})
    assert capfd.readouterr() == ("", "")


def test_pycaffe_prints_nothing(pycaffe, tmp_path, capfd):
    refusal(pycaffe, tmp_path, CHAIN.replace('"Softmax"', '"NoSuchType"'))
    assert capfd.readouterr() == ("", "")


def test_opencv_runs_v1_prototxts_with_outputs_that_nobody_reads(opencv, tmp_path):
    text = """input: "data" input_dim: 1 input_dim: 4 input_dim: 2 input_dim: 2
    layers { name: "cut" type: SLICE bottom: "data" top: "first" top: "second" }
    layers { name: "p" type: POWER bottom: "second" top: "p" power_param { scale: 2 } }"""
    x = images(2, (4, 2, 2))
    with opencv.load(*save(tmp_path, text)) as session:
        found = session.run({"data": x})
    np.testing.assert_array_equal(found["first"], x[:, :2])
    np.testing.assert_array_equal(found["p"], x[:, 2:] * 2)


def test_opencv_fuses_only_when_asked(opencv, tmp_path):
    files = save(tmp_path, CHAIN, CHAIN_BLOBS)
    x = images(2)
    with opencv.load(*files) as plain, opencv.load(*files, fusion=True, winograd=True) as fused:
        for session in (plain, fused):
            session.feed({"data": x})
        assert all(plain.profile().values())
        assert not all(fused.profile().values())
        np.testing.assert_allclose(
            fused.run({"data": x})["prob"], plain.run({"data": x})["prob"], rtol=1e-4
        )


def test_pycaffe_has_no_fusion_to_ask_for(pycaffe, tmp_path):
    assert not pycaffe.has_fusion
    with pytest.raises(EngineError, match="no fusion"):
        pycaffe.load(*save(tmp_path, CHAIN, CHAIN_BLOBS), fusion=True)


@pytest.mark.parametrize(
    ("layer", "count"),
    [
        ('type: "Scale" scale_param { axis: -1 }', 3),
        ('type: "Scale" scale_param { axis: 1 num_axes: 2 }', 3),
        ('type: "Bias"', 2),
        ('type: "PReLU"', 4),
        ('type: "PReLU" prelu_param { channel_shared: true }', 3),
    ],
)
def test_numbers_of_another_count_than_the_input_calls_for(runtime, layer, count, tmp_path):
    text = (
        'layer { name: "data" type: "Input" top: "data"\n'
        "  input_param { shape { dim: 1 dim: 3 dim: 64 dim: 64 } } }\n"
        f'layer {{ name: "s" bottom: "data" top: "s" {layer} }}\n'
    )
    with pytest.raises(EngineError) as caught:
        runtime.load(*save(tmp_path, text, {"s": [np.ones(count)]}, "bad"))
    assert caught.value.layer == "s"


def test_a_product_without_parameters_is_refused_before_opencv_ends_the_process(opencv, tmp_path):
    bare = CHAIN.replace("inner_product_param { num_output: 5 }", "")
    assert bare != CHAIN
    error = refusal(opencv, tmp_path, bare)
    assert error.layer == "ip"
    assert "it has no num_output" in error.reason


def test_a_window_for_another_number_of_axes_is_refused_before_opencv_ends_the_process(
    opencv, tmp_path
):
    flat = CHAIN.replace("kernel_size: 3 pad: 1", "kernel_size: 3 kernel_size: 3 pad: 1")
    deep = flat.replace("dim: 6 dim: 7", "dim: 2 dim: 6 dim: 7")
    assert deep != flat
    error = refusal(opencv, tmp_path, deep)
    assert error.layer == "conv"
    assert "is not for a value of 5 axes" in error.reason
