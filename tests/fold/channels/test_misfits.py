"""Records and lengths that are not what the text says, beside a dead channel: opaque, by name."""

from __future__ import annotations

import numpy as np
import pytest
from models import blob

import bnfold
from bnfold.caffemodel import open_weights

from .nets import Net, start


def dead() -> Net:
    """A convolution whose channels 1 and 4 are dead; what reads it is left to the test."""
    return start().conv("c1", "data", 6).set_zero("c1", [1, 4])


def store(net: Net, name: str, *blobs: np.ndarray) -> None:
    """Give a layer other blobs, or none."""
    (record,) = (r for r in net.net.layer if r.name == name)
    del record.blobs[:]
    record.blobs.extend(blob(np.asarray(values)) for values in blobs)


def stays(folder, net: Net) -> bnfold.Reason:
    """Merge a network; the dead channels of c1 stay, and why is returned."""
    model, weights = net.save(folder)
    (found,) = (
        one
        for one in bnfold.merge(model, weights).plan.of_type(bnfold.DeadChannels)
        if one.layer == "c1"
    )
    assert found.reason is not None
    assert found.channels == (1, 4)
    return found.reason


@pytest.mark.parametrize(
    "shape", [(), (54,), (6, 3, 3), (3, 6, 3, 3, 1), (3, 0, 3, 3), (2, 6, 3, 3)]
)
def test_a_weight_of_other_axes(shape, tmp_path):
    net = dead().conv("c2", "c1", 3)
    store(net, "c2", np.ones(shape), np.ones(3))
    reason = stays(tmp_path, net)
    assert "Convolution layer 'c2'" in reason.text
    assert "num_output 3" in reason.text


@pytest.mark.parametrize("shape", [(3, 6), (3, 18)])
def test_a_weight_for_a_value_of_two_axes(shape, tmp_path):
    net = dead().conv("c2", "c1", 3)
    store(net, "c2", np.ones(shape), np.ones(3))
    why = "the weight of Convolution layer 'c2' is not for a value of 4 axes"
    assert stays(tmp_path, net).text == why


@pytest.mark.parametrize("kind", ["Convolution", "Deconvolution", "DepthwiseConvolution"])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_blobs_of_another_number(kind, count, tmp_path):
    net = dead().conv("c2", "c1", 6, kind=kind)
    store(net, "c2", *[np.ones(6)] * count)
    assert "'c2'" in stays(tmp_path, net).text


@pytest.mark.parametrize("shape", [(), (7,), (6, 3, 3, 3)])
def test_a_fork_s_depthwise_layer_without_num_output_and_with_a_weight_of_other_axes(
    shape, tmp_path
):
    net = dead()
    net.layer(
        'name: "c2" type: "DepthwiseConvolution" bottom: "c1" top: "c2" '
        "convolution_param { kernel_size: 3 bias_term: false }",
        "c2",
        [np.ones(shape)],
    )
    assert "'c2'" in stays(tmp_path, net).text


def test_a_matrix_for_another_number_of_inputs(tmp_path):
    net = dead().inner_product("ip", "c1", 3, 7)
    reason = stays(tmp_path, net)
    assert reason.text == (
        "the weight of InnerProduct layer 'ip' is not for the 6 channels that it reads"
    )


@pytest.mark.parametrize("shape", [(), (2,), (3, 4, 5)])
def test_a_matrix_of_other_axes(shape, tmp_path):
    net = dead().inner_product("ip", "c1", 3, 6)
    store(net, "ip", np.ones(shape), np.ones(3))
    assert "InnerProduct layer 'ip'" in stays(tmp_path, net).text


@pytest.mark.parametrize("words", ["", "prelu_param { channel_shared: true }"])
@pytest.mark.parametrize("blobs", [[], [np.ones(0)], [np.ones(5)], [np.ones(1), np.ones(1)]])
def test_slopes_of_another_number(words, blobs, tmp_path):
    net = dead().act("p", "c1", f"PReLU {words}")
    net.conv("c2", "c1", 3)
    store(net, "p", *blobs)
    assert "PReLU layer 'p'" in stays(tmp_path, net).text


def test_a_depthwise_convolution_for_other_channels(tmp_path):
    net = dead()
    net.channels["c1"] = 8
    net.conv("dw", "c1", 8, group=8)
    assert "what Convolution layer 'dw' reads" in stays(tmp_path, net).text.replace(
        "the weight of Convolution layer 'dw' is not for the 6 channels that it reads",
        "what Convolution layer 'dw' reads",
    )


@pytest.mark.parametrize(
    "layer",
    [
        'name: "q" type: "Silence" bottom: "c1" top: "q"',
        'name: "q" type: "Crop" bottom: "c1" bottom: "data"',
        'name: "q" type: "PriorBox" bottom: "c1" bottom: "data" top: "q" top: "q2"',
    ],
)
def test_tops_that_the_type_does_not_have(layer, tmp_path):
    net = dead().layer(layer).conv("c2", "c1", 3, 1)
    assert bnfold.merge(*net.save(tmp_path)).plan.of_type(bnfold.DeadChannels)


@pytest.mark.parametrize(
    "dims",
    [
        "dim: 1 dim: 0 dim: 3 dim: 3",
        "dim: 0",
        "dim: 1 dim: 2147483647",
        "dim: 2147483647 dim: 2147483647 dim: 2147483647",
        "dim: 1 dim: 6 dim: 0 dim: 1",
    ],
)
@pytest.mark.parametrize(
    "layer",
    [
        'type: "Flatten" bottom: "x"',
        'type: "Scale" bottom: "x" scale_param { bias_term: true }',
        'type: "Power" bottom: "x" power_param { shift: 1 }',
        'type: "Concat" bottom: "x" bottom: "x"',
        'type: "Convolution" bottom: "x" convolution_param { num_output: 2 kernel_size: 1 }',
        'type: "InnerProduct" bottom: "x" inner_product_param { num_output: 2 }',
    ],
)
def test_an_input_of_impossible_size_beside_a_dead_channel(dims, layer, tmp_path):
    net = dead().conv("c2", "c1", 3, 1)
    net.layer(f'name: "x" type: "Input" top: "x" input_param {{ shape {{ {dims} }} }}')
    blobs = {"Conv": (np.ones((2, 6, 1, 1)), np.ones(2)), "Inne": (np.ones((2, 6)), np.ones(2))}
    own = blobs.get(layer[7:11], (np.ones(6), np.ones(6)) if "Scale" in layer else ())
    net.layer(f'name: "y" {layer} top: "y"', "y", own)
    model, weights = net.save(tmp_path)
    # What can be told of the one has nothing to do with the other.
    plan = bnfold.merge(model, weights).plan
    assert [one.channels for one in plan.of_type(bnfold.DeadChannels) if one.reason is None] == [
        (1, 4)
    ]


# ---------------------------------------------------------------- lengths that are believed


def peak(*arguments: str) -> float:
    """The peak memory in MB of a merge in a process of its own, which has 1 GB."""
    import resource
    import subprocess
    import sys

    def bound() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))

    code = (
        "import sys, bnfold; from bnfold.runtimes.memory import peak_memory; "
        "bnfold.merge(*sys.argv[1:], dry_run=True); print(peak_memory() / 2**20)"
    )
    command = [sys.executable, "-c", code, *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, preexec_fn=bound)
    assert ran.returncode == 0, ran.stderr
    return float(ran.stdout)


def test_num_output_that_no_weights_bear_out_costs_nothing(tmp_path):
    net = dead()
    net.layer(
        'name: "c2" type: "Convolution" bottom: "c1" top: "c2" '
        "convolution_param { num_output: 2000000000 kernel_size: 1 }"
    )
    assert peak(*map(str, net.save(tmp_path))) < 150


@pytest.mark.parametrize(
    "layers",
    [
        # A Bias of one number over as many channels as the Reshape says.
        [
            (
                'name: "r" type: "Reshape" bottom: "c1" top: "r" '
                "reshape_param { shape { dim: 1 dim: 2147483647 dim: 1 dim: 1 } }"
            ),
            'name: "w" type: "Power" bottom: "r" top: "w" power_param { shift: 2 }',
            'name: "v" type: "Power" bottom: "w" top: "v" power_param { scale: 2 }',
        ],
        # Each Concat has twice the channels of the one before.
        [
            f'name: "t{i}" type: "Concat" bottom: "{"c1" if not i else f"t{i - 1}"}" '
            f'bottom: "{"c1" if not i else f"t{i - 1}"}" top: "t{i}"'
            for i in range(40)
        ],
        # Channels that are stretched over 10^12 positions.
        [
            (
                'name: "k" type: "Input" top: "k" '
                "input_param { shape { dim: 1 dim: 6 dim: 1000000 dim: 1000000 } }"
            ),
            'name: "e" type: "Flatten" bottom: "k" top: "e"',
        ],
    ],
)
def test_lengths_that_only_the_text_says_cost_nothing(layers, tmp_path):
    net = dead()
    for layer in layers:
        net.layer(layer)
    assert peak(*map(str, net.save(tmp_path))) < 150


# ---------------------------------------------------------------- what has lost channels already


@pytest.mark.parametrize("kind", ["BatchNorm", "BN", "Bias"])
def test_an_affine_layer_that_stays_and_has_lost_a_channel_is_read_as_it_is_now(kind, tmp_path):
    """Channel 1 goes; channel 4 stays, and is followed through a layer with a number less."""
    net = start().conv("c1", "data", 6).set_zero("c1", [1, 4])
    net.store("c1", np.array([1, -5, 1, 1, 3, 1]), 1).act("r0", "c1", "ReLU", "x")
    own = {
        "BatchNorm": [np.array([1, 0, 1, 1, 1, 1]), np.ones(6), np.ones(1)],
        "BN": [np.ones(6), np.array([1, 0, 1, 1, 1, 1]), np.zeros(6), np.ones(6)],
        "Bias": [np.array([1, 0, 1, 1, 1, 1])],
    }
    net.layer(f'name: "bn" type: "{kind}" bottom: "x" top: "y"', "bn", own[kind])
    net.channels["y"] = 6
    net.act("r", "y", "ReLU").conv("c2", "y", 5, words="pad: 1")
    dead = bnfold.merge(*net.save(tmp_path), collapse=False).plan.of_type(bnfold.DeadChannels)
    assert [(one.channels, one.reason is None) for one in dead] == [((1,), True), ((4,), False)]


# ---------------------------------------------------------------- what cannot be told


@pytest.mark.parametrize("kind", ["Convolution", "Deconvolution", "InnerProduct"])
def test_a_layer_loses_outputs_where_its_inputs_cannot_be_told(kind, tmp_path):
    net = start()
    net.layer('name: "u" type: "Unheard" bottom: "data" top: "u"')
    net.channels["u"] = 5
    if kind == "InnerProduct":
        net.inner_product("c1", "u", 4, 5).inner_product("c2", "c1", 3, 4)
        net.set_zero("c1", [1, 2])
        left = (2, 5)
    else:
        net.conv("c1", "u", 4, 2, kind=kind).conv("c2", "c1", 3, 1)
        values = net.blob_of("c1")
        (values if kind == "Convolution" else values.swapaxes(0, 1))[[1, 2]] = 0
        net.store("c1", values)
        left = (2, 5, 2, 2) if kind == "Convolution" else (5, 2, 2, 2)
    report = bnfold.merge(*net.save(tmp_path))
    assert [one.channels for one in report.plan.of_type(bnfold.DeadChannels)] == [(1, 2)]
    with open_weights(report.output_weights) as stored:
        assert stored.get("c1").blobs[0].shape == left


def test_a_flatten_of_other_channels_than_are_normalised(tmp_path):
    """By its `axis` the convolution makes another number of channels than its weights have."""
    net = start().conv("c", "data", 4)
    net.conv("dw", "c", 4, group=4, kind="DepthwiseConvolution", words="axis: 0")
    net.batch_norm("b", "dw").layer(
        'name: "re" type: "Reshape" bottom: "dw" top: "re" '
        "reshape_param { shape { dim: 0 dim: -1 } }"
    )
    net.inner_product("f", "re", 2, 100)
    report = bnfold.merge(*net.save(tmp_path))
    (outcome,) = report.plan.outcomes
    assert outcome.fate is not bnfold.Fate.FOLDED
