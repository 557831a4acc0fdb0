"""A number that is wrong is caught, and named with its place."""

from __future__ import annotations

import numpy as np
import pytest
from fold.networks import start

import bnfold

from .pairs import Pair


def network():
    """Two convolutions whose batch norms go back into them, and one that goes ahead."""
    net = start().conv("c1", "data", 6).batch_norm("b1", "c1").scale("s1", "c1").relu("r1", "c1")
    net.conv("c2", "c1", 5, 1).batch_norm("b2", "c2").relu("r2", "c2").batch_norm("b3", "c2", "b3")
    return net.inner_product("f", "b3", 4, 5 * 7 * 5)


def changed(place, value):
    """A change of one number, to `value` of what it was."""

    def change(values):
        values[place] = value(values[place])
        return values

    return change


def ulps(count):
    return lambda x: np.float32(x + count * np.spacing(np.abs(x)))


@pytest.mark.parametrize(
    "value", [lambda x: x * 1.01, ulps(8), ulps(-4), lambda x: -x, lambda x: 0]
)
@pytest.mark.parametrize(
    ("layer", "index", "place"),
    [("c1", 0, (3, 1, 2, 0)), ("c2", 0, (4, 5, 0, 0)), ("f", 0, (2, 9))],
)
def test_a_weight(tmp_path, layer, index, place, value):
    pair = Pair.merged(tmp_path, network()).change(layer, index, changed(place, value))
    ends = pair.prove().ends
    shown = list(place if layer != "c2" else place[:2])
    assert (ends.layer, ends.channel, ends.what) == (layer, place[0], f"weight {shown}")


@pytest.mark.parametrize("layer", ["c1", "c2", "f"])
@pytest.mark.parametrize("value", [lambda x: x * 1.01, ulps(8), lambda x: -x])
def test_a_bias(tmp_path, layer, value):
    ends = Pair.merged(tmp_path, network()).change(layer, 1, changed(3, value)).prove().ends
    assert (ends.layer, ends.channel, ends.what) == (layer, 3, "bias [3]")


def test_both_values_are_told(tmp_path):
    pair = Pair.merged(tmp_path, network())
    before = pair.prove()
    assert before.proved
    proof = pair.change("c1", 0, changed((0, 0, 0, 0), lambda x: x * 2)).prove()
    assert proof.ends.found == pytest.approx(2 * proof.ends.expected)
    assert proof.verdict is bnfold.Verdict.BROKEN
    assert proof.failure.startswith(f"{pair.folded_model}:5: layer 'c1' (Convolution): weight [0, ")


def test_two_channels_that_change_places(tmp_path):
    pair = Pair.merged(tmp_path, network()).change("c1", 0, lambda w: w[[1, 0, 2, 3, 4, 5]])
    assert pair.prove().ends.layer == "c1"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("num_output: 5 kernel_size: 1", "num_output: 5 kernel_size: 1 stride: 2"),
        ('type: "ReLU" bottom: "c1" top: "c1"', 'type: "ReLU6" bottom: "c1" top: "c1"'),
        ('type: "ReLU" bottom: "c1" top: "c1"', 'type: "Dropout" bottom: "c1" top: "c1"'),
        ("num_output: 6 kernel_size: 3", "num_output: 6 kernel_size: 3 pad: 1"),
        ("num_output: 6 kernel_size: 3", "num_output: 6 kernel_size: 3 dilation: 2"),
        ('bottom: "c1" top: "c2"', 'bottom: "data" top: "c2"'),
        ('top: "f"', 'top: "g"'),
        ("dim: 9", "dim: 8"),
    ],
)
def test_words_that_change_what_is_computed(tmp_path, old, new):
    pair = Pair.merged(tmp_path, network())
    text = pair.folded_model.read_text()
    assert old in text
    pair.folded_model.write_text(text.replace(old, new, 1))
    try:
        proof = pair.prove()
    except bnfold.BnfoldError as error:
        assert "do the two files belong together?" in str(error)  # noqa: PT017
    else:
        assert not proof.proved


def test_a_sign_that_a_rectifier_would_show(tmp_path):
    net = start().conv("c", "data", 4, bias=False).relu("r", "c").conv("d", "c", 3, 1)
    pair = Pair.of(tmp_path, net, start().conv("c", "data", 4, bias=False).relu("r", "c"))
    other = pair.folded_weights.read_bytes()
    pair.folded_model.write_bytes(pair.model.read_bytes())
    pair.folded_weights.write_bytes(pair.weights.read_bytes())
    assert other
    assert pair.prove().proved
    pair.change("c", 0, lambda w: w * np.array([1, -1, 1, 1], np.float32)[:, None, None, None])
    pair.change("d", 0, lambda w: w * np.array([1, -1, 1, 1], np.float32)[:, None, None])
    assert not pair.prove().proved


def test_scales_that_make_up_for_each_other_are_no_mistake(tmp_path):
    """Powers of two pass a rectifier, and the next layer undoes them: nobody merged this."""
    net = start().conv("c", "data", 4).relu("r", "c").conv("d", "c", 3, 1)
    pair = Pair.of(tmp_path, net, net)
    factors = np.array([2, 0.5, 4, 1], np.float32)
    pair.change("c", 0, lambda w: w * factors[:, None, None, None])
    pair.change("c", 1, lambda b: b * factors)
    assert pair.prove().verdict is not bnfold.Verdict.PROVED
    pair.change("d", 0, lambda w: w / factors[:, None, None])
    assert pair.prove().failure == ""


def test_a_group_of_a_depthwise_type_that_forks_read_differently(tmp_path):
    net = start().conv("c", "data", 4, 3, group=4, kind="DepthwiseConvolution").relu("r", "c")
    pair = Pair.merged(tmp_path, net)
    assert pair.prove().proved
    assert not pair.write("group: 4", "group: 1").prove().proved
