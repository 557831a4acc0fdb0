"""`--prelu-as relu`: a PReLU as ReLU, Scale and Eltwise, for readers that do not know it."""

from __future__ import annotations

import numpy as np
import pytest
from folding import merge_files
from models import Model

import bnfold

from ..networks import start

SLOPES = [0.25, -0.1, 0.0, 1.5]
PARTS = "ReLU, Scale and Eltwise"


@pytest.fixture
def parts(former):
    return former(prelu_as="relu")


def prelu(
    net: Model, name: str, bottom: str, top: str = "", slopes=SLOPES, words: str = "", outer=""
) -> Model:
    top = top or bottom
    net.channels[top] = net.channels[bottom]
    text = f'name: "{name}" type: "PReLU" bottom: "{bottom}" top: "{top}" {outer}'
    return net.layer(f"{text} prelu_param {{ {words} }}", name, [np.array(slopes)])


KEPT = {"p/minus": "kept", "p/slope": "kept"}


def test_a_prelu_becomes_its_parts(parts):
    net = prelu(start().conv("c", "data", 4), "p", "c", "p").conv("d", "p", 3)
    merged = parts(net, {"p": PARTS}, KEPT, tolerance=0)
    assert "PReLU" not in merged.text
    assert merged.blobs("p/minus") == [pytest.approx([-1] * 4)]
    assert merged.blobs("p/slope") == [pytest.approx([-slope for slope in SLOPES])]
    assert [merged.text.count(f'type: "{kind}"') for kind in ("ReLU", "Scale", "Eltwise")] == [
        2,
        2,
        1,
    ]


def test_in_place_its_top_gets_another_name_with_what_follows_in_place(parts):
    net = prelu(start().conv("c", "data", 4), "p", "c").plain("Dropout", "n", "c", "c")
    merged = parts(net.conv("d", "c", 3).conv("e", "c", 2), {"p": PARTS}, KEPT)
    assert merged.text.count('bottom: "p/top"') == 3
    assert 'name: "n" type: "Dropout" bottom: "p/top" top: "p/top"' in merged.text


def test_an_output_keeps_its_name_and_what_it_was_made_of_gets_another(parts):
    net = start().conv("c", "data", 4).plain("TanH", "t", "c", "c")
    net = prelu(net, "p", "c")
    merged = parts(net.plain("Sigmoid", "s", "c", "c"), {"p": PARTS}, KEPT)
    assert 'name: "t" type: "TanH" bottom: "p/bottom" top: "p/bottom"' in merged.text
    assert 'name: "s" type: "Sigmoid" bottom: "c" top: "c"' in merged.text


def test_slopes_below_zero_need_one_scale(parts):
    slopes = [-0.5, 0.0, -1.0, -2.0]
    net = prelu(start().conv("c", "data", 4), "p", "c", "p", slopes).conv("d", "p", 3)
    merged = parts(net, {"p": PARTS}, {"p/minus": "kept"})
    assert merged.blobs("p/minus") == [pytest.approx(slopes)]


def test_one_slope_is_written_for_each_channel(parts):
    net = prelu(start().conv("c", "data", 4), "p", "c", "p", 0.25, "channel_shared: true")
    merged = parts(net.conv("d", "p", 3), {"p": PARTS}, KEPT, engines=("pycaffe",))
    assert merged.blobs("p/slope") == [pytest.approx([-0.25] * 4)]


def test_names_that_are_taken_are_not_taken_again(parts):
    net = start().conv("c", "data", 4).conv("p/negative", "data", 4).plain("TanH", "p/sum", "c")
    net = prelu(net, "p", "p/sum", "y").plain("Eltwise", "z", "y p/negative")
    fates = {"p/minus": "kept", "p/slope": "kept"}
    merged = parts(net, {"p": PARTS}, fates)
    assert 'name: "p/sum2"' in merged.text
    assert 'top: "p/negative2"' in merged.text


def test_several_in_a_row_in_place(parts):
    net = prelu(start().conv("c", "data", 4), "p", "c")
    net = prelu(net, "q", "c", slopes=[0.5, 2.0, -1.0, 0.1]).conv("d", "c", 3)
    fates = KEPT | {"q/minus": "kept", "q/slope": "kept"}
    parts(net, {"p": PARTS, "q": PARTS}, fates)


def test_what_follows_folds_through_it_first(parts):
    net = prelu(start().conv("c", "data", 4), "p", "c", "p").scale(
        "s", "p", positive=True, bias=False
    )
    merged = parts(net.plain("TanH", "t", "p"), {"p": PARTS}, KEPT | {"s": "folded"})
    assert merged.outcome("s").into == ("c",)


def test_the_parts_become_the_prelu_again(parts, tmp_path):
    net = prelu(start().conv("c", "data", 4), "p", "c", "p").conv("d", "p", 3)
    merged = parts(net, {"p": PARTS}, KEPT, engines=())
    back = merge_files(*merged.after, force=True)
    assert back.text.count('type: "PReLU"') == 1
    assert back.blobs("p/sum") == [pytest.approx(SLOPES)]


def test_parts_that_become_convolutions_and_get_biases(parts):
    net = prelu(start().conv("c", "data", 4), "p", "c").conv("d", "c", 3)
    forms = {"p": PARTS, "p/minus": "Convolution", "p/slope": "Convolution"}
    parts(net, forms, {}, scale_as="convolution")
    forms = {"p": PARTS, "p/minus": "Scale with a bias", "p/slope": "Scale with a bias"}
    parts(net, forms, KEPT, scale_bias=True, force=True)


def test_without_weights_it_is_planned(tmp_path):
    model, _ = prelu(start().conv("c", "data", 4), "p", "c").conv("d", "c", 3).save(tmp_path)
    assert f"rewritten p (PReLU) as {PARTS}" in bnfold.inspect(model, prelu_as="relu").summary()


# ------------------------------------------------------------------------- what stays


def test_shared_slopes_stay(parts):
    shared = 'param { name: "w" }'
    net = prelu(start().conv("c", "data", 4), "p", "c", "p", outer=shared)
    net = prelu(net.conv("d", "p", 4), "q", "d", "q", outer=shared)
    merged = parts(net, {"p": "shared-weights", "q": "shared-weights"}, engines=())
    assert merged.text == net.text


def test_an_input_that_is_worked_on_in_place_up_to_an_output_stays(parts):
    net = prelu(start(), "p", "data").conv("d", "data", 3)
    net.texts.append('layer { name: "x" type: "Silence" bottom: "data" include { phase: TRAIN } }')
    parts.refuses(net, "p", "name-taken", "input")


def test_one_slope_for_nobody_knows_how_many_stays(parts):
    net = start().plain("Mystery", "m", "data")
    net = prelu(net, "p", "m", "p", 0.25, "channel_shared: true")
    parts.refuses(net, "p", "unknown-shape")


def test_too_many_slopes_stay(parts):
    net = prelu(start().conv("c", "data", 4), "p", "c", "p", SLOPES, "channel_shared: true")
    parts.refuses(net, "p", "unknown-shape", "4 slopes")


def test_one_with_a_field_that_nobody_knows_stays(parts):
    net = prelu(start().conv("c", "data", 4), "p", "c", "p", words="leak: 1")
    parts.refuses(net, "p", "unknown-layer", "leak")


def test_one_that_the_user_keeps_stays(parts):
    net = prelu(start().conv("c", "data", 4), "p", "c", "p")
    assert parts(net, {}, engines=(), keep=["p"]).text == net.text
