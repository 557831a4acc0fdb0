"""`--scale-bias`: every Scale that is left has a bias."""

from __future__ import annotations

import numpy as np
import pytest
from models import Model

from ..networks import start


@pytest.fixture
def biased(former):
    return former(scale_bias=True)


def standing(words: str = "", outer: str = "", bias: bool = False) -> Model:
    """A Scale that nothing takes in."""
    net = start().conv("c", "data", 4).plain("TanH", "t", "c")
    net.scale("s", "t", "s", bias=bias, words=words, outer=outer)
    return net.plain("TanH", "u", "s")


WITH_BIAS = {"s": "Scale with a bias"}


def test_a_scale_gets_a_bias_of_zeros(biased):
    merged = biased(standing(), WITH_BIAS, {"s": "kept"}, tolerance=0)
    assert "bias_term: true" in merged.text
    assert merged.blobs("s")[1].tolist() == [0.0] * 4


def test_a_bias_has_as_many_axes_as_the_factors(biased):
    net = start().conv("c", "data", 4, 1).plain("TanH", "t", "c")
    text = 'name: "s" type: "Scale" bottom: "t" top: "s" scale_param { axis: 2 num_axes: 2 }'
    net.layer(text, "s", [np.linspace(1, 2, 63).reshape(9, 7)])
    biased(net, WITH_BIAS, {"s": "kept"}, engines=("pycaffe",), tolerance=0)


def test_factors_that_are_shared_stay_shared(biased):
    net = standing(outer='param { name: "w" }')
    net.scale("z", "u", "z", bias=False, outer='param { name: "w" }')
    net.net.layer[-1].blobs[0].CopyFrom(net.net.layer[-2].blobs[0])
    both = {"s": "Scale with a bias", "z": "Scale with a bias"}
    biased(net.plain("TanH", "v", "z"), both, {"s": "kept", "z": "kept"}, engines=("pycaffe",))


def test_what_folds_needs_none(biased):
    net = start().conv("c", "data", 4).scale("s", "c", bias=False)
    biased(net, {}, {"s": "folded"})


def test_a_scale_with_a_bias_stays_without_a_word(biased):
    net = standing(bias=True)
    assert biased(net, {}, {"s": "kept"}, engines=()).text == net.text


# ------------------------------------------------------------------------- what stays


def test_one_whose_factors_the_network_computes_stays(biased):
    net = start((2, 4)).inner_product("c", "data", 4, 4).plain("Scale", "s", "c data")
    biased.refuses(net, "s", "two-bottoms", fates={"s": "kept"})


def test_one_with_a_field_that_nobody_knows_stays(biased):
    biased.refuses(standing("factor: 2"), "s", "unknown-layer", "factor", fates={"s": "kept"})


def test_one_whose_name_is_used_outside_the_phase_stays(biased):
    net = standing()
    net.layer('name: "s" type: "Scale" bottom: "data" top: "z" include { phase: TRAIN }')
    biased.refuses(net, "s", "same-name", fates={"s": "kept"})


def test_one_whose_blobs_are_not_its_factors_stays(biased):
    net = start().conv("c", "data", 4, 1).plain("TanH", "t", "c")
    text = 'name: "s" type: "Scale" bottom: "t" top: "s" scale_param { axis: 2 num_axes: 2 }'
    net.layer(text, "s", [np.ones((9, 7))] * 2)
    biased.refuses(net, "s", "needs-weights", "2 blobs", fates={"s": "kept"}, engine_caffe=False)


@pytest.mark.parametrize("axis", [0, -4])
def test_one_that_tells_items_of_the_batch_apart_stays(axis, biased):
    net = start((2, 4, 1, 1)).conv("c", "data", 4, 1, words="engine: CAFFE")
    text = f'name: "s" type: "Scale" bottom: "c" top: "s" scale_param {{ axis: {axis} }}'
    net.layer(text, "s", [np.ones(2)])
    biased.refuses(net, "s", "not-per-channel", "batch", fates={"s": "kept"})
