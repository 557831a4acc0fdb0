"""Arrays in files: what numpy reads and writes, and what a stranger's file may claim."""

from __future__ import annotations

import contextlib
import io
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnfold.checks.feeds.arrays import ArrayFile, Stacked, raw_array, save_arrays
from bnfold.checks.feeds.stored_inputs import StoredInputs
from bnfold.errors import BnfoldError
from bnfold.outputs import Outputs


def saved(path, *runs):
    stacked = Stacked()
    for run in runs:
        stacked.add(run)
    with Outputs() as outputs:
        outputs.claim([path], [], force=True)
        save_arrays(outputs, path, stacked)
    return path


def test_numpy_reads_what_was_written(tmp_path):
    first = {"a/b": np.ones((2, 3), np.float32), "c": np.zeros((1, 4), np.float32)}
    path = saved(tmp_path / "x.npz", first, {name: 2 * array for name, array in first.items()})
    with np.load(path) as found:
        assert sorted(found) == ["a/b", "c"]
        assert np.array_equal(found["a/b"], [[1] * 3, [1] * 3, [2] * 3, [2] * 3])


def test_the_same_arrays_make_the_same_file(tmp_path):
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3)}
    one, other = (saved(tmp_path / name, arrays).read_bytes() for name in ("1.npz", "2.npz"))
    assert one == other


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "uint8", "bool", ">f4"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_what_numpy_wrote_is_read(dtype, order, save, tmp_path):
    array = np.asarray(np.arange(24).reshape(2, 3, 4), dtype, order=order)
    save(tmp_path / "x.npz", a=array)
    found = ArrayFile(tmp_path / "x.npz")["a"]
    assert found.dtype == array.dtype
    assert np.array_equal(found, array)


def test_values_of_other_shapes_in_each_run_make_no_array(tmp_path):
    runs = [{"boxes": np.zeros((1, 1, count, 7), np.float32)} for count in (3, 5)]
    with pytest.raises(BnfoldError, match="'boxes' has another shape for each input"):
        saved(tmp_path / "x.npz", *runs)
    assert list(tmp_path.iterdir()) == []


def packed(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.npy", content)
    return file.getvalue()


def header(text: str) -> bytes:
    line = f"{text}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(line).to_bytes(2, "little") + line


GOOD = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no array",
        header(GOOD)[:-4],
        header(GOOD) + b"1234",
        header(GOOD.replace("(2,)", "(2**62,)")),
        header(GOOD.replace("(2,)", "(4611686018427387904,)")),
        header(GOOD.replace("(2,)", "(-2,)")) + b"12345678",
        header(GOOD.replace("<f4", "|O")) + b"12345678",
        header(GOOD.replace("<f4", "<c8")) + b"x" * 16,
        header(GOOD.replace("<f4", "none")) + b"12345678",
        header("(" * 5000),
        header("__import__('os').getpid()"),
        b"\x93NUMPY\x09\x00" + b"x" * 64,
    ],
)
def test_an_array_that_claims_too_much_is_refused(content, tmp_path):
    path = tmp_path / "x.npz"
    path.write_bytes(packed(content))
    with pytest.raises(BnfoldError, match=r"x\.npz: array 'a'"):
        ArrayFile(path)["a"]


@given(st.binary(max_size=200), st.integers(0, 300))
def test_a_damaged_file_is_refused_in_words(tmp_path_factory, junk, at):
    path = tmp_path_factory.mktemp("damaged") / "x.npz"
    whole = packed(header(GOOD) + b"12345678")
    path.write_bytes(whole[:at] + junk + whole[at + len(junk) :])
    with contextlib.suppress(BnfoldError):
        assert all(array.size <= 2 for array in ArrayFile(path).values())


def test_a_file_of_bare_numbers_has_exactly_as_many_as_its_shape(tmp_path):
    path = tmp_path / "x.bin"
    np.arange(6, dtype=np.float16).tofile(path)
    assert np.array_equal(raw_array(path, (2, 3), "float16"), [[0, 1, 2], [3, 4, 5]])
    with pytest.raises(BnfoldError, match="holds 12 bytes, and 2x3 numbers of type float32 are 24"):
        raw_array(path, (2, 3), "float32")
    for dtype in ("flaot32", "O", "str", "complex64"):
        with pytest.raises(BnfoldError, match="there is no type"):
            raw_array(path, (2, 3), dtype)


def test_stored_inputs_come_in_batches_of_the_network(tmp_path):
    array = np.arange(12, dtype=np.float64).reshape(6, 2)
    np.savez(tmp_path / "x.npz", data=array, scale=np.ones((3, 1)))
    inputs = StoredInputs(tmp_path / "x.npz", {"data": (2, 2), "scale": (1, 1)})
    assert (inputs.runs, inputs.batch, inputs.images) == (3, 2, 6)
    assert [feeds["data"].tolist() for feeds in inputs] == array.reshape(3, 2, 2).tolist()
    assert {feeds["data"].dtype for feeds in inputs} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"image": np.ones((2, 2))}, "has no array 'data'"),
        ({"data": np.ones((2, 2)), "more": np.ones(1)}, "has an array 'more'"),
        ({"data": np.ones((3, 2))}, "has the shape (3, 2)"),
        ({"data": np.ones((2, 3))}, "has the shape (2, 3)"),
        ({"data": np.ones((2, 2, 1))}, "has the shape (2, 2, 1)"),
        ({"data": np.ones((0, 2))}, "0 of 'data' batches"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(arrays, says, tmp_path):
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(BnfoldError) as error:
        StoredInputs(tmp_path / "x.npz", {"data": (2, 2)})
    assert says in str(error.value)


def test_as_many_batches_of_each_input(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.ones((4, 2)), b=np.ones((3, 2)))
    with pytest.raises(BnfoldError, match="2 of 'a', 3 of 'b'"):
        StoredInputs(tmp_path / "x.npz", {"a": (2, 2), "b": (1, 2)})
