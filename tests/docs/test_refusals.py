"""Every documented reason is one that a network gives: the smallest for each code."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from fold.branches.branching import add, conv
from fold.channels import nets as channels
from fold.networks import start
from models import Model

import bnfold

Code = bnfold.Code
IN_TRAIN = "include { phase: TRAIN }"


def normed(bottom: str = "data") -> Model:
    """An input, and a BatchNorm of its own top, that nothing can take in."""
    return start().plain("TanH", "t", bottom).batch_norm("b", "t", "b")


def two_convolutions(kernel: tuple[int, int], **options) -> Model:
    """Two convolutions of one value, the first of them 3x3."""
    net = start((2, 8, 9, 9))
    conv(net, "a", bottom="data")
    conv(net, "b", kernel, bottom="data", **options)
    return net


def dead() -> channels.Net:
    """A convolution with a constant channel that is not zero."""
    return channels.start().block("c1", "data", 4, act="Sigmoid").set_zero("c1/s", [1])


def another_reader() -> Model:
    net = start().conv("c", "data", 5).batch_norm("b", "c", "b").relu("r", "b")
    return net.plain("TanH", "t", "c")


def a_reader_outside() -> Model:
    net = start().conv("c", "data", 5).batch_norm("b", "c")
    net.layer(f'name: "watch" type: "Silence" bottom: "c" {IN_TRAIN}')
    return net.relu("r", "c")


def shared_weights() -> Model:
    words = {"bias": False, "outer": 'param { name: "w" }'}
    net = start().conv("c", "data", 5, **words).batch_norm("b", "c")
    net.conv("twin", "data", 5, **words).plain("TanH", "t", "twin")
    del net.net.layer[2].blobs[:]
    net.net.layer[2].blobs.extend(net.net.layer[0].blobs)
    return net


def a_name_used_outside() -> Model:
    net = start()
    words = "convolution_param { num_output: 5 kernel_size: 3 }"
    net.layer(f'name: "c" type: "Convolution" bottom: "data" top: "c" {IN_TRAIN} {words}')
    return net.conv("c", "data", 5, outer="include { phase: TEST }").batch_norm("b", "c")


def batch_statistics() -> Model:
    return start().conv("c", "data", 5).batch_norm("b", "c", words="use_global_stats: false")


def another_axis() -> Model:
    net = start().conv("c", "data", 5)
    net.layer(
        'name: "b" type: "Scale" bottom: "c" top: "b" scale_param { axis: 2 }', "b", [np.ones(7)]
    )
    return net


def two_bottoms() -> Model:
    net = start((2, 4)).inner_product("c", "data", 4, 4)
    return net.plain("Scale", "s", "c data")


def outside_the_phase() -> Model:
    return start().conv("c", "data", 5).batch_norm("b", "c", "b", outer=IN_TRAIN)


def an_unknown_dialect() -> Model:
    net = start().conv("c", "data", 5)
    return net.layer('name: "b" type: "BN" bottom: "c" top: "b"', "b", [np.ones(5)] * 3)


def padding() -> Model:
    return dead().conv("c2", "c1", 3, words="pad: 1")


def a_relu() -> Model:
    return start().conv("c", "data", 5).relu("r", "c", "r").batch_norm("b", "r", "b")


def an_output() -> Model:
    return dead()


def a_name_taken() -> Model:
    sum_in_place = 'name: "sum" type: "Eltwise" bottom: "a" bottom: "b" top: "a"'
    return two_convolutions((1, 1)).layer(sum_in_place)


def a_product() -> Model:
    return add(two_convolutions((1, 1)), "a", "b", words="operation: PROD")


def different_windows() -> Model:
    return add(two_convolutions((3, 3), words="pad: 2 dilation: 2"), "a", "b")


def a_wide_and_a_high_kernel() -> Model:
    return add(two_convolutions((1, 9)), "a", "b")


def an_unknown_shape() -> Model:
    net = start().plain("Mystery", "m", "data").conv("c", "m", 5, words="axis: -3")
    return net.batch_norm("b", "c", "b")


def a_file_without_scales() -> Model:
    net = start(v1=True).conv("k", "data", 4)
    net.layer("name: 't' type: TANH bottom: 'k' top: 'c'")
    blobs = [np.ones(4), np.ones(4), np.ones(1)]
    net.layer('name: "b" type: "BatchNorm" bottom: "c" top: "c"', "b", blobs)
    return net.layer("name: 'u' type: TANH bottom: 'c' top: 'u'")


def no_equal() -> Model:
    net = start().conv("c", "data", 4)
    return net.plain("Upsample", "u", "c", words="upsample_param { height: 9 width: 9 }")


def an_unknown_layer() -> Model:
    net = dead().layer('name: "m" type: "Mystery" bottom: "c1" top: "m"')
    net.channels["m"] = 4
    return net.conv("c2", "m", 3)


def fixed_channels() -> Model:
    net = dead().layer('name: "n" type: "LRN" bottom: "c1" top: "n" lrn_param { local_size: 3 }')
    net.channels["n"] = 4
    return net.conv("c2", "n", 3)


def not_constant() -> Model:
    net = dead().block("b", "data", 4).join("sum", "Eltwise", "c1", "b")
    return net.conv("c2", "sum", 3)


def the_last_channel() -> Model:
    return channels.start().conv("c1", "data", 2).set_zero("c1", [0, 1]).conv("c2", "c1", 3)


NETWORKS: dict[Code, Callable[[], Model]] = {
    Code.OTHER_READER: another_reader,
    Code.OUTSIDE_READER: a_reader_outside,
    Code.SHARED_WEIGHTS: shared_weights,
    Code.SAME_NAME: a_name_used_outside,
    Code.BATCH_STATISTICS: batch_statistics,
    Code.NO_HOST: normed,
    Code.NOT_PER_CHANNEL: another_axis,
    Code.TWO_BOTTOMS: two_bottoms,
    Code.OUTSIDE_PHASE: outside_the_phase,
    Code.DIALECT: an_unknown_dialect,
    Code.NEEDS_WEIGHTS: a_relu,
    Code.PADDING: padding,
    Code.SIGN_OR_SHIFT: a_relu,
    Code.NETWORK_OUTPUT: an_output,
    Code.NAME_TAKEN: a_name_taken,
    Code.UNKNOWN_SHAPE: an_unknown_shape,
    Code.NO_SCALE_TYPE: a_file_without_scales,
    Code.NO_EQUAL: no_equal,
    Code.CHOSEN: a_relu,
    Code.NOT_LINEAR: a_product,
    Code.DIFFERENT_WINDOWS: different_windows,
    Code.MORE_WORK: a_wide_and_a_high_kernel,
    Code.UNKNOWN_LAYER: an_unknown_layer,
    Code.FIXED: fixed_channels,
    Code.NOT_CONSTANT: not_constant,
    Code.LAST_CHANNEL: the_last_channel,
}

CHOICES = {
    Code.CHOSEN: {"keep": ["b"]},
    Code.NO_EQUAL: {"upsample_as": "deconvolution"},
}


def codes(report: bnfold.Report) -> set[str]:
    """The codes of all entries of a report."""
    lists = [value for value in report.to_json().values() if isinstance(value, list)]
    entries = [entry for found in lists for entry in found if isinstance(entry, dict)]
    return {entry["code"] for entry in entries if entry.get("code")}


def test_every_code_has_a_network():
    assert set(NETWORKS) == set(Code)


@pytest.mark.parametrize("code", Code, ids=lambda code: code.value)
def test_a_network_is_refused_for_this_reason(code, tmp_path):
    model, weights = NETWORKS[code]().save(tmp_path)
    given = None if code is Code.NEEDS_WEIGHTS else weights
    assert code.value in codes(bnfold.inspect(model, given, **CHOICES.get(code, {})))
