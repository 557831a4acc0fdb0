"""`--tidy`: what changes nothing goes, and what stays is said in the simplest way."""

from __future__ import annotations

import json
from importlib import resources

import numpy as np
import pytest
from folding import merge_model
from jsonschema import Draft202012Validator
from models import Model

import bnfold
from bnfold.fold.tidy import Change, Tidied

from .networks import start

CAFFE = ("pycaffe",)
"""OpenCV gives every value a memory of its own, and refuses some of these layers."""


RESHAPE = "reshape_param { shape { dim: 0 dim: 0 dim: 0 dim: 0 } }"
"""It hands its bottom's memory on, and is left alone."""


def entries(merged) -> dict[str, tuple[str, str | None]]:
    """What became of each layer, and the code of the reason if it stays."""
    found = merged.report.plan.of_type(Tidied)
    return {e.layer: (e.change.name, e.reason and e.reason.code.value) for e in found}


@pytest.fixture
def tidies(merger):
    """Merge a network twice with `tidy`, and compare; gives what became of its layers."""

    def tidy(net: Model, expected: dict[str, str], fates=None, engines=CAFFE, **options):
        merged = merger(net, fates or {}, engines=engines, tidy=True, **options)
        found = {layer: change for layer, (change, _) in entries(merged).items()}
        assert found == expected
        return merged

    return tidy


@pytest.fixture
def stays(merger):
    """Merge a network with `tidy` that leaves it as it was, for a reason if there is a code."""

    def stay(net: Model, layer: str = "", code: str = "", *words: str, fates=None, **options):
        merged = merger(net, fates or {}, engines=CAFFE, tidy=True, **options)
        assert merged.text == net.text
        assert entries(merged) == ({layer: ("KEPT", code)} if code else {})
        for word in words:
            assert word in merged.report.plan.of_type(Tidied)[0].reason.text
        return merged

    return stay


# ------------------------------------------------------------------------- what changes nothing

NOTHINGS = {
    "Dropout": ("Dropout", "dropout_param { dropout_ratio: 0.4 }"),
    "Split": ("Split", ""),
    "Concat of one": ("Concat", ""),
    "Slice into one": ("Slice", ""),
    "maximum of one place": ("Pooling", "pooling_param { pool: MAX kernel_size: 1 }"),
    "mean of one place": (
        "Pooling",
        "pooling_param { pool: AVE kernel_h: 1 kernel_w: 1 stride_h: 1 stride_w: 1 }",
    ),
    "Flatten of one axis": ("Flatten", "flatten_param { axis: 2 end_axis: -2 }"),
}


@pytest.mark.parametrize("name", NOTHINGS)
@pytest.mark.parametrize("place", ["between", "at the end", "in front of work in place"])
def test_a_layer_that_changes_nothing_goes(name, place, tidies):
    kind, words = NOTHINGS[name]
    net = start().conv("c", "data", 4).plain(kind, "n", "c", words=words)
    if place == "in front of work in place":
        net.plain("TanH", "t", "n", "n").conv("d", "n", 3)
    elif place == "between":
        net.plain("TanH", "t", "n").conv("d", "t", 3).conv("e", "n", 3)
    merged = tidies(net, {"n": "DROPPED"})
    assert 'name: "n"' not in merged.text
    assert "n" not in [record.name for record in merged.net.layer]
    # What the network gives out has the name that it had.
    assert merged.text.count('top: "n"') == (place != "between")


def test_dropout_in_place_goes(tidies):
    net = start().conv("c", "data", 4).relu("r", "c").plain("Dropout", "n", "c", "c")
    tidies(net.conv("d", "c", 3), {"n": "DROPPED"}, engines=("pycaffe", "opencv"))


def test_relu_of_a_relu_and_flatten_of_a_flatten_go(tidies):
    net = start().conv("c", "data", 4).relu("r", "c").relu("again", "c", "x")
    net.plain("Flatten", "f", "x").plain("Flatten", "g", "f").plain("Flatten", "h", "g")
    tidies(net, {"again": "DROPPED", "g": "DROPPED", "h": "DROPPED"})


def test_power_of_nothing_goes_anyway(tidies):
    net = start().conv("c", "data", 4).plain("TanH", "t", "c").plain("Power", "n", "t")
    merged = tidies(net.conv("d", "n", 3), {}, fates={"n": "folded"})
    assert 'type: "Power"' not in merged.text


def split(net: Model) -> Model:
    net.layer('name: "n" type: "Split" bottom: "c" top: "a" top: "b"')
    net.channels.update(a=4, b=4)
    return net


def test_split_stays_that_lets_work_in_place_show_elsewhere(stays):
    net = split(start().conv("c", "data", 4)).relu("r", "a")
    # In place on 'a', the ReLU writes over 'b' as well, and 'e' reads that.
    stays(net.conv("d", "a", 3).conv("e", "b", 3), "n", "other-reader", "'r'")


def test_split_into_several_goes(tidies):
    net = split(start().conv("c", "data", 4)).conv("e", "b", 3).relu("r", "a")
    net.plain("Eltwise", "sum", "a a").conv("d", "a", 3)
    merged = tidies(net, {"n": "DROPPED"})
    assert merged.text.count('bottom: "c"') == 2


def test_eltwise_of_one_that_merged_branches_leave_is_no_layer(tidies):
    net = start().conv("a", "data", 4, 1).conv("b", "data", 4, 1).plain("Eltwise", "sum", "a b")
    assert 'type: "Eltwise"' not in tidies(net, {}).text


def test_it_is_off_unless_it_is_asked_for(merger):
    net = start().conv("c", "data", 4).plain("Dropout", "n", "c").conv("d", "n", 3)
    assert merger(net, {}).text == net.text


def test_batch_norms_on_either_side_become_one_scale(tidies):
    net = start().plain("TanH", "t", "data").batch_norm("a", "t").plain("Dropout", "n", "t", "u")
    net.batch_norm("b", "u").plain("TanH", "end", "u")
    fates = {"a": "scale", "b": "merged"}
    tidies(net, {"n": "DROPPED"}, fates=fates, engines=("pycaffe", "opencv"))


def test_batch_norm_behind_it_folds(tidies):
    net = start().conv("c", "data", 4).plain("Dropout", "n", "c").batch_norm("b", "n")
    merged = tidies(net, {"n": "DROPPED"}, fates={"b": "folded"})
    assert merged.outcome("b").into == ("c",)


# ------------------------------------------------------------------------- what stays

SOMETHINGS = {
    "Pooling of two": ("Pooling", "pooling_param { pool: MAX kernel_size: 2 stride: 1 }"),
    "Pooling of every second": ("Pooling", "pooling_param { pool: MAX kernel_size: 1 stride: 2 }"),
    "Pooling of all": ("Pooling", "pooling_param { pool: AVE global_pooling: true }"),
    "Flatten": ("Flatten", ""),
    "Concat of itself": ("Concat", 'bottom: "c"'),
    "leaky ReLU": ("ReLU", "relu_param { negative_slope: 0.1 }"),
    "Softmax": ("Softmax", ""),
}


@pytest.mark.parametrize("name", SOMETHINGS)
def test_a_layer_that_changes_something_stays_without_a_word(name, stays):
    kind, words = SOMETHINGS[name]
    net = start((2, 4, 1, 1)) if name == "Pooling of all" else start()
    net.conv("c", "data", 4, 1, words="engine: CAFFE").plain(kind, "n", "c", words=words)
    stays(net.plain("TanH", "t", "n"))


def test_relu_of_a_leaky_relu_stays(stays):
    words = "relu_param { negative_slope: 0.1 }"
    net = start().conv("c", "data", 4).plain("ReLU", "r", "c", "c", words)
    stays(net.relu("again", "c"))


def test_between_an_input_and_an_output_it_stays(stays):
    net = start().conv("c", "data", 4).plain("Dropout", "n", "data")
    stays(net, "n", "network-output", "'n' is an output")


def test_split_whose_top_is_an_output_stays(stays):
    net = split(start().conv("c", "data", 4))
    stays(net.conv("d", "a", 3), "n", "network-output", "'b' is an output")


def read_in_training(bottom: str) -> Model:
    net = start().conv("c", "data", 4).plain("Dropout", "n", "c").conv("d", "n", 3)
    for name in bottom.split():
        net.layer(f'name: "in {name}" type: "ReLU" bottom: "{name}" include {{ phase: TRAIN }}')
    return net


def test_what_is_read_by_its_name_outside_the_phase_keeps_it(tidies):
    # The convolution makes 'n' instead.
    assert 'top: "n"' in tidies(read_in_training("n"), {"n": "DROPPED"}).text


def test_it_stays_where_both_names_are_read_outside_the_phase(stays):
    stays(read_in_training("n c"), "n", "outside-reader", "'in n'", "'in c'")


def test_copy_that_protects_a_reader_stays(stays):
    net = start().conv("k", "data", 4).plain("TanH", "c", "k")
    net.plain("Reshape", "f", "c", words=RESHAPE)
    # What 'n' reads is written over before what it makes is read.
    net.plain("Dropout", "n", "c").relu("r", "f").conv("d", "n", 3)
    stays(net.conv("e", "f", 3), "n", "name-taken", "memory")


def test_what_shares_its_memory_with_work_in_place_that_others_see_stays(stays):
    net = start().plain("Concat", "n", "data").scale("s", "n")
    net.plain("Reshape", "f", "data", words=RESHAPE)
    stays(net, "n", "other-reader", "'s'", fates={"s": "kept"}, collapse=False)


SPOILT = "lrn_param { local_size: 3 alpha: 0.5 }"
"""In place, an LRN reads what it has written already."""


@pytest.mark.parametrize("kind", ["Split", "Concat"])
def test_it_stays_where_what_feeds_it_must_work_in_place(kind, stays):
    net = start().conv("c", "data", 4).plain("LRN", "p", "c", "c", SPOILT)
    words = ("'n' is an output", "LRN layer 'p' works in place")
    stays(net.plain(kind, "n", "c"), "n", "network-output", *words)


def test_what_it_leaves_goes_on_working_in_place(tidies):
    net = start().conv("c", "data", 4).plain("LRN", "p", "c", "c", SPOILT)
    net.plain("Split", "n", "c").plain("Dropout", "d", "n", "n")
    # Without the Split, the Dropout hands on 'c' as 'n', which the LRN must not write.
    tidies(net, {"n": "DROPPED", "d": "KEPT"})


def test_it_stays_where_what_reads_it_must_work_in_place(stays):
    net = split(start().conv("c", "data", 4)).conv("d", "b", 3)
    net.plain("LRN", "p", "a", "a", SPOILT).plain("TanH", "t", "a")
    stays(net, "n", "no-host", "LRN layer 'p' works in place")


def test_dropout_stays_where_it_drops(tmp_path):
    net = start().conv("c", "data", 4).plain("Dropout", "n", "c").conv("d", "n", 3)
    assert merge_model(tmp_path, net, tidy=True, phase="TRAIN").text == net.text


def test_layer_with_a_field_that_nobody_knows_stays(tmp_path):
    words = "dropout_param { scale_train: false }"
    net = start().conv("c", "data", 4).plain("Dropout", "n", "c", words=words).conv("d", "n", 3)
    assert merge_model(tmp_path, net, tidy=True).text == net.text


def test_layers_that_the_user_keeps_stay(stays):
    net = start().conv("c", "data", 4).plain("Dropout", "n", "c").conv("d", "n", 3)
    stays(net, keep=["n"])


# ------------------------------------------------------------------------- PReLU


def prelu(net: Model, name: str, bottom: str, slopes, words="", outer="") -> Model:
    text = f'name: "{name}" type: "PReLU" bottom: "{bottom}" top: "{bottom}" {outer}'
    return net.layer(f"{text} prelu_param {{ {words} }}", name, [np.array(slopes)])


@pytest.mark.parametrize(
    ("slopes", "words", "written"),
    [
        ([0.25] * 4, "", "negative_slope: 0.25"),
        ([0.1] * 4, "filler { value: 0.25 }", "negative_slope: 0.1 "),
        (-0.3, "channel_shared: true", "negative_slope: -0.3"),
        ([0.0] * 4, "", 'top: "c"'),
    ],
)
def test_prelu_of_one_slope_becomes_a_relu(slopes, words, written, tidies):
    net = prelu(start().conv("c", "data", 4), "p", "c", slopes, words)
    engines = ("pycaffe",) if isinstance(slopes, float) else ("pycaffe", "opencv")
    merged = tidies(net.conv("d", "c", 3), {"p": "RELU"}, engines=engines)
    assert "PReLU" not in merged.text
    assert "prelu_param" not in merged.text
    assert f"{written}" in f"{merged.text} "
    (record,) = (record for record in merged.net.layer if record.name == "p")
    assert (record.type, len(record.blobs)) == ("ReLU", 0)


def test_prelu_of_several_slopes_stays(stays):
    net = prelu(start().conv("c", "data", 4), "p", "c", [0.1, 0.1, 0.1, 0.2])
    stays(net.conv("d", "c", 3))


def test_prelu_whose_slopes_others_use_stays(stays):
    net = prelu(start().conv("c", "data", 4), "p", "c", [0.1] * 4, outer='param { name: "s" }')
    net = prelu(net.conv("d", "c", 4), "q", "d", [0.1] * 4, outer='param { name: "s" }')
    stays(net.conv("e", "d", 3), "p", "shared-weights", "'q'", only=["p"])


# ------------------------------------------------------------------------- coefficients


def test_coefficients_go_into_the_weights_above(tidies):
    net = start().conv("a", "data", 4, 3).conv("b", "data", 4, 3, bias=False)
    net.plain("TanH", "t", "b").conv("e", "t", 4, 1).conv("f", "a", 4, 1).relu("r", "f")
    words = "eltwise_param { operation: SUM coeff: 0.5 coeff: -2 }"
    net.plain("Eltwise", "sum", "f e", words=words)
    merged = tidies(net, {"sum": "COEFFICIENTS"}, engines=("pycaffe", "opencv"))
    assert "coeff" not in merged.text
    (entry,) = merged.report.plan.of_type(Tidied)
    assert entry.into == ("f", "e")
    assert merged.report.plan.altered >= {"f", "e", "r"}


def test_a_coefficient_stays_where_its_value_has_another_reader(tidies):
    net = start().conv("a", "data", 4).conv("b", "data", 4).conv("d", "b", 4, 1)
    words = "eltwise_param { coeff: 3 coeff: 2 }"
    net.plain("Eltwise", "sum", "a b", words=words)
    merged = tidies(net, {"sum": "KEPT"}, branches=False)
    done, kept = merged.report.plan.of_type(Tidied)
    assert (done.change, done.into) == (Change.COEFFICIENTS, ("a",))
    assert kept.reason.code is bnfold.Code.OTHER_READER
    assert "coeff: 1 coeff: 2" in merged.text


def test_a_negative_coefficient_does_not_pass_a_relu(stays):
    net = start().conv("a", "data", 4).relu("r", "a").conv("b", "data", 4).relu("s", "b")
    words = "eltwise_param { coeff: -1 coeff: 1 }"
    stays(net.plain("Eltwise", "sum", "a b", words=words), "sum", "sign-or-shift", "'r'")


def test_a_product_has_no_coefficients_to_give(stays):
    net = start().conv("a", "data", 4).conv("b", "data", 4)
    stays(net.plain("Eltwise", "sum", "a b", words="eltwise_param { operation: PROD }"))


# ------------------------------------------------------------------------- the report


def test_the_report_says_it_in_a_sentence_and_in_json(tidies):
    net = start().conv("c", "data", 4).plain("Dropout", "n", "c").conv("d", "n", 4)
    net = prelu(net, "p", "d", [0.5] * 4).plain("Split", "x", "data")
    merged = tidies(net, {"n": "DROPPED", "p": "RELU", "x": "KEPT"})
    lines = merged.report.summary().splitlines()
    assert "tidied n (Dropout): dropped" in lines
    assert "tidied p (PReLU): became a ReLU" in lines
    assert "tidied x (Split): kept: 'x' is an output of the network [network-output]" in lines
    assert "2 layers tidied" in lines
    found = json.loads(json.dumps(merged.report.to_json()))
    schema = resources.files("bnfold") / "schemas" / "report.schema.json"
    Draft202012Validator(json.loads(schema.read_text())).validate(found)
    first, _, last = found["tidied"]
    assert [*first.items()][:5] == [
        ("layer", "n"),
        ("type", "Dropout"),
        ("line", 9),
        ("change", "dropped"),
        ("into", []),
    ]
    assert {first[key] for key in ("code", "reason", "hint")} == {None}
    assert (last["change"], last["code"]) == ("kept", "network-output")
