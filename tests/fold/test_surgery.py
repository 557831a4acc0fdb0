"""What rewrites did to a network, as edits of its two files: the differences and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from bnfold.caffemodel import ArrayBlob, LayerEdit, open_weights, schema
from bnfold.fold.surgery import edit_document, weight_additions, weight_edits
from bnfold.graph import build, record_of
from bnfold.prototxt import parse

TEXT = """\
layer { name: "data" type: "Input" top: "data" }  # given
layer {
  name: "c"  # the first
  type: 'Convolution' bottom: "data" top : "c"
  param { lr_mult: 1 } param { lr_mult: 2 }
  convolution_param { num_output: 2 kernel_size: 1 bias_term: false weight_filler { type: "x" } }
}
layer { name: "p" type: "Power" bottom: "c" top: "p" power_param { scale: 2 } }
layer { name: "e" type: "Eltwise" bottom: "c" bottom: "p" bottom: "data" top: "e" }
"""


@pytest.fixture
def net(tmp_path):
    """The network with a record for its convolution alone."""
    records = schema.message("NetParameter")()
    record = records.layer.add(name="c", type="Convolution", bottom=["data"], top=["c"])
    record.convolution_param.num_output = 2
    record.blobs.add(data=[1, 2]).shape.dim.extend([2, 1, 1, 1])
    path = tmp_path / "net.caffemodel"
    path.write_bytes(records.SerializeToString())
    with open_weights(path) as weights:
        yield build(parse(TEXT), weights=weights)


@pytest.fixture
def layers(net):
    return {layer.name: layer for layer in net.layers}


def written(net) -> str:
    return edit_document(net).render()


def test_a_network_that_nobody_changed_has_no_edits(net):
    assert written(net) == TEXT
    assert weight_edits(net) == {}
    assert weight_additions(net) == []


def test_setting_what_was_said_already_is_no_edit(net, layers):
    layers["c"].set("convolution_param", "bias_term", False)
    layers["c"].set("convolution_param", "kernel_size", (1,))
    layers["p"].set("power_param", "scale", 2.0)
    assert written(net) == TEXT


def test_a_layer_that_went_leaves_its_lines_and_its_record(net, layers):
    net.remove_into_readers(layers["p"])
    assert written(net) == TEXT.replace(
        'layer { name: "p" type: "Power" bottom: "c" top: "p" power_param { scale: 2 } }\n', ""
    ).replace('bottom: "p"', 'bottom: "c"')
    assert weight_edits(net) == {}


def test_a_record_goes_with_its_layer(net, layers):
    layers["c"].removed = True
    assert weight_edits(net) == {"c": LayerEdit(remove=True)}


def test_bottoms_that_went_take_their_own_fields_and_no_others(net, layers):
    net.disconnect(layers["e"], {1})
    assert written(net) == TEXT.replace('bottom: "p" bottom: "data"', 'bottom: "data"')
    net = build(parse(TEXT))
    net.disconnect(list(net.layers)[3], {0, 2})
    assert written(net) == TEXT.replace(
        'bottom: "c" bottom: "p" bottom: "data" top: "e"', 'bottom: "p" top: "e"'
    )


def test_another_top_is_said_in_both_files(net, layers):
    # The Power goes into the convolution, which takes over the name of its top.
    net.disconnect(layers["e"], {0})
    net.remove_into_producer(layers["p"])
    assert 'top : "p"' in written(net)
    edit = weight_edits(net)["c"]
    assert (edit.tops, edit.bottoms) == (("p",), None)


def test_another_type_takes_the_place_of_the_old_one_with_its_parameters(net, layers):
    layers["p"].become(record_of("Scale"))
    layers["p"].clear("power_param")
    layers["p"].set("scale_param", "bias_term", True)
    layers["p"].give(ArrayBlob(np.ones(2)), ArrayBlob(np.zeros(2)))
    line = 'name: "p" type: "Scale" bottom: "c" top: "p" scale_param { bias_term: true }'
    assert line in written(net)
    (new,) = weight_additions(net)
    assert (new.name, new.type, new.bottoms, new.tops) == ("p", "Scale", ("c",), ("p",))
    assert [list(blob.shape) for blob in new.blobs] == [[2], [2]]
    assert "p" not in weight_edits(net)


def test_a_field_is_set_in_both_files_and_a_default_only_taken_out(net, layers):
    layers["c"].set("convolution_param", "bias_term", True)
    layers["c"].set("convolution_param", "pad", (1, 0))
    assert written(net) == TEXT.replace(
        "kernel_size: 1 bias_term: false weight_filler",
        "kernel_size: 1 pad: 1 pad: 0 weight_filler",
    )
    assert weight_edits(net)["c"].params == {
        ("convolution_param", "bias_term"): None,
        ("convolution_param", "pad"): (1, 0),
    }


def test_new_fields_stand_in_front_of_fillers_and_enums_by_name(net, layers):
    layers["c"].set("convolution_param", "engine", "CAFFE")
    assert 'bias_term: false engine: CAFFE weight_filler { type: "x" }' in written(net)
    assert weight_edits(net)["c"].params == {("convolution_param", "engine"): 1}


def test_fields_that_were_cleared_go_from_both_files_all_of_a_name(net, layers):
    layers["c"].clear("param")
    assert written(net) == TEXT.replace("  param { lr_mult: 1 } param { lr_mult: 2 }\n", "")
    assert weight_edits(net)["c"].drop == ("param",)


def test_new_numbers_are_an_edit_of_the_record_alone(net, layers):
    blob = ArrayBlob(np.full((2, 1, 1, 1), 3.0))
    layers["c"].give(blob)
    assert written(net) == TEXT
    assert weight_edits(net) == {"c": LayerEdit(blobs=(blob,))}
