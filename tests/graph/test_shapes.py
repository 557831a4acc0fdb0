"""Inferred shapes against Caffe's own, and where only a fork could tell, against its formula."""

import pytest
from hypothesis import HealthCheck, given, settings
from models import Model

from bnfold.caffemodel import open_weights
from bnfold.graph import build
from bnfold.graph.shapes import infer_shapes
from bnfold.prototxt import parse

from .conftest import shapes_of
from .networks import networks

RELAXED = settings(max_examples=300, suppress_health_check=list(HealthCheck), database=None)


def chain(*bodies, shape="dim: 2 dim: 6 dim: 9 dim: 7"):
    """Layers one behind the other: x, then a, b, c..."""
    source = f'layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ {shape} }} }} }}'
    texts, bottom = [source], "x"
    for top, body in zip("abcdefgh", bodies, strict=False):
        texts.append(f'layer {{ name: "{top}" bottom: "{bottom}" top: "{top}" {body} }}')
        bottom = top
    return "\n".join(texts)


CHAINS = {
    "convolution": ('type: "Convolution" convolution_param { num_output: 4 kernel_size: 3 }',),
    "convolution of one kernel number for both axes": (
        """type: "Convolution" convolution_param { num_output: 4 kernel_size: 3
           stride: 2 stride: 1 pad: 1 pad: 0 dilation: 2 }""",
    ),
    "convolution over one axis of four": (
        'type: "Convolution" convolution_param { num_output: 4 kernel_size: 3 axis: 2 }',
    ),
    "convolution without spatial axes": (
        'type: "Convolution" convolution_param { num_output: 4 kernel_size: 1 axis: 3 }',
    ),
    "deconvolution": (
        """type: "Deconvolution" convolution_param { num_output: 6 group: 6
           kernel_size: 4 stride: 2 pad: 1 dilation: 2 }""",
    ),
    "inner products": (
        'type: "InnerProduct" inner_product_param { num_output: 5 axis: 2 }',
        'type: "InnerProduct" inner_product_param { num_output: 7 axis: -1 transpose: true }',
        'type: "InnerProduct" inner_product_param { num_output: 3 axis: 0 }',
    ),
    "pooling rounds up": ('type: "Pooling" pooling_param { kernel_size: 2 stride: 2 }',),
    "pooling rounds down": (
        'type: "Pooling" pooling_param { kernel_size: 2 stride: 2 ceil_mode: false }',
    ),
    "a last window in the padding": (
        'type: "Pooling" pooling_param { kernel_size: 2 stride: 3 pad: 1 }',
    ),
    "reshape": (
        'type: "Reshape" reshape_param { shape { dim: 0 dim: -1 dim: 3 } }',
        'type: "Reshape" reshape_param { shape { dim: 2 dim: -1 } axis: 1 num_axes: 1 }',
        'type: "Reshape" reshape_param { shape { dim: 1 } axis: -1 num_axes: 0 }',
    ),
    "flatten": (
        'type: "Flatten" flatten_param { axis: -3 end_axis: -2 }',
        'type: "Flatten"',
    ),
    "permute, the rest as it was": ('type: "Permute" permute_param { order: 0 order: 2 }',),
    "reduction to a number": ('type: "Reduction"',),
    "argmax": (
        'type: "ArgMax" argmax_param { out_max_val: true top_k: 3 }',
        'type: "ArgMax" argmax_param { axis: -1 }',
    ),
    "argmax of everything": ('type: "ArgMax"',),
    "tile": ('type: "Tile" tile_param { tiles: 3 axis: -2 }', 'type: "Tile" tile_param {tiles: 2}'),
    "embed": ('type: "Embed" embed_param { num_output: 4 input_dim: 9 bias_term: false }',),
    "activations": (
        'type: "ReLU6"',
        'type: "HardSwish"',
        'type: "HardSigmoid"',
        'type: "Log"',
        'type: "Threshold"',
        'type: "Normalize"',
    ),
    "Upsample": ('type: "Upsample" upsample_param { scale: 3 }',),
    "Resize": ('type: "Resize" resize_param { height: 4 width: 5 }',),
}

WHOLE = {
    "legacy inputs by dims": """
        input: "x" input: "y"
        input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 9
        input_dim: 2 input_dim: 1 input_dim: 4 input_dim: 5
        layer { name: "r" type: "ReLU" bottom: "x" top: "r" }
        layer { name: "s" type: "ReLU" bottom: "y" top: "s" }
    """,
    "legacy inputs by shapes": """
        input: "x" input: "y" input_shape { dim: 1 dim: 3 } input_shape { dim: [4, 5, 6] }
        layer { name: "r" type: "ReLU" bottom: "x" top: "r" }
        layer { name: "s" type: "ReLU" bottom: "y" top: "s" }
    """,
    "a V1 file": """
        input: "x" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 9
        layers { name: "c" type: CONVOLUTION bottom: "x" top: "c"
                 convolution_param { num_output: 4 kernel_size: 3 } }
        layers { name: "p" type: POOLING bottom: "c" top: "p"
                 pooling_param { kernel_size: 3 stride: 2 } }
        layers { name: "k" type: CONCAT bottom: "c" bottom: "c" top: "k"
                 concat_param { concat_dim: 2 } }
        layers { name: "i" type: INNER_PRODUCT bottom: "p" top: "i"
                 inner_product_param { num_output: 5 } }
    """,
    "one shape for all tops": """
        layer { name: "x" type: "Input" top: "x" top: "y" input_param { shape { dim: 2 dim: 3 } } }
        layer { name: "e" type: "Eltwise" bottom: "x" bottom: "y" top: "e" }
    """,
    "dummy data": """
        layer { name: "d" type: "DummyData" top: "a" top: "b"
                dummy_data_param { num: 2 channels: 3 channels: 4 height: 5 width: 6 } }
        layer { name: "e" type: "DummyData" top: "c" dummy_data_param { shape { dim: 2 dim: 7 } } }
    """,
    "memory data, a loss and an accuracy": """
        layer { name: "d" type: "MemoryData" top: "a" top: "label"
                memory_data_param { batch_size: 3 channels: 2 height: 4 width: 5 } }
        layer { name: "i" type: "InnerProduct" bottom: "a" top: "i"
                inner_product_param { num_output: 6 } }
        layer { name: "l" type: "SoftmaxWithLoss" bottom: "i" bottom: "label" top: "l" }
        layer { name: "u" type: "Accuracy" bottom: "i" bottom: "label" top: "u" }
    """,
    "a pooling's mask": """
        layer { name: "x" type: "Input" top: "x" input_param { shape { dim: [1, 2, 7, 9] } } }
        layer { name: "p" type: "Pooling" bottom: "x" top: "p" top: "mask"
                pooling_param { kernel_size: 2 stride: 2 } }
    """,
    "crop to another value": """
        layer { name: "x" type: "Input" top: "x" input_param { shape { dim: [1, 2, 7, 9] } } }
        layer { name: "y" type: "Input" top: "y" input_param { shape { dim: [3, 4, 5, 6] } } }
        layer { name: "c" type: "Crop" bottom: "x" bottom: "y" top: "c" }
        layer { name: "d" type: "Crop" bottom: "x" bottom: "y" top: "d" crop_param { axis: -1 } }
    """,
    "slices and a split": """
        layer { name: "x" type: "Input" top: "x" input_param { shape { dim: [1, 6, 7, 9] } } }
        layer { name: "s" type: "Slice" bottom: "x" top: "a" top: "b" top: "c" }
        layer { name: "t" type: "Slice" bottom: "x" top: "d" top: "e" top: "f"
                slice_param { axis: -1 slice_point: [1, 4] } }
        layer { name: "u" type: "Split" bottom: "f" top: "g" top: "h" }
    """,
    "convolution of two bottoms": """
        layer { name: "x" type: "Input" top: "x" top: "y"
                input_param { shape { dim: [1, 6, 7, 9] } } }
        layer { name: "c" type: "Convolution" bottom: "x" bottom: "y" top: "a" top: "b"
                convolution_param { num_output: 3 kernel_h: 3 kernel_w: 1 } }
    """,
    "scale and bias from the network": """
        layer { name: "x" type: "Input" top: "x" input_param { shape { dim: [1, 6, 7, 9] } } }
        layer { name: "y" type: "Input" top: "y" input_param { shape { dim: [1, 6] } } }
        layer { name: "s" type: "Scale" bottom: "x" bottom: "y" top: "s" scale_param { axis: 0 } }
        layer { name: "b" type: "Bias" bottom: "s" bottom: "y" top: "b" bias_param { axis: 0 } }
    """,
    "a parameter of its own": """
        layer { name: "p" type: "Parameter" top: "p" parameter_param { shape { dim: [3, 4] } } }
        layer { name: "r" type: "ReLU" bottom: "p" top: "r" }
    """,
}


def agree(text, caffe):
    """Every value, those in the middle of in-place runs too, has the shape Caffe gives its name."""
    real = caffe.shapes(text)
    assert real is not None, f"{caffe.why()}\n{text}"
    found = infer_shapes(build(parse(text)))
    assert {value.name for value in found} <= set(real)
    assert {v: s for v, s in found.items() if s != real[v.name]} == {}


@pytest.mark.parametrize("bodies", CHAINS.values(), ids=CHAINS)
def test_chain_as_in_caffe(bodies, caffe):
    agree(chain(*bodies), caffe)


@pytest.mark.parametrize("text", WHOLE.values(), ids=WHOLE)
def test_network_as_in_caffe(text, caffe):
    agree(text, caffe)


@RELAXED
@given(networks())
def test_random_networks_as_in_caffe(caffe, net):
    agree(net.text, caffe)


@RELAXED
@given(networks())
def test_random_networks_as_counted(net):
    assert shapes_of(net.text) == net.shapes


def behind_unknown(*bodies):
    """Layers behind a value of which nothing is known."""
    return 'input: "x"\n' + chain(*bodies).split("\n", 1)[1]


@pytest.mark.parametrize(
    ("body", "shape"),
    [
        ('"Convolution" convolution_param { num_output: 4 kernel_size: 3 }', None),
        (
            '"Convolution" convolution_param { num_output: 4 kernel_h: 3 kernel_w: 1 }',
            (None, 4, None, None),
        ),
        (
            '"Convolution" convolution_param { num_output: 4 kernel_size: [3, 3, 3] }',
            (None, 4, None, None, None),
        ),
        ('"Convolution" convolution_param { num_output: 4 kernel_size: [3, 3] axis: -3 }', None),
        ('"InnerProduct" inner_product_param { num_output: 5 }', (None, 5)),
        ('"InnerProduct" inner_product_param { num_output: 5 axis: -1 }', None),
        ('"Pooling" pooling_param { kernel_size: 3 }', (None, None, None, None)),
        ('"Pooling" pooling_param { global_pooling: true }', (None, None, 1, 1)),
        ('"Flatten"', (None, None)),
        ('"Flatten" flatten_param { axis: 2 }', (None, None, None)),
        ('"Reshape" reshape_param { shape { dim: 0 dim: -1 dim: 3 } }', (None, None, 3)),
        ('"Reshape" reshape_param { shape { dim: 3 } axis: 1 }', None),
        ('"Reduction" reduction_param { axis: 2 }', (None, None)),
        ('"ReLU"', None),
        ('"Permute" permute_param { order: 1 }', None),
        ('"NeverHeardOf"', None),
    ],
)
def test_what_is_known_behind_an_unknown_value(body, shape):
    assert shapes_of(behind_unknown(f"type: {body}"))["a"] == shape


def test_the_stored_weight_tells_how_many_axes_a_convolution_has(tmp_path):
    model = Model()
    model.channels["x"] = 3
    model.conv("c", "x", 4, "kernel_size: 3", spatial=(3, 3, 3))
    text = 'input: "x"\n' + model.text
    _, weights = model.save(tmp_path)
    with open_weights(weights) as file:
        assert shapes_of(text, file)["c"] == (None, 4, None, None, None)


def test_unknown_lengths_stay_where_they_are():
    found = shapes_of(
        """
        layer { name: "d" type: "Data" top: "x" data_param { batch_size: 4 } }
        layer { name: "c" type: "Convolution" bottom: "x" top: "c"
                convolution_param { num_output: 4 kernel_size: 3 } }
        layer { name: "p" type: "Pooling" bottom: "c" top: "p" pooling_param { kernel_size: 2 } }
        layer { name: "f" type: "Flatten" bottom: "p" top: "f" }
        layer { name: "k" type: "Concat" bottom: "c" bottom: "c" top: "k" }
        layer { name: "m" type: "Concat" bottom: "c" bottom: "c" top: "m" concat_param { axis: 2 } }
        layer { name: "s" type: "Slice" bottom: "c" top: "a" top: "b"
                slice_param { axis: 2 slice_point: 3 } }
        layer { name: "t" type: "Permute" bottom: "c" top: "t" permute_param { order: [0, 2, 3] } }
        """
    )
    assert found["x"] == (4, None, None, None)
    assert found["c"] == found["p"] == (4, 4, None, None)
    assert found["f"] == (4, None)
    assert found["k"] == (4, 8, None, None)
    assert found["m"] == (4, 4, None, None)
    assert (found["a"], found["b"]) == ((4, 4, 3, None), (4, 4, None, None))
    assert found["t"] == (4, None, None, 4)


def test_an_eltwise_knows_what_any_of_its_branches_knows():
    found = shapes_of(
        """
        input: "x" input_shape { dim: [1, 4, 6, 6] }
        layer { name: "q" type: "NeverHeardOf" bottom: "x" top: "q" }
        layer { name: "e" type: "Eltwise" bottom: "q" bottom: "x" top: "e" }
        layer { name: "k" type: "Concat" bottom: "q" bottom: "x" top: "k" }
        """
    )
    assert found["q"] is None
    assert found["e"] == (1, 4, 6, 6)
    assert found["k"] == (1, None, 6, 6)


IMAGE = "dim: 1 dim: 6 dim: 8 dim: 10"


@pytest.mark.parametrize(
    ("body", "shape"),
    [
        ('"Pooling" pooling_param { kernel_size: 3 stride: 2 round_mode: FLOOR }', (1, 6, 3, 4)),
        ('"Pooling" pooling_param { kernel_size: 3 stride: 2 round_mode: CEIL }', (1, 6, 4, 5)),
        ('"Pooling" pooling_param { kernel_size: 3 stride: 2 ceil_mode: false }', (1, 6, 3, 4)),
        (
            '"ConvolutionDepthwise" convolution_param { num_output: 6 kernel_size: 3 stride: 2 }',
            (1, 6, 3, 4),
        ),
        ('"DepthwiseConvolution" convolution_param { kernel_size: 3 pad: 1 }', (1, 6, 8, 10)),
        ('"BN" bn_param { bn_mode: INFERENCE }', (1, 6, 8, 10)),
        ('"ShuffleChannel" shuffle_channel_param { group: 3 }', (1, 6, 8, 10)),
        ('"Interp" interp_param { height: 33 width: 45 }', (1, 6, 33, 45)),
        # Forks disagree about the zoom: 2 * 8, or 2 * 8 - 1.
        ('"Interp" interp_param { zoom_factor: 2 }', (1, 6, None, None)),
        ('"Upsample" upsample_param { upsample_h: 15 upsample_w: 20 }', (1, 6, 15, 20)),
        ('"Upsample" upsample_param { scale: 2 pad_out_h: true }', (1, 6, None, None)),
        ('"Unpooling"', (1, 6, None, None)),
        ('"PriorBox" prior_box_param { min_size: 3 }', None),
    ],
)
def test_layers_of_forks(body, shape):
    assert shapes_of(chain(f"type: {body}", shape=IMAGE))["a"] == shape


def test_squeeze_and_excitation():
    found = shapes_of(
        """
        input: "s" input: "x" input: "y"
        input_shape { dim: [1, 4] } input_shape { dim: [1, 4, 6, 6] } input_shape { dim: [1] }
        layer { name: "a" type: "Axpy" bottom: "s" bottom: "x" bottom: "x" top: "a" }
        """
    )
    assert found["a"] == (1, 4, 6, 6)


def test_regions_of_interest():
    found = shapes_of(
        """
        input: "x" input: "rois" input_shape { dim: [1, 4, 6, 6] } input_shape { dim: [9, 5] }
        layer { name: "a" type: "ROIPooling" bottom: "x" bottom: "rois" top: "a"
                roi_pooling_param { pooled_w: 7 pooled_h: 6 } }
        """
    )
    assert found["a"] == (9, 4, 6, 7)


@pytest.mark.parametrize(
    ("words", "shape"),
    [
        ("crop_size: 224 mean_value: [104, 117, 123]", (8, 3, 224, 224)),
        ("mean_value: 127.5", (8, None, None, None)),
        ("resize_param { prob: 1.0 resize_mode: WARP height: 4 width: 6 }", (8, None, 4, 6)),
        ("resize_param { prob: 0.5 height: 4 width: 6 }", (8, None, None, None)),
        ("resize_param { resize_mode: FIT_SMALL_SIZE height: 4 width: 6 }", (8, None, None, None)),
    ],
)
def test_layers_that_read_images(words, shape):
    text = f"""
        layer {{ name: "d" type: "AnnotatedData" top: "x" top: "label"
                 transform_param {{ {words} }} data_param {{ batch_size: 8 }} }}
        layer {{ name: "r" type: "ReLU" bottom: "x" top: "r" }}
    """
    assert shapes_of(text) == {"x": shape, "label": None, "r": shape}


@pytest.mark.parametrize(
    "body",
    [
        '"Convolution" convolution_param { num_output: 4 kernel_size: 3 stride: 0 }',
        '"Convolution" convolution_param { num_output: 4 kernel_size: [3, 3, 3] }',
        '"Convolution" convolution_param { num_output: 4 kernel_h: 3 kernel_size: 3 }',
        '"Convolution" convolution_param { num_output: 4 kernel_size: 3 stride_h: 2 }',
        '"Convolution" convolution_param { num_output: 4 kernel_size: 3 axis: 7 }',
        '"Convolution" convolution_param { num_output: many kernel_size: 3 }',
        '"Convolution" convolution_param { num_output: 4 kernel_size: 3 axis: -1 pad: [1, 2] }',
        '"Convolution"',
        '"Deconvolution" convolution_param { num_output: 4 kernel_size: 1 pad: 60 }',
        '"InnerProduct" inner_product_param { num_output: 4 axis: 4 }',
        '"InnerProduct"',
        '"Pooling" pooling_param { kernel_size: 3 kernel_size: 2 kernel_size: 2 }',
        '"Pooling" pooling_param { kernel_size: 3 stride: 0 }',
        '"Pooling" pooling_param { kernel_h: 3 }',
        '"Pooling"',
        '"Concat" concat_param { axis: 9 }',
        '"Slice" slice_param { slice_point: [1, 2] }',
        '"Slice" slice_param { slice_point: 99 }',
        '"Flatten" flatten_param { axis: 3 end_axis: 1 }',
        '"Reshape" reshape_param { shape { dim: [0, 0, 0, 0, 0] } }',
        '"Reshape" reshape_param { shape { dim: [-1, -1] } }',
        '"Reshape" reshape_param { shape { dim: -7 } axis: 1 num_axes: 9 }',
        '"Permute" permute_param { order: [0, 0] }',
        '"Permute" permute_param { order: 8 }',
        '"Tile"',
        '"Tile" tile_param { axis: 5 tiles: 2 }',
        '"Crop"',
        '"Reduction" reduction_param { axis: -9 }',
        '"ArgMax" argmax_param { axis: 9 }',
        '"Axpy"',
        '"ROIPooling"',
        '"Upsample" upsample_param { scale: big }',
        '"Interp" interp_param: 3',
        '"SoftmaxWithLoss"',
        '"Input"',
    ],
)
def test_what_caffe_would_refuse_is_unknown_and_nothing_is_raised(body):
    found = shapes_of(chain(f"type: {body}"))
    assert found["x"] == (2, 6, 9, 7)
    assert None in (found["a"] or (None,)) or min(found["a"], default=0) >= 0
    assert all(n is None or n >= 0 for n in found["a"] or ())


@pytest.mark.parametrize(
    "text",
    [
        'input: "x" input_dim: 1 input_dim: 3',
        'input: "x" input_shape { dim: many }',
        'input: "x" input_shape { dim: -4 }',
        'input: "x" input: "y" input_shape { dim: 1 }',
        "",
    ],
)
def test_inputs_without_a_shape(text):
    layers = """
        layer { name: "e" type: "Input" top: "e" input_param { shape { dim: 1 } shape { dim: 2 } } }
        layer { name: "d" type: "DummyData" top: "d" top: "c" dummy_data_param { num: [1, 2, 3] } }
        layer { name: "r" type: "ReLU" top: "r" }
    """
    found = shapes_of(text + layers)
    assert found["e"] is None
    assert found["d"] is None
    assert found["r"] is None


def test_treat_as():
    text = chain('type: "MyConv" convolution_param { num_output: 4 kernel_size: 3 }', 'type: "My"')
    net = build(parse(text), treat_as={"MyConv": "Convolution", "My": "ReLU"})
    found = infer_shapes(net)
    assert [shape for value, shape in found.items() if value.name in "ab"] == [(2, 4, 7, 5)] * 2


def test_values_of_a_name_are_told_apart():
    net = build(parse(chain('type: "ReLU"').replace('top: "a"', 'top: "x"')))
    assert [(v.name, s) for v, s in infer_shapes(net).items()] == [("x", (2, 6, 9, 7))] * 2
