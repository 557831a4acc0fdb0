"""Changing single fields of convolution_param and its like."""

import pytest

from bnfold.caffemodel import CaffemodelError, LayerEdit, schema

from .build import dims, floats, layer, num, parse, sub, unpacked, v1_layer

BIAS = ("convolution_param", "bias_term")
ENGINE = ("convolution_param", "engine")
BLOB = sub(7, dims(1), sub(5, floats([1])))


def edited(files, record, params):
    with files.open(record) as weights:
        return files.rewrite(weights, {"a": LayerEdit(params=params)})


def conv(*fields):
    return layer("a", BLOB, sub(106, *fields), sub(3000, b"fork"))


def test_a_field_is_changed_where_it_stands(files):
    unknown = sub(50, b"fork's own")
    before = conv(num(4, 3), num(2, 0), unknown, num(1, 8))
    assert edited(files, before, {BIAS: True}) == conv(num(4, 3), num(2, 1), unknown, num(1, 8))


def test_a_field_is_added_where_there_is_none(files):
    assert edited(files, conv(num(1, 8)), {BIAS: True}) == conv(num(1, 8), num(2, 1))
    assert edited(files, conv(), {ENGINE: "CAFFE"}) == conv(num(15, 1))
    assert edited(files, conv(), {ENGINE: 1}) == conv(num(15, 1))


def test_a_field_is_cleared(files):
    assert edited(files, conv(num(2, 0), num(1, 8), num(2, 1)), {BIAS: None}) == conv(num(1, 8))
    assert edited(files, conv(num(1, 8)), {BIAS: None}) == conv(num(1, 8))


def test_all_but_one_of_a_repeated_field_go(files):
    kernel = ("convolution_param", "kernel_size")
    assert edited(files, conv(num(4, 3), num(4, 5)), {kernel: 1}) == conv(num(4, 1))


def test_numbers_of_every_kind_are_written_as_protobuf_does(files):
    record = layer("a", sub(122, unpacked(2, [1])), sub(142, num(1, 1)))
    out = edited(
        files,
        record,
        {("power_param", "scale"): 2.5, ("power_param", "shift"): 1, ("scale_param", "axis"): -3},
    )
    made = parse(out).layer[0]
    assert (made.power_param.scale, made.power_param.shift, made.scale_param.axis) == (2.5, 1, -3)


def test_a_message_the_record_does_not_carry_is_not_made(files):
    record = layer("a", BLOB)
    assert edited(files, record, {BIAS: True, ("bn_param", "eps"): 1.0}) == record


def test_v1_records_have_their_own_numbers(files):
    v1 = v1_layer("a", sub(10, num(2, 0)), sub(106, num(2, 0)))
    changes = {BIAS: True, ("scale_param", "bias_term"): True}
    assert edited(files, v1, changes) == v1_layer("a", sub(10, num(2, 1)), sub(106, num(2, 0)))


def test_a_message_in_two_parts_means_the_same_afterwards(files):
    record = layer("a", sub(106, num(1, 8), num(2, 0)), sub(106, num(2, 0)))
    expected = layer("a", sub(106, num(1, 8)), sub(106, num(2, 1)))
    assert edited(files, record, {BIAS: True}) == expected


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({("no_param", "x"): 1}, "no_param"),
        ({("convolution_param", "no_field"): 1}, "convolution_param.no_field"),
        ({("name", "x"): 1}, "message name"),
        ({("convolution_param", "bias_term"): "yes"}, "cannot set convolution_param"),
        ({("convolution_param", "engine"): "FAST"}, "no value FAST"),
        ({("convolution_param", "num_output"): -1}, "cannot set convolution_param"),
    ],
)
def test_what_cannot_be_set_is_named(files, params, message):
    with pytest.raises(CaffemodelError, match=f"layer 'a': .*{message}"):
        edited(files, conv(num(1, 8)), params)


def test_a_damaged_message_is_told(files):
    with pytest.raises(CaffemodelError, match=r"layer 'a' .*past the end"):
        edited(files, conv(b"\x12\x7f"), {BIAS: True})


def test_the_schema_knows_messages_and_enums():
    assert schema.message("ConvolutionParameter")().bias_term is True
    assert schema.enum("ConvolutionParameter.Engine") == {"DEFAULT": 0, "CAFFE": 1, "CUDNN": 2}
    assert schema.enum("Phase")["TEST"] == 1
    with pytest.raises(KeyError):
        schema.message("Nothing")
    with pytest.raises(KeyError):
        schema.enum("Nothing")


# ------------------------------------------------------------------ fields left out


def test_dropped_fields_go_however_often_they_occur(files):
    kept = [BLOB, sub(106, num(1, 8)), sub(3000, b"fork")]
    record = layer("a", sub(6, sub(1, "w")), kept[0], sub(6, sub(1, "b")), *kept[1:], sub(139))
    with files.open(layer("z"), record, layer("y", sub(6))) as weights:
        out = files.rewrite(weights, {"a": LayerEdit(drop=("param", "batch_norm_param"))})
        assert out == layer("z") + layer("a", *kept) + layer("y", sub(6))
        (own,) = weights.get("a").blobs
        edit = LayerEdit(drop=("param",), blobs=(own,))
        assert files.rewrite(weights, {"a": edit}) == (
            layer("z") + layer("a", *kept, sub(139)) + layer("y", sub(6))
        )


def test_a_dropped_message_is_not_edited_first(files):
    with files.open(conv(num(1, 8))) as weights:
        edit = LayerEdit(drop=("convolution_param",), params={BIAS: True})
        assert files.rewrite(weights, {"a": edit}) == layer("a", BLOB, sub(3000, b"fork"))


def test_a_v1_record_drops_what_v1_knows(files):
    numbers = schema.message("V1LayerParameter").DESCRIPTOR.fields_by_name
    record = v1_layer("a", sub(numbers["param"].number, "w"), sub(10, num(1, 2)))
    with files.open(record) as weights:
        edit = LayerEdit(drop=("param", "batch_norm_param"))
        assert files.rewrite(weights, {"a": edit}) == v1_layer("a", sub(10, num(1, 2)))


@pytest.mark.parametrize("name", ["params", "name", "type", "bottom", "top", "blobs"])
def test_a_field_that_cannot_be_dropped_is_named(files, name):
    with (
        files.open(layer("a")) as weights,
        pytest.raises(CaffemodelError, match=f"layer 'a': .*{name}"),
    ):
        files.rewrite(weights, {"a": LayerEdit(drop=(name,))})
