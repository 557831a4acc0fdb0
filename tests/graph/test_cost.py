"""Costs against counts by hand, and against loops that do the arithmetic step by step."""

import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from models import Model

from bnfold.caffemodel import open_weights
from bnfold.graph import build, record_of
from bnfold.graph.cost import Cost, NetworkCost, layer_cost, network_cost
from bnfold.graph.shapes import infer_shapes
from bnfold.prototxt import parse

from .networks import Growing, convolution, matrix, networks

RELAXED = settings(max_examples=150, suppress_health_check=list(HealthCheck), database=None)


def cost_of(text, weights=None, name="a", treat_as=None):
    net = build(parse(text), weights=weights, treat_as=treat_as)
    layer = next(layer for layer in net.layers if layer.name == name)
    return layer_cost(layer, infer_shapes(net))


def one(body, shape=(2, 6, 5, 4), top="a"):
    dims = " ".join(f"input_dim: {n}" for n in shape)
    if len(shape) != 4:
        dims = f"input_shape {{ dim: {list(shape)} }}"
    return f'input: "x" {dims} layer {{ name: "a" bottom: "x" top: "{top}" {body} }}'


VALUES = 2 * 6 * 5 * 4
MOVED = 2 * VALUES


def case(body, operations, values, parameters=0, shape=(2, 6, 5, 4), top="a"):
    return pytest.param(
        one(f"type: {body}", shape, top), Cost(operations, 4 * (values + parameters)), id=body[:70]
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # 3 outputs of 6 inputs through 3x3 at 3x2 places of 2 images
        case(
            '"Convolution" convolution_param { num_output: 3 kernel_size: 3 }',
            2 * 2 * 3 * (3 * 2) * (6 * 9) + 2 * 3 * 3 * 2,
            VALUES + 2 * 3 * 3 * 2,
            3 * 6 * 9 + 3,
        ),
        case(
            '"Convolution" convolution_param '
            "{ num_output: 4 kernel_h: 1 kernel_w: 3 group: 2 bias_term: false }",
            2 * 2 * 4 * (5 * 2) * (3 * 3),
            VALUES + 2 * 4 * 5 * 2,
            4 * 3 * 3,
        ),
        case(
            '"DepthwiseConvolution" convolution_param { num_output: 6 kernel_size: 3 pad: 1 }',
            2 * VALUES * 9 + VALUES,
            MOVED,
            6 * 9 + 6,
        ),
        case(
            '"ConvolutionDepthwise" convolution_param '
            "{ num_output: 12 group: 6 kernel_size: 1 bias_term: false }",
            2 * 2 * VALUES,
            3 * VALUES,
            12,
        ),
        # one axis of space: (6, 10, 3) channels at axis 2 of (2, 6, 5, 4)
        case(
            '"Convolution" convolution_param { num_output: 3 kernel_size: 2 axis: 2 }',
            2 * 12 * 3 * 3 * (5 * 2) + 12 * 3 * 3,
            VALUES + 12 * 3 * 3,
            3 * 5 * 2 + 3,
        ),
        # each of the inputs meets 4 / 2 outputs through 2x2
        case(
            '"Deconvolution" convolution_param { num_output: 4 kernel_size: 2 stride: 2 group: 2 }',
            2 * VALUES * 2 * 4 + 2 * 4 * 10 * 8,
            VALUES + 2 * 4 * 10 * 8,
            6 * 2 * 4 + 4,
        ),
        case(
            '"InnerProduct" inner_product_param { num_output: 7 }',
            2 * 2 * 7 * 120 + 14,
            VALUES + 14,
            7 * 120 + 7,
        ),
        case(
            '"InnerProduct" inner_product_param '
            "{ num_output: 7 axis: -1 bias_term: false transpose: true }",
            2 * 60 * 7 * 4,
            VALUES + 60 * 7,
            7 * 4,
        ),
        case('"BatchNorm"', 2 * VALUES, MOVED, 13),
        case('"BatchNorm"', 2 * 30, 60, 31, shape=(1, 15, 2)),
        case('"BatchNorm"', 2 * 9, 18, 3, shape=(9,)),
        case('"BatchNorm"', 2 * VALUES, MOVED, 13, top="x"),
        case('"BatchNorm" batch_norm_param { scale_bias: true }', 4 * VALUES, MOVED, 25),
        case('"BatchNorm" batch_norm_param { use_global_stats: false }', 5 * VALUES, MOVED, 13),
        case('"BN"', 4 * VALUES, MOVED, 24),
        case('"BN" bn_param { bn_mode: INFERENCE }', 2 * VALUES, MOVED, 12),
        case('"Scale"', VALUES, MOVED, 6),
        case('"Scale" scale_param { bias_term: true }', 2 * VALUES, MOVED, 12),
        case('"Scale" scale_param { axis: 0 num_axes: -1 }', VALUES, MOVED, VALUES),
        case('"Scale" scale_param { axis: -2 num_axes: 2 bias_term: true }', 2 * VALUES, MOVED, 40),
        case('"Scale" scale_param { num_axes: 0 }', VALUES, MOVED, 1),
        case('"Bias"', VALUES, MOVED, 6),
        case('"Bias" bias_param { axis: 2 }', VALUES, MOVED, 5),
        case('"Power" power_param { scale: 0.5 }', VALUES, MOVED),
        case('"Power" power_param { scale: 0.5 shift: -1 power: 2 }', 3 * VALUES, MOVED),
        case('"Power"', 0, MOVED),
        case('"Power"', 0, 0, top="x"),
        case('"Dropout"', 0, MOVED),
        case('"Dropout"', 0, 0, top="x"),
        case('"ReLU"', VALUES, MOVED),
        case('"PReLU"', 2 * VALUES, MOVED, 6),
        case('"PReLU" prelu_param { channel_shared: true }', 2 * VALUES, MOVED, 1),
        case('"Normalize" norm_param { channel_shared: false }', 4 * VALUES, MOVED, 6),
        case('"Softmax"', 5 * VALUES, MOVED),
        case(
            '"Pooling" pooling_param { kernel_size: 3 stride: 2 }', 2 * 6 * 4 * 9, VALUES + 12 * 4
        ),
        case('"Pooling" pooling_param { pool: AVE global_pooling: true }', 12 * 21, VALUES + 12),
        case('"Permute" permute_param { order: 1 }', 0, MOVED),
        case('"Tile" tile_param { tiles: 3 }', 0, 4 * VALUES),
        case('"Flatten"', 0, 0),
        case('"Reshape" reshape_param { shape { dim: -1 } }', 0, 0),
        case('"Split"', 0, 0),
        case('"Concat"', 0, 0),
        case('"Slice"', 0, 0),
        case('"Reduction"', VALUES, VALUES + 1),
        case('"Interp" interp_param { height: 10 width: 8 }', 7 * 4 * VALUES, 5 * VALUES),
    ],
)
def test_counted_by_hand(text, expected):
    assert cost_of(text) == expected


TWO = 'input: "x" input: "y" input_shape { dim: [2, 6, 5, 4] } input_shape { dim: [2, 6, 5, 4] }'


@pytest.mark.parametrize(
    ("body", "operations", "moved"),
    [
        ('type: "Eltwise"', VALUES, 3 * VALUES),
        ('type: "Eltwise" eltwise_param { coeff: [1, -0.5] }', 2 * VALUES, 3 * VALUES),
        ('type: "Eltwise" eltwise_param { operation: MAX }', VALUES, 3 * VALUES),
        ('type: "Concat"', 0, 4 * VALUES),
        ('type: "Crop"', 0, 2 * VALUES),
        ('type: "Scale" scale_param { axis: 0 }', VALUES, 3 * VALUES),
        # its bias is a parameter of the layer's own, of the shape of the second bottom
        ('type: "Scale" scale_param { axis: 0 bias_term: true }', 2 * VALUES, 4 * VALUES),
        ('type: "Bias" bias_param { axis: 0 }', VALUES, 3 * VALUES),
    ],
)
def test_two_bottoms(body, operations, moved):
    text = f'{TWO} layer {{ name: "a" bottom: "x" bottom: "y" top: "a" {body} }}'
    assert cost_of(text) == Cost(operations, 4 * moved)


@pytest.mark.parametrize(
    ("blobs", "operations", "parameters"), [(3, 2, 13), (4, 3, 19), (5, 4, 25)]
)
def test_the_stored_blobs_tell_the_dialect_of_a_batch_norm(tmp_path, blobs, operations, parameters):
    model = Model().input("x", (2, 6, 5, 4))
    arrays = [np.ones(6), np.ones(6), np.ones(1), np.ones(6), np.ones(6)]
    model.layer('name: "a" type: "BatchNorm" bottom: "x" top: "a"', "a", arrays[:blobs])
    with open_weights(model.save(tmp_path)[1]) as weights:
        expected = Cost(operations * VALUES, 4 * (MOVED + parameters))
        assert cost_of(model.text, weights) == expected


def test_a_bn_that_takes_statistics_of_the_batch(tmp_path):
    model = Model().input("x", (2, 6, 5, 4))
    model.layer('name: "a" type: "BN" bottom: "x" top: "a"', "a", [np.ones(6), np.ones(6)])
    with open_weights(model.save(tmp_path)[1]) as weights:
        assert cost_of(model.text, weights) == Cost(7 * VALUES, 4 * (MOVED + 12))


def test_what_rewrites_decided_counts():
    net = build(
        parse(
            one('type: "Convolution" convolution_param { num_output: 6 kernel_size: 1 '
                'bias_term: false }')
            + 'layer { name: "n" type: "BatchNorm" bottom: "a" top: "n" }'
        )
    )  # fmt: skip
    shapes = infer_shapes(net)
    convolution, norm = net.layers
    plain = layer_cost(convolution, shapes)
    convolution.set("convolution_param", "bias_term", True)
    assert layer_cost(convolution, shapes) == Cost(plain.operations + VALUES, plain.bytes + 4 * 6)

    norm.become(record_of("Scale"))
    norm.set("scale_param", "bias_term", True)
    assert infer_shapes(net) == shapes
    assert layer_cost(norm, shapes) == Cost(2 * VALUES, 4 * (MOVED + 12))


def test_removing_a_layer_removes_its_cost():
    net = build(
        parse(
            one('type: "Convolution" convolution_param { num_output: 6 kernel_size: 1 }')
            + 'layer { name: "n" type: "BatchNorm" bottom: "a" top: "a" }'
        )
    )
    shapes = infer_shapes(net)
    before = network_cost(net, shapes)
    norm = list(net.layers)[1]
    alone = layer_cost(norm, shapes)
    net.remove_into_producer(norm)
    after = network_cost(net, shapes)
    assert before.operations - after.operations == alone.operations == 2 * VALUES
    assert before.bytes - after.bytes == alone.bytes
    assert network_cost(net, infer_shapes(net)) == after


def test_a_network_with_layers_that_nobody_knows():
    net = build(
        parse(
            one('type: "ReLU"')
            + 'layer { name: "q" type: "NeverHeardOf" bottom: "a" top: "q" }'
            + 'layer { name: "r" type: "ReLU" bottom: "q" top: "r" }'
            + 'layer { name: "s" type: "ReLU" bottom: "x" top: "s" }'
        )
    )
    layers = list(net.layers)
    expected = NetworkCost(2 * VALUES, 8 * MOVED, (layers[1], layers[2]))
    assert network_cost(net, infer_shapes(net)) == expected


@pytest.mark.parametrize(
    "body",
    [
        '"Convolution" convolution_param { num_output: 4 kernel_size: 3 group: 4 }',
        '"Convolution" convolution_param { num_output: 4 kernel_size: 3 group: 0 }',
        '"Convolution" convolution_param { num_output: 4 kernel_size: 3 axis: 9 }',
        '"Convolution" convolution_param { num_output: 4 }',
        '"Convolution" convolution_param { num_output: nine kernel_size: 1 }',
        '"InnerProduct" inner_product_param { num_output: 4 axis: 9 }',
        '"Scale" scale_param { axis: 9 }',
        '"Scale" scale_param { num_axes: 9 }',
        '"Scale" scale_param { num_axes: -2 }',
        '"Bias" bias_param { num_axes: many }',
        '"Pooling"',
        '"Power" power_param { scale: big }',
        '"Upsample"',
        '"PriorBox"',
    ],
)
def test_what_caffe_would_refuse_has_no_cost(body):
    assert cost_of(one(f"type: {body}")) is None


def test_treat_as():
    words = 'type: "My" convolution_param { num_output: 3 kernel_size: 3 }'
    plain = cost_of(one(words.replace("My", "Convolution")))
    assert cost_of(one(words)) is None
    assert cost_of(one(words), treat_as={"My": "Convolution"}) == plain
    assert cost_of(one('type: "My"'), treat_as={"My": "ReLU"}) == Cost(VALUES, 4 * MOVED)


def stepwise(shape, weight, stride, pad, dilation, group, transposed):
    """Convolve place by place; gives the output's lengths and the multiplications done."""
    batch, _, *lengths = shape
    kernel = weight.shape[2:]
    steps = list(itertools.product(*map(range, kernel)))
    outputs = weight.shape[1] * group if transposed else weight.shape[0]
    padded = [n + 2 * p for n, p in zip(lengths, pad, strict=True)]
    extent = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    multiplications = 0
    if transposed:
        places = itertools.product(*map(range, lengths))
        found = [s * (n - 1) + e for s, n, e in zip(stride, lengths, extent, strict=True)]
    else:
        ranges = [range(0, n - e + 1, s) for n, e, s in zip(padded, extent, stride, strict=True)]
        places = itertools.product(*ranges)
        found = [len(r) for r in ranges]
    for _ in places:
        for step in steps:
            # at one place, one tap of every kernel: a row of weights for each group
            taps = weight[(slice(None), slice(None), *step)].reshape(group, -1)
            multiplications += batch * taps.size
    return (batch, outputs, *found), multiplications


@RELAXED
@given(st.data(), st.booleans())
def test_convolutions_counted_step_by_step(data, transposed):
    axes = data.draw(st.integers(1, 3))
    numbers = lambda low, high: [data.draw(st.integers(low, high)) for _ in range(axes)]  # noqa: E731
    lengths, kernel, stride, dilation = numbers(3, 6), numbers(1, 3), numbers(1, 2), numbers(1, 2)
    pad = [0] * axes if transposed else numbers(1, 2)
    group = data.draw(st.sampled_from((1, 2, 4)))
    channels, outputs = group * data.draw(st.integers(1, 2)), group * data.draw(st.integers(1, 3))
    bias = data.draw(st.booleans())
    shape = (data.draw(st.integers(1, 2)), channels, *lengths)
    weight = np.ones((outputs, channels // group, *kernel))
    if transposed:
        weight = np.ones((channels, outputs // group, *kernel))
    top, multiplications = stepwise(shape, weight, stride, pad, dilation, group, transposed)
    fields = {"kernel_size": kernel, "stride": stride, "pad": pad, "dilation": dilation}
    words = " ".join(f"{name}: {values}" for name, values in fields.items())
    kind = "Deconvolution" if transposed else "Convolution"
    text = one(
        f'type: "{kind}" convolution_param {{ num_output: {outputs} group: {group} {words} '
        f"bias_term: {str(bias).lower()} }}",
        shape,
    )
    if min(top) < 1:
        return
    size = int(np.prod(top))
    parameters = weight.size + bias * outputs
    expected = Cost(
        2 * multiplications + bias * size, 4 * (int(np.prod(shape)) + size + parameters)
    )
    assert cost_of(text) == expected


@RELAXED
@given(networks())
def test_every_layer_of_a_random_network_has_a_cost(net):
    built = build(parse(net.text))
    total = network_cost(built, infer_shapes(built))
    assert total.unknown == ()
    assert total.operations >= 0
    assert total.bytes % 4 == 0


@RELAXED
@given(st.data())
def test_parameters_are_as_many_as_caffe_makes(caffe, data):
    """Bytes, less those of the values, are those of the blobs that Caffe gives the layer."""
    net = Growing(data.draw, (2, 4, 6, 5))
    bottom = convolution(net, "x", data.draw(st.sampled_from(("Convolution", "Deconvolution"))))
    bottom = bottom or "x"
    axis = data.draw(st.integers(1, 3))
    words = f"axis: {axis} num_axes: {data.draw(st.integers(-1, 4 - axis))}"
    bias = data.draw(st.sampled_from(("", "bias_term: true")))
    shape = net.shapes[bottom]
    net.layer("Scale", [bottom], [shape], f"scale_param {{ {words} {bias} }}")
    net.layer("Bias", [bottom], [shape], f"bias_param {{ {words} }}")
    net.layer("BatchNorm", [bottom], [shape])
    net.layer("PReLU", [bottom], [shape])
    matrix(net, bottom)
    counts = caffe.parameters(net.text)
    assert counts is not None, caffe.why()
    built = build(parse(net.text))
    shapes = infer_shapes(built)
    for layer in built.layers:
        values = sum(int(np.prod(shapes[v])) for v in (*layer.bottoms, *layer.tops))
        if layer.type != "Input":
            assert layer_cost(layer, shapes).bytes == 4 * (values + counts.get(layer.name, 0))
