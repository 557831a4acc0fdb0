"""What must stay is one Scale; what changes nothing goes."""

from __future__ import annotations

import numpy as np
import pytest
from folding import merge_files, merge_model
from models import blob

import bnfold

from ..networks import start

CAFFE = ("pycaffe",)


def stuck():
    """A network of which nothing can go into what feeds 'c'."""
    return start().conv("k", "data", 4, 1).plain("TanH", "t", "k", "c")


# ---------------------------------------------------------------- runs of every kind

RUNS = {
    "BatchNorm": (lambda n: n.batch_norm("b", "c"), {"b": "scale"}),
    "BatchNorm, Scale": (
        lambda n: n.batch_norm("b", "c").scale("s", "c"),
        {"b": "merged", "s": "scale"},
    ),
    "Scale, BatchNorm": (
        lambda n: n.scale("s", "c").batch_norm("b", "c"),
        {"s": "scale", "b": "merged"},
    ),
    "BatchNorm, Scale without a bias": (
        lambda n: n.batch_norm("b", "c").scale("s", "c", bias=False),
        {"b": "merged", "s": "scale"},
    ),
    "BatchNorm, Scale of one number": (
        lambda n: n.batch_norm("b", "c").layer(
            'name: "s" type: "Scale" bottom: "c" top: "c" scale_param { num_axes: 0 }',
            "s",
            [np.array(-0.5)],
        ),
        {"b": "merged", "s": "scale"},
    ),
    "BatchNorm, Power": (
        lambda n: n.batch_norm("b", "c").plain(
            "Power", "p", "c", words="power_param { scale: 2 shift: 1 }"
        ),
        {"b": "scale", "p": "merged"},
    ),
    "two Scales": (
        lambda n: n.scale("s", "c").scale("u", "c", bias=False),
        {"s": "merged", "u": "scale"},
    ),
    "Scale on axis -3, BatchNorm": (
        lambda n: n.scale("s", "c", words="axis: -3").batch_norm("b", "c"),
        {"s": "scale", "b": "merged"},
    ),
    "nothing in place": (
        lambda n: n.batch_norm("b1", "c", "x").scale("s", "x", "y").batch_norm("b2", "y", "z"),
        {"b1": "merged", "s": "scale", "b2": "merged"},
    ),
}


@pytest.mark.parametrize("name", RUNS)
def test_run_that_stays_is_one_scale_with_a_bias(name, merger):
    add, fates = RUNS[name]
    net = add(stuck())
    engines = CAFFE if "axis" in net.text or "num_axes" in net.text else ("pycaffe", "opencv")
    merged = merger(net, fates, engines=engines)
    assert merged.text.count('"Scale"') == 1
    assert not any(kind in merged.text for kind in ("BatchNorm", "Power", "num_axes", "axis: -3"))
    (survivor,) = (layer for layer, fate in fates.items() if fate == "scale")
    assert [values.size for values in merged.blobs(survivor)] == [4, 4]
    for layer, fate in fates.items():
        if fate == "merged":
            assert merged.outcome(layer).into == (survivor,)


def test_text_of_a_scale_that_was_a_batch_norm(tmp_path):
    net = stuck()
    net.texts.append("""\
layer {  # normalises
  name: "b"
  type: "BatchNorm"
  bottom: "c"
  top: "b"
  param { lr_mult: 0 }
  param { lr_mult: 0 }
  param { lr_mult: 0 }
  batch_norm_param {
    use_global_stats: true
    eps: 0.001
  }
}
""")
    record = net.net.layer.add(name="b", type="BatchNorm")
    record.blobs.extend(blob(x) for x in (np.ones(4), np.ones(4), np.ones(1)))
    merged = merge_model(tmp_path, net, engine_caffe=False)
    assert (
        merged.text
        == "".join(net.texts[:-1])
        + """\
layer {  # normalises
  name: "b"
  type: "Scale"
  bottom: "c"
  top: "b"
  scale_param {
    bias_term: true
  }
}
"""
    )
    _, record = merged.net.layer
    assert record.type == "Scale"
    np.testing.assert_allclose(record.blobs[0].data, 1 / np.sqrt(1.001), rtol=1e-6)


@pytest.mark.parametrize("kind", ["Scale", "Bias", "Power"])
def test_scale_bias_or_power_that_stands_alone_stays_as_it_is(kind, merger):
    net = stuck()
    if kind == "Scale":
        net.scale("s", "c", bias=False)
    elif kind == "Bias":
        net.layer('name: "s" type: "Bias" bottom: "c" top: "c"', "s", [np.arange(4.0)])
    else:
        net.plain("Power", "s", "c", words="power_param { shift: 3 }")
    # A Power is no batch norm: nobody asks why it stays.
    engines = CAFFE if kind == "Bias" else ("pycaffe", "opencv")
    merged = merger(net, {} if kind == "Power" else {"s": "kept"}, engines=engines)
    assert merged.text.replace(" engine: CAFFE", "") == net.text
    assert merged.after[1].read_bytes() == merged.before[1].read_bytes()


def test_scale_that_another_went_into_is_written_anew(merger):
    net = stuck().scale("s", "c", "s", bias=False)
    net.plain("Pooling", "p", "s", words="pooling_param { pool: AVE kernel_size: 2 }")
    net.batch_norm("b", "p").plain("TanH", "end", "p")
    merged = merger(net, {"s": "scale", "b": "merged"})
    assert merged.outcome("b").through == ("p",)
    assert [values.size for values in merged.blobs("s")] == [4, 4]


def test_reasons_for_both_ways_are_told(merger):
    merged = merger(stuck().batch_norm("b", "c").plain("TanH", "u", "c"), {"b": "scale"})
    assert (
        merged.reasons["b"].text
        == "TanH layer 't' is in the way; ahead: TanH layer 'u' is in the way"
    )


def test_names_of_shared_blobs_go_where_the_numbers_change(merger):
    named = " ".join(f'param {{ name: "bn{i}" }}' for i in range(3))
    net = start().plain("TanH", "t", "data").plain("Sigmoid", "u", "data")
    net.batch_norm("b", "t", outer=named).batch_norm("d", "u", outer=named)
    first, second = net.net.layer
    del second.blobs[:]
    second.blobs.extend(first.blobs)
    merged = merger(net, {"b": "scale", "d": "scale"})
    assert " param {" not in merged.text


# ---------------------------------------------------------------- where there is no Scale


def test_v1_file_has_no_scale(tmp_path):
    net = start(v1=True).conv("k", "data", 4)
    net.layer("name: 't' type: TANH bottom: 'k' top: 'c'")
    net.layer(
        'name: "b" type: "BatchNorm" bottom: "c" top: "c"', "b", [np.ones(4)] * 2 + [np.ones(1)]
    )
    net.layer("name: 'u' type: TANH bottom: 'c' top: 'u'")
    merged = merge_model(tmp_path, net)
    assert merged.fates == {"b": "kept"}
    assert merged.reasons["b"].code == "no-scale-type"
    assert "V1" in merged.reasons["b"].text
    assert merged.text == net.text


def mystery():
    return start().conv("k", "data", 4).plain("Mystery", "m", "k", "c")


def test_numbers_for_all_channels_that_nobody_can_count_stay_apart(tmp_path):
    # Neither is a Scale with a number for each channel, since nobody knows how many there are.
    net = mystery().plain("Power", "p", "c", words="power_param { scale: 2 }")
    net.relu("r", "p").plain("Power", "q", "p", words="power_param { scale: 3 }")
    merged = merge_model(tmp_path, net)
    assert merged.text == net.text


def test_power_gets_a_record_when_it_becomes_a_scale(merger):
    # In front of it the memory of 'c' is worked on, so that the BatchNorm cannot go there.
    net = stuck().plain("Power", "p", "c", "x", "power_param { scale: 2 }").plain("Split", "f", "c")
    net.relu("r", "f").batch_norm("b", "x", "y").plain("TanH", "end", "y")
    merged = merger(net, {"p": "scale", "b": "merged"})
    assert merged.text.count('"Scale"') == 1
    # What is counted is what was written.
    again = bnfold.inspect(*merged.after)
    assert merged.report.after == again.before
    assert again.before.affine == 1


def test_scale_is_not_moved_to_where_the_name_means_something_else(merger):
    net = stuck().batch_norm("b", "c", "x").relu("r", "c").scale("s", "x", "y")
    # Official Caffe does not load this: 'c' is split for its two readers, and the ReLU is in place.
    merger(net, {"b": "scale", "s": "merged"}, engines=("opencv",))


# ---------------------------------------------------------------- what changes nothing


def nothing(net, bottom, top):
    words = "power_param { scale: 1 shift: 0 }"
    return net.plain("Power", "p", bottom, top, words)


@pytest.mark.parametrize("top", ["c", "x"])
def test_identity_goes_and_its_name_lives_on(top, merger):
    net = nothing(stuck(), "c", top).plain("TanH", "u", top, "end")
    merged = merger(net, {"p": "dropped"})
    assert "Power" not in merged.text


def test_identity_on_the_input_does_not_take_the_inputs_name_along(merger):
    merged = merger(
        nothing(start(), "data", "x").plain("TanH", "u", "x").conv("k", "u", 3), {"p": "dropped"}
    )
    assert 'name: "data" type: "Input" top: "data"' in merged.text


def test_identity_from_the_input_to_the_output_stays(merger):
    merged = merger(nothing(start().conv("k", "data", 3), "data", "x"), {})
    assert merged.text.count("Power") == 1


def test_identity_of_a_batch_norm(merger):
    net = stuck().layer(
        'name: "b" type: "BatchNorm" bottom: "c" top: "c" batch_norm_param { eps: 0 }',
        "b",
        [np.zeros(4), np.full(4, 2.0), np.array([2.0])],
    )
    merger(net.plain("TanH", "u", "c"), {"b": "dropped"})


# ---------------------------------------------------------------- twice


def test_what_became_a_scale_is_left_alone_the_second_time(tmp_path):
    first = merge_model(tmp_path, stuck().batch_norm("b", "c").plain("TanH", "u", "c"))
    second = merge_files(*first.after)
    assert second.fates == {"b": "kept"}
    assert [p.read_bytes() for p in second.after] == [p.read_bytes() for p in first.after]


@pytest.mark.parametrize(("into", "fate"), [("dim: 0 dim: 6", "scale"), ("dim: 1 dim: -1", "kept")])
def test_one_number_for_all_channels_needs_as_many_of_them_for_every_batch(into, fate, tmp_path):
    net = start().conv("k", "data", 6, 1).plain("TanH", "u", "k", "v")
    words = f"reshape_param {{ shape {{ {into} dim: 0 dim: 0 }} }}"
    net.plain("Reshape", "r", "v", "c", words=words)
    one = 'name: "b" type: "Bias" bottom: "c" top: "c" bias_param { num_axes: 0 }'
    net.layer(one, "b", [np.array(0.5)])
    net.plain("Power", "p", "c", "d", words="power_param { scale: 2 }")
    report = bnfold.merge(*net.plain("TanH", "t", "d", "end").save(tmp_path))
    found = {outcome.layer: outcome.fate.value for outcome in report.plan.outcomes}
    assert found["b"] == fate
