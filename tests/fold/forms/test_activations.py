"""`--portable`: activations that only forks have, as layers that stock Caffe has."""

from __future__ import annotations

import numpy as np
import pytest
from folding import Merged, assert_same_function, feeds_for, merge_files, merge_model
from models import Model

import bnfold
from bnfold.graph import LAYER_TYPES, build
from bnfold.graph.readers import BVLC, problems
from bnfold.prototxt import parse

from ..networks import start
from .conftest import forms

CHAIN = "ReLU, Power, ReLU and Power"


@pytest.fixture
def stock(tmp_path):
    """Merges for stock Caffe, which then knows all of it, and a second time, which changes none."""

    def stock(net: Model, expected: dict[str, str], **options) -> Merged:
        merged = merge_model(tmp_path, net, portable="refuse", **options)
        assert forms(merged) == expected
        assert problems(parse(merged.text), BVLC) == []
        again = merge_files(*merged.after, portable="refuse", **options)
        for once, twice in zip(merged.after, again.after, strict=True):
            assert once.read_bytes() == twice.read_bytes()
        return merged

    return stock


def activated(kind: str, words: str = "", *, in_place: bool = False, shape=(2, 4, 9, 7)) -> Model:
    """An activation between two convolutions."""
    top = "c" if in_place else "a"
    net = start(shape).conv("c", "data", 4, 1)
    net.layer(f'name: "act" type: "{kind}" bottom: "c" top: "{top}" {words}')
    net.channels[top] = 4
    return net.conv("d", top, 3)


@pytest.mark.parametrize("in_place", [True, False])
def test_relu6(in_place, stock, runtime):
    merged = stock(activated("ReLU6", in_place=in_place), {"act": CHAIN})
    assert_same_function(runtime, merged)
    assert "ReLU6" not in merged.text


def test_hard_swish(stock, runtime):
    form = "Power, ReLU, Power, ReLU, Power and Eltwise"
    assert_same_function(runtime, stock(activated("HardSwish"), {"act": form}))


PRODUCTS = {"Swish": "Sigmoid and Eltwise", "Mish": "BNLL, TanH and Eltwise", "Softplus": "BNLL"}


@pytest.mark.parametrize("kind", PRODUCTS)
def test_what_opencv_has(kind, stock, opencv):
    assert_same_function(opencv, stock(activated(kind), {"act": PRODUCTS[kind]}))


FORMS = {
    "HSwish": ("", "Power, ReLU, Power, ReLU, Power and Eltwise"),
    "SELU": ("", "ELU and Power"),
    "SiLU": ("", "Sigmoid and Eltwise"),
    "Swish": ("swish_param { beta: 1.5 }", "Power, Sigmoid and Eltwise"),
    "Clip": ("clip_param { min: -0.5 max: 1.25 }", "Power, ReLU, Power, ReLU and Power"),
    "ReLU6": ("", CHAIN),
    "Mish": ("", "BNLL, TanH and Eltwise"),
    "Softplus": ("", "BNLL"),
}


@pytest.mark.parametrize("kind", FORMS)
def test_it_is_the_function_that_the_register_has(kind, tmp_path, pycaffe):
    """Without a fold around it, number by number."""
    words, form = FORMS[kind]
    text = f'name: "act" type: "{kind}" bottom: "data" top: "a" {words}'
    net = start().layer(text)
    # A weight, so that the two files belong together.
    net.conv("c", "data", 1, 1)
    layer = next(one for one in build(parse(net.text)).layers if one.name == "act")
    known = LAYER_TYPES[kind].function(layer)
    merged = merge_model(tmp_path, net, portable="refuse", collapse=False)
    assert forms(merged) == {"act": form}
    with pycaffe.load(*merged.after) as session:
        feeds = feeds_for(session.inputs)
        feeds["data"] *= 5
        found = session.run(feeds, ["a"])["a"]
    expected = known.function(feeds["data"].astype(np.float64))
    assert np.abs(found - expected).max() <= 1e-6 * np.abs(expected).max()


def test_its_own_bounds_are_kept_without_a_shift(stock, runtime):
    merged = stock(activated("Clip", "clip_param { min: 0 max: 6 }"), {"act": CHAIN})
    like = activated("ReLU6").save(merged.before[0].parent, "like")
    assert_same_function(runtime, Merged(merged.report, like, merged.after))


def test_others_read_what_it_read_and_what_it_makes(stock, runtime):
    net = start().conv("c", "data", 4, 1).layer('name: "act" type: "ReLU6" bottom: "c" top: "a"')
    net.layer('name: "sum" type: "Eltwise" bottom: "c" bottom: "a" top: "sum"')
    net.channels |= {"a": 4, "sum": 4}
    assert_same_function(runtime, stock(net.conv("d", "sum", 2).conv("e", "a", 2), {"act": CHAIN}))


def test_the_top_of_the_network_keeps_its_name(stock, runtime):
    net = start().conv("c", "data", 4, 1).layer('name: "act" type: "ReLU6" bottom: "c" top: "c"')
    assert_same_function(runtime, stock(net, {"act": CHAIN}))


def test_names_that_are_taken_are_not_used_again(stock, runtime):
    net = activated("HardSwish")
    for name in ("act/relu", "act/gate"):
        net.layer(f'name: "{name}" type: "TanH" bottom: "d" top: "{name}"')
    merged = stock(net, {"act": "Power, ReLU, Power, ReLU, Power and Eltwise"})
    assert_same_function(runtime, merged)
    assert all(f'name: "{name}"' in merged.text for name in ("act/relu2", "act/relu3"))


def test_several_behind_each_other(stock, runtime):
    net = activated("ReLU6", in_place=True)
    net.layer('name: "act2" type: "ReLU6" bottom: "d" top: "d"').conv("e", "d", 2)
    net.layer('name: "act3" type: "HardSwish" bottom: "e" top: "f"')
    assert_same_function(
        runtime,
        stock(net, {"act": CHAIN, "act2": CHAIN,
                    "act3": "Power, ReLU, Power, ReLU, Power and Eltwise"}),
    )  # fmt: skip


def test_new_layers_stand_where_the_old_one_stood_and_nothing_else_changes(tmp_path):
    net = start().layer('name: "act" type: "ReLU6" bottom: "data" top: "a"')
    net.channels["a"] = 4
    net.conv("d", "a", 3)
    merged = merge_model(tmp_path, net, portable="refuse", collapse=False, keep=["d"])
    head, tail = net.text.split('layer {\n  name: "act"')
    assert merged.text.startswith(head)
    assert merged.text.endswith(tail[tail.index("layer {") :])
    names = [layer.name for layer in build(parse(merged.text)).layers]
    assert names == ["data", "act", "act/power", "act/relu", "act/power2", "d"]


def test_a_record_of_the_layer_loses_what_it_said(tmp_path, pycaffe):
    net = activated("Clip", "clip_param { min: 0 max: 6 }")
    record = net.net.layer.add()
    record.name, record.type = "act", "Clip"
    merged = merge_model(tmp_path, net, portable="refuse")
    assert [one.type for one in merged.net.layer if one.name == "act"] == ["ReLU"]
    pycaffe.load(*merged.after).close()


def refused(folder, net: Model, code: str, *words: str) -> None:
    """The layer stays as it is, for a reason."""
    merged = merge_model(folder, net, portable="warn", tidy=False)
    (entry,) = merged.report.plan.entries
    assert entry.reason.code is bnfold.Code(code)
    for word in words:
        assert word in entry.reason.text
    assert merged.text == net.text
    assert [one.layer for one in merged.report.unportable][:1] == ["act"]


@pytest.mark.parametrize("kind", ["HSwish", "HardSwish", "Swish", "SiLU", "Mish"])
def test_a_product_does_not_work_in_place(kind, tmp_path):
    net = start().conv("c", "data", 4).layer(f'name: "act" type: "{kind}" bottom: "c" top: "c"')
    refused(tmp_path, net, "no-equal", "in place")


@pytest.mark.parametrize(
    "words", ["", "clip_param { min: 0 }", "clip_param { min: 0 max: 100 }",
              "clip_param { min: 1 max: 0 }", "clip_param { min: 0 max: nan }"]
)  # fmt: skip
def test_a_clip_without_bounds_that_can_be_subtracted(words, tmp_path):
    net = start().conv("c", "data", 4)
    net.layer(f'name: "act" type: "Clip" bottom: "c" top: "c" {words}')
    refused(tmp_path, net, "no-equal", "bounds")


def test_a_field_that_nobody_knows(tmp_path):
    net = start().conv("c", "data", 4)
    net.layer('name: "act" type: "ReLU6" bottom: "c" top: "c" relu6_param { threshold: 5 }')
    refused(tmp_path, net, "unknown-layer", "threshold")


def test_v1_files_have_no_place_for_new_layers(tmp_path):
    net = Model(seed=3, v1=True).input("data", (2, 4, 9, 7)).conv("c", "data", 4)
    net.layer('name: "act" type: ReLU6 bottom: "c" top: "c"')
    refused(tmp_path, net, "no-scale-type", "V1")


def test_layers_that_the_user_keeps(tmp_path):
    merged = merge_model(tmp_path, activated("ReLU6"), portable="warn", keep=["act"])
    assert forms(merged) == {}
    assert [one.layer for one in merged.report.unportable] == ["act"]
