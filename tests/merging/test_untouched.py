"""A diff shows the fold and nothing more, in both files."""

from __future__ import annotations

import difflib
import re

import numpy as np
import pytest
from fold.networks import start
from folding import merge_files, merge_model
from models import blob

from bnfold.caffemodel import open_weights, schema

AWKWARD = """\
# a network   with odd formatting\t
name : 'odd' # quoted once
layer: < name: "data" type: "Input" top: "data" input_param { shape: { dim: [1, 4, 9, 7] } } >

layer {name:"c" type:"Convolution";bottom:"data",top:"c"
   convolution_param{num_output:5 kernel_size:3,bias_term : false  # no bias here
     weight_filler { type: "msra" }
   }}layer {
  name: "b"   # of the batch norm
  type: 'BatchNorm' bottom: "c" top: "c"
}
# about what follows
layer {
\tname: "s" type: "Scale"
\tbottom: "c" top: "c"
\tscale_param { bias_term: True }
}
layer { name: "m" type: "Mystery" bottom: "c" top: "m" mystery_param { list: [1, 2,3] } }
# the end, without a line end"""

AWKWARD_AFTER = """\
# a network   with odd formatting\t
name : 'odd' # quoted once
layer: < name: "data" type: "Input" top: "data" input_param { shape: { dim: [1, 4, 9, 7] } } >

layer {name:"c" type:"Convolution";bottom:"data",top:"c"
   convolution_param{num_output:5 kernel_size:3,  # no bias here
     weight_filler { type: "msra" }
   }}
layer { name: "m" type: "Mystery" bottom: "c" top: "m" mystery_param { list: [1, 2,3] } }
# the end, without a line end"""


def awkward_weights(path):
    net = schema.message("NetParameter")(name="odd")
    rng = np.random.default_rng(0)
    for name, shapes in (
        ("c", [(5, 4, 3, 3)]),
        ("b", [(5,), (5,), (1,)]),
        ("s", [(5,), (5,)]),
        ("m", [(2, 3)]),
    ):
        net.layer.add(name=name).blobs.extend(blob(rng.uniform(0.5, 1.5, s)) for s in shapes)
    path.write_bytes(net.SerializeToString())


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_every_line_that_no_fold_touches_stays_byte_for_byte(line_end, tmp_path):
    model, weights = tmp_path / "odd.prototxt", tmp_path / "odd.caffemodel"
    model.write_bytes(AWKWARD.replace("\n", line_end).encode())
    awkward_weights(weights)
    merged = merge_files(model, weights)
    assert merged.folded == ["b", "s"]
    assert merged.after[0].read_bytes() == AWKWARD_AFTER.replace("\n", line_end).encode()


def test_diff_of_the_example_shows_the_fold_and_nothing_more(tmp_path, digits):
    merged = merge_files(
        *digits,
        output_model=tmp_path / "deploy.prototxt",
        output_weights=tmp_path / "digits.caffemodel",
    )
    old, new = (path.read_text().splitlines() for path in (digits[0], merged.after[0]))
    changes = [
        line for line in difflib.unified_diff(old, new, n=0, lineterm="") if line[0] in "+-"
    ][2:]
    added = [line[1:].strip() for line in changes if line[0] == "+"]
    removed = [line[1:].strip() for line in changes if line[0] == "-"]
    # One new line for the 1x1 convolution, and new names where a chain was not in place.
    assert sorted(added) == sorted(["engine: CAFFE", 'top: "conv3/scale"'])
    text = "\n".join(removed)
    assert text.count('type: "BatchNorm"') == text.count('type: "Scale"') == 5
    assert text.count("bias_term: false") == 3
    # Of every field that a removed line had, it is one of a removed layer or one named above.
    allowed = re.compile(
        r'layer \{|\}|name: ".*/(bn|scale)"|type: "(BatchNorm|Scale)"|bottom: ".*"|top: ".*"'
        r"|batch_norm_param \{.*|use_global_stats: true|eps: .*|scale_param \{.*|bias_term: false|"
    )
    assert [line for line in removed if not allowed.fullmatch(line)] == []


def test_every_other_record_of_the_weights_file_is_byte_for_byte_the_same(tmp_path):
    net = start().conv("other", "data", 4, words="pad: 1").relu("r", "other")
    net.conv("c", "other", 5).batch_norm("b", "c").scale("s", "c").inner_product("f", "c", 3, 175)
    net.net.layer.add(name="of nobody", type="Ghost").blobs.append(blob(np.ones(3)))
    net.net.layer[0].MergeFromString(b"\xfa\x7f\x04fork")
    merged = merge_model(tmp_path, net)
    before, after = (records(path) for path in (merged.before[1], merged.after[1]))
    assert list(before) == ["other", "c", "b", "s", "f", "of nobody"]
    assert list(after) == ["other", "c", "f", "of nobody"]
    assert {name for name in after if before[name] != after[name]} == {"c"}


def records(path):
    content = path.read_bytes()
    with open_weights(path) as weights:
        return {r.name: content[r.offset : r.end] for r in weights.records}


def test_bytes_between_the_records_ride_along(tmp_path):
    net = start().conv("c", "data", 5).batch_norm("b", "c")
    net.net.state.level = 3
    model, weights = net.save(tmp_path)
    weights.write_bytes(weights.read_bytes() + b"\xfa\x7f\x04fork")
    merged = merge_files(model, weights)
    assert merged.after[1].read_bytes().endswith(b"\xfa\x7f\x04fork")
    assert merged.net.state.level == 3


def test_same_inputs_and_options_give_the_same_bytes(tmp_path):
    net = start().conv("c", "data", 5, 1).batch_norm("b", "c", "b").scale("s", "b", "s")
    first = merge_model(tmp_path, net)
    contents = [path.read_bytes() for path in first.after]
    again = merge_model(tmp_path, net, force=True)
    assert [path.read_bytes() for path in again.after] == contents


def test_merging_what_was_merged_already_changes_nothing(tmp_path):
    net = start().conv("c", "data", 5, 1).batch_norm("b", "c", "b").scale("s", "b", "s")
    first = merge_model(tmp_path, net.relu("r", "s"))
    second = merge_files(*first.after)
    assert second.folded == []
    assert [p.read_bytes() for p in second.after] == [p.read_bytes() for p in first.after]


def test_network_with_nothing_to_fold_comes_out_as_it_went_in(tmp_path):
    merged = merge_model(tmp_path, start().conv("c", "data", 5).relu("r", "c"))
    assert [p.read_bytes() for p in merged.after] == [p.read_bytes() for p in merged.before]


def test_bytes_that_are_no_utf8_ride_along(tmp_path):
    model, weights = start().conv("c", "data", 5).batch_norm("b", "c").save(tmp_path)
    model.write_bytes(b"# caf\xe9\n" + model.read_bytes())
    merged = merge_files(model, weights)
    assert merged.folded == ["b"]
    assert merged.after[0].read_bytes().startswith(b"# caf\xe9\n")


def test_train_val_file_keeps_its_data_layers_of_both_phases(tmp_path):
    text = """\
name: "both"
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TRAIN }
  data_param { source: "train" batch_size: 2 } }
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TEST }
  data_param { source: "test" batch_size: 2 } }
layer { name: "c" type: "Convolution" bottom: "data" top: "c"
  convolution_param { num_output: 5 kernel_size: 3 } }
layer { name: "b" type: "BatchNorm" bottom: "c" top: "c" }
layer { name: "f" type: "InnerProduct" bottom: "c" top: "f" inner_product_param { num_output: 2 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "f" bottom: "label" include { phase: TRAIN } }
layer { name: "accuracy" type: "Accuracy" bottom: "f" bottom: "label" exclude { phase: TRAIN } }
"""
    model, weights = start().conv("c", "data", 5).batch_norm("b", "c").save(tmp_path)
    model.write_text(text)
    merged = merge_files(model, weights)
    assert merged.folded == ["b"]
    assert merged.text == text.replace(
        'layer { name: "b" type: "BatchNorm" bottom: "c" top: "c" }\n', ""
    )
