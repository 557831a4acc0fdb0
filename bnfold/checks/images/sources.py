"""Image sets: a list file, a folder with a folder for each class, an LMDB of Datum records."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from bnfold.aliases import PathLike
from bnfold.caffemodel import schema
from bnfold.checks.images.lmdb_file import LmdbError, LmdbFile
from bnfold.checks.images.pixels import SUFFIXES, BadImageError, Pixels, decode
from bnfold.errors import BnfoldError
from bnfold.whole import check_regular, read_whole


@dataclass(frozen=True)
class Sample:
    """An image that has not been read yet.

    Attributes:
        name: its path as the list has it, or relative to the folder, or its key in the LMDB.
        label: its class; None where the set tells none.
        read: reads it as so many channels; raises BadImageError.
        annotation: the XML file that a list names for it, as SSD's lists do; else None.
    """

    name: str
    label: int | None
    read: Callable[[int], Pixels]
    annotation: Path | None = None


class Source(Protocol):
    """A set of images in a fixed order. Nothing of it is held in memory.

    Attributes:
        path: what the user gave.
        top_label: the highest label and where it stands; None if that takes reading everything.
    """

    path: Path
    top_label: tuple[int, str] | None

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Sample]: ...


def open_images(path: PathLike, root: PathLike | None = None, *, labelled: bool = True) -> Source:
    """Open a set of images, and check what can be checked without reading them.

    Args:
        path: a list file, a folder, or an LMDB (a folder with a data.mdb, or such a file).
        root: where the paths of a list start; by default in the list's own folder.
        labelled: whether every image needs a label. If not, a folder may hold images as they
            come, and the lines of a list may be paths alone, or paths of an image and of its
            annotation (.xml).

    Raises:
        BnfoldError: there is no such thing, it holds no images, a line or a folder is not of the
            expected form.
    """
    path = Path(path)
    try:
        source = _open(path, None if root is None else Path(root), labelled)
        count = len(source)
    except OSError as error:
        raise BnfoldError(f"{path}: {error.strerror}; check the path of the images") from None
    if not count:
        raise BnfoldError(f"{path}: there are no images in it")
    return source


def _open(path: Path, root: Path | None, labelled: bool) -> Source:
    is_lmdb = path.suffix == ".mdb" or (path / "data.mdb").exists()
    if root is not None and (is_lmdb or path.is_dir()):
        raise BnfoldError(f"{path}: a root is for list files; leave it away")
    if is_lmdb:
        return LmdbSource(path)
    if path.is_dir():
        return FolderSource(path, labelled)
    check_regular(path)
    return ListSource(path, path.parent if root is None else root, labelled)


class ListSource:
    """A list as Caffe's ImageData layer takes it: `path label`, one image a line.

    The label is what follows the last blank, so paths may hold blanks (BVLC caffe, src/caffe/
    layers/image_data_layer.cpp). Empty lines are passed over. Caffe's lists have no comments.
    """

    def __init__(self, path: Path, root: Path, labelled: bool) -> None:
        self.path = path
        self._root = root
        self._labelled = labelled
        self._count = 0
        self.top_label: tuple[int, str] | None = None
        # Once through now: a bad line should not end a run that is hours old.
        for number, _, label, _ in self._lines():
            self._count += 1
            if label is not None and (self.top_label is None or label > self.top_label[0]):
                self.top_label = (label, f"{path}:{number}")

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Sample]:
        for _, name, label, annotation in self._lines():
            place = None if annotation is None else self._root / annotation
            yield Sample(name, label, _file_reader(self._root / name), place)

    def _lines(self) -> Iterator[tuple[int, str, int | None, str | None]]:
        # Only \n and \r\n end a line: a name may hold whatever else Python takes for an end.
        encoding: dict[str, Any] = {"encoding": "utf-8-sig", "errors": "surrogateescape"}
        with self.path.open(newline="\n", **encoding) as lines:
            for number, line in enumerate(lines, 1):
                if text := line.strip(" \t\r\n"):
                    yield (number, *self._split(text, number))

    def _split(self, text: str, number: int) -> tuple[str, int | None, str | None]:
        if "\0" in text:
            raise BnfoldError(f"{self.path}:{number}: not a line of text; give a list of images")
        name, _, last = text.replace("\t", " ").rpartition(" ")
        if name and last.isascii() and last.isdecimal() and len(last) < 10:
            return text[: len(name)].rstrip(" \t"), int(last), None
        if not self._labelled and name and last.lower().endswith(".xml"):
            return text[: len(name)].rstrip(" \t"), None, last
        if not self._labelled:
            return text, None, None
        shown = text if len(text) <= 60 else text[:60] + "..."
        raise BnfoldError(
            f"{self.path}:{number}: '{shown}' does not end in a label; write `path label`, with "
            "labels from 0 up"
        )


class FolderSource:
    """A folder with one folder for each class.

    The classes are the folders in the order of their names, from 0 up. If all the names are
    numbers, each is its folder's label, so that a class without images moves no other.
    """

    def __init__(self, path: Path, labelled: bool) -> None:
        self.path = path
        folders = sorted(
            name.name for name in path.iterdir() if name.is_dir() and name.name[0] != "."
        )
        self._classes: list[tuple[str, int | None]] = []
        if folders:
            self._classes = list(zip(folders, self._labels(folders), strict=True))
        elif labelled:
            raise BnfoldError(
                f"{path}: no folders in it; give a folder with one folder for each class, or a list"
            )
        if not labelled:
            self._classes.insert(0, ("", None))
        self._count = sum(len(self._files(folder)) for folder, _ in self._classes)
        labels = [(label, folder) for folder, label in self._classes if label is not None]
        self.top_label = None
        if labels:
            label, folder = max(labels)
            self.top_label = (label, str(path / folder))

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Sample]:
        for folder, label in self._classes:
            for name in self._files(folder):
                yield Sample(name, label, _file_reader(self.path / name))

    def _labels(self, folders: list[str]) -> list[int]:
        if not all(name.isascii() and name.isdecimal() and len(name) < 10 for name in folders):
            return list(range(len(folders)))
        labels = [int(name) for name in folders]
        for index, label in enumerate(labels):
            if label in labels[:index]:
                first = folders[labels.index(label)]
                raise BnfoldError(
                    f"{self.path}: the folders {first} and {folders[index]} are the same class; "
                    "rename one"
                )
        return labels

    def _files(self, folder: str) -> list[str]:
        """The images of one class, with those in folders within its folder."""
        top = self.path / folder
        found = []
        for place, inner, names in os.walk(top):
            inner[:] = sorted(name for name in inner if name[0] != "." and folder)
            base = Path(place).relative_to(self.path)
            found += [
                str(base / name) for name in sorted(names) if Path(name).suffix.lower() in SUFFIXES
            ]
        return found


class LmdbSource:
    """An LMDB of Caffe's Datum records, in the order of their keys."""

    top_label: tuple[int, str] | None = None

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with LmdbFile(path) as store:
                self._count = store.entries
        except LmdbError as error:
            raise BnfoldError(f"{path}: not an LMDB that can be read: {error}") from None

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Sample]:
        try:
            with LmdbFile(self.path) as store:
                for key, value in store:
                    yield self._sample(key.decode("utf-8", "backslashreplace"), value)
        except LmdbError as error:
            raise BnfoldError(f"{self.path}: cannot be read on: {error}") from None

    def _sample(self, key: str, value: bytes) -> Sample:
        from google.protobuf.message import DecodeError

        datum: Any = schema.message("Datum")()
        try:
            datum.ParseFromString(value)
        except DecodeError:
            return Sample(key, 0, _refuse("the record is not a Datum"))
        if datum.label < 0:
            raise BnfoldError(
                f"{self.path}: record {key}: its label is {datum.label}; use 0 and up"
            )
        return Sample(key, datum.label, lambda channels: _from_datum(datum, channels))


def _from_datum(datum: Any, channels: int) -> Pixels:
    """The pixels of a Datum. Source: BVLC caffe, src/caffe/data_transformer.cpp, `Transform`."""
    if datum.encoded:
        return decode(datum.data, channels)
    shape = (datum.channels, datum.height, datum.width)
    if datum.data:
        values: Pixels = np.frombuffer(datum.data, np.uint8)
    else:
        values = np.array(datum.float_data, np.float32)
    if min(shape) < 1 or values.size != int(np.prod(shape, dtype=np.int64)):
        sides = "x".join(map(str, shape))
        raise BadImageError(f"the record says {sides} and holds {values.size} values")
    pixels: Pixels = values.reshape(shape).transpose(1, 2, 0)
    return pixels


def _file_reader(path: Path) -> Callable[[int], Pixels]:
    def read(channels: int) -> Pixels:
        try:
            data = read_whole(path)
        except OSError as error:
            raise BadImageError(f"{path}: {error.strerror}") from None
        except ValueError as error:
            raise BadImageError(str(error)) from None
        return decode(data, channels)

    return read


def _refuse(reason: str) -> Callable[[int], Pixels]:
    def read(channels: int) -> Pixels:
        raise BadImageError(reason)

    return read
