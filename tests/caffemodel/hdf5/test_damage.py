"""Whatever happens to an HDF5 file, CaffemodelError is all that comes of it.

For files as Caffe writes them, that is: the library itself has been seen to end the process over
damage in chunked datasets and in attributes of varying length, which Caffe does not write. It runs
in a process of its own here, so that one such end is a failure and not the end of all tests.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnfold.caffemodel import ArrayBlob, CaffemodelError, LayerEdit, open_weights

h5py = pytest.importorskip("h5py")

ROOT = Path(__file__).resolve().parents[3]


def whole(folder):
    """The bytes of a file as Caffe writes it, and the name of a scratch file."""
    path = folder / "whole.h5"
    with h5py.File(path, "w") as file:
        for name in ("conv", "bn", "fc"):
            file[f"data/{name}/0"] = np.arange(6, dtype="<f4").reshape(2, 3)
            file[f"data/{name}/1"] = np.arange(2, dtype="<f8")
            file[f"diff/{name}/0"] = np.zeros((2, 3), "<f4")
        file.create_group("data/fc/relu")
        file.create_group("data/pool")
    return path.read_bytes()


def use_all_of(data, folder):
    """Open, read and rewrite a file of `data`; return the error in the way, or None."""
    (folder / "in.h5").write_bytes(data)
    try:
        with open_weights(folder / "in.h5") as weights:
            new = LayerEdit(blobs=(ArrayBlob([1, 2, 3], "<f4"),))
            with (folder / "out.h5").open("w+b") as out:
                weights.write(out, {record.name: new for record in weights.records[1:]})
            open_weights(folder / "out.h5").close()
            for record in weights.records:
                for blob in record.blobs:
                    list(blob.chunks(4))
    except CaffemodelError as error:
        return str(error)
    return None


def check(data, folder):
    error = use_all_of(data, folder)
    assert error is None or "\n" not in error


def test_the_whole_file_is_fine(tmp_path):
    assert use_all_of(whole(tmp_path), tmp_path) is None


def test_a_file_cut_off_anywhere_is_refused(tmp_path):
    data = whole(tmp_path)
    for size in range(8, len(data), 97):
        assert use_all_of(data[:size], tmp_path) is not None


def damage(folder):
    """Damage the file in many ways, in this process."""
    data = whole(folder)
    places = st.integers(0, len(data) - 1)
    octets = st.sampled_from([0, 1, 255]) | st.integers(0, 255)

    @settings(max_examples=250, deadline=None, database=None)
    @given(st.lists(st.tuples(places, octets), min_size=1, max_size=4))
    def changed(changes):
        new = bytearray(data)
        for place, octet in changes:
            new[place] = octet
        check(bytes(new), folder)

    @settings(max_examples=100, deadline=None, database=None)
    @given(places, places, st.binary(max_size=12))
    def lost(start, stop, extra):
        check(data[:start] + extra + data[stop:], folder)

    changed()
    lost()


def failing_disk(folder):
    """Let reading fail at one place after the other, in this process."""
    (folder / "in.h5").write_bytes(whole(folder))
    real = os.preadv
    left = 0

    def failing(*arguments):
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(5, "Input/output error")
        return real(*arguments)

    os.preadv = failing
    failures = []
    for allowed in range(0, 150, 7):
        left = allowed
        try:
            with open_weights(folder / "in.h5") as weights, (folder / "out").open("w+b") as out:
                weights.write(out, {"bn": LayerEdit(remove=True)})
        except OSError as error:
            failures.append(error.errno)
    assert len(failures) > 3
    assert set(failures) == {5}
    # h5py forgets a property list where opening fails so, and dies of it in HDF5's own exit
    # handler, after Python has gone.
    os._exit(0)


def in_its_own_process(function, folder):
    name = function.__name__
    program = (
        f"import pathlib, sys; from tests.caffemodel.hdf5.test_damage import {name}; "
        f"{name}(pathlib.Path(sys.argv[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr


def test_damaged_bytes_are_told(tmp_path):
    in_its_own_process(damage, tmp_path)


def test_an_error_in_reading_the_disk_is_an_os_error(tmp_path):
    in_its_own_process(failing_disk, tmp_path)
