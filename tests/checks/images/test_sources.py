"""Lists, folders and LMDBs of images, and files that are images only by name."""

import contextlib
import os
import sys

import cv2
import numpy as np
import pytest

from bnfold import BnfoldError
from bnfold.checks.images.lmdb_file import LmdbFile
from bnfold.checks.images.pixels import BadImageError, decode
from bnfold.checks.images.sources import open_images
from tests.checks.pictures import datum, flat, jpeg, photo, png, write_list, write_lmdb


def listed(source):
    return [(sample.name, sample.label) for sample in source]


def write(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_list_takes_what_caffe_takes(tmp_path):
    text = "a.png 0\r\n\n  my dir/b c.png \t 12\n\ttab.png\t3\n# no comment.png 7\nü.png 1"
    source = open_images(write(tmp_path / "val.txt", "\ufeff" + text))
    assert listed(source) == [
        ("a.png", 0), ("my dir/b c.png", 12), ("tab.png", 3), ("# no comment.png", 7), ("ü.png", 1),
    ]  # fmt: skip
    assert len(source) == 5
    assert source.top_label == (12, f"{tmp_path}/val.txt:3")
    assert listed(source) == listed(source)


@pytest.mark.parametrize(
    ("text", "line"),
    [("a.png 1\nb.png\n", 2), ("a.png -1\n", 1), ("a.png 1.5\n", 1), ("\n7\n", 2), ("a\0b 1", 1)],
)
def test_a_line_without_a_label_is_named_at_once(tmp_path, text, line):
    with pytest.raises(BnfoldError, match=rf"val.txt:{line}: "):
        open_images(write(tmp_path / "val.txt", text))


def test_lists_without_labels(tmp_path):
    path = write(tmp_path / "l", "a b.png\nc.png 4\nd.jpg e.xml\n")
    source = open_images(path, labelled=False)
    assert listed(source) == [("a b.png", None), ("c.png", 4), ("d.jpg", None)]
    assert [s.annotation for s in source] == [None, None, tmp_path / "e.xml"]


@pytest.mark.parametrize("name", ["/dev/zero", "pipe"])
def test_what_a_list_names_must_be_a_regular_file(name, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (sample,) = open_images(write(tmp_path / "val.txt", f"{name} 0"))
    with pytest.raises(BadImageError, match="not a regular file"):
        sample.read(3)


def test_a_file_that_is_too_large_to_be_an_image_is_not_read(tmp_path):
    with (tmp_path / "a.png").open("wb") as file:
        file.truncate(1 << 40)
    (sample,) = open_images(write(tmp_path / "val.txt", "a.png 0"))
    with pytest.raises(BadImageError, match="too large to be read whole"):
        sample.read(3)


def test_paths_start_at_the_lists_folder_or_the_root(tmp_path):
    write_list(tmp_path / "here" / "val.txt", [("a.png", flat(1, 2, 3), 0)])
    (sample,) = open_images(tmp_path / "here" / "val.txt")
    np.testing.assert_array_equal(sample.read(3), flat(1, 2, 3))
    (tmp_path / "val.txt").write_text("a.png 0\n")
    (sample,) = open_images(tmp_path / "val.txt", tmp_path / "here")
    np.testing.assert_array_equal(sample.read(3), flat(1, 2, 3))
    (sample,) = open_images(tmp_path / "val.txt")
    with pytest.raises(BadImageError, match=r"a.png: No such file"):
        sample.read(3)


def folder(path, names):
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(png(flat(1, 2, 3)))
    return path


def test_a_folder_for_each_class_in_the_order_of_names(tmp_path):
    path = folder(tmp_path, ["cat/2.png", "cat/1.JPG", "ant/x/3.png", "dog/.a", "dog/notes.txt"])
    assert listed(open_images(path)) == [("ant/x/3.png", 0), ("cat/1.JPG", 1), ("cat/2.png", 1)]


def test_folders_named_by_numbers_are_those_classes(tmp_path):
    path = folder(tmp_path, ["10/a.png", "2/b.png"])
    source = open_images(path)
    assert sorted(listed(source)) == [("10/a.png", 10), ("2/b.png", 2)]
    assert source.top_label == (10, str(tmp_path / "10"))
    folder(tmp_path, ["02/c.png"])
    with pytest.raises(BnfoldError, match="02 and 2 are the same class"):
        open_images(path)


def test_a_flat_folder_serves_where_no_labels_are_needed(tmp_path):
    path = folder(tmp_path, ["b.png", "a.png", "sub/c.png"])
    assert [name for name, _ in listed(open_images(path, labelled=False))] == [
        "a.png", "b.png", "sub/c.png",
    ]  # fmt: skip
    with pytest.raises(BnfoldError, match="no images"):
        open_images(folder(tmp_path / "e", ["c/a.txt"]))


@pytest.mark.parametrize("path", ["missing.txt", "missing/"])
def test_a_set_that_is_not_there(tmp_path, path):
    with pytest.raises(BnfoldError, match="check the path"):
        open_images(tmp_path / path)


def test_an_empty_list_and_a_root_for_a_folder(tmp_path):
    with pytest.raises(BnfoldError, match="no images"):
        open_images(write(tmp_path / "l", "\n\n"))
    with pytest.raises(BnfoldError, match="root is for list files"):
        open_images(folder(tmp_path / "f", ["a/b.png"]), tmp_path)


def test_every_kind_of_datum(tmp_path):
    image = photo(5, 7)
    floats = datum(3, channels=2, height=1, width=2)
    floats.float_data.extend([1.5, 2, 3, 4])
    records = [
        datum(1, image), datum(2, data=png(image), encoded=True), floats,
        datum(4, data=jpeg(flat(9, 99, 199)), encoded=True), datum(5, image[:, :, :1]),
    ]  # fmt: skip
    path = write_lmdb(tmp_path / "db", records)
    for place in (path, path / "data.mdb"):
        source = open_images(place)
        assert [label for _, label in listed(source)] == [1, 2, 3, 4, 5]
        samples = list(source)
        assert samples[0].name == "00000000"
        np.testing.assert_array_equal(samples[0].read(3), image)
        np.testing.assert_array_equal(samples[1].read(3), image)
        np.testing.assert_array_equal(samples[2].read(2), [[[1.5, 3], [2, 4]]])
        np.testing.assert_allclose(samples[3].read(3), flat(9, 99, 199), atol=4)
        np.testing.assert_array_equal(samples[4].read(1), image[:, :, :1])


def test_a_record_that_is_no_image_is_a_bad_image(tmp_path):
    short = datum(0, photo(5, 7))
    short.height = 6
    path = write_lmdb(tmp_path / "db", [b"\xff\xff", short, datum(0, data=b"x", encoded=True)])
    for sample, says in zip(open_images(path), ("not a Datum", "3x6x7", "decode"), strict=True):
        with pytest.raises(BadImageError, match=says):
            sample.read(3)


def test_a_broken_lmdb(tmp_path):
    (tmp_path / "data.mdb").write_bytes(b"no database" * 1000)
    with pytest.raises(BnfoldError, match="not an LMDB"):
        open_images(tmp_path)


@pytest.mark.parametrize("count", [1, 3, 70, 3000])
def test_an_lmdb_of_any_depth_is_read_as_the_library_reads_it(count, tmp_path):
    import lmdb

    rng = np.random.default_rng(count)
    with lmdb.open(str(tmp_path), map_size=1 << 26) as store:
        for _ in range(3):  # so that pages are freed and used again
            with store.begin(write=True) as transaction:
                for key in rng.permutation(count).tolist():
                    size = int(rng.choice([0, 1, 100, 2000, 5000, 40000] if key < 99 else [9]))
                    transaction.put(b"%06d" % key, rng.bytes(size))
                transaction.delete(b"000001")
        with store.begin() as transaction:
            want = list(transaction.cursor())
    with LmdbFile(tmp_path) as file:
        assert file.entries == len(want)
        assert list(file) == want
        assert list(file) == want


def test_a_damaged_lmdb_is_an_error_or_another_set_and_nothing_else(tmp_path):
    path = write_lmdb(tmp_path / "db", [datum(1, photo(40, 40))] * 3) / "data.mdb"
    content, rng = path.read_bytes(), np.random.default_rng(0)
    used = [at for at, byte in enumerate(content) if byte]
    refused = 0
    for turn in range(600):
        data = bytearray(content)
        if turn % 10 == 0:
            del data[int(rng.integers(len(data))) :]
        else:
            for at in rng.choice(used[: 400 if turn % 2 else None], 2):
                data[at] = int(rng.integers(256))
        path.write_bytes(data)
        try:
            for sample in open_images(path.parent):
                with contextlib.suppress(BadImageError):
                    sample.read(3)
        except BnfoldError:
            refused += 1
    assert refused > 50


def test_the_module_that_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(BnfoldError, match=r"pip install 'bnfold\[opencv\]'"):
        decode(b"\xff\xd8\xff\xd9", 3)


@pytest.mark.parametrize("encode", [png, jpeg])
def test_gray_and_color_files_for_gray_and_color_networks(encode):
    color, gray = photo(8, 8), photo(8, 8, 1)
    read = cv2.imdecode(np.frombuffer(encode(gray), np.uint8), cv2.IMREAD_GRAYSCALE)
    np.testing.assert_array_equal(decode(encode(gray), 1), read[:, :, None])
    np.testing.assert_array_equal(decode(encode(gray), 3), np.dstack([read] * 3))
    read = cv2.imdecode(np.frombuffer(encode(color), np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(decode(encode(color), 3), read)
    assert decode(encode(color), 1).shape == (8, 8, 1)


def test_alpha_is_dropped_and_sixteen_bits_become_eight():
    color = photo(8, 8)
    alpha = np.dstack([color, np.zeros((8, 8), np.uint8)])
    np.testing.assert_array_equal(decode(png(alpha), 3), color)
    np.testing.assert_array_equal(decode(png(alpha), 4), alpha)
    np.testing.assert_array_equal(decode(png(color.astype(np.uint16) * 257), 3), color)
    with pytest.raises(BadImageError, match="has 3 channels"):
        decode(png(color), 6)


def test_the_orientation_of_a_camera_is_left_alone():
    image = jpeg(photo(8, 16))
    tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    exif = b"Exif\0\0" + tiff
    turned = image[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + image[2:]
    shown = cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape == (16, 8, 3)  # that is what a viewer makes of it
    np.testing.assert_array_equal(decode(turned, 3), decode(image, 3))


@pytest.mark.parametrize("encode", [png, jpeg])
def test_files_cut_off_anywhere_are_noticed(encode):
    data = encode(photo())
    for size in (*range(1, 60, 7), len(data) // 3, len(data) // 2, len(data) - 8, len(data) - 1):
        with pytest.raises(BadImageError):
            decode(data[:size], 3)
    decode(data + b"trailing bytes do no harm", 3)


def test_an_end_within_a_thumbnail_is_not_the_end():
    data = jpeg(photo())
    thumbnail = jpeg(flat(1, 2, 3))
    whole = data[:2] + b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail + data[2:]
    np.testing.assert_array_equal(decode(whole, 3), decode(data, 3))
    with pytest.raises(BadImageError, match="cut off"):
        decode(whole[:-100], 3)


@pytest.mark.parametrize("data", [b"", b"text", b"\x89PNG\r\n\x1a\n", b"BM"])
def test_files_that_are_no_images(data):
    with pytest.raises(BadImageError):
        decode(data, 3)
