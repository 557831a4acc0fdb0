"""Opening a weights file of either format."""

from __future__ import annotations

import os

from .binary import BinaryWeights
from .file import WeightsFile
from .sniff import is_hdf5
from .surface import Weights


def open_weights(path: str | os.PathLike[str]) -> Weights:
    """Open and index a weights file: binary, or HDF5 by its first bytes, whatever its name.

    Values are not read; it takes milliseconds. Raises OSError if the file cannot be opened, and
    CaffemodelError if it is no caffemodel, is damaged or cut off anywhere, or has a blob whose
    shape and values disagree; also for an HDF5 file where h5py is not installed.
    """
    file = WeightsFile(path)
    try:
        if not is_hdf5(file):
            return BinaryWeights(file)
        # h5py is an extra, and takes a while to import.
        from .hdf5 import Hdf5Weights

        return Hdf5Weights(file)
    except BaseException:
        file.close()
        raise
