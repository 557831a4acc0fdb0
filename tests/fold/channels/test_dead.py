"""Constant channels go from a merged network, and it stays the same function in Caffe."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from folding import assert_same_function, merge_model
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import bnfold

from .nets import Net, merged_twice_is_merged_once, start

NETS: dict[str, tuple[Callable[[], Net], dict[str, tuple[int, ...]]]] = {}


def network(**removed: tuple[int, ...]):
    """Register a network with the channels that go from each of its layers."""

    def register(builder: Callable[[], Net]) -> Callable[[], Net]:
        NETS[builder.__name__] = builder, removed
        return builder

    return register


@network(c1=(1, 4))
def zero_gammas_in_front_of_no_padding():
    net = start().block("c1", "data", 6).set_zero("c1/s", [1, 4])
    return net.conv("c2", "c1", 3)


@network(c1=(1, 4))
def zero_filters_of_a_convolution_that_has_no_batch_norm():
    net = start().conv("c1", "data", 6).set_zero("c1", [1, 4]).relu("r", "c1")
    return net.conv("c2", "c1", 3)


@network(c1=(1, 4))
def a_constant_that_the_activation_makes_zero_in_front_of_padding():
    net = start().conv("c1", "data", 6).set_zero("c1", [1, 4])
    net.store("c1", -np.abs(net.blob_of("c1", 1)), 1).relu("r", "c1")
    return net.conv("c2", "c1", 3, words="pad: 1")


@network(c1=(0, 5))
def a_constant_behind_every_kind_of_activation():
    net = start().block("c1", "data", 6, act="PReLU").set_zero("c1/s", [0, 5])
    for number, kind in enumerate(("Sigmoid", "TanH", "ELU elu_param { alpha: 0.7 }", "BNLL")):
        net.act(f"a{number}", "c1", kind)
    net.act("a8", "c1", "AbsVal", "v0")
    net.act("a9", "v0", "Power power_param { power: 2 }", "p")
    net.pool("m", "p", "pool: MAX kernel_size: 2 pad: 1")
    net.pool("v", "m", "pool: AVE kernel_size: 2")
    return net.conv("c2", "v", 3, 1)


@network(c1=(2,))
def a_new_bias_where_the_next_layer_has_none():
    net = start().block("c1", "data", 4, act="Sigmoid").set_zero("c1/s", [2])
    return net.conv("c2", "c1", 3, bias=False)


@network(c1=(0, 3))
def a_flattened_map_in_front_of_an_inner_product():
    net = start().block("c1", "data", 4, act="Sigmoid").set_zero("c1/s", [0, 3])
    net.layer('name: "f" type: "Flatten" bottom: "c1" top: "f"')
    net.channels["f"] = 4 * 35
    return net.inner_product("ip", "f", 5, 4 * 35)


@network(c1=(0, 3))
def a_map_in_front_of_an_inner_product():
    net = start().block("c1", "data", 4, act="Sigmoid").set_zero("c1/s", [0, 3])
    return net.inner_product("ip", "c1", 5, 4 * 35)


@network(c1=(0, 3))
def a_map_in_front_of_a_transposed_inner_product():
    net = start().block("c1", "data", 4, act="Sigmoid").set_zero("c1/s", [0, 3])
    return net.inner_product("ip", "c1", 5, 4 * 35, transpose=True)


@network(ip1=(1, 2))
def outputs_of_a_transposed_inner_product():
    net = start().inner_product("ip1", "data", 6, 4 * 63, transpose=True)
    weight = net.blob_of("ip1")
    weight[:, [1, 2]] = 0
    net.store("ip1", weight).relu("r", "ip1")
    return net.inner_product("ip2", "ip1", 5, 6)


@network(d=(1, 2))
def outputs_of_a_deconvolution():
    net = start().conv("d", "data", 5, 2, kind="Deconvolution", words="stride: 2")
    weight = net.blob_of("d")
    weight[:, [1, 2]] = 0
    return net.store("d", weight).relu("r", "d").conv("c2", "d", 3)


@network(c1=(1,))
def zeros_in_front_of_a_deconvolution():
    net = start().conv("c1", "data", 4, bias=False).set_zero("c1", [1]).relu("r", "c1")
    return net.conv("d", "c1", 3, 2, kind="Deconvolution", words="stride: 2")


@network(c1=(1, 4), dw=(1, 4))
def a_depthwise_convolution_on_the_way():
    net = start().block("c1", "data", 6).set_zero("c1/s", [1, 4])
    net.conv("dw", "c1", 6, group=6).relu("rd", "dw")
    return net.conv("c2", "dw", 3)


@network(c1=(1, 4), dw=(1, 4))
def filters_of_a_depthwise_convolution_and_what_only_they_read():
    net = start().block("c1", "data", 6).conv("dw", "c1", 6, group=6, words="pad: 1")
    return net.set_zero("dw", [1, 4]).relu("rd", "dw").conv("c2", "dw", 3)


@network(c1=(1,), dw=(2, 3))
def a_depthwise_convolution_with_two_outputs_a_channel():
    net = start().block("c1", "data", 3).set_zero("c1/s", [1])
    return net.conv("dw", "c1", 6, group=3).conv("c2", "dw", 3)


@network(c1=(0, 4), g=(1, 3))
def groups_lose_one_each():
    net = start().block("c1", "data", 6, act="Sigmoid").set_zero("c1/s", [0, 4])
    net.conv("g", "c1", 4, group=2).set_zero("g", [1, 3]).relu("rg", "g")
    return net.conv("c2", "g", 3)


@network(a=(1,), b=(0, 2))
def a_concat_of_branches():
    net = start().block("a", "data", 3).set_zero("a/s", [1])
    net.block("b", "data", 4).set_zero("b/s", [0, 2]).join("cat", "Concat", "a", "b")
    return net.conv("c2", "cat", 3)


@network(a=(1,), b=(1,))
def a_sum_of_branches_of_which_both_are_constant():
    net = start().block("a", "data", 3, act="Sigmoid").set_zero("a/s", [1, 2])
    net.block("b", "data", 3, act="TanH").set_zero("b/s", [0, 1])
    net.join("sum", "Eltwise", "a", "b", words="eltwise_param { coeff: 2 coeff: -0.5 }")
    return net.relu("r", "sum").conv("c2", "sum", 3)


@network(a=(0, 1), b=(0, 1))
def a_product_of_which_one_is_zero():
    net = start().conv("a", "data", 3, bias=False).set_zero("a", [0, 1])
    net.block("b", "data", 3).join("p", "Eltwise", "a", "b", words="eltwise_param {operation:PROD}")
    return net.conv("c2", "p", 3, words="pad: 1")


@network(a=(2,), b=(2,))
def a_maximum():
    net = start().block("a", "data", 3).set_zero("a/s", [2])
    net.block("b", "data", 3).set_zero("b/s", [2])
    words = "eltwise_param { operation: MAX }"
    return net.join("m", "Eltwise", "a", "b", words=words).conv("c2", "m", 3)


@network(c1=(1, 2), c2=(0,))
def a_filter_that_reads_only_what_goes():
    net = start().conv("c1", "data", 4, bias=False).set_zero("c1", [1, 2]).relu("r", "c1")
    net.conv("c2", "c1", 3)
    weight = net.blob_of("c2")
    weight[0, [0, 3]] = 0
    return net.store("c2", weight).relu("r2", "c2").conv("c3", "c2", 2)


@network(c1=(1, 2, 3))
def all_channels_but_the_first():
    net = start().block("c1", "data", 4).set_zero("c1/s", range(4))
    return net.conv("c2", "c1", 3).block("c3", "data", 3, 5).join("s", "Eltwise", "c2", "c3")


@network(c1=(3,))
def several_readers():
    net = start().block("c1", "data", 5, act="Sigmoid").set_zero("c1/s", [3])
    return net.conv("c2", "c1", 3).inner_product("ip", "c1", 4, 5 * 35)


@network(c1=(2,), fc=(0, 1))
def a_gate_of_squeeze_and_excitation():
    net = start().conv("c1", "data", 3, bias=False).set_zero("c1", [2])
    net.pool("gp", "c1", "pool: AVE global_pooling: true").inner_product("fc", "gp", 4, 3)
    net.set_zero("fc", [0, 1]).relu("rfc", "fc").inner_product("gate", "fc", 3, 4)
    net.act("sg", "gate", "Sigmoid")
    net.join("x", "Scale", "c1", "gate", words="scale_param { axis: 0 }")
    return net.conv("c2", "x", 3)


@pytest.mark.parametrize("name", NETS)
def test_constant_channels_go(name, tmp_path):
    builder, removed = NETS[name]
    merged = merge_model(tmp_path, builder())
    gone = {
        dead.layer: dead.channels
        for dead in merged.report.plan.of_type(bnfold.DeadChannels)
        if dead.reason is None
    }
    gone.pop("gate", None)
    assert gone == removed


@pytest.mark.parametrize("name", NETS)
def test_the_function_stays_the_same(name, tmp_path, pycaffe):
    assert_same_function(pycaffe, merge_model(tmp_path, NETS[name][0]()))


@pytest.mark.parametrize("name", NETS)
def test_a_second_merge_changes_no_byte(name, tmp_path):
    merged = merge_model(tmp_path, NETS[name][0]())
    assert merged_twice_is_merged_once(tmp_path, merged.after)


@pytest.mark.parametrize("name", NETS)
def test_they_stay_where_the_user_asks(name, tmp_path):
    merged = merge_model(tmp_path, NETS[name][0](), dead_channels=False)
    assert not merged.report.plan.of_type(bnfold.DeadChannels)


def test_sizes_after_are_those_of_the_smaller_network(tmp_path):
    net = start().block("c1", "data", 6, bias=False).set_zero("c1/s", [1, 4])
    report = merge_model(tmp_path, net.conv("c2", "c1", 3)).report
    assert report.after.parameters == 4 * (4 * 9 + 1) + 3 * (4 * 9 + 1)
    first, second = 2 * (7 * 5) * 4 * (2 * 36 + 1), 2 * (5 * 3) * 3 * (2 * 36 + 1)
    assert report.after.operations == first + 2 * 4 * 7 * 5 + second


@st.composite
def networks(draw):
    """Branches and chains with random dead filters."""
    net = start(draw(st.integers(0, 1 << 16)), (2, 3, 11, 10))
    blob = "data"

    def kill(name: str, blob_name: str, count: int) -> None:
        net.set_zero(blob_name, draw(st.sets(st.integers(0, count - 1), max_size=count)))

    for depth in range(draw(st.integers(1, 3))):
        shape = draw(st.sampled_from(["chain", "sum", "concat", "depthwise", "groups"]))
        leaky = "ReLU relu_param { negative_slope: 0.1 }"
        act = draw(st.sampled_from(["ReLU", "Sigmoid", "", "PReLU", leaky]))
        words = draw(st.sampled_from(["", "pad: 1"]))
        name, count = f"c{depth}", 4
        if shape in ("chain", "depthwise", "groups"):
            net.block(name, blob, count, act=act, words=words)
            kill(name, f"{name}/s", count)
            blob = name
            if shape != "chain":
                group = 4 if shape == "depthwise" else 2
                net.conv(f"g{depth}", blob, count, group=group, words="pad: 1")
                kill(name, f"g{depth}", count)
                blob = f"g{depth}"
        else:
            for branch in "ab":
                net.block(name + branch, blob, count, act=act, words=words)
                kill(name, f"{name}{branch}/s", count)
            net.join(name, "Eltwise" if shape == "sum" else "Concat", f"{name}a", f"{name}b")
            blob = name
    return net.conv("last", blob, 3, words=draw(st.sampled_from(["", "pad: 1"])))


@settings(
    max_examples=25,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(net=networks())
def test_random_networks_keep_their_function(net, pycaffe):
    with tempfile.TemporaryDirectory() as folder:
        merged = merge_model(Path(folder), net)
        assert_same_function(pycaffe, merged, tolerance=1e-4)
        assert merged_twice_is_merged_once(Path(folder), merged.after)
