"""What merged branches leave of the files: every other byte, and spellings as they were."""

from __future__ import annotations

import difflib

import numpy as np
import pytest
from folding import assert_same_function, merge_files, merge_model
from models import Model

import bnfold

from .branching import add, conv, small_rep_vgg, start


def changes(before: str, after: str) -> list[str]:
    """The lines of a diff, without what only moves."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    return [line for line in lines if line[:3] not in ("---", "+++") and line[0] in "+-"]


TEXT = """\
# a block of a network
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [1, 4, 6, 6] } } }
layer {  # the wide one
  name: "wide"
  type: "Convolution"
  bottom: "data"
  top: "wide"
  param { lr_mult: 1 }
  convolution_param {
    num_output: 4
    bias_term: false
    KERNEL
    engine: CUDNN  # on the camera
    weight_filler { type: "msra" }
  }
}
layer {
  name: "narrow"
  type: "Convolution"
  bottom: "data"
  top: "narrow"
  convolution_param { num_output: 4 kernel_size: 1 }
}
layer {
  name: "sum"
  type: "Eltwise"
  bottom: "wide"
  bottom: "narrow"
  bottom: "OTHER"
  top: "sum"
  eltwise_param {
    coeff: 1  # wide
    coeff: 2  # narrow
    coeff: 3
  }
}
layer { name: "out" type: "Mystery" bottom: "sum" top: "out" mystery_param { keep: me } }
"""


def merged_text(folder, other: str, kernel: str = "pad: 1\n    kernel_size: 3") -> tuple[str, str]:
    net = Model(seed=2).input("data", (1, 4, 6, 6))
    net.conv("wide", "data", 4, 3, bias=False).conv("narrow", "data", 4, 1)
    text = TEXT.replace("OTHER", other).replace("KERNEL", kernel)
    net.texts[:] = [text]
    return text, merge_model(folder, net, engine_caffe=False).text


def test_the_diff_shows_the_layers_that_go_the_bias_and_the_top(tmp_path):
    before, after = merged_text(tmp_path, "data")
    gone = before[before.index('layer {\n  name: "narrow"') : before.index('layer { name: "out"')]
    assert changes(before, after) == [
        '-  top: "wide"',
        '+  top: "sum"',
        "-    bias_term: false",
        *(f"-{line}" for line in gone.splitlines()),
    ]


def test_the_diff_of_a_sum_that_stays_shows_the_bottom_that_goes(tmp_path):
    net = Model(seed=2).input("data", (1, 4, 6, 6))
    net.conv("wide", "data", 4, 3, bias=False).conv("narrow", "data", 4, 1)
    act = 'layer { name: "act" type: "TanH" bottom: "data" top: "act" }\n'
    text = TEXT.replace("OTHER", "act").replace("KERNEL", "pad: 1\n    kernel_size: 3")
    net.texts[:] = [text.replace('layer {\n  name: "sum"', f'{act}layer {{\n  name: "sum"')]
    merged = merge_model(tmp_path, net, engine_caffe=False)
    narrow = net.text[net.text.index('layer {\n  name: "narrow"') : net.text.index(act)]
    assert changes(net.text, merged.text) == [
        "-    bias_term: false",
        *(f"-{line}" for line in narrow.splitlines()),
        '-  bottom: "narrow"',
        "-    coeff: 2  # narrow",
    ]


# ---------------------------------------------------------------- spellings of what grows

GROWS = {
    # Two kernels of 3x3, one above the other at stride 3, become one of 4x4 or 4x3.
    "kernel_size: 3 pad: 0 stride: 3": "kernel_size: 4 pad: 1 stride: 3",
    "kernel_size: 3 stride: 3": "kernel_size: 4 stride: 3 pad: 1",
    "kernel_size: [3, 3] stride: 3": "kernel_size: [4, 4] stride: 3 pad: 1",
    "kernel_h: 3 kernel_w: 3 stride: 3": "kernel_h: 4 kernel_w: 4 stride: 3 pad: 1",
    "kernel_size: 3 pad_h: 0 pad_w: 0 stride_h: 3 stride_w: 3": (
        "kernel_size: 4 pad_h: 1 pad_w: 1 stride_h: 3 stride_w: 3"
    ),
}


@pytest.mark.parametrize("words", GROWS)
def test_kernel_and_pad_keep_their_spelling(words, tmp_path, pycaffe):
    net = start((2, 4, 9, 9))
    net.conv("a", "x", 4, words, spatial=(3, 3))
    net.conv("b", "x", 4, "kernel_size: 3 pad: 1 stride: 3", spatial=(3, 3))
    merged = merge_model(tmp_path, add(net, "a", "b"))
    assert f"num_output: 4 {GROWS[words]}" in merged.text
    (record,) = merged.net.layer
    assert list(record.blobs[0].shape.dim) == [4, 4, 4, 4]
    assert_same_function(pycaffe, merged)


def test_engine_is_set_where_all_that_merged_were_1x1(tmp_path):
    net = start()
    conv(net, "a", (1, 1))
    conv(net, "b", (1, 1))
    conv(net, "c", (3, 3), bottom="x")
    conv(net, "d", (1, 1))
    add(net, "a", "b", top="points")
    merged = merge_model(tmp_path, add(net, "c", "d"))
    assert [change.layer for change in merged.report.plan.of_type(bnfold.EngineChange)] == ["a"]
    assert merged.text.count("engine: CAFFE") == 1


# ---------------------------------------------------------------- weights


def test_merging_twice_changes_no_byte(tmp_path):
    once = merge_model(tmp_path, small_rep_vgg())
    twice = merge_files(*once.after)
    assert [path.read_bytes() for path in twice.after] == [path.read_bytes() for path in once.after]
    assert twice.report.plan.of_type(bnfold.Branches) == []


def test_records_of_branches_go_and_the_rest_of_the_survivors_stays(tmp_path):
    net = start()
    conv(net, "a", bias=False)
    conv(net, "b", (1, 1))
    conv(net, "far", (1, 1), bottom="x")
    record = net.net.layer[0]
    record.type = "Convolution"
    record.bottom.append("x")
    record.top.append("a")
    record.convolution_param.num_output = 8
    record.convolution_param.bias_term = False
    record.convolution_param.kernel_size.append(3)
    merged = merge_model(tmp_path, add(net, "a", "b").relu("r", "far"))
    first, second = merged.net.layer
    assert (first.name, list(first.top), second.name) == ("a", ["sum"], "far")
    assert first.convolution_param.bias_term
    assert list(first.convolution_param.kernel_size) == [3]
    assert second == net.net.layer[2]


def test_v1_files(tmp_path, pycaffe):
    net = Model(seed=4, v1=True).input("data", (2, 4, 6, 6))
    net.conv("a", "data", 4, 3, words="pad: 1").conv("b", "data", 4, 1)
    net.layer('name: "s" type: ELTWISE bottom: "b" bottom: "a" bottom: "data" top: "s"')
    merged = merge_model(tmp_path, net)
    assert "ELTWISE" not in merged.text
    assert_same_function(pycaffe, merged)


@pytest.mark.parametrize(("keep_dtype", "stored"), [(True, 2), (False, 0)])
def test_float16_becomes_float32_unless_the_type_is_kept(keep_dtype, stored, tmp_path):
    net = Model(seed=4, storage="half").input("data", (2, 4, 6, 6))
    net.conv("a", "data", 4, 3, words="pad: 1").conv("b", "data", 4, 1)
    merged = merge_model(tmp_path, add(net, "a", "b"), keep_dtype=keep_dtype)
    (record,) = merged.net.layer
    assert [blob.raw_data_type for blob in record.blobs] == [stored, stored]
    assert [bool(blob.data) for blob in record.blobs] == [not keep_dtype] * 2


def test_each_value_is_rounded_once(tmp_path):
    net = start()
    conv(net, "a", bias=False)
    conv(net, "b", bias=False)
    parts = [np.array(record.blobs[0].data, np.float64) for record in net.net.layer]
    merged = merge_model(tmp_path, add(net, "a", "b", "x", words="coeff: [0.1, 0.2, 0.3]"))
    tenth, fifth, third = (float(np.float32(c)) for c in (0.1, 0.2, 0.3))
    weight = (tenth * parts[0] + fifth * parts[1]).reshape(8, 8, 3, 3)
    weight[np.arange(8), np.arange(8), 1, 1] += third
    assert (merged.blobs("a")[0] == weight.ravel().astype(np.float32)).all()


def test_the_plan_needs_no_weights(tmp_path):
    net = small_rep_vgg()
    model, weights = net.save(tmp_path)
    structure = bnfold.inspect(model).plan.of_type(bnfold.Branches)
    known = bnfold.inspect(model, weights).plan.of_type(bnfold.Branches)
    assert [b.into for b in structure] == [b.into for b in known]
    assert [b.kernel for b in structure] == [b.kernel for b in known]
    assert len(known) == 7


def test_report_says_what_merged(tmp_path):
    net = start()
    conv(net, "a", bias=False)
    conv(net, "b", (1, 1))
    merged = merge_model(tmp_path, add(net, "a", "b", "x"))
    assert merged.report.to_json()["branches"] == [
        {
            "layer": "sum",
            "type": "Eltwise",
            "line": net.text[: net.text.index('name: "sum"')].count("\n"),
            "source": "x",
            "branches": ["a", "b", "x"],
            "fate": "merged",
            "into": "a",
            "kernel": [3, 3],
            "gains_bias": True,
            "code": None,
            "reason": None,
            "hint": None,
        }
    ]
