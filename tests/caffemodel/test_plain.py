"""Whether a file is in the form that every reader knows, and putting it there; files too large."""

from __future__ import annotations

import numpy as np
import pytest

from bnfold.caffemodel import ArrayBlob, CaffemodelError, LayerEdit, Rounding, open_weights
from bnfold.caffemodel.wire import bytes_head
from bnfold.prototxt import PrototxtError, load

from .build import dims, floats, layer, num, sub

VALUES = [1, 2.5, -3]
FORMS = {
    "float": sub(5, floats(VALUES)),
    "double": sub(8, floats(VALUES, "<f8")),
    "raw half": num(10, 2) + sub(12, floats(VALUES, "<f2")),
    "raw float": num(10, 1) + sub(12, floats(VALUES)),
    "raw double": num(10, 0) + sub(12, floats(VALUES, "<f8")),
}


def converted(tmp_path, content, edits=None):
    (tmp_path / "in").write_bytes(content)
    with open_weights(tmp_path / "in") as weights, (tmp_path / "out").open("wb") as out:
        weights.write(out, edits or {}, rounding=Rounding(np.float32))
    return (tmp_path / "out").read_bytes()


@pytest.mark.parametrize("form", FORMS)
def test_blob_says_whether_every_reader_finds_its_values(form, tmp_path):
    (tmp_path / "in").write_bytes(layer("a", sub(7, dims(3), FORMS[form])))
    with open_weights(tmp_path / "in") as weights:
        blob = weights.records[0].blobs[0]
        assert blob.is_plain == (form == "float")
        assert blob.is_raw == form.startswith("raw")


@pytest.mark.parametrize("form", FORMS)
def test_float32_stores_every_blob_plainly_and_touches_nothing_else(form, tmp_path):
    other = sub(99, b"unknown")
    untouched = layer("b", sub(7, dims(3), FORMS["float"], sub(6, floats(VALUES))), other)
    content = layer("a", other, sub(7, dims(3), FORMS[form], other)) + untouched
    plain = layer("a", other, sub(7, dims(3), FORMS["float"], other)) + untouched
    assert converted(tmp_path, content) == plain


def test_float32_holds_for_records_of_one_name_and_for_edited_ones(tmp_path):
    half = sub(7, dims(3), FORMS["raw half"])
    both = layer("a", half) + layer("a", sub(7, dims(1), sub(8, floats([9], "<f8"))))
    expected = layer("a", sub(7, dims(3), FORMS["float"]))
    assert converted(tmp_path, both) == expected + layer("a", sub(7, dims(1), sub(5, floats([9]))))
    edit = LayerEdit(blobs=(ArrayBlob(np.array(VALUES, "<f2")),))
    assert converted(tmp_path, layer("a", half), {"a": edit}) == expected


def test_double_that_float32_cannot_hold_is_refused_by_name(tmp_path):
    content = layer("a", sub(7, dims(2), sub(8, floats([1, 1e300], "<f8"))))
    with pytest.raises(CaffemodelError, match=r"layer 'a'.*1e\+300.*float32"):
        converted(tmp_path, content)
    infinite = layer("a", sub(7, dims(2), sub(8, floats([1, np.inf], "<f8"))))
    assert converted(tmp_path, infinite) == layer("a", sub(7, dims(2), sub(5, floats([1, np.inf]))))


def test_hdf5_doubles_become_float32(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "in", "w") as file:
        file["data/a/0"] = np.array(VALUES, "<f8")
        file["data/b/0"] = np.array(VALUES, "<f2")
        file["data/c/0"] = np.array(VALUES, "<f4")
    with open_weights(tmp_path / "in") as weights, (tmp_path / "out").open("w+b") as out:
        weights.write(out, {}, rounding=Rounding(np.float32))
    with h5py.File(tmp_path / "out") as file:
        for name in "abc":
            assert file[f"data/{name}/0"].dtype == "<f4"
            assert file[f"data/{name}/0"][()].tolist() == VALUES


# ---------------------------------------------------------------- 2 GiB

LARGEST = (1 << 31) - 1


def sparse(path, start: bytes, size: int):
    path.write_bytes(start)
    with path.open("r+b") as file:
        file.truncate(size)
    return path


def filled(size: int) -> bytes:
    """The start of a file of this size: a layer, and an unknown field as large as it takes."""
    start = layer("a", sub(7, dims(1), sub(5, floats([1]))))
    head = bytes_head(999, size - len(start) - 7)
    assert len(head) == 7
    return start + head


def test_binary_file_of_2_gib_is_refused_at_once_and_one_byte_less_is_not(tmp_path):
    with open_weights(sparse(tmp_path / "in", filled(LARGEST), LARGEST)) as weights:
        assert weights.records[0].name == "a"
    with pytest.raises(CaffemodelError, match=r"2147483648 bytes.*2 GiB.*HDF5"):
        open_weights(sparse(tmp_path / "in", filled(LARGEST + 1), LARGEST + 1))


def test_hdf5_file_of_2_gib_is_fine(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "in", "w") as file:
        file["data/a/0"] = np.array(VALUES, "<f4")
        # Set aside and never filled: on disk it takes nothing.
        space, plist = h5py.h5s.create_simple((1 << 29,)), h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        plist.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        h5py.h5d.create(file["data/a"].id, b"1", h5py.h5t.IEEE_F32LE, space, plist)
    assert (tmp_path / "in").stat().st_size > LARGEST
    with open_weights(tmp_path / "in") as weights:
        assert weights.records[0].blobs[1].size == 1 << 29


def test_result_of_2_gib_is_refused_before_a_byte_is_written(tmp_path):
    half = LARGEST // 2
    (tmp_path / "in").write_bytes(layer("a", sub(7, dims(1), sub(5, floats([1])))))

    class Huge:
        shape, dtype = (half // 2,), np.dtype("<f4")

        def chunks(self, max_items):
            raise AssertionError("asked for values")

    edit = LayerEdit(blobs=(Huge(), Huge()))
    with (
        open_weights(tmp_path / "in") as weights,
        (tmp_path / "out").open("wb") as out,
        pytest.raises(CaffemodelError, match=r"2 GiB.*HDF5"),
    ):
        weights.write(out, {"a": edit})
    assert (tmp_path / "out").stat().st_size == 0


def test_prototxt_of_2_gib_is_refused_without_reading_it(tmp_path):
    text = b'name: "a" # ' + b"x" * (1 << 16)
    with pytest.raises(PrototxtError, match=r"2147483648 bytes.*2 GiB"):
        load(sparse(tmp_path / "in", text, LARGEST + 1))
