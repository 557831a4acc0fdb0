"""The register of layer types, held to Caffe itself: what a record says is what the layer does.

For every type that this Caffe has, layers with parameters drawn at random are run, and each claim
of the record is compared with what comes out. A claim that is turned round must fail.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from models import Model

from bnfold.fold.absorb.passing import upstream
from bnfold.fold.affines.affine import Affine
from bnfold.fold.driver import context_of
from bnfold.fold.options import MergeOptions
from bnfold.fold.plan import Plan, Reason
from bnfold.graph import (
    LAYER_TYPES,
    AffineForm,
    ChannelRole,
    LayerType,
    Layout,
    Passes,
    build,
    infer_shapes,
    record_of,
)
from bnfold.prototxt import parse

SAMPLES = 4
"""How many layers are drawn for each type and claim."""

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Drawn:
    """A layer of a type: its bottoms' shapes, its parameters in words, its blobs."""

    kind: str
    shapes: tuple[Shape, ...]
    words: str = ""
    blobs: tuple[np.ndarray, ...] = ()
    tops: int = 1
    feeds: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def bottoms(self) -> list[str]:
        return [f"x{i}" for i in range(len(self.shapes))]

    def text(self, bottoms: Sequence[str], tops: Sequence[str]) -> str:
        read = " ".join(f'bottom: "{name}"' for name in bottoms)
        made = " ".join(f'top: "{name}"' for name in tops)
        return f'name: "f" type: "{self.kind}" {read} {made} {self.words}'

    def add_to(self, net: Model, bottoms: Sequence[str], tops: Sequence[str]) -> Model:
        return net.layer(self.text(bottoms, tops), "f", self.blobs)


Draw = Callable[[np.random.Generator], Drawn]


def shape_of(rng: np.random.Generator, rank: int = 4) -> Shape:
    return (2, int(rng.integers(2, 5)), *rng.integers(4, 8, rank - 2).tolist())


def plain(kind: str, words: str = "", rank: int = 4) -> Draw:
    return lambda rng: Drawn(kind, (shape_of(rng, rank),), words)


def numbers(kind: str, message: str, **ranges: tuple[float, float]) -> Draw:
    """A layer whose parameters are numbers within ranges."""

    def draw(rng: np.random.Generator) -> Drawn:
        words = " ".join(f"{k}: {rng.uniform(*r):.3f}" for k, r in ranges.items())
        return Drawn(kind, (shape_of(rng),), f"{message} {{ {words} }}")

    return draw


def convolution(rng: np.random.Generator) -> Drawn:
    group = int(rng.choice([1, 2]))
    channels, outputs, kernel = 2 * group, 3 * group, int(rng.integers(1, 4))
    pad, stride, dilation = (int(rng.integers(low, high)) for low, high in ((0, 3), (1, 3), (1, 3)))
    words = (
        f"convolution_param {{ num_output: {outputs} kernel_size: {kernel} group: {group} "
        f"pad: {pad} stride: {stride} dilation: {dilation} }}"
    )
    weight = rng.normal(0, 1, (outputs, channels // group, kernel, kernel))
    blobs = (weight, rng.normal(0, 1, outputs))
    return Drawn("Convolution", ((2, channels, 9, 7),), words, blobs)


def deconvolution(rng: np.random.Generator) -> Drawn:
    drawn = convolution(rng)
    weight, bias = drawn.blobs
    outputs, each, *kernel = weight.shape
    groups = drawn.shapes[0][1] // each
    turned = rng.normal(0, 1, (drawn.shapes[0][1], outputs // groups, *kernel))
    return dataclasses.replace(drawn, kind="Deconvolution", blobs=(turned, bias))


def inner_product(rng: np.random.Generator) -> Drawn:
    shape, outputs, turned = shape_of(rng), int(rng.integers(2, 6)), bool(rng.integers(2))
    inputs = int(np.prod(shape[1:]))
    words = f"inner_product_param {{ num_output: {outputs} transpose: {str(turned).lower()} }}"
    weight = rng.normal(0, 0.2, (inputs, outputs) if turned else (outputs, inputs))
    return Drawn("InnerProduct", (shape,), words, (weight, rng.normal(0, 1, outputs)))


def per_channel(kind: str, blobs: Callable[[np.random.Generator, int], tuple[np.ndarray, ...]],
                words: str = "") -> Draw:  # fmt: skip
    def draw(rng: np.random.Generator) -> Drawn:
        shape = shape_of(rng)
        return Drawn(kind, (shape,), words, blobs(rng, shape[1]))

    return draw


def pooling(rng: np.random.Generator) -> Drawn:
    kind, kernel = rng.choice(["MAX", "AVE"]), int(rng.integers(1, 4))
    pad, stride = int(rng.integers(0, kernel)), int(rng.integers(1, 3))
    words = f"pool: {kind} kernel_size: {kernel} stride: {stride} pad: {pad}"
    if rng.integers(4) == 0:
        words = f"pool: {kind} global_pooling: true"
    return Drawn("Pooling", (shape_of(rng),), f"pooling_param {{ {words} }}")


def concat(rng: np.random.Generator) -> Drawn:
    axis, one = int(rng.integers(-3, 4)), list(shape_of(rng))
    other = list(one)
    other[axis] += 1
    return Drawn("Concat", (tuple(one), tuple(other)), f"concat_param {{ axis: {axis} }}")


def eltwise(rng: np.random.Generator) -> Drawn:
    operation, shape = rng.choice(["SUM", "MAX", "PROD"]), shape_of(rng)
    words = f"operation: {operation}"
    if operation == "SUM" and rng.integers(2):
        words += f" coeff: {rng.uniform(0.5, 2):.3f} coeff: {-rng.uniform(0.5, 2):.3f}"
    return Drawn("Eltwise", (shape, shape), f"eltwise_param {{ {words} }}")


def flatten(rng: np.random.Generator) -> Drawn:
    words = f"axis: {rng.integers(1, 3)} end_axis: {rng.integers(-2, 0)}"
    return Drawn("Flatten", (shape_of(rng),), f"flatten_param {{ {words} }}")


def reshape(rng: np.random.Generator) -> Drawn:
    dims = rng.choice(["dim: 0 dim: 0 dim: -1", "dim: 0 dim: -1", "dim: 0 dim: -1 dim: 2 dim: 1"])
    return Drawn("Reshape", ((2, 4, 6, 5),), f"reshape_param {{ shape {{ {dims} }} }}")


def permute(rng: np.random.Generator) -> Drawn:
    order = rng.permutation(4) if rng.integers(2) else np.arange(4)
    words = " ".join(f"order: {axis}" for axis in order)
    return Drawn("Permute", (shape_of(rng),), f"permute_param {{ {words} }}")


def slices(rng: np.random.Generator) -> Drawn:
    tops = int(rng.integers(1, 3))
    words = "slice_param { axis: 1 slice_point: 1 }" if tops == 2 else "slice_param { axis: 1 }"
    return Drawn("Slice", (shape_of(rng),), words, tops=tops)


def crop(rng: np.random.Generator) -> Drawn:
    words = f"crop_param {{ axis: {rng.integers(2, 4)} offset: {rng.integers(0, 2)} }}"
    return Drawn("Crop", ((2, 3, 7, 7), (2, 3, 5, 5)), words)


def argmax(rng: np.random.Generator) -> Drawn:
    words = rng.choice(["axis: 1", "axis: 1 top_k: 2", "top_k: 3", "out_max_val: true", "axis: -1"])
    return Drawn("ArgMax", (shape_of(rng),), f"argmax_param {{ {words} }}")


def embed(rng: np.random.Generator) -> Drawn:
    words = "embed_param { num_output: 3 input_dim: 5 }"
    feeds = {"x0": rng.integers(0, 5, (2, 4)).astype(np.float32)}
    blobs = (rng.normal(0, 1, (5, 3)), rng.normal(0, 1, 3))
    return Drawn("Embed", ((2, 4),), words, blobs, feeds=feeds)


def judged(kind: str) -> Draw:
    """A loss of scores and labels, or an accuracy."""

    def draw(rng: np.random.Generator) -> Drawn:
        labels = rng.integers(0, 3, (4, 1)).astype(np.float32)
        return Drawn(kind, ((4, 3), (4, 1)), feeds={"x1": labels})

    return draw


def compared(kind: str) -> Draw:
    """A loss of two values of one shape."""
    return lambda rng: Drawn(kind, ((4, 3), (4, 3)))


def _vectors(*ranges: tuple[float, float]) -> Callable[..., tuple[np.ndarray, ...]]:
    return lambda rng, count: tuple(rng.uniform(*r, count) for r in ranges)


def _statistics(rng: np.random.Generator, count: int) -> tuple[np.ndarray, ...]:
    return rng.normal(0, 1, count), rng.uniform(0.5, 2, count), np.ones(1)


DRAWS: dict[str, Draw] = {
    "AbsVal": plain("AbsVal"),
    "Accuracy": judged("Accuracy"),
    "ArgMax": argmax,
    "BNLL": plain("BNLL"),
    "BatchNorm": per_channel("BatchNorm", _statistics),
    "Bias": per_channel("Bias", _vectors((-1, 1))),
    "Concat": concat,
    "Convolution": convolution,
    "Crop": crop,
    "Deconvolution": deconvolution,
    "Dropout": plain("Dropout", "dropout_param { dropout_ratio: 0.3 }"),
    "ELU": numbers("ELU", "elu_param", alpha=(0.2, 2)),
    "Eltwise": eltwise,
    "Embed": embed,
    "EuclideanLoss": compared("EuclideanLoss"),
    "Exp": numbers("Exp", "exp_param", base=(1.5, 3), scale=(-1, 1), shift=(-1, 1)),
    "Flatten": flatten,
    "HingeLoss": judged("HingeLoss"),
    "InnerProduct": inner_product,
    "LRN": plain("LRN", "lrn_param { local_size: 3 alpha: 0.5 }"),
    "Log": numbers("Log", "log_param", base=(1.5, 3), scale=(0.1, 1), shift=(9, 10)),
    "MVN": plain("MVN"),
    "MultinomialLogisticLoss": judged("MultinomialLogisticLoss"),
    "Normalize": lambda rng: Drawn(
        "Normalize", ((2, 3, 5, 4),), "norm_param { channel_shared: false }", (np.ones(3),)
    ),
    "PReLU": per_channel("PReLU", _vectors((0.1, 0.9))),
    "Permute": permute,
    "Pooling": pooling,
    "Power": numbers("Power", "power_param", scale=(0.5, 2), shift=(-1, 1)),
    "ReLU": numbers("ReLU", "relu_param", negative_slope=(0, 0.5)),
    "ReLU6": plain("ReLU6"),
    "HardSwish": plain("HardSwish"),
    "Reduction": lambda rng: Drawn(
        "Reduction", (shape_of(rng),), f"reduction_param {{ axis: {rng.integers(0, 3)} }}"
    ),
    "Reshape": reshape,
    "Scale": per_channel("Scale", _vectors((0.5, 2), (-1, 1)), "scale_param { bias_term: true }"),
    "Sigmoid": plain("Sigmoid"),
    "SigmoidCrossEntropyLoss": compared("SigmoidCrossEntropyLoss"),
    "Slice": slices,
    "Softmax": lambda rng: Drawn(
        "Softmax", (shape_of(rng),), f"softmax_param {{ axis: {rng.choice([1, -1])} }}"
    ),
    "SoftmaxWithLoss": judged("SoftmaxWithLoss"),
    "Split": plain("Split"),
    "TanH": plain("TanH"),
    "Threshold": numbers("Threshold", "threshold_param", threshold=(-0.5, 0.5)),
    "Tile": lambda rng: Drawn(
        "Tile", (shape_of(rng),), f"tile_param {{ axis: {rng.integers(1, 4)} tiles: 2 }}"
    ),
}
"""A way to draw a layer of each type that this Caffe has."""

NOT_DRAWN = {
    *("AnnotatedData", "Data", "DenseImageData", "HDF5Data", "ImageData", "WindowData"),
    *("DummyData", "Input", "MemoryData", "Parameter"),
    *("ContrastiveLoss", "InfogainLoss", "MultiBoxLoss", "SmoothL1Loss"),
    *("DetectionEvaluate", "DetectionOutput", "PriorBox", "Silence"),
    *("HardSigmoid", "Resize", "Upsample", "BatchNormKyle"),
}
"""Types of this Caffe whose records make no claim that could be compared here: what reads data,
what has no top, losses with matrices of their own, and what forks agree on no more than the name
of."""

MISSING = sorted(set(LAYER_TYPES) - set(DRAWS) - NOT_DRAWN)
"""Types that this Caffe does not have: their records rest on the sources that they name."""


class Lab:
    """Runs drawn layers in Caffe."""

    def __init__(self, engine, folder) -> None:
        self.engine, self.folder, self.count = engine, folder, 0

    def run(self, net: Model, feeds: dict[str, np.ndarray], fetch: Sequence[str]):
        self.count += 1
        if not net.net.layer:
            net.layer('name: "unused" type: "Silence"')
            net.net.layer.add().name = "unused"
            net.texts.pop()
        with self.engine.load(*net.save(self.folder, f"n{self.count}")) as session:
            return session.run(feeds, list(fetch))

    def outputs(self, drawn: Drawn, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        net = start(drawn)
        tops = [f"y{i}" for i in range(drawn.tops)]
        found = self.run(drawn.add_to(net, drawn.bottoms, tops), feeds, tops)
        return [found[top] for top in tops]


def start(drawn: Drawn) -> Model:
    net = Model()
    for name, shape in zip(drawn.bottoms, drawn.shapes, strict=True):
        net.input(name, shape)
    return net


def feeds_of(drawn: Drawn, rng: np.random.Generator) -> dict[str, np.ndarray]:
    made = {
        name: rng.normal(0, 1.5, shape).astype(np.float32)
        for name, shape in zip(drawn.bottoms, drawn.shapes, strict=True)
    }
    if drawn.kind == "MultinomialLogisticLoss":
        made["x0"] = np.abs(made["x0"]) + np.float32(0.1)
    return made | drawn.feeds


@pytest.fixture
def lab(pycaffe, tmp_path):
    return Lab(pycaffe, tmp_path)


def drawn_layers(kind: str, count: int = SAMPLES) -> list[tuple[Drawn, np.random.Generator]]:
    seeds = [np.random.default_rng([index, *kind.encode()]) for index in range(count)]
    return [(DRAWS[kind](rng), rng) for rng in seeds]


def layer_of(drawn: Drawn, record: LayerType | None = None):
    """The layer `f` of a network, and the shapes of its values."""
    tops = [f"y{i}" for i in range(drawn.tops)]
    net = build(parse(drawn.add_to(start(drawn), drawn.bottoms, tops).text))
    (layer,) = (one for one in net.layers if one.name == "f")
    if record is not None:
        layer.kind = record
    return layer, infer_shapes(net), net


def close(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and np.allclose(one, other, rtol=1e-4, atol=1e-4)


# ------------------------------------------------------------------ the claims


def shapes_follow(lab: Lab, record: LayerType, drawn: Drawn, rng) -> bool:
    layer, shapes, _ = layer_of(drawn, record)
    found = lab.outputs(drawn, feeds_of(drawn, rng))
    told = [shapes[top] for top in layer.tops]
    kept = not record.keeps_shape or found[0].shape == drawn.shapes[0]
    return kept and all(
        shape is None
        or (
            len(shape) == array.ndim
            and all(a in (None, b) for a, b in zip(shape, array.shape, strict=True))
        )
        for shape, array in zip(told, found, strict=True)
    )


def memory_is_told(lab: Lab, record: LayerType, drawn: Drawn, rng) -> bool:
    """Work in place on the top shows in the bottom, or does not."""
    if len(drawn.shapes) != 1 or drawn.tops != 1 or drawn.kind in ("ArgMax", "Embed"):
        return True
    layer, _, _ = layer_of(drawn, record)
    net = start(drawn).layer('name: "c" type: "Power" bottom: "x0" top: "v"')
    drawn.add_to(net, ["v"], ["y"])
    net.layer('name: "p" type: "Power" bottom: "y" top: "y" power_param { shift: 3 }')
    net.layer('name: "late" type: "Power" bottom: "v" top: "seen"')
    feeds = feeds_of(drawn, rng)
    seen = lab.run(net, feeds, ["seen"])["seen"]
    return record.hands_on(layer) == (not close(seen, feeds["x0"]))


def affines_pass(lab: Lab, record: LayerType, drawn: Drawn, rng) -> bool:
    """Doing A behind the layer is doing what the record says in front of it."""
    layer, shapes, net = layer_of(drawn, record)
    if len(layer.tops) != 1 or (shapes[layer.tops[0]] or ())[1:2] in ((), (None,)):
        return True
    channels = shapes[layer.tops[0]][1]
    scale = rng.uniform(0.5, 2, channels) * rng.choice([1, 1, 1, -1], channels)
    for affine in (
        Affine(scale, rng.normal(0, 1, channels)),
        Affine(np.abs(scale), rng.normal(0, 1, channels)),
        Affine(np.abs(scale), np.zeros(channels)),
    ):
        context = context_of(net, Plan(), MergeOptions(), shapes)
        asked = upstream(context, layer, affine)
        if isinstance(asked, Reason):
            continue
        feeds = feeds_of(drawn, rng)
        (found,) = lab.outputs(drawn, feeds)
        moved = {value.name: done(part, feeds[value.name]) for value, part in asked}
        (other,) = lab.outputs(drawn, feeds | moved)
        if not close(done(affine, found), other):
            return False
    return True


def done(affine: Affine, x: np.ndarray) -> np.ndarray:
    """An affine function of each channel of an array."""
    full = affine.over(x.shape[1])
    each = (1, -1, *(1,) * (x.ndim - 2))
    return (full.scale.reshape(each) * x + full.shift.reshape(each)).astype(np.float32)


def function_is_told(lab: Lab, record: LayerType, drawn: Drawn, rng) -> bool:
    if record.function is None:
        return True
    layer, _, _ = layer_of(drawn, record)
    known = record.function(layer)
    if known is None:
        return True
    feeds = feeds_of(drawn, rng)
    (found,) = lab.outputs(drawn, feeds)
    return close(found, known.function(feeds["x0"].astype(np.float64)).astype(np.float32))


def zeros_stay(lab: Lab, record: LayerType, drawn: Drawn, rng) -> bool:
    if not record.keeps_zeros:
        return True
    feeds = feeds_of(drawn, rng)
    feeds["x0"][:, 1] = 0
    (found,) = lab.outputs(drawn, feeds)
    return not found[:, 1].any()


def channels_are_kept_apart(lab: Lab, record: LayerType, drawn: Drawn, rng) -> bool:
    """Another channel 0 changes the top's channel 0, and no other."""
    apart = (ChannelRole.KEPT, ChannelRole.NUMBERED, ChannelRole.TIED)
    if record.channels not in apart or drawn.tops != 1:
        return True
    feeds = feeds_of(drawn, rng)
    (found,) = lab.outputs(drawn, feeds)
    changed = {name: array.copy() for name, array in feeds.items()}
    for array in changed.values():
        array[:, 0] = rng.normal(0, 1.5, array[:, 0].shape)
    (other,) = lab.outputs(drawn, changed)
    return close(found[:, 1:], other[:, 1:])


def layout_is_told(lab: Lab, record: LayerType, drawn: Drawn, rng) -> bool:
    """Zeros in the part of the weight that makes output 1 leave nothing but its bias."""
    if record.layout is None:
        return True
    weight, bias = (blob.copy() for blob in drawn.blobs)
    if record.layout is Layout.INNER_PRODUCT:
        weight[(slice(None), 1) if "transpose: true" in drawn.words else 1] = 0
    elif record.layout is Layout.CONVOLUTION:
        weight[1] = 0
    else:
        # Output 1 is the second of its group, or the first where groups have one.
        weight[: weight.shape[0] * weight.shape[1] // bias.size, 1] = 0
    (found,) = lab.outputs(dataclasses.replace(drawn, blobs=(weight, bias)), feeds_of(drawn, rng))
    return close(found[:, 1], np.full_like(found[:, 1], bias[1]))


def places_are_made_by_themselves(lab: Lab, record: LayerType, drawn: Drawn, rng) -> bool:
    """Of every second place of the bottoms, the layer makes every second place of the tops."""
    layer, _, _ = layer_of(drawn, record)
    if record.places is None or not record.places(layer):
        return True
    if any(len(shape) != 4 for shape in drawn.shapes):
        return True
    feeds = feeds_of(drawn, rng)
    fewer = {name: np.ascontiguousarray(array[..., ::2, ::2]) for name, array in feeds.items()}
    small = dataclasses.replace(
        drawn, shapes=[fewer[name].shape for name in drawn.bottoms], feeds={}
    )
    found, other = lab.outputs(drawn, feeds), lab.outputs(small, fewer)
    return all(close(one[..., ::2, ::2], two) for one, two in zip(found, other, strict=True))


CLAIMS = (
    shapes_follow,
    memory_is_told,
    affines_pass,
    function_is_told,
    zeros_stay,
    channels_are_kept_apart,
    layout_is_told,
    places_are_made_by_themselves,
)


def test_every_type_is_drawn_or_known_to_be_missing(pycaffe):
    assert DRAWS.keys() <= LAYER_TYPES.keys()
    assert not NOT_DRAWN & DRAWS.keys()
    forks = {"forks", "segnet", "pspnet"}
    assert all(LAYER_TYPES[name].dialect.name.lower() in forks for name in MISSING), MISSING


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.__name__)
@pytest.mark.parametrize("kind", sorted(DRAWS))
def test_a_record_says_what_caffe_does(kind, claim, lab):
    for drawn, rng in drawn_layers(kind):
        assert claim(lab, record_of(kind), drawn, rng), drawn


WRONG = {
    "a shape that is not kept": ("Pooling", shapes_follow, {"keeps_shape": True}),
    "memory that is not shared": ("ReLU", memory_is_told, {"shares_memory": lambda layer: True}),
    "memory that is shared": ("Flatten", memory_is_told, {"shares_memory": None}),
    "shifts that do not pass": ("ReLU", affines_pass, {"passes": Passes.EVERYTHING}),
    "a layer that is not homogeneous": ("TanH", affines_pass, {"passes": Passes.POSITIVE_SCALE}),
    "another function": ("TanH", function_is_told, {"function": LAYER_TYPES["Sigmoid"].function}),
    "zeros that do not stay": ("Sigmoid", zeros_stay, {"keeps_zeros": True}),
    "channels that are mixed": ("LRN", channels_are_kept_apart, {"channels": ChannelRole.KEPT}),
    "places that are mixed": (
        "Pooling",
        places_are_made_by_themselves,
        {"places": lambda layer: True},
    ),
    "another layout": ("Deconvolution", layout_is_told, {"layout": Layout.CONVOLUTION}),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_record_that_says_something_else_is_found(what, lab):
    kind, claim, wrong = WRONG[what]
    record = record_of(kind)._replace(**wrong)
    assert not all(claim(lab, record, drawn, rng) for drawn, rng in drawn_layers(kind))


def test_types_that_nobody_knows_have_a_record_that_says_so():
    record = record_of("Mystery")
    assert not record.is_known
    assert not record.is_understood
    assert record.passes is Passes.NOTHING
    assert record.channels is ChannelRole.UNKNOWN


def test_affine_types_are_those_that_reports_count():
    counted = {name for name, record in LAYER_TYPES.items() if record.is_affine}
    assert counted == {"BatchNorm", "BN", "Scale", "Bias"}
    assert LAYER_TYPES["Power"].affine is AffineForm.POWER
