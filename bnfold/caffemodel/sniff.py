"""Telling a caffemodel from the other files that get passed in its place."""

from __future__ import annotations

from .errors import CaffemodelError, problem
from .file import WeightsFile

_SAMPLE = 512

_OTHER = "give a binary .caffemodel file"
_PACKED = "unpack it first"
# https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html, "format signature". Caffe
# writes it at the very beginning, where the format allows for a block of the user's own.
_HDF5 = b"\x89HDF\r\n\x1a\n"

# First bytes, at which offset, what the file is, what to do.
_SIGNATURES: tuple[tuple[bytes, int, str, str], ...] = (
    (b"PK\x03\x04", 0, "a zip archive (as PyTorch, Keras and numpy files are, too)", _PACKED),
    (b"\x1f\x8b", 0, "gzip-compressed", _PACKED),
    (b"BZh", 0, "bzip2-compressed", _PACKED),
    (b"\xfd7zXZ\x00", 0, "xz-compressed", _PACKED),
    (b"7z\xbc\xaf\x27\x1c", 0, "a 7z archive", _PACKED),
    (b"ustar", 257, "a tar archive", _PACKED),
    (b"TFL3", 4, "a TensorFlow Lite model", _OTHER),
    (b"\x80\x02", 0, "a Python pickle (an old PyTorch file?)", _OTHER),
    (b"\x93NUMPY", 0, "a numpy array", _OTHER),
)
_TEXT_CONTROLS = frozenset(b"\t\n\r\f")


def is_hdf5(file: WeightsFile) -> bool:
    """Return whether the first bytes of `file` are those of HDF5."""
    return file.at(0, min(file.size, len(_HDF5))) == _HDF5


def refuse_strangers(file: WeightsFile) -> None:
    """Raise CaffemodelError if the first bytes of `file` show that it is something else.

    Text cannot be mistaken: a binary NetParameter has a byte below 0x20 that text has no use for
    (the length of its name or the tag of its first layer) within its first few hundred bytes.
    """
    sample = file.at(0, min(file.size, _SAMPLE))
    if not sample:
        raise problem(file.path, "the file is empty", do="was it downloaded or written completely?")
    for signature, offset, what, do in _SIGNATURES:
        if sample[offset : offset + len(signature)] == signature:
            raise problem(file.path, f"this is {what}, not a caffemodel", do=do)
    if _is_text(sample):
        raise _text_problem(file, sample)


def _is_text(sample: bytes) -> bool:
    if any(byte < 0x20 and byte not in _TEXT_CONTROLS for byte in sample):
        return False
    try:
        sample.decode("utf-8")
    except UnicodeDecodeError as error:
        # The sample may end within a character.
        return len(sample) == _SAMPLE and error.start > _SAMPLE - 4
    return True


def _text_problem(file: WeightsFile, sample: bytes) -> CaffemodelError:
    start = sample.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(b"version https://git-lfs"):
        return problem(
            file.path, "this is a Git LFS pointer", do="fetch the file with `git lfs pull`"
        )
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        return problem(
            file.path, "this is a web page, not a caffemodel", do="download the file again"
        )
    return problem(
        file.path,
        "this is text (a prototxt?), not a binary caffemodel",
        do="give the .caffemodel file here, and the .prototxt as the network",
    )
