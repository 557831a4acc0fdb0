"""Caffe weights files: an index, lazy blobs, and a writer that streams a changed copy.

    with open_weights("net.caffemodel") as weights:
        record = weights.get("conv1")
        weight, bias = record.blobs
        edit = LayerEdit(blobs=(weight, ArrayBlob(bias.array() * 2)))
        with open("out.caffemodel", "wb") as out:
            weights.write(out, {"conv1": edit})

The file is indexed without being parsed and read where it is asked about. A layer that changes is
rewritten field by field; all else is copied as it stands. A file is a binary NetParameter or HDF5
(`.caffemodel.h5`), and looks the same either way. This package knows files, not networks.
"""

from . import schema
from .blobs import ArrayBlob, Blob, BlobSource, Rounding
from .edits import LayerEdit, NewLayer, ParamValue
from .errors import CaffemodelError
from .fields import v1_type
from .opening import open_weights
from .surface import LayerRecord, Weights

__all__ = [
    "ArrayBlob",
    "Blob",
    "BlobSource",
    "CaffemodelError",
    "LayerEdit",
    "LayerRecord",
    "NewLayer",
    "ParamValue",
    "Rounding",
    "Weights",
    "open_weights",
    "schema",
    "v1_type",
]
