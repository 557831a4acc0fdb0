"""What the user chooses, and what does not depend on choices: order, weights at hand, JSON."""

from __future__ import annotations

import itertools
import json
import re

import numpy as np
import pytest
from folding import merge_files, merge_model

import bnfold

from .networks import start


def three():
    """Two chains that fold back, and one on the input that folds ahead."""
    net = start().scale("norm", "data", "x").conv("c1", "x", 5).batch_norm("c1/bn", "c1")
    net.scale("c1/scale", "c1").relu("r1", "c1").conv("c2", "c1", 3).batch_norm("c2/bn", "c2")
    return net


ALL = {"norm", "c1/bn", "c1/scale", "c2/bn"}


@pytest.mark.parametrize(
    ("keep", "stays"),
    [
        (["c2/bn"], {"c2/bn"}),
        (["c1/scale"], {"c1/bn", "c1/scale"}),
        (["*/bn"], {"c1/bn", "c1/scale", "c2/bn"}),
        (["norm", "c2*"], {"norm", "c2/bn"}),
    ],
)
def test_keep_leaves_chains_as_they_are(keep, stays, merger):
    fates = dict.fromkeys(ALL - stays, "folded") | dict.fromkeys(stays, "kept")
    merged = merger(three(), fates, keep=keep)
    assert {reason.code for reason in merged.reasons.values()} <= {"chosen", "no-host"}


def test_layer_that_is_kept_takes_nothing_in(merger):
    fates = {"norm": "kept", "c1/bn": "merged", "c1/scale": "scale", "c2/bn": "folded"}
    merged = merger(three(), fates, keep=["c1"])
    assert merged.reasons["c1/scale"].code == "chosen"
    assert "--keep" in merged.reasons["norm"].text


@pytest.mark.parametrize(
    ("only", "goes"),
    [
        (["c2/bn"], {"c2/bn"}),
        (["c1/bn"], {"c1/bn", "c1/scale"}),
        (["c?/*"], {"c1/bn", "c1/scale", "c2/bn"}),
        (["c2"], {"c2/bn"}),
    ],
)
def test_only_touches_the_chains_it_names(only, goes, merger):
    stays = dict.fromkeys(ALL - goes, "kept")
    merged = merger(three(), dict.fromkeys(goes, "folded") | stays, only=only)
    assert {reason.code for reason in merged.reasons.values()} <= {"chosen", "no-host"}


@pytest.mark.parametrize("option", ["only", "keep"])
@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("c3", "no layer has such a name; did you mean 'c1' or 'c2'?"),
        ("c3*", "no layer has such a name; did you mean 'c1' or 'c2'?"),
        ("nobody", "no layer has such a name$"),
        ("", "the pattern is empty"),
        ("c[12", "the bracket is not closed"),
        ("c[!]", "the bracket is not closed"),
    ],
)
def test_a_pattern_that_chooses_no_layer_is_refused(option, pattern, says, tmp_path):
    files = three().save(tmp_path)
    for call in (bnfold.merge, bnfold.inspect):
        with pytest.raises(bnfold.BnfoldError, match=f"--{option}") as one:
            call(*files, **{option: [pattern]})
        assert re.search(says, str(one.value))


def test_a_bracket_that_is_part_of_a_name_chooses_it(tmp_path):
    net = start().conv("c[1", "data", 4).batch_norm("b", "c[1")
    merged = merge_model(tmp_path, net, keep=["c[1"])
    assert merged.fates == {"b": "scale"}


def test_a_type_that_no_layer_has_cannot_be_treated_as_another(tmp_path):
    with pytest.raises(bnfold.BnfoldError, match=r"--treat-as 'BatchNrom': .*'BatchNorm'"):
        bnfold.merge(*three().save(tmp_path), treat_as={"BatchNrom": "Convolution"})


def test_only_leaves_the_engines_of_other_layers_alone(tmp_path):
    net = start().conv("c1", "data", 4, 1).batch_norm("b1", "c1").relu("r", "c1")
    net.conv("c2", "c1", 4, 1).batch_norm("b2", "c2")

    def engines(**options) -> list[str]:
        plan = bnfold.inspect(*net.save(tmp_path), **options).plan
        return [change.layer for change in plan.of_type(bnfold.EngineChange)]

    assert engines() == ["c1", "c2"]
    assert engines(only=["b1"]) == ["c1"]
    assert engines(only=["c2"]) == ["c2"]
    assert engines(only=["r"]) == []
    assert engines(keep=["c1"]) == ["c2"]


def test_what_goes_into_a_layer_that_only_does_not_name_is_written_there(merger):
    net = start().conv("k", "data", 4).plain("TanH", "t", "k").batch_norm("into", "t")
    net.plain("Pooling", "p", "t", words="pooling_param { pool: AVE kernel_size: 2 }")
    net.scale("s", "p").plain("TanH", "end", "p")
    merger(net, {"into": "scale", "s": "merged"}, only=["s"])


def test_no_collapse_keeps_the_batch_norm_that_cannot_go(merger):
    net = three().plain("TanH", "t", "c2").batch_norm("b", "t").scale("s", "t")
    fates = dict.fromkeys(ALL, "folded") | {"b": "kept", "s": "kept"}
    merged = merger(net, fates, collapse=False)
    assert merged.text.count('"BatchNorm"') == 1


def test_no_collapse_lets_no_layer_take_another_in(merger):
    net = start().conv("k", "data", 4).plain("TanH", "t", "k").batch_norm("b", "t")
    net.plain("Pooling", "p", "t", words="pooling_param { pool: AVE kernel_size: 2 }")
    net.scale("s", "p").plain("TanH", "end", "p")
    merged = merger(net, {"b": "kept", "s": "kept"}, collapse=False)
    assert "--no-collapse" in merged.reasons["s"].text


def test_unknown_choices_are_refused_with_what_there_is(tmp_path):
    model, weights = three().save(tmp_path)
    with pytest.raises(bnfold.BnfoldError, match="inverse-std"):
        bnfold.merge(model, weights, bn_dialect="latin")
    with pytest.raises(bnfold.BnfoldError, match="InnerProduct"):
        bnfold.merge(model, weights, treat_as={"Odd": "Pooling"})


# ---------------------------------------------------------------- without weights


@pytest.mark.parametrize("stem", ["three", "branches", "stuck"])
def test_inspect_needs_no_weights_where_no_number_matters(stem, tmp_path):
    net = three()
    if stem == "branches":
        net.conv("d", "c1", 3).plain("Eltwise", "e", "c2 d").scale("s", "e")
    elif stem == "stuck":
        net.plain("TanH", "t", "c2").batch_norm("b", "t").plain("TanH", "u", "t")
    model, weights = net.save(tmp_path)
    assert bnfold.inspect(model).plan == bnfold.inspect(model, weights).plan


NEEDY = {
    "MAX pooling": ("Pooling", "pooling_param { kernel_size: 2 }"),
    "AVE pooling": ("Pooling", "pooling_param { pool: AVE kernel_size: 3 pad: 1 }"),
    "ReLU": ("ReLU", ""),
}


@pytest.mark.parametrize("name", NEEDY)
def test_inspect_without_weights_says_where_it_would_need_them(name, tmp_path):
    kind, words = NEEDY[name]
    net = start().conv("c", "data", 5).plain(kind, "p", "c", words=words).batch_norm("b", "p")
    model, _ = net.save(tmp_path)
    (outcome,) = bnfold.inspect(model).plan.outcomes
    assert outcome.reason.code == "needs-weights"
    assert "--weights" in outcome.reason.hint


# ---------------------------------------------------------------- order


def test_order_of_independent_layers_does_not_matter(tmp_path):
    def build(order):
        net = start()
        branches = {
            "a": lambda: net.conv("a", "data", 5, 1).batch_norm("a/bn", "a").relu("a/r", "a"),
            "b": lambda: net.conv("b", "data", 3, 1).scale("b/s", "b", positive=True),
            "c": lambda: net.scale("c/s", "data", "c/x").conv("c", "c/x", 2, 1),
        }
        for name in order:
            net.rng = np.random.default_rng(ord(name))
            branches[name]()
        net.rng = np.random.default_rng(99)
        net.concat("j", "a b c")
        return net.batch_norm("j/bn", "j").conv("end", "j", 4, 1).scale("end/s", "end")

    found = []
    for order in itertools.permutations("abc"):
        folder = tmp_path / "".join(order)
        folder.mkdir()
        merged = merge_model(folder, build(order))
        layers = {r.name: [b.data[:] for b in r.blobs] for r in merged.net.layer}
        found.append((merged.fates, layers))
    assert all(one == found[0] for one in found)


# ---------------------------------------------------------------- JSON


def test_json_says_of_each_layer_where_it_went_and_past_what(tmp_path):
    net = start().conv("c", "data", 5, 1, bias=False)
    net.plain("Pooling", "p", "c", words="pooling_param { pool: AVE kernel_size: 2 }")
    net.batch_norm("b", "p").conv("d", "p", 3, words="pad: 1").plain("TanH", "t", "d")
    net.scale("s", "t", "s").conv("e", "s", 3, words="pad: 1")
    merged = merge_files(*net.save(tmp_path))
    first, second = json.loads(json.dumps(merged.report.to_json()))["layers"]
    assert (first["fate"], first["into"]) == ("folded", ["c"])
    assert (first["through"], first["gains_bias"]) == (["p"], ["c"])
    assert (second["fate"], second["into"], second["code"]) == ("kept", [], "no-host")
    assert second["reason"].startswith("TanH layer 't' is in the way; ahead: Convolution layer 'e'")
    assert second["hint"] == "with `pad: 0` it would fold"
