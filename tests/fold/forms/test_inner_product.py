"""`--inner-product-as convolution`: a kernel as large as what the layer reads."""

from __future__ import annotations

import numpy as np
import pytest
from models import Model

import bnfold

from ..networks import start

SHAPE = (2, 4, 3, 5)
ALL = 60


@pytest.fixture
def products(former):
    return former(inner_product_as="convolution")


def one(words: str = "", outer: str = "", **more) -> Model:
    return start(SHAPE).inner_product("f", "data", 6, ALL, words=words, outer=outer, **more)


def all_of(*layers: str) -> dict[str, str]:
    return dict.fromkeys(layers, "Convolution")


@pytest.mark.parametrize("bias", [True, False])
def test_one_becomes_a_convolution_and_an_output_keeps_its_shape(bias, products):
    merged = products(one(bias=bias), all_of("f"))
    assert merged.text.split().count("kernel_h:") == merged.text.split().count("kernel_w:") == 1
    assert 'type: "Flatten"' in merged.text
    (record,) = (record for record in merged.net.layer if record.name == "f")
    assert tuple(record.blobs[0].shape.dim) == (6, 4, 3, 5)


def test_a_square_kernel_is_written_once(products):
    net = start((2, 4, 3, 3)).inner_product("f", "data", 6, 36)
    assert "kernel_size: 3" in products(net, all_of("f")).text


def test_several_in_a_row_need_one_flatten(products):
    net = one().relu("r", "f").plain("Dropout", "n", "f", "f").inner_product("g", "f", 5, 6)
    net.plain("TanH", "t", "g").inner_product("h", "t", 3, 5).plain("Softmax", "prob", "h")
    merged = products(net, all_of("f", "g", "h"))
    assert merged.text.count('type: "Flatten"') == 1
    assert merged.text.count("engine: CAFFE") == 2


def test_a_prelu_between_two_has_a_slope_for_each_output(products):
    net = one()
    net.layer('name: "p" type: "PReLU" bottom: "f" top: "f"', "p", [np.linspace(-0.2, 0.4, 6)])
    merged = products(net.inner_product("g", "f", 5, 6), all_of("f", "g"))
    assert merged.text.count('type: "Flatten"') == 1


def test_two_that_read_one_need_no_flatten_between(products):
    net = one().inner_product("g", "f", 5, 6).inner_product("h", "f", 3, 6)
    assert products(net, all_of("f", "g", "h")).text.count('type: "Flatten"') == 2


def test_a_reader_that_looks_at_axes_has_its_flatten(products):
    net = one().inner_product("g", "f", 5, 6).plain("Softmax", "prob", "f")
    merged = products(net, {"f": "Convolution", "g": "no-equal"})
    assert 'type: "InnerProduct"' in merged.text


def test_a_flatten_in_front_goes(products):
    net = start(SHAPE).conv("c", "data", 4, 1).plain("Flatten", "x", "c").relu("r", "x")
    merged = products(net.inner_product("f", "x", 6, ALL), all_of("f"))
    assert '"x" type: "Flatten"' not in merged.text
    assert "kernel_h: 3" in merged.text


def test_a_flatten_that_others_read_stays(products):
    net = start(SHAPE).conv("c", "data", 4, 1).plain("Flatten", "x", "c")
    net.inner_product("f", "x", 6, ALL).plain("Softmax", "prob", "x")
    merged = products(net, {"f": "no-equal"})
    assert "InnerProduct" in merged.text


def test_batch_norms_fold_first(products):
    merged = products(
        one().batch_norm("b", "f").scale("s", "f"), all_of("f"), {"b": "folded", "s": "folded"}
    )
    assert merged.outcome("b").into == ("f",)


def test_legacy_weights_become_one_too(products):
    net = Model(seed=3, storage="legacy").input("data", SHAPE).inner_product("f", "data", 6, ALL)
    products(net, all_of("f"), engines=("pycaffe",))


def test_without_weights_it_is_planned(tmp_path):
    model, _ = one().save(tmp_path)
    report = bnfold.inspect(model, inner_product_as="convolution")
    assert "rewritten f (InnerProduct) as Convolution" in report.summary()


# ------------------------------------------------------------------------- what stays


def test_a_turned_weight_stays(products):
    products.refuses(one(transpose=True), "f", "no-equal", "transpose")


def test_one_along_another_axis_stays(products):
    net = start(SHAPE).inner_product("f", "data", 6, 15, words="axis: 2")
    products.refuses(net, "f", "not-per-channel", "axis: 2")


def test_one_of_two_axes_stays(products):
    net = start((3, 4)).inner_product("f", "data", 6, 4)
    products.refuses(net, "f", "no-equal", "2 axes")


def test_one_of_unknown_shape_stays(products):
    net = start(SHAPE).plain("Mystery", "m", "data").inner_product("f", "m", 6, ALL)
    products.refuses(net, "f", "unknown-shape")


def test_one_for_other_values_stays(products):
    products.refuses(start(SHAPE).inner_product("f", "data", 6, 30), "f", "unknown-shape", "60")


def test_shared_weights_stay(products):
    shared = 'param { name: "w" }'
    net = one(bias=False, outer=shared).inner_product("g", "data", 6, ALL, bias=False, outer=shared)
    net.net.layer[-1].blobs[0].CopyFrom(net.net.layer[-2].blobs[0])
    stay = {"f": "shared-weights", "g": "shared-weights"}
    assert products(net, stay, engines=()).text == net.text


def test_one_with_a_field_that_nobody_knows_stays(products):
    products.refuses(one("relu: true"), "f", "unknown-layer", "relu")


def test_one_of_a_v1_file_stays(products):
    net = Model(seed=3, v1=True).input("data", SHAPE).inner_product("f", "data", 6, ALL)
    products.refuses(net, "f", "no-scale-type")


def test_one_that_the_user_keeps_stays(products):
    assert products(one(), {}, engines=(), keep=["f"]).text == one().text
