"""What opening Caffe's HDF5 tells, and how it refuses what is not Caffe's."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnfold.caffemodel import Blob, CaffemodelError, open_weights

h5py = pytest.importorskip("h5py")

from bnfold.caffemodel.hdf5.blob import slabs  # noqa: E402


@pytest.fixture
def made(tmp_path):
    """A function that opens a file of given contents: path -> array, or a function of the file."""

    def make(contents, name="x.caffemodel.h5"):
        path = tmp_path / name
        with h5py.File(path, "w") as file:
            for place, content in contents.items():
                if callable(content):
                    content(file)
                elif content is None:
                    file.create_group(place)
                else:
                    file[place] = content
        return open_weights(path)

    return make


def f4(*values):
    return np.array(values, "<f4")


def test_layers_and_blobs_are_told_as_of_a_binary_file(made):
    with made(
        {
            "data/conv/0": f4(1, 2, 3, 4, 5, 6).reshape(2, 3),
            "data/conv/1": f4(7, 8),
            "data/relu": None,
        }
    ) as weights:
        assert weights.name == ""
        assert [record.name for record in weights.records] == ["conv", "relu"]
        conv, relu = weights.records
        assert (conv.type, conv.bottoms, conv.tops) == ("", (), ())
        assert weights.get("conv") is conv
        assert weights.get("none") is None
        assert relu.blobs == ()
        weight, bias = conv.blobs
        assert isinstance(weight, Blob)
        assert (weight.shape, weight.dtype, weight.size) == ((2, 3), np.dtype("<f4"), 6)
        assert (weight.layer, weight.index, bias.index) == ("conv", 0, 1)
        assert weight.array().tolist() == [[1, 2, 3], [4, 5, 6]]
        assert weight.read(1, 3).tolist() == [2, 3]
        assert weight.read(-2).tolist() == [5, 6]
        assert weight.read(4, 2).tolist() == []
        assert [chunk.tolist() for chunk in bias.chunks(1)] == [[7], [8]]
        assert repr(weight) == "<Blob 0 of 'conv': float32 (2, 3)>"
        assert repr(conv) == "<LayerRecord 'conv': 2 blobs>"


def test_the_contents_count_and_not_the_name(made):
    with made({"data/a/0": f4(1)}, name="x.caffemodel") as weights:
        assert weights.get("a").blobs[0].read().tolist() == [1]


def test_a_slash_in_a_layers_name_is_a_group_in_a_group(made):
    with made({"data/a/0": f4(1), "data/a/bn/0": f4(2), "data/b/c": None}) as weights:
        names = [(record.name, len(record.blobs)) for record in weights.records]
        assert names == [("a", 1), ("a/bn", 1), ("b", 0), ("b/c", 0)]
        assert weights.get("a/bn").blobs[0].read().tolist() == [2]


def test_ten_blobs_are_in_the_order_of_their_numbers(made):
    with made({f"data/rnn/{i}": f4(i) for i in range(12)}) as weights:
        values = [blob.read()[0] for blob in weights.get("rnn").blobs]
        assert values == list(range(12))


def test_a_name_that_is_no_utf8_is_kept(made):
    with made({"x": lambda file: file.create_group(b"data/c\xff\xfe")}) as weights:
        (record,) = weights.records
        assert record.name.encode("utf-8", "surrogateescape") == b"c\xff\xfe"


def test_a_blob_that_another_layer_owns_leaves_a_hole(made):
    with made({"data/a/0": f4(1), "data/a/1": f4(2), "data/b/1": f4(3)}) as weights:
        hole, bias = weights.get("b").blobs
        assert bias.read().tolist() == [3]
        assert hole.size == 0
        for use in (hole.check, hole.read, hole.array):
            with pytest.raises(CaffemodelError, match=r"layer 'b': blob 0 is not in the file.*own"):
                use()


STORED = {
    "double": {"dtype": "<f8"},
    "half": {"dtype": "<f2"},
    "big-endian": {"dtype": ">f4"},
    "chunked": {"dtype": "<f4", "chunks": (2, 2, 3)},
    "compressed": {"dtype": "<f8", "chunks": (3, 2, 2), "compression": "gzip", "shuffle": True},
}


@pytest.mark.parametrize("how", STORED.values(), ids=STORED)
def test_any_layout_is_read(made, how):
    values = np.arange(60.0).reshape(3, 4, 5)

    def store(file):
        file.create_dataset("data/a/0", data=values, **how)

    with made({"": store}) as weights:
        (blob,) = weights.get("a").blobs
        assert blob.dtype == np.dtype(how["dtype"]).newbyteorder("<")
        assert blob.array().tolist() == values.tolist()
        assert blob.array().dtype == blob.dtype
        assert blob.read(7, 43).tolist() == list(range(7, 43))
        assert np.concatenate(list(blob.chunks(7))).tolist() == values.ravel().tolist()


def test_one_value_without_axes_is_read(made):
    with made({"data/a/0": np.float32(3), "data/a/1": np.zeros((0, 3), "<f4")}) as weights:
        one, none = weights.get("a").blobs
        assert (one.shape, one.array().tolist()) == ((), 3)
        assert (none.shape, none.read().tolist()) == ((0, 3), [])


@given(st.lists(st.integers(0, 5), max_size=4), st.data())
def test_slabs_are_a_stretch(shape, data):
    values = np.arange(int(np.prod(shape))).reshape(shape)
    start = data.draw(st.integers(0, values.size))
    stop = data.draw(st.integers(start, values.size))
    found = [values[slab].ravel() for slab in slabs(tuple(shape), start, stop)]
    assert np.concatenate([*found, []]).tolist() == list(range(start, stop))
    assert len(found) <= 2 * max(len(shape), 1)


UNREADABLE = {
    "integers": (np.arange(3, dtype="<i4"), "holds int32 values"),
    "text": (b"text", "holds .* values"),
    "structures": (np.zeros(2, "f4,i4"), "holds .* values"),
    "nothing": (h5py.Empty("f4"), "has .* no values"),
    "wide": (np.zeros(2, np.longdouble), "holds float128 values"),
}


@pytest.mark.parametrize(("content", "message"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_is_no_float_is_refused_when_it_is_read(made, content, message):
    with made({"data/a/0": f4(1), "data/a/1": content}) as weights:
        good, bad = weights.get("a").blobs
        assert good.read().tolist() == [1]
        with pytest.raises(CaffemodelError, match=f"layer 'a': blob 1 {message}") as error:
            bad.read()
        assert "\n" not in str(error.value)


def test_room_that_was_never_written_holds_no_values(made):
    def store(file):
        file.create_dataset("data/a/0", (1000,), "<f4")

    with (
        made({"": store}) as weights,
        pytest.raises(CaffemodelError, match="no values"),
    ):
        weights.get("a").blobs[0].check()


def far(file):
    file.create_dataset("data/a/0", (4,), "<f4", external=[("other.bin", 0, 16)])


def virtual(file):
    layout = h5py.VirtualLayout((4,), "<f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (4,))
    file.create_virtual_dataset("data/a/0", layout)


def loop(file):
    inner = file.create_group("data/a/b")
    inner["c"] = file["data/a"]


STRANGE = {
    "keras": ({"model_weights/conv/kernel:0": f4(1)}, "no group /data"),
    "training data": ({"data": f4(1), "label": f4(1)}, "data to train on"),
    "no layers": ({"data": None}, "no layers"),
    "a dataset for a layer": ({"data/a": f4(1)}, "/data/a is no layer's group"),
    "a name for a number": ({"data/a/weight": f4(1)}, "layer 'a': has 'weight' where"),
    "a number of another form": ({"data/a/00": f4(1)}, "layer 'a': has '00' where"),
    "a number beyond use": ({"data/a/1000": f4(1)}, "layer 'a': has a blob of number 1000"),
    "a type for a blob": ({"data/a/0": np.dtype("f4")}, "/data/a/0 is no layer's group"),
    "a link to nowhere": ({"data/a/0": h5py.SoftLink("/none")}, "HDF5 says"),
    "a link to a file": ({"data/a/0": h5py.ExternalLink("x.h5", "/x")}, "leads to another file"),
    "values in a file": ({"": far}, "layer 'a': .*another file"),
    "values in files": ({"": virtual}, "layer 'a': .*another file"),
    "a loop": ({"": loop}, "group twice"),
}


@pytest.mark.parametrize(("contents", "message"), STRANGE.values(), ids=STRANGE)
def test_what_caffe_does_not_write_is_refused(made, contents, message):
    with pytest.raises(CaffemodelError, match=message) as error:
        made(contents)
    assert "\n" not in str(error.value)
    assert "x.caffemodel.h5" in str(error.value)


def test_without_h5py_the_extra_is_named(made, monkeypatch, tmp_path):
    made({"data/a/0": f4(1)}).close()
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(CaffemodelError, match=r"pip install 'bnfold\[hdf5\]'") as error:
        open_weights(tmp_path / "x.caffemodel.h5")
    assert "\n" not in str(error.value)


def test_a_closed_file_cannot_be_read(made):
    weights = made({"data/a/0": f4(1), "data/a/1": np.ones(3, ">f4")})
    weights.close()
    weights.close()
    for blob in weights.get("a").blobs:
        with pytest.raises(ValueError, match="closed"):
            blob.read()
