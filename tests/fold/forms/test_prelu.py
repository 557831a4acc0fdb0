"""ReLU, Scale, ReLU, Scale and Eltwise that amount to a PReLU become one, and `--prelu-as`."""

from __future__ import annotations

import numpy as np
import pytest
from models import Model

import bnfold

from ..networks import start

SLOPES = np.array([0.25, -0.1, 0.0, 1.5])


@pytest.fixture
def joins(former):
    return former()


def scaled(net: Model, name: str, bottom: str, scale, top: str = "", words: str = "") -> Model:
    """A Scale of written numbers."""
    top = top or bottom
    net.channels[top] = 4
    text = f'name: "{name}" type: "Scale" bottom: "{bottom}" top: "{top}"'
    return net.layer(f"{text} scale_param {{ {words} }}", name, [np.asarray(scale, np.float64)])


def parted(
    before=(-1, -1, -1, -1),
    after=-SLOPES,
    words: str = "",
    order: str = "p n",
    net: Model | None = None,
) -> Model:
    """A PReLU as its positive and its negative part."""
    net = net or start().conv("c", "data", 4).batch_norm("b", "c")
    net.relu("pos", "c", "p")
    scaled(net, "minus", "c", before, "n").relu("neg", "n")
    if after is not None:
        scaled(net, "slope", "n", after)
    words = f"eltwise_param {{ operation: SUM {words} }}"
    return net.plain("Eltwise", "sum", order, words=words)


def blocks(merged, name: str = "sum") -> list[float]:
    (slopes,) = merged.blobs(name)
    return slopes.tolist()


JOINED = {"sum": "PReLU"}
FOLDED = {"b": "folded", "minus": "folded", "slope": "folded"}


def test_the_parts_of_a_prelu_become_one(joins):
    merged = joins(parted().conv("d", "sum", 3), JOINED, FOLDED, tolerance=1e-6)
    assert blocks(merged) == SLOPES.astype(np.float32).tolist()
    assert "ReLU" in merged.text
    for gone in ("Eltwise", '"minus"', '"slope"', '"neg"', '"pos"'):
        assert gone not in merged.text
    assert merged.outcome("slope").into == ("sum",)


def test_it_computes_the_same_bits(joins):
    net = parted(net=start().conv("c", "data", 4))
    joins(net, JOINED, {"minus": "folded", "slope": "folded"}, engines=("pycaffe",), tolerance=0)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ([-1, -2, -0.5, -3], [1, 2, 3, -4], ""),
        ([-1, 0, -2, -1], [-1, 5, 2, 3], "coeff: 1 coeff: -0.5"),
        ([-1, -2, -0.5, -3], None, "coeff: 1 coeff: 2"),
        ([-0.25] * 4, None, ""),
    ],
)
def test_scales_and_coefficients_are_multiplied(before, after, words, joins):
    fates = {"minus": "folded"} | ({} if after is None else {"slope": "folded"})
    net = parted(before, after, words, net=start().conv("c", "data", 4))
    merged = joins(net.conv("d", "sum", 3), JOINED, fates)
    factor = {"": 1, "coeff: 1 coeff: -0.5": -0.5, "coeff: 1 coeff: 2": 2}[words]
    product = np.array(before) * (1 if after is None else np.array(after)) * factor
    assert blocks(merged) == pytest.approx(product)


def test_the_parts_may_stand_in_either_order(joins):
    net = parted(order="n p", net=start().conv("c", "data", 4))
    joins(net, JOINED, {"minus": "folded", "slope": "folded"})


def test_the_positive_part_may_work_in_place_behind_the_negative(joins):
    net = start().conv("c", "data", 4)
    scaled(net, "minus", "c", -np.ones(4), "n").relu("neg", "n")
    scaled(net, "slope", "n", -SLOPES).relu("pos", "c")
    net.plain("Eltwise", "sum", "c n")
    # Caffe itself refuses work in place on what has another reader.
    joins(net, JOINED, {"minus": "folded", "slope": "folded"}, engines=("opencv",))


def test_powers_may_be_the_scales(joins):
    net = start().conv("c", "data", 4).relu("pos", "c", "p")
    net.plain("Power", "minus", "c", "n", "power_param { scale: -1 }").relu("neg", "n")
    net.plain("Power", "slope", "n", "m", "power_param { scale: -0.125 }")
    merged = joins(net.plain("Eltwise", "sum", "p m"), JOINED)
    assert blocks(merged) == [0.125] * 4


def test_one_number_for_all_is_shared_where_channels_cannot_be_told(joins):
    net = start().plain("Mystery", "x", "data").relu("pos", "x", "p")
    net.plain("Power", "minus", "x", "n", "power_param { scale: -1 }").relu("neg", "n")
    net.plain("Power", "slope", "n", "m", "power_param { scale: -0.125 }")
    net.plain("Eltwise", "sum", "p m").conv("d", "sum", 3)
    merged = joins(net, JOINED, engines=())
    assert "channel_shared: true" in merged.text
    assert blocks(merged) == [0.125]


def test_what_follows_folds_through_it(joins):
    net = parted(net=start().conv("c", "data", 4)).scale("s", "sum", positive=True, bias=False)
    fates = {"minus": "folded", "slope": "folded", "s": "folded"}
    merged = joins(net.plain("TanH", "t", "sum"), JOINED, fates)
    assert merged.outcome("s").into == ("c",)


def test_one_slope_for_all_is_a_relu_with_tidy(joins):
    net = parted(after=[-0.5] * 4, net=start().conv("c", "data", 4))
    merged = joins(net, JOINED, {"minus": "folded", "slope": "folded"}, tidy=True)
    assert "negative_slope: 0.5" in merged.text


def test_the_report_says_it(joins):
    summary = joins(parted(), JOINED, FOLDED, engines=()).report.summary()
    assert "rewritten sum (Eltwise) as PReLU" in summary
    assert "layers rewritten: 1 as PReLU" in summary


# ------------------------------------------------------------------------- what is none


def other(words: str = "", **more) -> Model:
    return parted(words=words, net=start().conv("c", "data", 4), **more)


def positive_of_another() -> Model:
    net = start().conv("c", "data", 4).plain("TanH", "t", "c")
    net.conv("e", "data", 4).relu("pos", "e", "p")
    scaled(net, "minus", "c", -np.ones(4), "n").relu("neg", "n")
    return scaled(net, "slope", "n", -SLOPES).plain("Eltwise", "sum", "p n")


def shifted() -> Model:
    net = start().conv("c", "data", 4).relu("pos", "c", "p")
    scaled(net, "minus", "c", -np.ones(4), "n").relu("neg", "n")
    return net.scale("slope", "n").plain("Eltwise", "sum", "p n")


def leaky() -> Model:
    net = other()
    leak = "relu_param { negative_slope: 0.1 }"
    net.texts = [
        t.replace('bottom: "n" top: "n"\n}', f'bottom: "n" top: "n" {leak}\n}}') for t in net.texts
    ]
    assert leak in net.text
    return net


NONE = {
    "a scale above zero": lambda: other(before=[-1, -1, 1, -1]),
    "a coefficient of the positive part": lambda: other("coeff: 2 coeff: 1"),
    "a product": lambda: parted(words="", net=start().conv("c", "data", 4)),
    "the positive part of another value": positive_of_another,
    "a shift": shifted,
    "a slope in the ReLU": leaky,
}


@pytest.mark.parametrize("what", NONE)
def test_what_amounts_to_no_prelu_stays_without_a_word(what, joins):
    net = NONE[what]()
    if what == "a product":
        net.texts = [text.replace("SUM", "PROD") for text in net.texts]
    assert joins(net, {}, {"minus": "kept", "slope": "kept"}, engines=()).text == net.text


def test_parts_that_others_read_stay(joins):
    net = other().conv("d", "p", 3)
    joins.refuses(net, "sum", "other-reader", "'d'", fates={"minus": "kept", "slope": "kept"})


def test_parts_that_are_outputs_stay(joins):
    net = start().conv("c", "data", 4).relu("pos", "c", "p")
    scaled(net, "minus", "c", -np.ones(4), "n").relu("neg", "n", "m")
    net.plain("Eltwise", "sum", "p m").conv("e", "n", 3)
    joins.refuses(net, "sum", "other-reader", "'e'", fates={"minus": "kept"})


def test_parts_whose_bottom_is_written_over_stay(joins):
    net = start().conv("c", "data", 4).relu("pos", "c", "p")
    scaled(net, "minus", "c", -np.ones(4)).relu("neg", "c")
    net.plain("Eltwise", "sum", "p c")
    joins.refuses(net, "sum", "name-taken", "'c'", fates={"minus": "kept"})


def test_scales_without_numbers_stay(tmp_path):
    model, _ = other().save(tmp_path)
    report = bnfold.inspect(model)
    assert "kept sum (Eltwise): whether" in report.summary()
    assert "[needs-weights]" in report.summary()


def test_what_the_user_keeps_or_leaves_as_it_is_stays(joins):
    fates = {"minus": "kept", "slope": "kept"}
    assert joins(other(), {}, fates, engines=(), keep=["neg"]).text == other().text
    again = joins(other(), {}, fates, engines=(), prelu_as="either", force=True)
    assert again.text == other().text
