"""`bnfold merge --onto`: what the command prints, and what it refuses."""

from __future__ import annotations

import json

import pytest
from merging.snapshots import deploy, plain, training
from models import Model


def test_command_writes_the_weights_alone_and_says_what_is_called_otherwise(run, tmp_path):
    pair = training().save(tmp_path)
    given = tmp_path / "deploy.prototxt"
    given.write_text(plain(data="image").text)
    ran = run("merge", *pair, "--onto", given)
    assert ran.code == 0, ran
    assert f"1 name as in {given}: data -> image" in ran.out
    assert f"left out, since they are not in {given}: aux, aux_loss, loss, accuracy" in ran.out
    made = tmp_path / "net.folded.caffemodel"
    assert ran.out.endswith(f"wrote {made} for {given}\n")
    assert not (tmp_path / "net.folded.prototxt").exists()
    ran = run("merge", *pair, "--onto", given, "--dry-run", "--json", "-")
    onto = json.loads(ran.out)["onto"]
    assert onto["model"] == str(given)
    assert onto["renamed"] == [{"name": "data", "becomes": "image"}]


# ---------------------------------------------------------------- what is refused, in words


@pytest.fixture
def parted(refused, tmp_path):
    """Put a network onto a file that is another network; gives the words that say where."""

    def parted(given: Model | str, net: Model | None = None, *options, says: str = "") -> str:
        pair = (net or deploy()).save(tmp_path, "train")
        path = tmp_path / "given.prototxt"
        path.write_text(given if isinstance(given, str) else given.text)
        return refused("merge", *pair, "--onto", path, *options, says=says or str(path))

    return parted


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "num_output: 6 kernel_size: 3",
            "num_output: 7 kernel_size: 3",
            "Convolution layer 'c1' (line 5) has num_output 7, and 'c1' in",
        ),
        ("kernel_size: 3 pad: 1", "kernel_size: 5 pad: 2", "has kernel 5x5, and 'c1' in"),
        (
            'name: "r2" type: "ReLU"',
            'name: "r2" type: "TanH"',
            "TanH layer 'r2' (line 19) stands where ReLU layer 'r2' in",
        ),
        (
            'name: "sum" type: "Eltwise"',
            'name: "sum" type: "Eltwise" eltwise_param { operation: MAX }',
            "has operation MAX, and 'sum' in",
        ),
        (
            'bottom: "c1" bottom: "c2" top: "sum"',
            'bottom: "c2" bottom: "c2" top: "sum"',
            "'sum' (line 16) reads 'c2' and 'c2', and 'sum' in",
        ),
        (
            'bottom: "left" bottom: "right" top: "both"',
            'bottom: "left" bottom: "left" top: "both"',
            "reads 'left' and 'left', and 'both' in",
        ),
        (
            "num_output: 6 kernel_size: 3 pad: 1",
            "num_output: 6 bias_term: false kernel_size: 3 pad: 1",
            "'c1' (line 5) has no bias (bias_term: false), and",
        ),
        ("dim: 8 dim: 8", "dim: 8 dim: 10", "'fc' (line 39) reads 640 values of 'both' (1x8x8x10)"),
        ("dim: 3", "dim: 1", "'c1' (line 5) reads 1 channels of 'data' (1x1x8x8)"),
        ('name: "prob" type: "Softmax"', 'name: "prob" type: "Sigmoid"', "stands where Softmax"),
    ],
)
def test_first_difference_is_told_by_layer_and_line(parted, old, new, says):
    text = plain().text
    assert old in text
    assert says in parted(text.replace(old, new, 1))


def test_layer_that_is_missing_is_told(parted):
    text = plain().text
    said = parted(text[: text.index('layer {\n  name: "prob"')])
    assert "it has nothing for Softmax layer 'prob' in" in said
    assert parted(plain().relu("end", "prob", "last"), None).count("'end'") == 1


def test_layer_that_only_the_given_file_has_is_told(parted):
    text = plain().text.replace(
        'layer {\n  name: "fc"',
        'layer { name: "more" type: "AbsVal" bottom: "both" top: "both" }\nlayer {\n  name: "fc"',
    )
    assert "AbsVal layer 'more' (line 39) stands where InnerProduct layer 'fc' in" in parted(text)


def test_batch_norm_that_the_given_file_still_has_is_told_with_the_way_to_keep_it(parted):
    text = plain().text.replace(
        'layer {\n  name: "r1"',
        'layer { name: "b1" type: "BatchNorm" bottom: "c1" top: "c1" }\nlayer {\n  name: "r1"',
    )
    said = parted(text)
    assert "BatchNorm layer 'b1' (line 9) is not in the folded network" in said
    assert "folded into c1" in said
    assert "with --keep b1 it stays" in said


def test_scale_that_the_fold_has_to_leave_is_told_with_the_reason(parted):
    net = Model(seed=5).input("data", (2, 3, 5, 5)).relu("r", "data", "pos")
    net.batch_norm("b", "pos").conv("c", "pos", 4, words="pad: 1")
    given = Model().input("data", (2, 3, 5, 5)).relu("r", "data", "pos")
    said = parted(given.conv("c", "pos", 4, words="pad: 1"), net)
    assert "reads 'pos', and 'c' in" in said
    assert "reads what Scale layer 'b' in" in said
    assert "pads by 1 and the shift is not zero" in said


def test_input_of_an_unknown_name_is_told_where_there_are_several(parted):
    def two(names: str) -> Model:
        one, other = names.split()
        net = Model(seed=5).input(one, (1, 3, 5, 5)).input(other, (1, 3, 5, 5))
        return net.conv("a", one, 4).conv("b", other, 4).plain("Eltwise", "sum", "a b")

    said = parted(two("colour infrared"), two("photo depth"))
    assert "which input of" in said
    assert "'colour' is cannot be told: that has 'photo', 'depth'" in said


def test_outputs_that_come_about_alike_under_other_names_are_refused(parted):
    def heads(names: str) -> Model:
        net = Model(seed=5).input("data", (1, 3, 5, 5))
        for name in names.split():
            net.conv(name, "data", 4)
        return net

    said = parted(heads("x y"), heads("age gender"))
    assert "makes output 'y', which comes about like output 'x'" in said


def test_output_in_the_middle_is_refused(parted):
    # Nobody reads 'c' any more in the given file, and the folded network goes on with it.
    net = Model(seed=5).input("data", (1, 3, 5, 5)).conv("c", "data", 4).relu("r", "c", "d")
    assert "it has nothing for ReLU layer 'r'" in parted(
        Model().input("data", (1, 3, 5, 5)).conv("c", "data", 4), net
    )


def test_layer_without_weights_is_told(parted, tmp_path):
    net = deploy()
    del net.net.layer[-1]
    said = parted(plain(), net)
    assert "has no weights for InnerProduct layer 'fc'" in said
    assert "which is 'fc' in" in said


def test_weights_of_a_wrong_shape_are_told(parted):
    net = deploy()
    record = next(record for record in net.net.layer if record.name == "left")
    record.blobs[0].shape.dim[:] = [6, 4, 1, 1]
    parted(plain(), net, says="its weight has shape 6x4x1x1 in the weights file")


def test_file_of_blobs_that_are_shared_otherwise_is_refused(parted):
    text = plain().text
    for name in ("left", "right"):
        text = text.replace(f'name: "{name}"', f'name: "{name}" param {{ name: "w" }}')
    said = parted(text)
    assert "shares blob 'w' with 'left'" in said
    assert "take out that param name" in said


def test_output_model_beside_the_given_file_is_refused(parted, tmp_path):
    said = parted(plain(), None, "--output-model", tmp_path / "new.prototxt")
    assert "stays as it is" in said


def test_given_file_that_is_none_is_refused(refused, tmp_path):
    pair = deploy().save(tmp_path)
    refused("merge", *pair, "--onto", tmp_path / "nowhere.prototxt", says="nowhere.prototxt")
    refused("merge", *pair, "--onto", pair[1], says="not text but a binary file")
    refused("merge", *pair, "--onto", pair[0], "--output-weights", pair[0], "--force", says="input")


def test_three_blobs_where_five_are_called_for_are_explained_in_a_merge_too(refused, tmp_path):
    net = Model(seed=5).input("data", (1, 3, 5, 5)).conv("c", "data", 4)
    net.batch_norm("b", "c", words="scale_bias: true")
    said = refused("merge", *net.save(tmp_path), says="BatchNorm layer 'b' (line 9)")
    assert "scale_bias: true, which calls for 5 blobs, and the weights file has 3" in said


@pytest.mark.parametrize(("own", "others"), [("scale_bias: true", ""), ("", "scale_bias: true")])
def test_batch_norm_that_stays_needs_as_many_blobs_as_the_given_file_expects(parted, own, others):
    def kept(words: str) -> Model:
        net = Model(seed=5).input("data", (1, 3, 5, 5)).conv("c", "data", 4)
        return net.batch_norm("b", "c", words=words)

    net = kept(others)
    if others:
        net.net.layer[-1].blobs.extend([net.net.layer[-1].blobs[0]] * 2)
    said = parted(kept(own), net, "--keep", "b")
    expected = "5 blobs are expected" if own else "3 are expected"
    assert expected in said
    assert "NVIDIA's Caffe has 5 and BVLC's has 3" in said


def test_layer_without_weights_is_told_in_a_merge_too(run, tmp_path):
    net = deploy()
    del net.net.layer[-1]
    ran = run("merge", *net.save(tmp_path))
    assert ran.code == 0
    assert "InnerProduct layer 'fc' has no weights in the weights file; Caffe" in ran.err
