"""Every way in which Caffe and its forks store a blob, read."""

import numpy as np
import pytest

from bnfold.caffemodel import Blob, BlobSource, CaffemodelError

from .build import dims, floats, layer, legacy, num, sub, unpacked

VALUES = [1.5, -2.0, 0.25, 3.0, 1e30, -0.0]
HALVES = [1.5, -2.0, 0.25, 3.0, 65504.0, -0.0]

FORMS = {
    "data": (sub(5, floats(VALUES)), VALUES, "<f4"),
    "data unpacked": (unpacked(5, VALUES), VALUES, "<f4"),
    "data unpacked with a long tag": (
        b"".join(b"\xad\x00" + floats([value]) for value in VALUES),
        VALUES,
        "<f4",
    ),
    "data in several runs": (
        sub(5, floats(VALUES[:2]))
        + unpacked(5, VALUES[2:3])
        + sub(5)
        + num(90, 7)
        + unpacked(5, VALUES[3:5])
        + sub(5, floats(VALUES[5:])),
        VALUES,
        "<f4",
    ),
    "double_data": (sub(8, floats(VALUES, "<f8")), VALUES, "<f8"),
    "double_data unpacked": (unpacked(8, VALUES, "<d"), VALUES, "<f8"),
    "raw_data double": (num(10, 0) + sub(12, floats(VALUES, "<f8")), VALUES, "<f8"),
    "raw_data without a type": (sub(12, floats(VALUES, "<f8")), VALUES, "<f8"),
    "raw_data float": (num(10, 1) + sub(12, floats(VALUES)), VALUES, "<f4"),
    "raw_data float16": (sub(12, floats(HALVES, "<f2")) + num(10, 2), HALVES, "<f2"),
}
SHAPES = {
    "shape": (dims(2, 3), (2, 3), False),
    "shape with unpacked dims": (sub(7, num(1, 2), num(1, 3)), (2, 3), False),
    "shape in two parts": (dims(2) + dims(3), (2, 3), False),
    "legacy": (legacy(1, 1, 2, 3), (1, 1, 2, 3), True),
    "legacy wins": (dims(6) + legacy(1, 1, 2, 3), (1, 1, 2, 3), True),
    "none": (b"", (6,), False),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_blob_reads_alike_however_it_is_stored(files, form, shape):
    stored, values, dtype = form
    shaped, axes, is_legacy = shape
    diff = sub(6, floats([9] * 6)) + sub(13, b"xyz")
    for body in (shaped + stored, stored + diff + shaped):
        with files.open(layer("a", sub(7, body))) as weights:
            (blob,) = weights.records[0].blobs
            assert blob.shape == axes
            assert blob.legacy_shape is is_legacy
            assert blob.dtype == np.dtype(dtype)
            assert blob.size == 6
            assert blob.array().shape == axes
            np.testing.assert_array_equal(blob.read(), np.array(values, dtype))


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_any_stretch_of_a_blob_can_be_read(files, form):
    stored, values, dtype = form
    with files.open(layer("a", sub(7, stored))) as weights:
        (blob,) = weights.records[0].blobs
        for start in range(-7, 8):
            for stop in (None, *range(-7, 8)):
                expected = np.array(values, dtype)[start:stop]
                np.testing.assert_array_equal(blob.read(start, stop), expected)


@pytest.mark.parametrize("items", [1, 2, 4, 6, 100])
def test_chunks_are_no_larger_than_asked(files, items):
    for stored, values, dtype in FORMS.values():
        with files.open(layer("a", sub(7, stored))) as weights:
            chunks = list(weights.records[0].blobs[0].chunks(items))
        assert all(0 < chunk.size <= items and chunk.ndim == 1 for chunk in chunks)
        np.testing.assert_array_equal(np.concatenate(chunks), np.array(values, dtype))


def test_a_blob_is_a_blob_source(files):
    with files.open(layer("a", sub(7, sub(5, floats([1]))))) as weights:
        assert isinstance(weights.records[0].blobs[0], BlobSource)


def test_an_empty_shape_is_one_value(files):
    with files.open(layer("a", sub(7, dims() + sub(5, floats([2]))))) as weights:
        (blob,) = weights.records[0].blobs
        assert blob.shape == ()
        assert blob.array() == 2


def test_a_blob_may_have_no_values_to_hold(files):
    with files.open(layer("a", sub(7, dims(0, 3)))) as weights:
        assert weights.records[0].blobs[0].array().shape == (0, 3)
        assert list(weights.records[0].blobs[0].chunks(10)) == []


def test_a_hundred_thousand_unpacked_floats_index_and_read_at_once(files):
    values = np.arange(300_000, dtype="<f4")
    tagged = np.empty((values.size, 5), np.uint8)
    tagged[:, 0] = 5 << 3 | 5
    tagged[:, 1:] = values.view(np.uint8).reshape(-1, 4)
    with files.open(layer("a", sub(7, tagged.tobytes(), dims(3, 100_000)))) as weights:
        (blob,) = weights.records[0].blobs
        assert len(blob._pieces) == 1
        np.testing.assert_array_equal(blob.read(), values)
        np.testing.assert_array_equal(blob.read(299_990), values[299_990:])


BAD = {
    "negative": (dims(-1, 6) + sub(5, floats(VALUES)), "negative"),
    "legacy negative": (legacy(-1, 1, 1, -6) + sub(5, floats(VALUES)), "negative"),
    "too few": (dims(7) + sub(5, floats(VALUES)), "7 values, but stores 6"),
    "overflow": (dims(2**62, 2**62) + sub(5, floats(VALUES)), "more than 2\\*\\*64 values"),
    "many axes": (dims(*[1] * 33) + sub(5, floats([1])), "more than 32 axes"),
    "no end of axes": (dims(*[1] * 5000) + sub(5, floats([1])), "more than 32 axes"),
    "half a float": (dims(6) + sub(5, floats(VALUES)[:-1]), "within a value of 4 bytes"),
    "half a half": (num(10, 2) + sub(12, b"abc"), "within a value of 2 bytes"),
}


@pytest.mark.parametrize(("body", "message"), BAD.values(), ids=BAD)
def test_shape_and_values_that_disagree_are_refused_at_once(files, body, message):
    with pytest.raises(CaffemodelError, match=f"layer 'bad' .*{message}"):
        files.open(layer("good", sub(7, dims(0))), layer("bad", sub(7, body)))


UNREADABLE = {
    "unknown storage": (dims(2) + sub(40, b"quantised"), "no values that bnfold knows"),
    "unknown raw type": (dims(1) + num(10, 3) + sub(12, b"abcd"), "type 3"),
    "two storages": (sub(5, floats([1])) + sub(8, floats([1], "<f8")), "data and double_data"),
}


@pytest.mark.parametrize(("body", "message"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_blob_nobody_can_read_rides_along_until_it_is_read(files, body, message):
    data = layer("odd", sub(7, body))
    with files.open(data) as weights:
        assert files.rewrite(weights, {}) == data
        (blob,) = weights.records[0].blobs
        for read in (blob.check, blob.read, blob.array, lambda: list(blob.chunks(1))):
            with pytest.raises(CaffemodelError, match=f"layer 'odd' .*{message}"):
                read()


def test_reading_after_close_says_so(files):
    weights = files.open(layer("a", sub(7, sub(5, floats([1])))))
    weights.close()
    weights.close()
    with pytest.raises(ValueError, match="closed"):
        weights.records[0].blobs[0].read()


def test_a_blob_names_itself(files):
    with files.open(layer("a", sub(7, dims(1), sub(5, floats([1]))))) as weights:
        (blob,) = weights.records[0].blobs
        assert isinstance(blob, Blob)
        assert repr(blob) == "<Blob 0 of 'a': float32 (1,)>"
        assert repr(weights.records[0]) == "<LayerRecord 'a': Convolution, 1 blobs>"


def test_one_value_without_a_shape_is_a_blob_without_axes(files):
    # So Caffe reads it, and so it writes the scale of a Scale with num_axes: 0.
    with files.open(layer("a", sub(7, sub(5, floats([3]))))) as weights:
        (blob,) = weights.records[0].blobs
        assert (blob.shape, blob.size, blob.read().tolist()) == ((), 1, [3.0])
