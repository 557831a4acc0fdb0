"""What opening a weights file tells, and how it refuses what is none."""

import gzip
import os

import pytest

from bnfold.caffemodel import CaffemodelError, open_weights, schema

from .build import Net, dims, floats, group, layer, num, sub, unpacked, v1_layer, varint

BLOB = sub(7, dims(2), sub(5, floats([1, 2])))
V1_BLOB = sub(6, sub(5, floats([1, 2])))


def test_records_come_in_the_order_of_the_file(files):
    with files.open(
        sub(1, "net"),
        layer("b", sub(3, "x"), sub(4, "y"), sub(4, "z"), BLOB, BLOB),
        layer("a", kind="ReLU"),
    ) as weights:
        assert weights.name == "net"
        b, a = weights.records
        assert (b.name, b.type, b.bottoms, b.tops, len(b.blobs), b.is_v1) == (
            "b", "Convolution", ("x",), ("y", "z"), 2, False,
        )  # fmt: skip
        assert (a.name, a.type, a.bottoms, a.tops, a.blobs) == ("a", "ReLU", (), (), ())
        assert weights.get("a") is a
        assert weights.get("c") is None


def test_a_file_written_by_protobuf_is_read(files):
    net = Net(name="n")
    record = net.layer.add(name="c", type="Convolution", bottom=["x"], top=["y"])
    record.convolution_param.kernel_size.append(3)
    record.blobs.add(data=[1, 2, 3]).shape.dim.extend([1, 3])
    with files.open(net.SerializeToString()) as weights:
        assert weights.get("c").blobs[0].array().tolist() == [[1, 2, 3]]


def test_v1_records_get_modern_type_names(files):
    with files.open(
        v1_layer("c", sub(2, "x"), sub(3, "y"), V1_BLOB),
        v1_layer("f", kind=57),
        sub(2, sub(4, "g")),
    ) as weights:
        c, f, g = weights.records
        assert (c.name, c.type, c.is_v1, c.bottoms, c.tops) == (
            "c",
            "Convolution",
            True,
            ("x",),
            ("y",),
        )
        assert c.blobs[0].read().tolist() == [1, 2]
        assert (f.type, g.type) == ("V1:57", "")


def test_every_v1_type_has_a_name():
    from bnfold.caffemodel.fields import V1_TYPES, v1_number

    assert set(V1_TYPES) == set(schema.enum("V1LayerParameter.LayerType").values())
    for number, name in V1_TYPES.items():
        assert v1_number(name) == number
        enum_name = next(
            key
            for key, value in schema.enum("V1LayerParameter.LayerType").items()
            if value == number
        )
        known = {"NONE": "", "SOFTMAX_LOSS": "softmaxwithloss"}
        assert name.lower() == known.get(enum_name, enum_name.replace("_", "").lower())
    assert v1_number("V1:57") == 57
    assert v1_number("V1:x") is None
    assert v1_number("BatchNorm") is None


def test_of_records_with_one_name_the_last_counts(files):
    with files.open(layer("a", BLOB), layer("b"), layer("a", BLOB, BLOB)) as weights:
        assert weights.get("a") is weights.records[2]


def test_where_v1_records_exist_only_they_count(files):
    with files.open(layer("a", BLOB), v1_layer("b", V1_BLOB)) as weights:
        assert len(weights.records) == 2
        assert weights.get("a") is None
        assert weights.get("b") is weights.records[1]


def test_fields_may_come_in_any_order_and_the_last_name_counts(files):
    record = sub(100, BLOB, sub(2, "Old"), sub(1, "old"), sub(4, "t"), sub(1, "a"), sub(2, "Scale"))
    with files.open(record, sub(1, "x"), sub(1, "net")) as weights:
        assert (weights.name, weights.records[0].name, weights.records[0].type) == (
            "net",
            "a",
            "Scale",
        )


def test_what_is_unknown_is_passed_over(files):
    odd = (
        num(2000, 5) + varint(2001 << 3 | 1) + b"8bytes.." + unpacked(2002, [1.0])
        + sub(2003, b"?") + group(2004, num(1, 1), group(2004, sub(3, "x")), sub(100, b"\xff"))
    )  # fmt: skip
    with files.open(odd, layer("a", odd, sub(7, odd, sub(5, floats([3])), odd)), odd) as weights:
        assert weights.get("a").blobs[0].read().tolist() == [3]


def test_a_known_number_of_another_wire_type_is_unknown(files):
    # protobuf's rule; so a fork may use BVLC's numbers for something else and still be read
    with files.open(layer("a", num(1, 4), num(7, 1), sub(7, num(5, 1), num(7, 1)))) as weights:
        assert weights.records[0].name == "a"
        assert len(weights.records[0].blobs) == 1


def test_a_name_that_is_no_utf8_is_kept(files):
    data = layer("conv", BLOB).replace(b"conv", b"c\xff\xfev")
    with files.open(data) as weights:
        (record,) = weights.records
        assert record.name.encode("utf-8", "surrogateescape") == b"c\xff\xfev"
        assert weights.get(record.name) is record
        from bnfold.caffemodel import LayerEdit

        out = files.rewrite(weights, {record.name: LayerEdit(blobs=record.blobs)})
        assert out == data


STRANGERS = {
    "empty": (b"", "empty"),
    "prototxt": (b'name: "n"\nlayer {\n  name: "a"\n}\n', "text .*prototxt"),
    "prototxt with newlines first": (b"\n\n\n# a network\nname: 'n'\n" * 40, "text"),
    "prototxt with umlauts": (("# für\n" * 200).encode(), "text"),
    "utf-8 mark": (b"\xef\xbb\xbfname: 'n'\n", "text"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "git lfs pull"),
    "html": (b"\n<!DOCTYPE html>\n<html></html>", "web page"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(40), "HDF5 says"),
    "zip": (b"PK\x03\x04" + bytes(40), "zip"),
    "gzip": (gzip.compress(layer("a")), "gzip.*unpack"),
    "tar": (b"x.caffemodel".ljust(257, b"\0") + b"ustar\x0000", "tar archive"),
    "pickle": (b"\x80\x02}q\x00.", "pickle"),
    "onnx": (b"\x08\x07\x12\x07pytorch", "another kind of protobuf"),
    "mean image": (num(1, 1) + num(2, 3) + sub(5, floats([1, 2])), "another kind of protobuf"),
    "tensorflow": (sub(1, sub(1, "x"), sub(2, "Placeholder")) * 3, "no layers"),
    "only a name": (sub(1, "net"), "no layers"),
    "v0": (sub(2, sub(1, sub(1, "conv1"), sub(2, "conv"))), "upgrade_net_proto_binary"),
    "zeros": (bytes(100), "field number 0"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "message"), STRANGERS.values(), ids=STRANGERS)
def test_another_file_is_refused_by_what_it_is(files, data, message):
    with pytest.raises(CaffemodelError, match=message) as error:
        files.open(data)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(str(files.path))


def test_a_directory_and_a_pipe_are_refused(tmp_path):
    with pytest.raises(CaffemodelError, match="directory"):
        open_weights(tmp_path)
    reader, writer = os.pipe()
    try:
        with pytest.raises(CaffemodelError, match="not a regular file"):
            open_weights(f"/dev/fd/{reader}")
    finally:
        os.close(reader)
        os.close(writer)


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        open_weights(tmp_path / "none.caffemodel")


DAMAGE = {
    "past the layer": (layer("a", b"\x3a\x7f"), "layer 'a' .*past the end"),
    "past the blob": (layer("a", sub(7, b"\x2a\x7f")), "layer 'a' .*past the end"),
    "huge length": (layer("a", b"\x3a" + b"\xff" * 9 + b"\x01"), "layer 'a' .*past the end"),
    "long number": (layer("a", b"\x08" + b"\xff" * 11), "layer 'a' .*more than 64 bits"),
    "fixed cut off": (layer("a", b"\x2d\x00"), "layer 'a' .*past the end"),
    "number cut off": (layer("a", b"\x08\x80"), "layer 'a' .*cut off"),
    "wire type 6": (layer("a", b"\x0e"), "layer 'a' .*wire type 6"),
    "wire type 7": (layer("a", b"\x0f"), "layer 'a' .*wire type 7"),
    "field 0": (layer("a", b"\x00"), "layer 'a' .*field number 0"),
    "huge field": (layer("a", varint(1 << 33)), "layer 'a' .*field number"),
    "group open": (layer("a", varint(9 << 3 | 3)), "layer 'a' .*never ends"),
    "group closed": (layer("a", varint(9 << 3 | 4)), "layer 'a' .*never began"),
    "group crossed": (layer("a", b"\x4b\x54"), "layer 'a' .*never began"),
    "deep groups": (layer("a", b"\x4b" * 101 + b"\x4c" * 101), "layer 'a' .*100 deep"),
    "long name": (sub(100, sub(1, b"x" * 70_000)), "name of 70000 bytes"),
    "shape": (layer("a", sub(7, sub(7, b"\x0a\x05\x01"))), "layer 'a' .*past the end"),
    "dim": (layer("a", sub(7, sub(7, b"\x0a\x01\x80"))), "layer 'a' .*cut off"),
}


@pytest.mark.parametrize(("data", "message"), DAMAGE.values(), ids=DAMAGE)
def test_damage_is_told_with_layer_and_byte(files, data, message):
    with pytest.raises(CaffemodelError, match=message) as error:
        files.open(data)
    assert "(byte " in str(error.value)
    assert "damaged" in str(error.value)


def test_a_file_cut_off_anywhere_is_refused_or_ends_between_layers(files):
    parts = [sub(1, "net"), layer("a", BLOB), layer("b", sub(6, sub(1, "w")), BLOB)]
    data = b"".join(parts)
    whole = {len(parts[0]) + len(parts[1]), len(data)}
    for size in range(len(data)):
        if size in whole:
            continue
        with pytest.raises(CaffemodelError) as error:
            files.open(data[:size])
        if size > min(whole):
            assert "behind layer 'a'" in str(error.value)


def test_an_error_is_one_line_whatever_the_name(files):
    with pytest.raises(CaffemodelError) as error:
        files.open(layer("a\nb", b"\x0f"))
    assert "\n" not in str(error.value)
