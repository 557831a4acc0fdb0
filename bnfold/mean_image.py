"""Mean images, in the two forms they come in."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np

from bnfold.aliases import Array, Floats
from bnfold.caffemodel import schema
from bnfold.errors import BnfoldError
from bnfold.whole import read_whole


def read_mean(path: Path) -> Floats:
    """Read a mean image.

    Args:
        path: a .npy file of one number for each channel, or of channels x height x width; anything
            else is read as Caffe's binaryproto, as its tool `compute_image_mean` writes it.

    Returns:
        float32, (channels, height, width), where height and width may be 1.

    Raises:
        BnfoldError: it cannot be read, or is of another shape.
    """
    try:
        data = read_whole(path)
    except OSError as error:
        raise BnfoldError(f"{path}: {error.strerror}; check the mean file's path") from None
    mean = _from_npy(path, data) if data.startswith(b"\x93NUMPY") else _from_blob(path, data)
    while mean.ndim > 3 and mean.shape[0] == 1:
        mean = mean[0]
    if mean.ndim == 1:
        mean = mean.reshape(-1, 1, 1)
    if mean.ndim != 3 or not mean.size:
        raise BnfoldError(
            f"{path}: the mean is of shape {mean.shape}; give channels x height x width"
        )
    mean = np.ascontiguousarray(mean, np.float32)
    if not np.isfinite(mean).all():
        raise BnfoldError(f"{path}: the mean has values that are not finite")
    return mean


def _from_npy(path: Path, data: bytes) -> Array:
    from numpy.lib import format as npy

    file = io.BytesIO(data)
    try:
        read = {1: npy.read_array_header_1_0, 2: npy.read_array_header_2_0}
        shape, is_fortran, dtype = read[npy.read_magic(file)[0]](file)
    # What is no header is whatever Python makes of a text that is evaluated.
    except Exception as error:
        what = " ".join(str(error).split())[:80]
        raise BnfoldError(f"{path}: not a .npy file of numbers ({what})") from None
    if dtype.kind not in "fiub":
        raise BnfoldError(f"{path}: the mean is an array of {str(dtype)[:20]}; give numbers")
    # The header's word is not taken for how much there is: numpy would reserve as much as it says.
    values = np.frombuffer(data, np.uint8, offset=file.tell())
    if min(shape, default=1) < 0 or values.size != math.prod(shape) * dtype.itemsize:
        raise BnfoldError(
            f"{path}: {values.size} bytes of values for the shape {str(shape)[:80]} of {dtype}; "
            "is the file complete?"
        )
    mean: Array = values.view(dtype).reshape(shape, order="F" if is_fortran else "C")
    return mean


def _from_blob(path: Path, data: bytes) -> Array:
    from google.protobuf.message import DecodeError

    blob: Any = schema.message("BlobProto")()
    try:
        blob.ParseFromString(data)
    except DecodeError:
        raise BnfoldError(f"{path}: neither a .npy nor a .binaryproto file") from None
    shape = tuple(blob.shape.dim)
    if any(blob.HasField(name) for name in ("num", "channels", "height", "width")):
        shape = (blob.num, blob.channels, blob.height, blob.width)
    values = np.array(blob.data if blob.data else blob.double_data, np.float32)
    if values.size != math.prod(shape) or not shape or min(shape) < 0 or not values.size:
        raise BnfoldError(
            f"{path}: {values.size} values for the shape {shape}; is the file a complete mean?"
        )
    return values.reshape(shape)
