"""`--scale-as convolution`: what must stay a Scale, for readers that do not know it."""

from __future__ import annotations

import numpy as np
import pytest
from models import Model

import bnfold

from ..networks import start


@pytest.fixture
def scaling(former):
    return former(scale_as="convolution")


def between(net: Model | None = None) -> Model:
    """What nothing passes on either side of `t` and `u`."""
    return (net or start()).conv("c", "data", 4).plain("TanH", "t", "c")


CONVOLUTION = {"s": "Convolution"}


@pytest.mark.parametrize("bias", [True, False])
def test_a_scale_becomes_a_depthwise_convolution(bias, scaling):
    net = between().scale("s", "t", "s", bias=bias).plain("TanH", "u", "s")
    merged = scaling(net, CONVOLUTION, tolerance=1e-6)
    assert "Scale" not in merged.text
    assert "group: 4" in merged.text
    assert ("bias_term: false" in merged.text) == (not bias)
    assert len(merged.blobs("s")) == 1 + bias


def test_a_batch_norm_that_stays_becomes_one(scaling):
    net = between().batch_norm("b", "t", "b").scale("s", "b", "s").plain("TanH", "u", "s")
    scaling(net, CONVOLUTION, {"b": "merged"})


def test_in_place_its_top_gets_another_name(scaling):
    net = between().scale("s", "t").plain("TanH", "u", "t", "t").conv("d", "t", 3)
    merged = scaling(net, CONVOLUTION)
    assert 'bottom: "t" top: "s/top"' in merged.text
    assert 'name: "u" type: "TanH" bottom: "s/top" top: "s/top"' in merged.text


def test_an_output_keeps_its_name(scaling):
    # OpenCV wants an output that is not named like a layer to be named like none.
    merged = scaling(between().scale("s", "t"), CONVOLUTION, engines=("pycaffe",))
    assert 'bottom: "s/bottom" top: "t"' in merged.text


def test_a_bias_becomes_one(scaling):
    net = between()
    net.layer('name: "s" type: "Bias" bottom: "t" top: "s"', "s", [np.linspace(-1, 1, 4)])
    net.channels["s"] = 4
    scaling(net.plain("TanH", "u", "s"), CONVOLUTION, engines=("pycaffe",))


@pytest.mark.parametrize("shape", [(2, 4, 9), (2, 4, 3, 4, 5)])
def test_other_numbers_of_places_do_as_well(shape, scaling):
    net = start(shape).plain("TanH", "t", "data").scale("s", "t", "s").plain("TanH", "u", "s")
    scaling(net, CONVOLUTION, engines=("pycaffe",))


def test_what_folds_folds(scaling):
    net = start().conv("c", "data", 4).batch_norm("b", "c").scale("s", "c")
    scaling(net, {}, {"b": "folded", "s": "folded"})


def test_a_branch_of_a_sum_merges_then_as_a_convolution_does(scaling):
    net = between().scale("s", "t", "s").plain("Eltwise", "sum", "t s").plain("TanH", "u", "sum")
    merged = scaling(net, CONVOLUTION)
    assert "Eltwise" not in merged.text


# ------------------------------------------------------------------------- what stays


def test_one_of_two_axes_stays(scaling):
    net = start((3, 4)).plain("TanH", "t", "data").scale("s", "t", "s").plain("TanH", "u", "s")
    scaling.refuses(net, "s", "no-equal", "2 axes", fates={"s": "kept"})


def test_one_whose_factors_the_network_computes_stays(scaling):
    net = between().plain("Scale", "s", "t c")
    scaling.refuses(net, "s", "two-bottoms", fates={"s": "kept"})


def test_one_along_another_axis_stays(scaling):
    net = between()
    text = 'name: "s" type: "Scale" bottom: "t" top: "s" scale_param { axis: 2 }'
    net.layer(text, "s", [np.linspace(1, 2, 7)])
    scaling.refuses(net, "s", "not-per-channel", fates={"s": "kept"})


def test_one_number_for_all_channels_stays(scaling):
    net = between()
    text = 'name: "s" type: "Scale" bottom: "t" top: "s" scale_param { num_axes: 0 }'
    net.layer(text, "s", [np.array(2.0)])
    scaling.refuses(net, "s", "not-per-channel", "one number", fates={"s": "kept"})


def test_shared_factors_stay(scaling):
    shared = 'param { name: "w" }'
    net = between().scale("s", "t", "s", bias=False, outer=shared).plain("TanH", "u", "s")
    net.scale("z", "u", "z", bias=False, outer=shared)
    net.net.layer[-1].blobs[0].CopyFrom(net.net.layer[-2].blobs[0])
    stay = {"s": "shared-weights", "z": "shared-weights"}
    merged = scaling(net.plain("TanH", "v", "z"), stay, {"s": "kept", "z": "kept"}, engines=())
    assert merged.text == net.text


def test_one_of_unknown_shape_stays(scaling):
    net = start().plain("Mystery", "m", "data")
    net.scale("s", "m", "s").plain("TanH", "u", "s")
    scaling.refuses(net, "s", "unknown-shape", fates={"s": "kept"})


def test_one_in_place_on_an_input_that_is_an_output_stays(scaling):
    scaling.refuses(start().scale("s", "data"), "s", "name-taken", "input", fates={"s": "kept"})


def test_one_that_writes_in_place_what_others_find_stays(scaling):
    net = start().conv("c", "data", 4)
    net.layer('name: "n" type: "Split" bottom: "data" top: "a" top: "b"')
    net.channels["b"] = 4
    scaling.refuses(net.scale("s", "b"), "s", "other-reader", "'a'", fates={"s": "kept"})


def test_one_with_a_field_that_nobody_knows_stays(scaling):
    net = between().scale("s", "t", "s", words="factor: 2").plain("TanH", "u", "s")
    scaling.refuses(net, "s", "unknown-layer", "factor", fates={"s": "kept"})


def test_one_that_the_user_keeps_stays(scaling):
    net = between().scale("s", "t", "s").plain("TanH", "u", "s")
    assert scaling(net, {}, {"s": "kept"}, engines=(), keep=["s"]).text == net.text


def test_without_weights_it_is_planned(tmp_path):
    model, _ = between().scale("s", "t", "s").plain("TanH", "u", "s").save(tmp_path)
    report = bnfold.inspect(model, scale_as="convolution")
    assert "rewritten s (Scale) as Convolution" in report.summary()
