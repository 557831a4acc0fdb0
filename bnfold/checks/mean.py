"""Mean images, in the two forms they come in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bnfold.caffemodel import schema
from bnfold.errors import BnfoldError

Floats = npt.NDArray[np.float32]


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
        data = path.read_bytes()
    except OSError as error:
        raise BnfoldError(f"{path}: {error.strerror}; check the mean file's path") from None
    mean = _from_npy(path) if data.startswith(b"\x93NUMPY") else _from_blob(path, data)
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


def _from_npy(path: Path) -> npt.NDArray[Any]:
    try:
        mean: npt.NDArray[Any] = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise BnfoldError(f"{path}: not a .npy file of numbers ({error})") from None
    if mean.dtype.kind not in "fiub":
        raise BnfoldError(f"{path}: the mean is an array of {mean.dtype}; give numbers")
    return mean


def _from_blob(path: Path, data: bytes) -> npt.NDArray[Any]:
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
    if values.size != int(np.prod(shape, dtype=np.int64)) or not shape or not values.size:
        raise BnfoldError(
            f"{path}: {values.size} values for the shape {shape}; is the file a complete mean?"
        )
    return values.reshape(shape)
