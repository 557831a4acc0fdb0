"""What a written HDF5 file keeps, and what a changed layer becomes."""

import os
import resource
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from bnfold.caffemodel import ArrayBlob, CaffemodelError, LayerEdit, NewLayer, open_weights

from ..build import Counting
from ..memory import kilobytes

h5py = pytest.importorskip("h5py")


def f4(*values):
    return np.array(values, "<f4")


def fill(file):
    file.attrs["made by"] = "a test"
    file["data/conv/0"] = f4(1, 2, 3, 4).reshape(2, 2)
    file["data/conv/0"].attrs["unit"] = np.int16(7)
    file["data/conv/1"] = f4(5, 6)
    file["data/conv"].attrs["note"] = f4(1, 2)
    file["data/conv/bn/0"] = f4(9)
    file.create_group("data/conv/relu")
    file.create_dataset(
        "data/fc/0", data=np.arange(60.0).reshape(6, 10), chunks=(2, 3), fletcher32=1
    )
    file["data/fc/1"] = np.arange(6, dtype=">f4")
    file.create_group("data/pool")
    for place in ("conv/0", "conv/1", "conv/bn/0", "fc/1"):
        file[f"diff/{place}"] = file[f"data/{place}"][()] * -1
    file["extra/deep/x"] = np.arange(3)
    file["extra"].attrs["text"] = "ü"
    file["here"] = h5py.SoftLink("/extra/deep")
    file["there"] = h5py.ExternalLink("none.h5", "/none")


@pytest.fixture
def source(tmp_path):
    with h5py.File(tmp_path / "in.h5", "w", libver="latest") as file:
        fill(file)
    with open_weights(tmp_path / "in.h5") as weights:
        yield weights


@pytest.fixture
def rewrite(tmp_path, source):
    """A function that returns what the file with edits becomes, open in h5py."""
    opened = []

    def do(edits, **more):
        path = tmp_path / f"out{len(opened)}.h5"
        fd = os.open(path, os.O_RDWR | os.O_CREAT)
        try:
            source.write(fd, edits, **more)
            assert os.lseek(fd, 0, os.SEEK_CUR) == path.stat().st_size
        finally:
            os.close(fd)
        opened.append(h5py.File(path, "r"))
        return opened[-1]

    yield do
    for file in opened:
        file.close()


def everything(file, root="/"):
    """All objects by their paths: values, layout and attributes."""
    out = {}

    def note(name, item):
        attributes = {key: (str(value), value.dtype if hasattr(value, "dtype") else None)
                      for key, value in item.attrs.items()}  # fmt: skip
        if isinstance(item, h5py.Dataset):
            layout = item.dtype, item.chunks, item.fletcher32
            out[name] = (item[()].tolist(), item.shape, layout, attributes)
        else:
            out[name] = attributes

    file[root].visititems(note)
    return out


def test_without_a_change_the_file_is_the_same(source, tmp_path):
    before = (tmp_path / "in.h5").read_bytes()
    conv = source.get("conv")
    for edits in (
        {},
        {"nobody": LayerEdit(remove=True)},
        {"conv": LayerEdit(bottoms=("x",), type="Scale", drop=("param",), blobs=conv.blobs)},
        {"conv": LayerEdit(params={("convolution_param", "bias_term"): True})},
    ):
        with (tmp_path / "out.h5").open("wb") as out:
            source.write(out, edits)
            assert out.tell() == len(before)
        assert (tmp_path / "out.h5").read_bytes() == before


def test_what_is_not_edited_stays_as_it_is(source, rewrite):
    with h5py.File(source.path, "r") as file:
        before = everything(file)
    out = rewrite({"pool": LayerEdit(remove=True)})
    del before["data/pool"]
    del before["data/conv/relu"]  # Caffe takes it for a blob of conv
    assert everything(out) == before
    assert dict(out.attrs) == {"made by": "a test"}
    assert out.get("here", getlink=True).path == "/extra/deep"
    there = out.get("there", getlink=True)
    assert (there.filename, there.path) == ("none.h5", "/none")


def test_a_new_blob_takes_the_place_of_the_old_one(source, rewrite):
    weight, _ = source.get("conv").blobs
    out = rewrite({"conv": LayerEdit(blobs=(Counting((3, 2), step=4), weight, ArrayBlob(2.5)))})
    assert out["data/conv/0"][()].tolist() == [[0, 1], [2, 3], [4, 5]]
    assert dict(out["data/conv/0"].attrs) == {"unit": 7}
    assert out["data/conv/0"].dtype == "<f4"
    assert out["data/conv/0"].id.get_create_plist().get_layout() == h5py.h5d.CONTIGUOUS
    assert out["data/conv/1"][()].tolist() == [[1, 2], [3, 4]]
    assert out["data/conv/2"][()] == 2.5
    assert sorted(out["data/conv"]) == ["0", "1", "2", "bn"]
    assert out["data/conv"].attrs["note"].tolist() == [1, 2]
    # the gradient goes with the blob that stayed, wherever that went
    assert sorted(out["diff/conv"]) == ["1", "bn"]
    assert out["diff/conv/1"][()].tolist() == [[-1, -2], [-3, -4]]


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8"])
def test_a_new_blob_may_be_of_any_float(source, rewrite, dtype):
    out = rewrite({"fc": LayerEdit(blobs=(Counting((40, 30), dtype), Counting((0,), dtype)))})
    assert out["data/fc/0"].dtype == dtype
    assert out["data/fc/0"][()].ravel().tolist() == np.arange(1200).astype(dtype).tolist()
    assert out["data/fc/1"].shape == (0,)


def test_a_removed_layer_goes_with_its_gradients_and_leaves_nested_ones(source, rewrite):
    out = rewrite({"conv": LayerEdit(remove=True)})
    assert list(out["data/conv"]) == ["bn"]
    assert list(out["diff/conv"]) == ["bn"]
    assert not out["data/conv"].attrs
    out = rewrite({"conv": LayerEdit(remove=True), "conv/bn": LayerEdit(remove=True)})
    assert "conv" not in out["data"]
    assert "conv" not in out["diff"]
    assert f4(5, 6).tobytes() not in Path(out.filename).read_bytes()


def test_a_layer_is_added(source, rewrite):
    new = NewLayer("scale", "Scale", ("x",), ("y",), (Counting((3,)), ArrayBlob(f4(1))))
    out = rewrite({}, additions=[new])
    assert out["data/scale/0"][()].tolist() == [0, 1, 2]
    assert out["data/scale/1"][()].tolist() == [1]
    assert "data/conv/0" in out


@pytest.mark.parametrize(
    ("edits", "additions", "message"),
    [
        ({"none": LayerEdit(blobs=(ArrayBlob(f4(1)),))}, (), "layer 'none': has no record"),
        ({}, [NewLayer("fc", "", (), (), ())], "layer 'fc': would be in the file twice"),
        ({}, [NewLayer("a//b", "", (), (), ())], "layer 'a//b': is a name"),
        ({}, [NewLayer("", "", (), (), ())], "without a name: is a name"),
        ({"fc": LayerEdit(blobs=(ArrayBlob([1]),))}, (), "layer 'fc': .*int64.*floats"),
    ],
)
def test_a_request_without_sense_is_refused_before_a_byte_is_written(
    source, tmp_path, edits, additions, message
):
    with (
        (tmp_path / "out.h5").open("wb") as out,
        pytest.raises(CaffemodelError, match=message) as error,
    ):
        source.write(out, edits, additions=additions)
    assert "\n" not in str(error.value)
    assert (tmp_path / "out.h5").stat().st_size == 0


@pytest.mark.parametrize(("yields", "message"), [(5, "1 fewer"), (7, "more")])
def test_a_source_that_breaks_its_promise_is_told(source, rewrite, yields, message):
    class Liar(Counting):
        def chunks(self, max_items):
            yield np.zeros(yields, self.dtype)

    with pytest.raises(CaffemodelError, match=f"layer 'fc': the new blob 0 yields {message}"):
        rewrite({"fc": LayerEdit(blobs=(Liar((6,)),))})


EDITS = {
    "conv": LayerEdit(blobs=(Counting((5, 2)),)),
    "conv/bn": LayerEdit(remove=True),
    "fc": LayerEdit(blobs=(Counting((40, 30)),)),
}


def test_two_runs_give_the_same_bytes_on_any_output(source, rewrite, tmp_path):
    first = Path(rewrite(EDITS).filename).read_bytes()
    time.sleep(1.1)  # HDF5's times have seconds
    assert Path(rewrite(EDITS).filename).read_bytes() == first
    with (tmp_path / "plain.h5").open("wb") as out:
        out.write(b"before")
        source.write(out, EDITS)
        out.write(b"after")
    assert (tmp_path / "plain.h5").read_bytes() == b"before" + first + b"after"
    with (tmp_path / "append.h5").open("ab") as out:
        source.write(out, EDITS)
    assert (tmp_path / "append.h5").read_bytes() == first
    reader, writer = os.pipe()
    got = []
    thread = threading.Thread(target=lambda: got.append(os.fdopen(reader, "rb").read()))
    thread.start()
    source.write(writer, EDITS)
    os.close(writer)
    thread.join()
    assert got == [first]


def test_a_rehearsal_computes_all_values(source):
    blob = Counting((5, 2))
    with open(os.devnull, "wb") as out:  # noqa: PTH123
        source.write(out, {"conv": LayerEdit(blobs=(blob,))})
    assert len(blob.asked) == 1


def test_the_file_itself_is_not_written_over(source):
    fd = os.open(source.path, os.O_RDWR)
    try:
        with pytest.raises(CaffemodelError, match="cannot be written over"):
            source.write(fd, EDITS)
    finally:
        os.close(fd)


def test_a_dataset_that_two_layers_have_stays_one(tmp_path):
    with h5py.File(tmp_path / "in.h5", "w") as file:
        file["data/a/0"] = f4(1, 2)
        file["data/b/0"] = file["data/a/0"]
        file["data/c/0"] = h5py.SoftLink("/data/a/0")
        file["data/d/0"] = f4(3)
    with open_weights(tmp_path / "in.h5") as weights, (tmp_path / "out.h5").open("w+b") as out:
        weights.write(out, {"d": LayerEdit(remove=True)})
    with h5py.File(tmp_path / "out.h5", "r") as file:
        assert file["data/a/0"] == file["data/b/0"] == file["data/c/0"]
    # and what one of them becomes does not reach the others
    with open_weights(tmp_path / "in.h5") as weights, (tmp_path / "out.h5").open("w+b") as out:
        weights.write(out, {"a": LayerEdit(blobs=(ArrayBlob(f4(7, 8)),))})
    with open_weights(tmp_path / "out.h5") as weights:
        values = [record.blobs[0].read().tolist() for record in weights.records]
        assert values == [[7, 8], [1, 2], [1, 2], [3]]


def test_a_hole_stays_one(tmp_path):
    with h5py.File(tmp_path / "in.h5", "w") as file:
        file["data/a/0"] = f4(1)
        file["data/b/1"] = f4(2)
    with open_weights(tmp_path / "in.h5") as weights, (tmp_path / "out.h5").open("w+b") as out:
        hole, _ = weights.get("b").blobs
        weights.write(out, {"b": LayerEdit(blobs=(hole, ArrayBlob(f4(7))))})
        with pytest.raises(CaffemodelError, match="blob 0 is not in the file"):
            weights.write(out, {"a": LayerEdit(blobs=(hole,))})
    with h5py.File(tmp_path / "out.h5", "r") as file:
        assert list(file["data/b"]) == ["1"]
        assert file["data/b/1"][()].tolist() == [7]


def test_a_full_disk_is_an_os_error(source, tmp_path):
    with open("/dev/full", "wb") as out, pytest.raises(OSError, match="No space"):  # noqa: PTH123
        source.write(out, EDITS)
    # A limit on the size of files meets HDF5 while it builds the file.
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    fd = os.open(tmp_path / "out.h5", os.O_RDWR | os.O_CREAT)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, limits[1]))
        with pytest.raises(OSError, match="too large"):
            source.write(fd, EDITS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
        os.close(fd)


CHILD = """
import h5py
h5py.File("small", "w", driver="core", backing_store=False).close()
before = peak()
with open_weights(sys.argv[1]) as weights:
    fd = os.open(sys.argv[2], os.O_RDWR | os.O_CREAT)
    weights.write(fd, {"fc": LayerEdit(blobs=tuple(map(Twice, weights.get("fc").blobs)))})
print(peak() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_large_blobs_are_streamed(tmp_path):
    items = 20 << 20
    with h5py.File(tmp_path / "in.h5", "w") as file:
        for name in ("fc", "other"):
            made = file.create_dataset(f"data/{name}/0", (items // 64, 8, 8), "<f4")
            made[-1] = 1
    assert kilobytes(CHILD, tmp_path / "in.h5", tmp_path / "out.h5") < 24 << 10
    with h5py.File(tmp_path / "out.h5", "r") as file:
        assert (file["data/fc/0"][-1].sum(), file["data/other/0"][-1].sum()) == (128, 64)
