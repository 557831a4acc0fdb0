"""`engine: CAFFE`, on every convolution whose kernel is 1 in all axes, and on no other."""

from __future__ import annotations

import pytest
from folding import assert_same_function, merge_model

import bnfold
from bnfold.caffemodel import schema

from .networks import start

POINTWISE = {
    "kernel_size: 1": (1, 1),
    "kernel_size: 1 kernel_size: 1": (1, 1),
    "kernel_size: [1, 1]": (1, 1),
    "kernel_h: 1 kernel_w: 1": (1, 1),
    "kernel_size: 0x1": (1, 1),
}
LARGER = {
    "kernel_size: 3": (3, 3),
    "kernel_size: 1 kernel_size: 3": (1, 3),
    "kernel_h: 3 kernel_w: 1": (3, 1),
    "kernel_h: 1 kernel_w: 3": (1, 3),
}


@pytest.mark.parametrize("words", POINTWISE)
@pytest.mark.parametrize("folds", [True, False])
def test_kernel_of_one_gets_the_line_however_it_is_written(words, folds, tmp_path, runtime):
    net = start().conv("c", "data", 5, words, spatial=POINTWISE[words])
    if folds:
        net.batch_norm("b", "c")
    merged = merge_model(tmp_path, net)
    assert [(e.layer, e.replaced) for e in merged.report.plan.of_type(bnfold.EngineChange)] == [
        ("c", None)
    ]
    assert merged.text.count("engine: CAFFE") == 1
    assert_same_function(runtime, merged)


@pytest.mark.parametrize("words", LARGER)
def test_larger_kernel_gets_no_line(words, tmp_path):
    net = start().conv("c", "data", 5, words, spatial=LARGER[words]).batch_norm("b", "c")
    merged = merge_model(tmp_path, net)
    assert not merged.report.plan.of_type(bnfold.EngineChange)
    assert "engine" not in merged.text


def test_three_dimensional_kernel_of_one_gets_the_line(tmp_path):
    net = start((2, 3, 5, 6, 4)).conv("c", "data", 4, "kernel_size: 1", spatial=(1, 1, 1))
    assert "engine: CAFFE" in merge_model(tmp_path, net).text


@pytest.mark.parametrize(
    ("written", "replaced"), [("DEFAULT", "DEFAULT"), ("CUDNN", "CUDNN"), ("2", "CUDNN")]
)
def test_other_engine_is_replaced_where_it_stands_and_reported(written, replaced, tmp_path):
    net = start().conv("c", "data", 5, "kernel_size: 1", spatial=(1, 1), words=f"engine: {written}")
    merged = merge_model(tmp_path, net)
    assert [(e.layer, e.replaced) for e in merged.report.plan.of_type(bnfold.EngineChange)] == [
        ("c", replaced)
    ]
    assert merged.text == net.text.replace(f"engine: {written}", "engine: CAFFE")


@pytest.mark.parametrize("written", ["CAFFE", "1"])
def test_engine_caffe_that_is_there_already_is_left_alone(written, tmp_path):
    net = start().conv("c", "data", 5, 1, words=f"engine: {written}")
    merged = merge_model(tmp_path, net)
    assert not merged.report.plan.of_type(bnfold.EngineChange)
    assert merged.text == net.text


def test_engine_of_a_larger_kernel_is_left_alone(tmp_path):
    net = start().conv("c", "data", 5, 3, words="engine: CUDNN").batch_norm("b", "c")
    assert "engine: CUDNN" in merge_model(tmp_path, net).text


def test_nothing_is_set_when_it_is_switched_off(tmp_path):
    net = start().conv("c", "data", 5, 1, words="engine: CUDNN").batch_norm("b", "c")
    merged = merge_model(tmp_path, net, engine_caffe=False)
    assert not merged.report.plan.of_type(bnfold.EngineChange)
    assert "engine: CUDNN" in merged.text


def test_layer_outside_the_phase_is_left_alone(tmp_path):
    net = start().conv("c", "data", 5, 3)
    net.conv("d", "c", 5, 1, outer="include { phase: TRAIN }")
    merged = merge_model(tmp_path, net)
    assert merged.text == net.text


def test_inner_product_and_pooling_get_none(tmp_path):
    net = start().inner_product("f", "data", 5, 252)
    net.layer('name: "p" type: "Pooling" bottom: "data" top: "p" pooling_param { kernel_size: 1 }')
    assert merge_model(tmp_path, net).text == net.text


# ---------------------------------------------------------------- the record in the weights file


def told(record, name):
    return {d.name: value for d, value in getattr(record, name).ListFields()}


def test_record_with_parameters_of_its_own_is_brought_along(tmp_path):
    net = start().conv("c", "data", 5, 1, bias=False).batch_norm("b", "c", "b").scale("s", "b", "s")
    record = net.net.layer[0]
    record.type = "Convolution"
    record.bottom.append("data")
    record.top.append("c")
    record.convolution_param.num_output = 5
    record.convolution_param.kernel_size.append(1)
    record.convolution_param.bias_term = False
    record.convolution_param.engine = 2
    merged = merge_model(tmp_path, net)
    (new,) = merged.net.layer
    assert list(new.bottom) == ["data"]
    assert list(new.top) == ["s"]
    found = told(new, "convolution_param")
    assert found.get("bias_term", True) is True
    assert found["engine"] == 1
    assert found["num_output"] == 5


def test_record_of_a_convolution_that_only_gets_its_engine_set_is_brought_along(tmp_path):
    net = start().conv("c", "data", 5, 1)
    net.net.layer[0].convolution_param.num_output = 5
    net.net.layer[0].top.append("stale")
    merged = merge_model(tmp_path, net)
    (new,) = merged.net.layer
    assert told(new, "convolution_param") == {"num_output": 5, "engine": 1}
    assert list(new.top) == ["stale"]


def test_record_without_parameters_stays_without(tmp_path):
    net = start().conv("c", "data", 5, 1, bias=False).batch_norm("b", "c", "b")
    (new,) = merge_model(tmp_path, net).net.layer
    assert not new.HasField("convolution_param")
    assert not new.top
    assert not new.bottom


def test_unknown_fields_of_a_changed_record_ride_along(tmp_path):
    net = start().conv("c", "data", 5, 1).batch_norm("b", "c")
    fork = b"\xfa\x7f\x04fork"  # field 2047, which no schema knows
    net.net.layer[0].MergeFromString(fork)
    net.net.layer[0].convolution_param.MergeFromString(fork)
    merged = merge_model(tmp_path, net)
    (new,) = merged.net.layer
    assert new.SerializeToString().count(fork) == 2
    assert isinstance(new, schema.message("LayerParameter"))
