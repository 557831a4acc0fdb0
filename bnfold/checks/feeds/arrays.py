"""Arrays by name in files: what goes into a network and what comes out, here or on a device.

A file may come from anywhere, so that its sizes are claims until they are checked: an array is read
only where the file really holds so many bytes, and no object in it is ever unpickled.
"""

from __future__ import annotations

import math
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from bnfold.aliases import Array, ArrayShape, PathLike
from bnfold.errors import BnfoldError
from bnfold.outputs import Outputs
from bnfold.whole import MOST_BYTES, check_regular, read_whole

_ENDING = ".npy"
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_MOST_HEADER = 1 << 16
_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, EOFError, ValueError),
    OSError,  # of places that no file has
    RuntimeError,  # of members that are encrypted, or packed in a way that Python does not know
)


class ArrayFile(Mapping[str, Array]):
    """The arrays of an .npz file by name, each read when it is asked for.

    Args:
        path: the file.

    Raises:
        BnfoldError: it is no .npz file.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        check_regular(path)
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except _DAMAGE as error:
            raise BnfoldError(
                f"{path}: is no .npz file; make one with numpy.savez, or with --save-inputs"
            ) from error
        self._members = {
            info.filename.removesuffix(_ENDING): info
            for info in self._zip.infolist()
            if info.filename.endswith(_ENDING)
        }

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __getitem__(self, name: str) -> Array:
        info = self._members[name]
        try:
            with self._zip.open(info) as file:
                return self._read(name, file, info.file_size)
        except _DAMAGE as error:
            raise BnfoldError(f"{self.path}: array '{name}' is damaged: {error}") from error

    def _read(self, name: str, file: IO[bytes], size: int) -> Array:
        shape, fortran, dtype = _header(file)
        if dtype.hasobject or dtype.kind not in "fiub":
            raise BnfoldError(f"{self.path}: array '{name}' holds {dtype}, and not real numbers")
        count = math.prod(shape) * dtype.itemsize
        if count > min(size, MOST_BYTES):
            raise ValueError(f"its shape {shape} wants {count:,} bytes, and there are {size:,}")
        content = file.read(count)
        if len(content) < count:
            raise ValueError("it is cut short")
        values = np.frombuffer(content, dtype)
        return values.reshape(shape[::-1]).T if fortran else values.reshape(shape)


def _header(file: IO[bytes]) -> tuple[ArrayShape, bool, np.dtype[Any]]:
    """The shape, whether it is in Fortran's order, and the type of an array that begins here."""
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"its format is {version}")
    try:
        shape, fortran, dtype = _HEADERS[version](file, max_header_size=_MOST_HEADER)
    except Exception as error:
        # A header is an expression, and Python's parser raises a dozen kinds of errors.
        raise ValueError("its header cannot be read") from error
    if any(size < 0 for size in shape):
        raise ValueError(f"its shape is {shape}")
    return shape, fortran, dtype


def raw_array(path: Path, shape: ArrayShape, dtype: str) -> Array:
    """The numbers of a file without a header, as devices write them.

    Args:
        path: the file.
        shape: what the array's is.
        dtype: numpy's name of a type of real numbers, as "float32"; the bytes are in the order of
            this machine.

    Raises:
        BnfoldError: the file does not hold exactly so many numbers, or there is no such type.
        OSError: it cannot be read.
    """
    try:
        kind = np.dtype(dtype)
    except TypeError:
        kind = np.dtype(object)
    if kind.kind not in "fiub":
        raise BnfoldError(f"{path}: there is no type '{dtype}'; give one as float32, float16, int8")
    content = read_whole(path)
    expected = math.prod(shape) * kind.itemsize
    if len(content) != expected:
        dims = "x".join(map(str, shape))
        raise BnfoldError(
            f"{path}: holds {len(content):,} bytes, and {dims} numbers of type {kind} are "
            f"{expected:,}; check the shape and the type"
        )
    return np.frombuffer(content, kind).reshape(shape)


class Stacked:
    """Arrays of several runs by name, one behind the other along their first axis."""

    def __init__(self) -> None:
        self._runs: dict[str, list[Array]] = {}

    def add(self, arrays: Mapping[str, Array]) -> None:
        """Add what one run took or gave."""
        for name, array in arrays.items():
            self._runs.setdefault(name, []).append(array)

    def arrays(self) -> dict[str, Array]:
        """The arrays.

        Raises:
            BnfoldError: a value has another shape in each run, as what a detector finds.
        """
        found = {}
        for name, runs in self._runs.items():
            if any(one.shape[1:] != runs[0].shape[1:] or one.ndim == 0 for one in runs):
                raise BnfoldError(
                    f"'{name}' has another shape for each input, and cannot be kept in one array; "
                    "take one input (--random 1)"
                )
            found[name] = np.concatenate(runs)
        return found


def save_arrays(outputs: Outputs, path: PathLike | None, stacked: Stacked) -> None:
    """Write arrays as an .npz file, which is the same for the same arrays.

    Args:
        outputs: writes the file.
        path: where it will stand; None for not at all.
        stacked: the arrays.

    Raises:
        BnfoldError: as for `Stacked.arrays`.
        OSError: the file cannot be written.
    """
    if path is None:
        return
    arrays = stacked.arrays()
    with (
        outputs.open(Path(path)) as descriptor,
        os.fdopen(descriptor, "wb", closefd=False) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive,
    ):
        for name, array in arrays.items():
            # Without a date of its own, a member has the first that the format knows.
            member = zipfile.ZipInfo(f"{name}{_ENDING}")
            with archive.open(member, "w", force_zip64=True) as part:
                np.lib.format.write_array(part, np.ascontiguousarray(array), allow_pickle=False)
