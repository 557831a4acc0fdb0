"""Networks longer than Python's stack: they fold like short ones, and in as many steps a layer."""

from __future__ import annotations

import inspect
import sys

import pytest
from folding import merge_model
from models import Model

import bnfold

from .networks import start

STACK = 300
LONG = 2 * STACK


@pytest.fixture(autouse=True)
def short_stack():
    """Let Python call only so deep from here on: then a network need not be so long."""
    before, depth = sys.getrecursionlimit(), len(inspect.stack(0))
    sys.setrecursionlimit(depth + STACK)
    yield
    sys.setrecursionlimit(before)


def dropouts(net: Model) -> Model:
    for i in range(LONG):
        net.plain("Dropout", f"d{i}", "c", "c")
    return net


def splits(net: Model) -> Model:
    bottom = "c"
    for i in range(LONG):
        net.plain("Split", f"d{i}", bottom, f"d{i}")
        bottom = f"d{i}"
    return net


@pytest.mark.parametrize("between", [dropouts, splits])
def test_a_batch_norm_folds_backward_through_any_number_of_layers(tmp_path, between):
    net = between(start().conv("c", "data", 2))
    last = "c" if between is dropouts else f"d{LONG - 1}"
    merged = merge_model(tmp_path, net.batch_norm("b", last))
    assert merged.fates == {"b": "folded"}
    assert merged.outcome("b").into == ("c",)
    assert merged.outcome("b").through == tuple(f"d{i}" for i in reversed(range(LONG)))


def test_a_scale_folds_forward_through_any_number_of_layers(tmp_path):
    net = start((2, 4, 5, 5)).scale("s", "data", "c")
    merged = merge_model(tmp_path, dropouts(net).conv("last", "c", 2))
    assert merged.fates == {"s": "folded"}
    assert merged.outcome("s").into == ("last",)


def test_what_stops_a_search_may_be_any_number_of_layers_away(tmp_path):
    net = dropouts(start().conv("c", "data", 2).plain("TanH", "t", "c", "c"))
    merged = merge_model(tmp_path, net.batch_norm("b", "c"))
    assert "TanH layer 't'" in merged.reasons["b"].text


def test_affine_layers_with_splits_and_activations_between_them(tmp_path):
    net = start().conv("c", "data", 2)
    bottom = "c"
    for i in range(LONG // 3):
        net.plain("Split", f"p{i}", bottom, f"p{i}").scale(f"s{i}", f"p{i}")
        bottom = net.relu(f"r{i}", f"p{i}") and f"p{i}"
    merged = merge_model(tmp_path, net.batch_norm("b", bottom))
    assert merged.fates["s0"] == "folded"


def test_scales_that_could_all_pass_all_layers_above_them_do_not_take_the_square_of_them(tmp_path):
    net, bottom, count = start().conv("c", "data", 2), "c", 450
    for i in range(count):
        net.plain("Split", f"p{i}", bottom, f"p{i}")
        net.scale(f"s{i}", f"p{i}", positive=True, bias=False).relu(f"r{i}", f"p{i}")
        bottom = f"p{i}"
    merged = merge_model(tmp_path, net)
    outcomes = merged.report.plan.outcomes
    assert len(outcomes) == count
    assert sum(len(outcome.through) for outcome in outcomes) <= 2 * 64 * (3 * count + 2)
    assert {outcome.fate.value for outcome in outcomes} == {"folded", "merged", "scale"}


def test_branches_of_a_sum_may_be_of_any_length(tmp_path):
    net = dropouts(start().conv("c", "data", 4)).conv("other", "data", 4)
    net.layer('name: "sum" type: "Eltwise" bottom: "c" bottom: "other" top: "sum"')
    merged = merge_model(tmp_path, net)
    assert merged.report.plan.outcomes == []


def test_a_reason_names_only_the_first_of_many_readers(tmp_path):
    net = start().conv("c", "data", 2)
    for i in range(40):
        net.batch_norm(f"b{i}", "c", f"t{i}")
    text = merge_model(tmp_path, net).reasons["b0"].text
    assert "BatchNorm layer 'b1', BatchNorm layer 'b2'" in text
    assert "and others" in text
    assert "'b20'" not in text


def test_a_plan_without_weights_passes_any_number_of_layers(tmp_path):
    model, _ = dropouts(start().conv("c", "data", 2)).batch_norm("b", "c").save(tmp_path)
    (outcome,) = bnfold.inspect(model).plan.outcomes
    assert outcome.fate is bnfold.Fate.FOLDED
