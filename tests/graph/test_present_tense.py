"""A layer is what rewrites made of it; what the file said stays to be compared with."""

from __future__ import annotations

import numpy as np

from bnfold.caffemodel import ArrayBlob
from bnfold.graph import build, record_of
from bnfold.prototxt import parse

TEXT = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 4 } } }
layer {
  name: "c" type: "Convolution" bottom: "data" top: "c" param { name: "w" } param { name: "v" }
  convolution_param { num_output: 6 kernel_size: 3 bias_term: false pad: 1 }
}
layer { name: "d" type: "Convolution" bottom: "c" top: "d" param { name: "w" }
        convolution_param { num_output: 6 kernel_size: 3 } }
layer { name: "p" type: "Power" bottom: "d" top: "p" param { name: "v" } power_param { scale: 2 } }
"""


def network():
    net = build(parse(TEXT))
    return net, {layer.name: layer for layer in net.layers}


def test_a_parameter_that_was_set_is_the_parameter():
    _, layers = network()
    layers["c"].set("convolution_param", "bias_term", True)
    layers["c"].set("convolution_param", "kernel_size", (5, 3))
    layers["c"].set("convolution_param", "engine", "CAFFE")
    layers["c"].set("convolution_param", "pad", ())
    param = layers["c"].param("convolution_param")
    assert (param.bias_term, list(param.kernel_size), param.engine) == (True, [5, 3], 1)
    assert not param.pad
    assert param.num_output == 6


def test_a_parameter_that_was_taken_out_has_its_default():
    _, layers = network()
    layers["p"].set("power_param", "scale", None)
    assert layers["p"].param("power_param").scale == 1


def test_what_the_file_said_can_still_be_compared_with():
    _, layers = network()
    layers["p"].set("power_param", "scale", 3.0)
    layers["p"].become(record_of("Scale"))
    assert layers["p"].written_param("power_param").scale == 2
    assert layers["p"].written_type == "Power"
    assert layers["p"].type == layers["p"].kind.name == "Scale"


def test_people_are_told_of_a_layer_as_their_file_has_it():
    _, layers = network()
    layers["p"].become(record_of("Scale"))
    assert str(layers["p"]) == "Power layer 'p'"


def test_a_message_that_was_cleared_is_empty_and_can_be_set_anew():
    _, layers = network()
    layers["p"].set("power_param", "shift", 5.0)
    layers["p"].clear("power_param")
    assert layers["p"].written("power_param") is None
    assert (layers["p"].param("power_param").scale, layers["p"].set_fields) == (1, ())
    layers["p"].set("power_param", "power", 2.0)
    assert layers["p"].param("power_param").power == 2


def test_a_layer_without_weights_has_no_blobs_until_it_is_given_some():
    _, layers = network()
    assert not layers["p"].blobs
    blob = ArrayBlob(np.ones(3))
    layers["p"].give(blob)
    assert list(layers["p"].blobs) == [blob]


def test_a_layer_without_its_params_shares_no_blob():
    net, layers = network()
    assert list(net.sharers(layers["c"])) == [layers["d"], layers["p"]]
    layers["p"].clear("param")
    assert layers["p"].blob_names == ()
    assert list(net.sharers(layers["c"])) == [layers["d"]]
    assert list(net.sharers(layers["p"])) == []
    assert net.sharing("v") == [layers["c"]]
