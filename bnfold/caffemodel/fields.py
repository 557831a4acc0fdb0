"""Field numbers of the messages that a weights file is made of.

Source: BVLC caffe, src/caffe/proto/caffe.proto and, for the names of V1's types,
UpgradeV1LayerType in src/caffe/util/upgrade_proto.cpp; raw_data is NVIDIA's fork.
"""

from __future__ import annotations

from typing import NamedTuple

NET_NAME = 1
SHAPE_DIM = 1

# BlobProto
LEGACY_SHAPE = (1, 2, 3, 4)
DATA = 5
SHAPE = 7
DOUBLE_DATA = 8
RAW_DATA_TYPE = 10
RAW_DATA = 12
# diff, double_diff, raw_diff_type, raw_diff: gradients
GRADIENTS = (6, 9, 11, 13)

# NVIDIA's enum Type, as the numpy dtypes of raw_data.
RAW_DTYPES = {0: "<f8", 1: "<f4", 2: "<f2"}


class LayerFields(NamedTuple):
    """The numbers of one kind of layer record; `record` is its own number in NetParameter."""

    message: str
    record: int
    name: int
    type: int
    bottom: int
    top: int
    blobs: int


MODERN = LayerFields("LayerParameter", record=100, name=1, type=2, bottom=3, top=4, blobs=7)
V1 = LayerFields("V1LayerParameter", record=2, name=4, type=5, bottom=2, top=3, blobs=6)

# The record before V1, nested in a V1 record.
V0_LAYER = 1

V1_TYPES = {
    0: "",
    1: "Accuracy",
    2: "BNLL",
    3: "Concat",
    4: "Convolution",
    5: "Data",
    6: "Dropout",
    7: "EuclideanLoss",
    8: "Flatten",
    9: "HDF5Data",
    10: "HDF5Output",
    11: "Im2col",
    12: "ImageData",
    13: "InfogainLoss",
    14: "InnerProduct",
    15: "LRN",
    16: "MultinomialLogisticLoss",
    17: "Pooling",
    18: "ReLU",
    19: "Sigmoid",
    20: "Softmax",
    21: "SoftmaxWithLoss",
    22: "Split",
    23: "TanH",
    24: "WindowData",
    25: "Eltwise",
    26: "Power",
    27: "SigmoidCrossEntropyLoss",
    28: "HingeLoss",
    29: "MemoryData",
    30: "ArgMax",
    31: "Threshold",
    32: "DummyData",
    33: "Slice",
    34: "MVN",
    35: "AbsVal",
    36: "Silence",
    37: "ContrastiveLoss",
    38: "Exp",
    39: "Deconvolution",
}
_V1_NUMBERS = {name: number for number, name in V1_TYPES.items()}
_V1_UNKNOWN = "V1:"


def v1_type(number: int) -> str:
    """Return the modern name of V1 layer type `number`; "V1:57" if Caffe does not know it."""
    return V1_TYPES.get(number, f"{_V1_UNKNOWN}{number}")


def v1_number(name: str) -> int | None:
    """Return the V1 number of layer type `name`, undoing `v1_type`; None if there is none."""
    digits = name.removeprefix(_V1_UNKNOWN)
    if digits != name and digits.isascii() and digits.isdigit():
        return int(digits)
    return _V1_NUMBERS.get(name)
