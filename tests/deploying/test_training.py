"""What trains and judges goes, what only labels feed goes, and nothing else does."""

from __future__ import annotations

import re

import pytest

import bnfold
from bnfold import BnfoldError
from tests.deploying.training import SOURCE, classification, deployed

DATA = (
    'layer { name: "data" type: "Data" top: "data" top: "label" '
    f"transform_param {{ crop_size: 8 mean_value: [1, 2, 3] }} {SOURCE} }}\n"
)
HDF5 = 'layer { name: "data" type: "HDF5Data" top: "data" top: "label" top: "more" }\n'
SHAPE = {"data": (1, 3, 8, 8)}


def layer(kind: str, bottoms: str, tops: str, words: str = "", name: str = "") -> str:
    read = "".join(f' bottom: "{bottom}"' for bottom in bottoms.split())
    made = "".join(f' top: "{top}"' for top in tops.split())
    name = name or (tops.split() or [kind])[0]
    return f'layer {{ name: "{name}" type: "{kind}"{read}{made} {words} }}\n'


def conv(bottom: str, top: str, words: str = "") -> str:
    return layer(
        "Convolution", bottom, top, f"convolution_param {{ num_output: 4 kernel_size: 8 }} {words}"
    )


def names(text: str) -> list[str]:
    return re.findall(r'name: "([^"]*)"', text)


# ---------------------------------------------------------------- judges


@pytest.mark.parametrize(
    "judge",
    [
        layer("Accuracy", "fc label", "accuracy"),
        layer("EuclideanLoss", "fc label", "loss"),
        layer("HingeLoss", "fc label", "loss"),
        layer("SegAccuracy", "fc label", "accuracy"),
        layer("SmoothL1Loss", "fc label", "loss"),
        layer("MyOwnLoss", "fc label", "loss"),
        layer("Python", "fc label", "loss", "loss_weight: 1"),
        layer("Python", "fc label", "map"),
        layer("Silence", "label", ""),
        layer("Silence", "fc", ""),
        layer("Reduction", "fc", "loss", "loss_weight: 0.1"),
        layer("Eltwise", "fc label", "off") + layer("Reduction", "off", "loss", "loss_weight: 1"),
        layer("Slice", "label", "a b") + layer("EuclideanLoss", "fc a", "loss"),
        layer("Power", "label", "unread"),
        layer("EuclideanLoss", "fc label", "one")
        + layer("HingeLoss", "fc label", "two")
        + layer("Eltwise", "one two", "both"),
    ],
)
def test_what_judges_goes_and_what_it_read_is_given_out(tmp_path, judge):
    report, text = deployed(tmp_path, DATA + conv("data", "fc") + judge)
    assert names(text) == ["data", "fc"]
    assert "label" not in text
    gone = [change.layer for change in report.changes if change.action.value == "removed"]
    assert gone == names(judge)


@pytest.mark.parametrize(
    "stays",
    [
        # Not known to be labels: a network may end in a sum with another input.
        layer("Eltwise", "fc more", "sum"),
        layer("Reshape", "more", "flat") + layer("Concat", "fc flat", "sum"),
        conv("more", "two"),
        # It has weights, so it is a part of the network however it is named.
        layer("InnerProduct", "more", "two") + layer("EuclideanLoss", "fc two", "loss"),
    ],
)
def test_what_may_be_a_part_of_the_network_stays(tmp_path, stays):
    text = HDF5 + conv("data", "fc") + stays + layer("EuclideanLoss", "fc label", "judge")
    with pytest.raises(BnfoldError, match=r"--input more:"):
        deployed(tmp_path, text, inputs=SHAPE)
    report, text = deployed(tmp_path, text, inputs={**SHAPE, "more": (1, 4, 1, 1)})
    assert {one.name for one in report.inputs} == {"data", "more"}
    assert set(names(stays)) - {"loss"} <= set(names(text))


@pytest.mark.parametrize(
    "words",
    [
        layer("Reshape", "label", "flat") + layer("Concat", "fc flat", "both"),
        layer("InnerProduct", "label", "both"),
    ],
)
def test_a_label_that_the_network_itself_reads_is_an_input(tmp_path, words):
    text = DATA + conv("data", "fc") + words + layer("InnerProduct", "both", "last")
    text += layer("SoftmaxWithLoss", "last label", "loss")
    with pytest.raises(BnfoldError, match=r"how large 'label' is; give --input label:"):
        deployed(tmp_path, text)
    report, text = deployed(tmp_path, text, inputs={"label": (1,)})
    assert {one.name: one.shape for one in report.inputs} == {"data": (1, 3, 8, 8), "label": (1,)}
    assert '"prob"' in text


@pytest.mark.parametrize("label", ["data", "label", "more"])
def test_what_only_judges_read_is_a_label_whatever_its_place(tmp_path, label):
    """An HDF5Data layer has its tops in any order."""
    image = "label" if label == "data" else "data"
    text = HDF5 + conv(image, "fc") + layer("EuclideanLoss", f"fc {label}", "loss")
    report, _ = deployed(tmp_path, text, inputs={image: (1, 3, 8, 8)})
    assert [one.name for one in report.inputs] == [image]


def test_a_layer_between_scores_and_loss_that_needs_labels_goes(tmp_path):
    """As MTCNN's, which takes out the samples that are no faces."""
    text = (
        HDF5.replace("HDF5Data", "Python")
        + conv("data", "fc")
        + layer("Python", "fc label", "fc-valid label-valid", name="bridge")
        + layer("SoftmaxWithLoss", "fc-valid label-valid", "loss")
    )
    report, text = deployed(tmp_path, text, inputs=SHAPE)
    assert names(text) == ["data", "fc"]
    (bridge,) = (change for change in report.changes if change.layer == "bridge")
    assert "'fc' is given out" in bridge.text


def test_inputs_that_only_judges_read_go_with_their_shapes(tmp_path):
    head = (
        'input: "data" input: "label"\n'
        "input_shape { dim: 1 dim: 3 dim: 8 dim: 8 }\ninput_shape { dim: 1 }\n"
    )
    rest = conv("data", "fc") + layer("SoftmaxWithLoss", "fc label", "loss")
    _, text = deployed(tmp_path, head + rest)
    assert text.startswith('input: "data"\ninput_shape { dim: 1 dim: 3 dim: 8 dim: 8 }\n')
    assert "label" not in text
    layers = (
        'layer { name: "in" type: "Input" top: "data" top: "label" '
        "input_param { shape { dim: [1, 3, 8, 8] } shape { dim: 1 } } }\n"
    )
    _, text = deployed(tmp_path, layers + rest, force=True)
    assert 'top: "data" input_param { shape { dim: [1, 3, 8, 8] } }' in text


def test_inputs_that_nobody_reads_stay(tmp_path):
    """As `data_dim` of PSPNet's deploy file."""
    text = 'input: "data" input: "size" input_dim: [1, 3, 8, 8, 1, 1, 1, 2]\n' + conv("data", "fc")
    assert deployed(tmp_path, text)[1] == text


def test_a_layer_that_needs_what_a_judge_makes_is_refused(tmp_path):
    text = DATA + conv("data", "fc") + layer("EuclideanLoss", "fc label", "loss")
    text += layer("Eltwise", "fc loss", "sum") + conv("sum", "last")
    with pytest.raises(BnfoldError, match=r"net\.prototxt:4:1: Eltwise layer 'sum' reads 'loss'"):
        deployed(tmp_path, text)


# ---------------------------------------------------------------- scores


def test_a_loss_keeps_its_axis_and_loses_what_is_of_training(tmp_path):
    loss = layer(
        "SoftmaxWithLoss",
        "fc label",
        "loss",
        "softmax_param { axis: 2 } loss_param { ignore_label: 255 } loss_weight: 2 "
        "propagate_down: [1, 0] include { phase: TEST }",
    )
    _, text = deployed(tmp_path, DATA + conv("data", "fc") + loss)
    assert text.endswith('type: "Softmax" bottom: "fc" top: "prob" softmax_param { axis: 2 } }\n')


def test_the_main_one_of_several_losses_makes_prob(tmp_path):
    text = DATA + conv("data", "a") + conv("data", "b") + conv("data", "c")
    text += layer("SoftmaxWithLoss", "a label", "loss1", "loss_weight: 0.3")
    text += layer("SoftmaxWithLoss", "b label", "loss2")
    text += layer("SoftmaxWithLoss", "c label", "loss3", "loss_weight: 0.3")
    _, text = deployed(tmp_path, text)
    found = re.findall(r'"Softmax" bottom: "(\w)" top: "(\w+)"', text)
    assert found == [("a", "a_prob"), ("b", "prob"), ("c", "c_prob")]


def test_a_softmax_that_is_there_already_is_not_made_again(tmp_path):
    """As in train_val files that have one for phase TEST."""
    text = DATA + conv("data", "fc") + layer("SoftmaxWithLoss", "fc label", "loss")
    text += layer("Softmax", "fc", "scores", "include { phase: TEST }")
    text += layer("Accuracy", "scores label", "accuracy")
    report, text = deployed(tmp_path, text)
    assert names(text) == ["data", "fc", "scores"]
    assert "include" not in text
    other_axis = text + layer("Softmax", "fc", "prob", "softmax_param { axis: 2 }")
    other_axis = other_axis.replace(names(text)[2], "prob2")
    assert report.output_model is not None
    assert deployed(tmp_path, other_axis, force=True)[1] == other_axis


def test_names_that_are_taken_are_not_taken_again(tmp_path):
    text = DATA + conv("data", "prob") + layer("SoftmaxWithLoss", "prob label", "loss")
    _, text = deployed(tmp_path, text)
    assert 'name: "prob2" type: "Softmax" bottom: "prob" top: "prob2"' in text


def test_scores_that_a_loss_gives_out_by_itself_keep_their_name(tmp_path):
    text = DATA + conv("data", "fc") + layer("SoftmaxWithLoss", "fc label", "loss scores")
    text += layer("ArgMax", "scores", "class")
    _, text = deployed(tmp_path, text)
    assert 'type: "Softmax" bottom: "fc" top: "scores"' in text
    assert "ArgMax" in text


# ---------------------------------------------------------------- nothing else


def test_the_diff_shows_what_was_asked_for_and_nothing_more(tmp_path):
    text = """# A network of mine
name: "mine"   # and its name
layer {
\tname: "data"
\ttype: "Data"
\ttop: "data"
\ttop: "label"
\tinclude: { phase: TEST }
\ttransform_param {
\t\tcrop_size: 8
\t\tmean_value: [104, 117, 123]   # BGR
\t}
\tdata_param { source: "lmdb" batch_size: 32 }
}
layer { name: "c" type: "NeverHeardOf" bottom: "data" top: 'c' strange_param < a: .5, > }

# the end
layer {
  name: 'loss'  type: 'SoftmaxWithLoss'
  bottom: 'c' bottom: 'label'
  top: 'loss'
}
"""
    _, after = deployed(tmp_path, text)
    assert (
        after
        == """# A network of mine
name: "mine"   # and its name
layer {
\tname: "data"
\ttype: "Input"
\ttop: "data"
\tinput_param {
\t\tshape {
\t\t\tdim: 1
\t\t\tdim: 3
\t\t\tdim: 8
\t\t\tdim: 8
\t\t}
\t}
}
layer { name: "c" type: "NeverHeardOf" bottom: "data" top: 'c' strange_param < a: .5, > }

# the end
layer {
  name: 'prob'  type: 'Softmax'
  bottom: 'c'
  top: 'prob'
}
"""
    )


@pytest.mark.parametrize("options", [{}, {"strip": True, "modern": True, "batch": 3}])
def test_a_second_run_changes_no_byte(tmp_path, options):
    report, text = deployed(tmp_path, classification(), **options)
    again = bnfold.deploy(
        report.output_model,
        report.output_weights,
        output_model=tmp_path / "again.prototxt",
        output_weights=tmp_path / "again.caffemodel",
        **options,
    )
    assert again.changes == ()
    assert again.output_model.read_text() == text
    assert again.output_weights.read_bytes() == report.output_weights.read_bytes()
    assert again.preprocess_file is None


def test_a_deploy_file_stays_as_it_is_byte_for_byte(tmp_path, digits):
    report = bnfold.deploy(
        *digits, output_model=tmp_path / "d.prototxt", output_weights=tmp_path / "d.caffemodel"
    )
    assert report.output_model.read_bytes() == digits[0].read_bytes()
    assert report.output_weights.read_bytes() == digits[1].read_bytes()
    assert "nothing to change" in report.summary()
