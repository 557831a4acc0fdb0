"""What a written file keeps, and what a changed record becomes."""

import io
import os
import threading
from pathlib import Path

import numpy as np
import pytest

from bnfold.caffemodel import ArrayBlob, CaffemodelError, LayerEdit, NewLayer, stream

from .build import (
    Counting,
    dims,
    floats,
    group,
    layer,
    legacy,
    num,
    parse,
    sub,
    unpacked,
    v1_layer,
    varint,
)

ODD = num(2000, 5) + varint(2001 << 3 | 1) + b"8bytes.." + sub(2003, b"?") + group(2004, num(1, 1))
BEFORE = sub(1, "net") + ODD + layer("first", ODD, sub(7, sub(5, floats([1, 2]))))
AFTER = ODD + layer("last", sub(7, sub(5, floats([3]))), kind="Nobody") + ODD


def edit(files, record, change, *, name="a", **more):
    """Return what `record` becomes, having checked that nothing around it changed."""
    with files.open(BEFORE, record, AFTER) as weights:
        if callable(change):
            change = change(weights.get(name))
        out = files.rewrite(weights, {name: change}, **more)
        assert out == files.rewrite(weights, {name: change}, **more)
    assert out.startswith(BEFORE)
    assert out.endswith(AFTER)
    return out[len(BEFORE) : len(out) - len(AFTER)]


def test_without_edits_the_file_is_the_same(files):
    data = BEFORE + v1_layer("v", sub(6, sub(5, floats([1])))) + AFTER
    with files.open(data) as weights:
        assert files.rewrite(weights, {}) == data
        assert files.rewrite(weights, {"nobody": LayerEdit(remove=True, type="x")}) == data
        # also one that is taken apart and put together again
        for record in weights.records:
            edits = {record.name: LayerEdit(blobs=record.blobs)}
            assert files.rewrite(weights, edits) == data


def test_a_removed_layer_leaves_no_byte(files):
    assert edit(files, layer("a", ODD), LayerEdit(remove=True)) == b""


def test_new_name_takes_the_place_of_the_old_and_nothing_else_moves(files):
    change = LayerEdit(name="new one")
    assert edit(files, layer("a", ODD, sub(7, ODD)), change) == layer("new one", ODD, sub(7, ODD))
    assert edit(files, v1_layer("a", ODD), change) == v1_layer("new one", ODD)


def test_all_records_of_a_name_are_edited(files):
    record = layer("a", sub(7, sub(5, floats([1]))))
    with files.open(record, BEFORE, record) as weights:
        assert files.rewrite(weights, {"a": LayerEdit(remove=True)}) == BEFORE
        (own,) = weights.get("a").blobs
        out = files.rewrite(weights, {"a": LayerEdit(blobs=(own, ArrayBlob(np.float32([7]))))})
    changed = layer("a", sub(7, sub(5, floats([1]))), sub(7, dims(1), sub(5, floats([7]))))
    assert out == changed + BEFORE + changed


def test_the_type_is_replaced_where_it_stands(files):
    body = [ODD, sub(3, "x"), sub(6, sub(1, "w"))]
    record = sub(100, sub(7, sub(5)), sub(2, "Convolution"), *body, sub(1, "a"))
    expected = sub(100, sub(7, sub(5)), sub(2, "Scale"), *body, sub(1, "a"))
    assert edit(files, record, LayerEdit(type="Scale")) == expected


def test_the_type_is_added_where_there_is_none(files):
    out = edit(files, sub(100, ODD), LayerEdit(type="Scale"), name="")
    assert out == sub(100, sub(2, "Scale"), ODD)


def test_bottoms_and_tops_are_replaced_only_where_there_are_some(files):
    change = LayerEdit(bottoms=("p", "q"), tops=("r",))
    assert edit(files, layer("a", ODD), change) == layer("a", ODD)
    record = layer("a", sub(3, "x"), ODD, sub(3, "y"), sub(4, "z"), sub(4, "z2"))
    assert edit(files, record, change) == layer("a", sub(3, "p"), sub(3, "q"), ODD, sub(4, "r"))
    assert edit(files, record, LayerEdit(bottoms=())) == layer("a", ODD, sub(4, "z"), sub(4, "z2"))


def test_a_v1_record_takes_the_number_of_its_new_type(files):
    record = v1_layer("a", sub(2, "x"), ODD, sub(3, "y"))
    change = LayerEdit(type="InnerProduct", bottoms=("p",), tops=("q",))
    assert edit(files, record, change) == v1_layer("a", sub(2, "p"), ODD, sub(3, "q"), kind=14)
    with pytest.raises(CaffemodelError, match=r"layer 'a': .*'Scale'.*V1"):
        edit(files, record, LayerEdit(type="Scale"))


# ------------------------------------------------------------------ blobs

NEW = {"<f4": [0, 1, 2, 3, 4, 5], "<f8": [0, 1, 2, 3, 4, 5], "<f2": [0, 1, 2, 3, 4, 5]}


def raw(kind, dtype):
    return num(10, kind) + sub(12, floats(NEW[dtype], dtype))


IN_PACKED = {"<f4": sub(5, floats(NEW["<f4"])), "<f8": sub(8, floats(NEW["<f8"], "<f8")),
             "<f2": raw(2, "<f2")}  # fmt: skip
IN_UNPACKED = {"<f4": unpacked(5, NEW["<f4"]), "<f8": unpacked(8, NEW["<f8"], "<d"),
               "<f2": raw(2, "<f2")}  # fmt: skip
OLD = [9, 8, 7, 6, 5, 4]
STORED = {
    "data": (sub(5, floats(OLD)), IN_PACKED),
    "data split": (sub(5, floats(OLD[:2])) + sub(5, floats(OLD[2:])), IN_PACKED),
    "double_data": (sub(8, floats(OLD, "<f8")), IN_PACKED),
    "data unpacked": (unpacked(5, OLD), IN_UNPACKED),
    "double_data unpacked": (unpacked(8, OLD, "<d"), IN_UNPACKED),
    "raw float": (num(10, 1) + sub(12, floats(OLD)), IN_PACKED),
    "raw double": (num(10, 0) + sub(12, floats(OLD, "<f8")), IN_PACKED),
    "raw half": (num(10, 2) + sub(12, floats(OLD, "<f2")), IN_PACKED),
}
GRADIENTS = sub(6, floats(OLD)) + sub(9, floats(OLD, "<f8")) + num(11, 1) + sub(13, b"diff")


@pytest.mark.parametrize("dtype", NEW)
@pytest.mark.parametrize("stored", STORED.values(), ids=STORED)
def test_a_new_blob_is_written_as_the_old_one_but_not_as_raw_float32(files, stored, dtype):
    old, new = stored
    for shape in (dims(2, 3), legacy(1, 1, 2, 3)):
        for axes in ((2, 3), (1, 1, 2, 3)):
            kept = shape
            if shape == dims(2, 3) and len(axes) == 4:
                kept = dims(1, 1, 2, 3)
            record = layer("a", ODD, sub(7, ODD, shape, old, GRADIENTS, ODD), ODD)
            out = edit(files, record, LayerEdit(blobs=(Counting(axes, dtype),)))
            assert out == layer("a", ODD, sub(7, ODD, kept, new[dtype], ODD), ODD)


@pytest.mark.parametrize("step", [1, 2, 5])
def test_a_new_blob_may_come_in_any_number_of_pieces(files, step):
    for old, new in (STORED["data"], STORED["data unpacked"]):
        record = layer("a", sub(7, old, dims(6)))
        change = LayerEdit(blobs=(Counting((6,), step=step),))
        assert edit(files, record, change) == layer("a", sub(7, new["<f4"], dims(6)))


def test_own_blobs_are_copied_with_gradients_wherever_they_go(files):
    one = sub(7, ODD, dims(2), sub(5, floats([1, 2])), sub(6, floats([3, 4])))
    two = sub(7, dims(1), sub(8, floats([1], "<f8")), sub(9, floats([5], "<f8")))
    three = sub(7, dims(3), sub(5, floats([0, 1, 2])))
    record = layer("a", one, ODD, two, sub(4, "t"))

    def swap(own):
        return LayerEdit(blobs=(own.blobs[1], own.blobs[0], Counting((3,))))

    assert edit(files, record, swap) == layer("a", two, ODD, one, three, sub(4, "t"))
    drop = LayerEdit(blobs=())
    assert edit(files, record, drop) == layer("a", ODD, sub(4, "t"))

    def keep_one(own):
        return LayerEdit(blobs=own.blobs[:1])

    assert edit(files, record, keep_one) == layer("a", one, ODD, sub(4, "t"))


def test_an_added_bias_takes_the_form_of_the_first_blob(files):
    def add(own):
        return LayerEdit(blobs=(own.blobs[0], Counting((3,))))

    values = floats([0, 1, 2])
    cases = [
        (dims(1, 1) + sub(5, floats([9])), dims(3) + sub(5, values)),
        (legacy(1, 1, 1, 1) + sub(5, floats([9])), legacy(1, 1, 1, 3) + sub(5, values)),
        (dims(1) + unpacked(5, [9]), dims(3) + unpacked(5, [0, 1, 2])),
        (
            dims(1) + num(10, 2) + sub(12, floats([9], "<f2")),
            dims(3) + sub(5, values),
        ),
    ]
    for first, bias in cases:
        record = layer("a", sub(7, first), sub(106, num(1, 3)))
        assert edit(files, record, add) == layer(
            "a", sub(7, first), sub(7, bias), sub(106, num(1, 3))
        )


def test_blobs_are_added_to_a_record_without_any(files):
    out = edit(files, layer("a", ODD), LayerEdit(blobs=(Counting((2,)), Counting(()))))
    one = sub(7, dims(2), sub(5, floats([0, 1])))
    assert out == layer("a", ODD, one, sub(7, dims(), sub(5, floats([0]))))


def test_shapes_change_where_they_stand(files):
    record = layer("a", sub(7, sub(5, floats([1, 2])), sub(7, sub(1, varint(2))), ODD))
    out = edit(files, record, LayerEdit(blobs=(Counting((3, 1)),)))
    assert out == layer("a", sub(7, sub(5, floats([0, 1, 2])), dims(3, 1), ODD))


def test_a_blob_without_shape_gets_one_only_if_it_needs_it(files):
    record = layer("a", sub(7, ODD, sub(5, floats([1, 2]))))
    flat = layer("a", sub(7, ODD, sub(5, floats([0, 1, 2]))))
    assert edit(files, record, LayerEdit(blobs=(Counting((3,)),))) == flat
    deep = layer("a", sub(7, dims(3, 1), ODD, sub(5, floats([0, 1, 2]))))
    assert edit(files, record, LayerEdit(blobs=(Counting((3, 1)),))) == deep


def test_a_blob_without_axes_gets_a_shape_where_it_gets_an_axis(files):
    record = layer("a", sub(7, ODD, sub(5, floats([7]))))
    one = layer("a", sub(7, dims(1), ODD, sub(5, floats([0]))))
    assert edit(files, record, LayerEdit(blobs=(Counting((1,)),))) == one


def test_a_shape_of_five_axes_leaves_the_legacy_form(files):
    record = layer("a", sub(7, legacy(1, 1, 1, 2), sub(5, floats([1, 2]))))
    out = edit(files, record, LayerEdit(blobs=(Counting((1, 1, 1, 1, 2)),)))
    assert out == layer("a", sub(7, dims(1, 1, 1, 1, 2), sub(5, floats([0, 1]))))


def test_protobuf_reads_what_was_written(files):
    record = v1_layer("a", sub(6, legacy(1, 1, 2, 3), sub(5, floats(OLD))))
    net = parse(edit(files, record, LayerEdit(blobs=(Counting((6,)), Counting((2,), "<f8")))))
    weight, bias = net.layers[0].blobs
    assert (weight.num, weight.channels, weight.height, weight.width) == (1, 1, 1, 6)
    assert list(weight.data) == NEW["<f4"]
    assert (bias.width, list(bias.double_data)) == (2, [0, 1])


def test_a_large_blob_is_asked_for_in_pieces(files):
    size = stream.CHUNK_ITEMS * 2 + 17
    source = Counting((size,))
    record = layer("a", sub(7, dims(1), unpacked(5, [1])))
    with files.open(record) as weights:
        files.rewrite(weights, {"a": LayerEdit(blobs=(source,))})
    assert source.asked == [stream.CHUNK_ITEMS]
    with files.open((files.path / "out.caffemodel").read_bytes()) as weights:
        np.testing.assert_array_equal(
            weights.get("a").blobs[0].read(), np.arange(size, dtype=np.float32)
        )


# ------------------------------------------------------------------ sources that break their word


class Liar(Counting):
    def __init__(self, *chunks, shape=(3,)):
        super().__init__(shape)
        self.given = chunks

    def chunks(self, max_items):
        yield from self.given


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (Liar(), "3 fewer values than its 3"),
        (Liar(np.zeros(2, np.float32)), "1 fewer"),
        (Liar(np.zeros(2, np.float32), np.zeros(2, np.float32)), "more values"),
        (Liar(np.zeros(3)), "float64, not float32"),
        (Counting((3,), "<i4"), "dtype int32"),
        (Counting((3,), ">f4"), "dtype >f4"),
        (Counting((-3, -1)), "impossible shape"),
        (Counting((1,) * 33), "impossible shape"),
    ],
)
def test_a_source_that_breaks_its_word_is_named(files, source, message):
    record = layer("a", sub(7, sub(5, floats([1, 2, 3]))))
    with files.open(record) as weights:
        own = weights.get("a").blobs[0]
        with pytest.raises(CaffemodelError, match=f"layer 'a': the new blob 1 .*{message}"):
            files.rewrite(weights, {"a": LayerEdit(blobs=(own, source))})


def test_a_chunk_of_any_layout_is_written_in_order(files):
    chunk = np.arange(6, dtype=np.float32).reshape(3, 2).T
    record = layer("a", sub(7, dims(6), sub(5, floats(OLD))))
    out = edit(files, record, LayerEdit(blobs=(Liar(chunk, shape=(6,)),)))
    assert out == layer("a", sub(7, dims(6), sub(5, floats([0, 2, 4, 1, 3, 5]))))


# ------------------------------------------------------------------ added layers


def test_a_layer_is_added_at_the_end(files):
    new = NewLayer("n", "Scale", ("x",), ("y",), (Counting((2,)),))
    written = sub(
        100, sub(1, "n"), sub(2, "Scale"), sub(3, "x"), sub(4, "y"),
        sub(7, dims(2), sub(5, floats([0, 1]))),
    )  # fmt: skip
    for trailing in (b"", ODD):
        with files.open(BEFORE, layer("last"), trailing) as weights:
            out = files.rewrite(weights, {}, additions=[new])
            assert out == BEFORE + layer("last") + trailing + written
            out = files.rewrite(weights, {"last": LayerEdit(remove=True)}, additions=[new, new])
            assert out == BEFORE + trailing + written * 2


def test_an_added_layer_takes_the_form_of_the_file(files):
    new = NewLayer("n", "Power", (), ("y",), (Counting((2,)),))
    record = v1_layer("a", sub(6, legacy(1, 1, 1, 1), sub(5, floats([1]))))
    with files.open(record) as weights:
        out = files.rewrite(weights, {}, additions=[new])
    blob = sub(6, legacy(1, 1, 1, 2), sub(5, floats([0, 1])))
    assert out == record + sub(2, sub(3, "y"), sub(4, "n"), num(5, 26), blob)


# ------------------------------------------------------------------ refusals


def test_weights_never_get_lost_for_want_of_a_record(files):
    with files.open(BEFORE) as weights:
        with pytest.raises(CaffemodelError, match="layer 'b': has no record"):
            files.rewrite(weights, {"b": LayerEdit(blobs=(Counting((1,)),))})
        assert (files.path / "out.caffemodel").read_bytes() == b""


def test_the_file_that_is_read_is_never_written_over(files):
    with files.open(BEFORE) as weights, Path(weights.path).open("r+b") as out:
        with pytest.raises(CaffemodelError, match="cannot be written over"):
            weights.write(out, {})
        assert out.read() == BEFORE


def test_a_result_too_large_for_protobuf_is_refused_before_writing(files):
    with files.open(BEFORE) as weights:
        change = LayerEdit(blobs=(Counting((2**29,)),))
        with pytest.raises(CaffemodelError, match="2 GiB"):
            files.rewrite(weights, {"first": change})
        assert (files.path / "out.caffemodel").read_bytes() == b""


# ------------------------------------------------------------------ where it is written to


def test_any_kind_of_output_gets_the_same_bytes(files):
    big = layer("big", sub(7, sub(5, np.arange(300_000, dtype="<f4").tobytes())))
    change = {"last": LayerEdit(blobs=(Counting((1000,)),))}
    with files.open(BEFORE, big, AFTER) as weights:
        expected = files.rewrite(weights, change)

        path = files.path / "appended"
        with path.open("ab") as out:
            out.write(b"head")
            weights.write(out, change)
            out.write(b"tail")
        assert path.read_bytes() == b"head" + expected + b"tail"

        with path.open("w+b") as out:
            out.write(b"head")
            weights.write(out, change)
            assert out.tell() == 4 + len(expected)
            out.write(b"tail")
        assert path.read_bytes() == b"head" + expected + b"tail"

        descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC)
        weights.write(descriptor, change)
        os.close(descriptor)
        assert path.read_bytes() == expected

        reader, pipe = os.pipe()
        got = []
        with os.fdopen(reader, "rb") as source:
            thread = threading.Thread(target=lambda: got.append(source.read()))
            thread.start()
            with os.fdopen(pipe, "wb") as out:
                weights.write(out, change)
            thread.join()
        assert got == [expected]


def test_without_help_from_the_kernel_the_bytes_are_the_same(files, monkeypatch):
    def fails(*args, **more):
        raise OSError(18, "cross-device link")

    big = layer("big", sub(7, sub(5, np.arange(600_000, dtype="<f4").tobytes())))
    with files.open(BEFORE, big, AFTER) as weights:
        for name in ("copy_file_range", "sendfile"):
            if hasattr(os, name):
                monkeypatch.setattr(os, name, fails)
                assert files.rewrite(weights, {}) == BEFORE + big + AFTER


def test_a_full_disk_is_an_os_error(files):
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("needs /dev/full")
    with (
        files.open(BEFORE) as weights,
        full.open("wb", buffering=0) as out,
        pytest.raises(OSError, match="No space"),
    ):
        weights.write(out, {})


def test_an_output_without_descriptor_is_refused(files):
    with files.open(BEFORE) as weights, pytest.raises(io.UnsupportedOperation):
        weights.write(io.BytesIO(), {})


def test_a_file_that_shrinks_while_it_is_read_is_an_error(files):
    with files.open(BEFORE, AFTER) as weights:
        os.truncate(weights.path, len(BEFORE))
        with pytest.raises(CaffemodelError, match="became shorter"):
            files.rewrite(weights, {})
        with pytest.raises(CaffemodelError, match="became shorter"):
            weights.get("last").blobs[0].read()


def test_a_file_that_is_written_to_while_it_is_read_is_an_error(files):
    with files.open(BEFORE, AFTER) as weights:
        path = Path(weights.path)
        path.write_bytes(b"\xff" * path.stat().st_size)
        os.utime(path, ns=(0, 0))
        with pytest.raises(CaffemodelError, match=r"written to while it was read; leave it alone"):
            files.rewrite(weights, {"last": LayerEdit(blobs=(ArrayBlob(np.ones(3, "f4")),))})
