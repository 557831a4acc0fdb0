"""Image files and arrays of bytes to pixels, as Caffe's tools read them."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt

from bnfold.errors import BnfoldError

Pixels = npt.NDArray[Any]
"""An image: height x width x channels, uint8 (or float32 from a Datum's float_data), BGR."""

SUFFIXES = frozenset(
    (".bmp", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff",
     ".webp")
)  # fmt: skip
"""Names of image files in a folder end in one of these, in any case of letters."""

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
# Within the data of a scan 0xff is followed by 0 or by a restart marker; 0xff may fill.
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


class BadImageError(Exception):
    """An image that cannot be read; the message is the reason, without the image's name."""


def need_cv2() -> Any:
    """Return the module cv2, for decoding and resizing.

    Raises:
        BnfoldError: OpenCV is not installed.
    """
    try:
        import cv2
    except ImportError as error:
        raise BnfoldError(
            f"images are read with OpenCV, and `import cv2` fails ({error}); "
            "pip install 'bnfold[opencv]'"
        ) from None
    return cv2


def decode(data: bytes, channels: int) -> Pixels:
    """Decode the bytes of an image file.

    The flags are those of Caffe's `ReadImageToCVMat` and `DecodeDatumToCVMat` (src/caffe/util/
    io.cpp): 16 bits become 8 and alpha is dropped. The EXIF orientation is not applied: it was not
    by the OpenCV 2.4 that Caffe's data sets were made with, and frames of a camera have none.

    Args:
        data: a whole file.
        channels: 1 for gray, 3 for BGR; with any other number the file must have as many.

    Returns:
        uint8, height x width x channels.

    Raises:
        BadImageError: it is empty, cut off, or nothing that OpenCV reads.
        BnfoldError: OpenCV is not installed.
    """
    if not data:
        raise BadImageError("the file is empty")
    # OpenCV returns what there is of such files, with a gray rest and a line on stderr.
    if _is_cut_off(data):
        raise BadImageError("the file is cut off")
    cv2 = need_cv2()
    known = {1: cv2.IMREAD_GRAYSCALE, 3: cv2.IMREAD_COLOR}
    flags = known.get(channels, cv2.IMREAD_UNCHANGED) | cv2.IMREAD_IGNORE_ORIENTATION
    if channels not in known:
        flags = cv2.IMREAD_UNCHANGED  # alone: it is a negative number, and implies the other
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise BadImageError(f"OpenCV cannot decode it ({error.err})") from None
    if pixels is None:
        raise BadImageError("OpenCV cannot decode it")
    return fit_channels(pixels if pixels.ndim == 3 else pixels[:, :, None], channels)


def fit_channels(pixels: Pixels, channels: int) -> Pixels:
    """Bring an image to the number of channels that a network takes.

    Raises:
        BadImageError: it is not gray, BGR or BGR with alpha, and has another number.
    """
    found = pixels.shape[2]
    if found == channels:
        return pixels
    if found == 1 and channels == 3:
        return np.repeat(pixels, 3, axis=2)
    if found == 4 and channels == 3:
        return pixels[:, :, :3]
    if found in (3, 4) and channels == 1:
        cv2 = need_cv2()
        bgr = np.ascontiguousarray(pixels[:, :, :3])
        gray: Pixels = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)[:, :, None]
        return gray
    raise BadImageError(f"it has {found} channels, and the network takes {channels}")


def _is_cut_off(data: bytes) -> bool:
    if data.startswith(_PNG):
        return not _has_png_end(data)
    if data.startswith(_JPEG):
        return not _has_jpeg_end(data)
    return False


def _has_png_end(data: bytes) -> bool:
    """Whether every chunk up to IEND is there. Source: the PNG specification, 5.3."""
    position = len(_PNG)
    while position + 12 <= len(data):
        after = position + 12 + int.from_bytes(data[position : position + 4], "big")
        if data[position + 4 : position + 8] == b"IEND":
            return after <= len(data)
        position = after
    return False


def _has_jpeg_end(data: bytes) -> bool:
    """Whether the image's own end marker is there. Source: ITU-T T.81, annex B.

    A thumbnail within the file has an end marker, too, so segments are stepped over.
    """
    position = len(_JPEG)
    while match := _NEXT_MARKER.search(data, position):
        marker, position = match[0][1], match.end()
        if marker == 0xD9:
            return True
        if marker != 0x01:  # TEM alone has no length
            position += int.from_bytes(data[position : position + 2], "big")
    return False
