"""Axes that are counted from the end: the channels are axis 1, whatever the value's rank."""

from __future__ import annotations

import numpy as np
import pytest
from folding import merge_model
from models import Model

CAFFE = ("pycaffe",)
RNG = np.random.default_rng(17)
IMAGE, VOLUME = (2, 4, 6, 5), (2, 4, 6, 5, 5)


def host(net: Model, kind: str, bottom: str, shape: tuple[int, ...], axis: int) -> Model:
    """The layer `c` with four outputs, which takes axis `axis` of a value of this shape."""
    at = axis % len(shape)
    if kind == "InnerProduct":
        weight = RNG.normal(0, 0.3, (4, int(np.prod(shape[at:]))))
        param = "inner_product_param { num_output: 4"
    else:
        weight = RNG.normal(0, 0.3, (4, shape[at], *(3,) * (len(shape) - at - 1)))
        if kind == "Deconvolution":
            weight = weight.swapaxes(0, 1)
        param = "convolution_param { num_output: 4 kernel_size: 3"
    text = f'name: "c" type: "{kind}" bottom: "{bottom}" top: "c" {param} axis: {axis} }}'
    net.layer(text, "c", [weight, RNG.normal(0, 0.3, 4)])
    net.channels["c"] = 4
    return net


def start(shape: tuple[int, ...]) -> Model:
    return Model(seed=3).input("data", shape)


OTHERS = [
    ("Convolution", IMAGE, -2),
    ("Convolution", VOLUME, -2),
    ("Convolution", VOLUME, -3),
    ("Deconvolution", IMAGE, -2),
    ("InnerProduct", IMAGE, -2),
    ("InnerProduct", IMAGE, -1),
]
CHANNELS = [
    ("Convolution", IMAGE, -3),
    ("Convolution", VOLUME, -4),
    ("Convolution", (2, 4, 9), -2),
    ("Deconvolution", IMAGE, -3),
    ("InnerProduct", IMAGE, -3),
]


@pytest.mark.parametrize(("kind", "shape", "axis"), OTHERS)
def test_nothing_in_front_goes_into_a_layer_that_takes_another_axis(kind, shape, axis, merger):
    net = host(start(shape).scale("s", "data", "s"), kind, "s", shape, axis)
    merger.refuses(net, "s", "no-host", f"axis: {axis}", engines=CAFFE)


@pytest.mark.parametrize(("kind", "shape", "axis"), OTHERS)
def test_nothing_behind_goes_into_a_layer_that_makes_another_axis(kind, shape, axis, merger):
    net = host(start(shape), kind, "data", shape, axis).batch_norm("b", "c", "b")
    merger.refuses(net, "b", "not-per-channel", f"axis: {axis}", engines=CAFFE)


@pytest.mark.parametrize(("kind", "shape", "axis"), CHANNELS)
def test_channels_counted_from_the_end_are_channels(kind, shape, axis, merger):
    net = start(shape).scale("s", "data", "s", bias=kind != "Deconvolution")
    net = host(net, kind, "s", shape, axis).batch_norm("b", "c", "b")
    merger.folds(net, "s", "b", into="c", engines=CAFFE)


def test_axis_counted_from_the_end_of_an_unknown_number_of_axes(tmp_path):
    net = start(IMAGE).plain("Mystery", "m", "data")
    net = host(net, "Convolution", "m", IMAGE, -3).batch_norm("b", "c", "b")
    merged = merge_model(tmp_path, net)
    assert merged.reasons["b"].code == "unknown-shape"
    assert "axis: 1" in merged.reasons["b"].hint


@pytest.mark.parametrize(("shape", "axis"), [(IMAGE, -2), (VOLUME, -2), (VOLUME, -3)])
def test_filter_of_zeros_that_makes_another_axis_is_no_channel(shape, axis, tmp_path):
    net = host(start(shape), "Convolution", "data", shape, axis)
    blob = net.net.layer[0].blobs[0]
    values = np.array(blob.data).reshape(tuple(blob.shape.dim))
    values[1] = 0
    blob.data[:] = values.ravel().tolist()
    net.channels["c"] = 4
    net.plain("ReLU", "r", "c").conv("d", "r", 3, "kernel_size: 1", spatial=(1,) * (len(shape) - 2))
    assert merge_model(tmp_path, net, engine_caffe=False).text == net.text
