"""Which affines pass which layers, both ways, and what as; Caffe says whether they really do.

A row of the table is a layer, and its columns are affines that ask for ever more. Where one passes,
doing it on one side of the layer and doing what is asked for on the other must come to the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from models import Model

from bnfold.fold.absorb.passing import downstream, upstream
from bnfold.fold.affines.affine import Affine
from bnfold.fold.driver import context_of
from bnfold.fold.options import MergeOptions
from bnfold.fold.plan import Code, Plan, Reason
from bnfold.graph import build, infer_shapes
from bnfold.prototxt import parse

C = 4
SHAPE = (2, C, 6, 5)
SCALE, SIGNED = np.array([0.5, 2.0, 1.5, 0.25]), np.array([0.5, -2.0, 1.5, -0.25])
NO_SHIFT, SHIFT = np.zeros(1), np.array([1.0, -2.0, 0.5, 3.0])

AFFINES = {
    "a positive scale": Affine(SCALE, NO_SHIFT),
    "with a shift": Affine(SCALE, SHIFT),
    "of both signs": Affine(SIGNED, SHIFT),
    "one number for all": Affine(np.array([-2.0]), np.array([3.0])),
    "unknown": Affine(None, None),
}

YES = "passes"
ALWAYS = (YES,) * 5
NEVER = ("no-host",) * 5
POSITIVE = (YES, YES, "sign-or-shift", "sign-or-shift", "needs-weights")
SCALE_ALONE = (YES, "sign-or-shift", "sign-or-shift", "sign-or-shift", "needs-weights")
NO_PADDING = (YES, *("padding",) * 3, "needs-weights")
NO_WINDOW = ("padding",) * 5
ONE_NUMBER = (*("not-per-channel",) * 3, YES, "not-per-channel")


@dataclass(frozen=True)
class Row:
    """A layer in words, and what becomes of the affines on their way to its front or its back."""

    type: str
    words: str
    to_front: tuple[str, ...]
    to_back: tuple[str, ...]
    bottoms: int = 1
    tops: int = 1

    def model(self) -> Model:
        model = Model(seed=3)
        for i in range(self.bottoms):
            model.input(f"x{i}", SHAPE)
        read = " ".join(f'bottom: "x{i}"' for i in range(self.bottoms))
        made = " ".join(f'top: "y{i}"' for i in range(self.tops))
        blobs = [np.array([0.1, 0.3, 0.5, 0.7])] if self.type == "PReLU" else [np.zeros(1)]
        owner = "f" if self.type == "PReLU" else "unused"
        return model.layer(
            f'name: "f" type: "{self.type}" {read} {made} {self.words}', owner, blobs
        )


def one(kind: str, words: str, way: tuple[str, ...], back: tuple[str, ...] | None = None) -> Row:
    """A layer of one bottom, which an affine passes both ways alike unless it is said."""
    return Row(kind, words, way, way if back is None else back)


def two(kind: str, words: str, way: tuple[str, ...]) -> Row:
    """A layer of two bottoms: nothing passes from one of them to what it makes of both."""
    return Row(kind, words, way, NEVER, bottoms=2)


def pooling(words: str, way: tuple[str, ...]) -> Row:
    return one("Pooling", f"pooling_param {{ {words} }}", way)


def reshape(dims: str, *ways: tuple[str, ...]) -> Row:
    return one("Reshape", f"reshape_param {{ shape {{ {dims} }} }}", *ways)


def eltwise(words: str, way: tuple[str, ...]) -> Row:
    return two("Eltwise", f"eltwise_param {{ {words} }}", way)


TABLE = {
    "Dropout": one("Dropout", "", ALWAYS),
    "Dropout of a fork": one("Dropout", "quantised: true", NEVER),
    "Split": one("Split", "", ALWAYS),
    "Split in two": Row("Split", "", ("other-reader",) * 5, ALWAYS, tops=2),
    "Concat of one": one("Concat", "", ALWAYS),
    "Flatten behind the channels": one("Flatten", "flatten_param { axis: 2 }", ALWAYS),
    "Flatten of the channels, too": one("Flatten", "", ONE_NUMBER, ALWAYS),
    "Reshape behind the channels": reshape("dim: 0 dim: 0 dim: -1", ALWAYS),
    "Reshape of the channels, too": reshape("dim: 0 dim: -1", ONE_NUMBER, ALWAYS),
    "Reshape that says the batch": reshape("dim: 2 dim: 4 dim: 30", ONE_NUMBER),
    "MAX pooling with padding": pooling("pool: MAX kernel_size: 3 pad: 1", POSITIVE),
    "AVE pooling": pooling("pool: AVE kernel_size: 2", ALWAYS),
    "AVE pooling with padding": pooling("pool: AVE kernel_size: 3 pad: 1", NO_PADDING),
    "AVE pooling of all": pooling("pool: AVE global_pooling: true", ALWAYS),
    "MAX pooling with an empty window": pooling("kernel_size: 1 stride: 3", NO_WINDOW),
    "STOCHASTIC pooling": pooling("pool: STOCHASTIC kernel_size: 2", NEVER),
    "MAX pooling that says where": Row(
        "Pooling",
        "pooling_param { kernel_size: 2 }",
        ("other-reader",) * 5,
        ("other-reader",) * 5,
        tops=2,
    ),
    "ReLU": one("ReLU", "", SCALE_ALONE),
    "ReLU with a slope": one("ReLU", "relu_param { negative_slope: 0.1 }", SCALE_ALONE),
    "PReLU": one("PReLU", "", SCALE_ALONE),
    "Sigmoid": one("Sigmoid", "", NEVER),
    "Softmax": one("Softmax", "", NEVER),
    "Concat on channels": two("Concat", "", ALWAYS),
    "Concat on another axis": two("Concat", "concat_param { axis: 2 }", ALWAYS),
    "Concat on an axis from behind": two("Concat", "concat_param { axis: -3 }", ALWAYS),
    "a sum": eltwise("", ALWAYS),
    "a sum with coefficients": eltwise("coeff: -2 coeff: 0.5", ALWAYS),
    "a sum that leaves one out": eltwise("coeff: 0 coeff: 0.5", ALWAYS),
    "a sum of nothing": eltwise("coeff: 0 coeff: 0", NEVER),
    "a maximum": eltwise("operation: MAX", POSITIVE),
    "a product": eltwise("operation: PROD", NEVER),
}

WAYS = {"to the front": (upstream, "to_front"), "to the back": (downstream, "to_back")}


def answers(row: Row, way: str):
    """Each affine by its name, with what the layer asks for on the other side, or a reason."""
    ask, _ = WAYS[way]
    net = build(parse(row.model().text))
    (layer,) = (each for each in net.layers if each.name == "f")
    shapes = infer_shapes(net)
    context = context_of(net, Plan(), MergeOptions(), shapes)
    end = (layer.tops if way == "to the front" else layer.bottoms)[0]
    for name, affine in AFFINES.items():
        given = sized(affine, (shapes[end] or SHAPE)[1])
        yield name, given, ask(context, layer, given)


def sized(affine: Affine, channels: int) -> Affine:
    """The affine with its numbers again and again, for so many channels."""
    vectors = (
        vector if vector is None or vector.size == 1 else np.resize(vector, channels)
        for vector in (affine.scale, affine.shift)
    )
    return Affine(*vectors)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", TABLE)
def test_table(name, way):
    row = TABLE[name]
    found = [
        asked.code.value if isinstance(asked, Reason) else YES for _, _, asked in answers(row, way)
    ]
    assert tuple(found) == getattr(row, WAYS[way][1])


def done(affine: Affine, x: np.ndarray) -> np.ndarray:
    full = affine.over(x.shape[1])
    each = (1, -1, *(1,) * (x.ndim - 2))
    return (full.scale.reshape(each) * x + full.shift.reshape(each)).astype(np.float32)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "name", [name for name, row in TABLE.items() if YES in row.to_front + row.to_back]
)
def test_caffe_computes_the_same_on_both_sides(name, way, pycaffe, tmp_path):
    row = TABLE[name]
    rng = np.random.default_rng(5)
    feeds = {f"x{i}": rng.normal(0, 1.5, SHAPE).astype(np.float32) for i in range(row.bottoms)}
    with pycaffe.load(*row.model().save(tmp_path)) as session:
        plain = session.run(feeds)
        for _, affine, asked in answers(row, way):
            if isinstance(asked, Reason) or not affine.is_known:
                continue
            parts = {value.name: part for value, part in asked}
            if way == "to the front":
                ours = {top: done(affine, array) for top, array in plain.items()}
                moved = {each: done(parts[each], array) for each, array in feeds.items()}
            else:
                ours = {top: done(parts[top], array) for top, array in plain.items()}
                moved = {each: done(affine, array) for each, array in feeds.items()}
            theirs = session.run(moved)
            for top, array in ours.items():
                np.testing.assert_allclose(theirs[top], array, rtol=1e-5, atol=1e-5)


def test_an_unknown_length_of_a_bottom_stops_what_differs_by_channel():
    text = Model().input("x0", SHAPE).layer('name: "m" type: "Mystery" top: "m"').text
    text += 'layer { name: "f" type: "Concat" bottom: "x0" bottom: "m" top: "y0" }'
    net = build(parse(text))
    context = context_of(net, Plan(), MergeOptions(), infer_shapes(net))
    (layer,) = (each for each in net.layers if each.name == "f")
    asked = upstream(context, layer, AFFINES["with a shift"])
    assert isinstance(asked, Reason)
    assert asked.code is Code.UNKNOWN_SHAPE
