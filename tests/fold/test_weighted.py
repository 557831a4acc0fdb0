"""What a layer with a weight says of its channels, as it is now."""

from __future__ import annotations

import numpy as np
import pytest

from bnfold import BnfoldError
from bnfold.caffemodel import ArrayBlob
from bnfold.fold.affines.affine import Affine
from bnfold.fold.blobs import values_of
from bnfold.fold.weighted import WeightedLayer
from bnfold.graph import build
from bnfold.prototxt import parse

INPUT = 'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 4 } } }\n'


def weighted(kind, words, shape, bias=None):
    message = "inner_product_param" if kind == "InnerProduct" else "convolution_param"
    text = f'layer {{ name: "c" type: "{kind}" bottom: "x" top: "c" {message} {{ {words} }} }}'
    layer = list(build(parse(INPUT + text)).layers)[1]
    rng = np.random.default_rng(1)
    blobs = [ArrayBlob(rng.normal(size=shape), "<f4")]
    layer.give(*blobs, *([] if bias is None else [ArrayBlob(rng.normal(size=bias), "<f4")]))
    return WeightedLayer.of(layer)


# Each: a layer of 4 inputs and 6 outputs, and the matrix (outputs, inputs) of a tap of its weight.
GROUPED = np.kron(np.eye(2), np.ones((3, 2))).astype(bool)


def _in_blocks(weight):
    """(6, 2): each output reads the two inputs of its group."""
    matrix = np.zeros((6, 4))
    matrix[GROUPED] = weight.ravel()
    return matrix


def _deconvolved(weight):
    """(4, 3): each input makes the three outputs of its group."""
    matrix = np.zeros((4, 6))
    matrix[GROUPED.T] = weight.ravel()
    return matrix.T


LAYOUTS = {
    "Convolution": (
        "Convolution", "num_output: 6 kernel_size: 3", (6, 4, 3, 3), lambda w: w[..., 1, 2]
    ),
    "Convolution in groups": (
        "Convolution", "num_output: 6 kernel_size: 1 group: 2", (6, 2, 1, 1), _in_blocks
    ),
    "Deconvolution": (
        "Deconvolution", "num_output: 6 kernel_size: 3", (4, 6, 3, 3), lambda w: w[..., 1, 2].T
    ),
    "Deconvolution in groups": (
        "Deconvolution", "num_output: 6 kernel_size: 1 group: 2", (4, 3, 1, 1), _deconvolved
    ),
    "InnerProduct": ("InnerProduct", "num_output: 6", (6, 4), lambda w: w),
    "InnerProduct, transposed": (
        "InnerProduct", "num_output: 6 transpose: true", (4, 6), lambda w: w.T
    ),
    "InnerProduct of two values a channel": (
        "InnerProduct", "num_output: 6", (6, 8), lambda w: w[:, 1::2]
    ),
}  # fmt: skip


@pytest.fixture(params=LAYOUTS)
def layout(request):
    kind, words, shape, matrix = LAYOUTS[request.param]

    def now(each):
        weight, *bias = each.layer.blobs
        return matrix(values_of(weight).reshape(shape)), values_of(bias[0]) if bias else np.zeros(6)

    return weighted(kind, words, shape, 6), now


def test_an_affine_at_the_output_scales_rows(layout):
    layer, now = layout
    before, bias = now(layer)
    scale, shift = np.arange(1.0, 7), np.arange(6.0)
    layer.absorb_output(Affine(scale, shift))
    after, new = now(layer)
    np.testing.assert_allclose(after, scale[:, None] * before, rtol=1e-6)
    np.testing.assert_allclose(new, scale * bias + shift, rtol=1e-6)


def test_an_affine_at_the_input_scales_columns(layout):
    layer, now = layout
    before, bias = now(layer)
    scale = np.arange(1.0, 5)
    layer.absorb_input(Affine(scale, np.zeros(4)))
    after, new = now(layer)
    np.testing.assert_allclose(after, before * scale, rtol=1e-6)
    np.testing.assert_allclose(new, bias, rtol=1e-6)


def test_inputs_and_outputs_are_those_of_the_weight(layout):
    layer, _ = layout
    assert layer.outputs == 6
    assert layer.inputs in (4, 8)
    assert layer.reads(4)
    assert not layer.reads(5)


def test_what_was_set_is_what_it_says():
    layer = weighted("Convolution", "num_output: 6 kernel_size: 1", (6, 4, 1, 1), 6)
    layer.layer.set("convolution_param", "num_output", 3)
    layer.layer.set("convolution_param", "bias_term", False)
    layer.layer.give(ArrayBlob(np.ones((3, 4, 1, 1)), "<f4"))
    assert (layer.outputs, layer.is_biased, len(layer.blobs())) == (3, False, 1)


def test_forks_have_a_group_for_each_channel_where_they_say_nothing():
    layer = weighted("ConvolutionDepthwise", "kernel_size: 3", (6, 1, 3, 3), 6)
    assert (layer.outputs, layer.groups, layer.inputs) == (6, 6, 6)


@pytest.mark.parametrize(
    ("words", "shape", "bias", "says"),
    [
        ("num_output: 5 kernel_size: 1", (6, 4, 1, 1), 5, "its weight has shape 6x4x1x1"),
        ("num_output: 6 kernel_size: 3", (6, 4, 1, 1), 6, "kernel 3x3"),
        ("num_output: 6 kernel_size: 1", (6, 4, 1, 1), 5, "its bias has 5 values"),
        ("num_output: 6 kernel_size: 1", (6, 4, 1, 1), None, "1 blob in the weights file"),
        ("num_output: 6 kernel_size: 1 group: 4", (6, 1, 1, 1), 6, "group 4"),
        ("kernel_size: 1", (6, 4, 1, 1), 6, "has no num_output"),
    ],
)
def test_blobs_that_are_not_what_the_parameters_say(words, shape, bias, says):
    with pytest.raises(BnfoldError, match=says):
        weighted("Convolution", words, shape, bias).blobs()
