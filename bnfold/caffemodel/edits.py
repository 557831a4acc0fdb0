"""What can be asked of the writer: data only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .blobs import BlobSource

ParamValue = bool | int | float | str | tuple[int | float, ...] | None
"""What a field of a layer's parameters may be set to.

An enum is given by its name, a repeated field by all its values; None takes the field out.
"""


class LayerEdit(NamedTuple):
    """How a layer's record changes. What is left at None stays as it is, byte for byte.

    remove: leave the record out; everything else is then ignored.
    name: its new name. Caffe gives weights to the layer of that name.
    type: its new type, as "Scale". A V1 record can only take the types that V1 has a number for.
    bottoms, tops: its new inputs and outputs; written only where the record carries some of its
        own, since Caffe takes them from the prototxt.
    blobs: all blobs it will have. One that *is* a Blob of the record is copied as it stands,
        gradients included; any other is written anew, in the form of the blob that it replaces:
        with a legacy shape or each value behind a tag of its own, if that one is so. Float32 goes
        into `data`, doubles into `double_data`, and half floats into the raw_data of NVIDIA's fork.
    params: new values of fields, by message and field: {("convolution_param", "bias_term"): True}.
        An enum takes its number or its value's name, a repeated field all its values in a tuple.
        None clears the field. Applies only where the record carries the message; the message's
        other bytes stay as they are.
    drop: fields of LayerParameter or V1LayerParameter, as "param" or "batch_norm_param", that the
        record will no longer have, however often they occur in it. One that its kind of record
        does not know is passed over; those with an attribute of their own above are refused.
    drop_gradients: leave out what training kept beside the values of its blobs, `diff`.
    """

    remove: bool = False
    name: str | None = None
    type: str | None = None
    bottoms: tuple[str, ...] | None = None
    tops: tuple[str, ...] | None = None
    blobs: tuple[BlobSource, ...] | None = None
    params: Mapping[tuple[str, str], ParamValue] = {}
    drop: tuple[str, ...] = ()
    drop_gradients: bool = False


class NewLayer(NamedTuple):
    """A record to add at the end, in the form (modern or V1) of the file."""

    name: str
    type: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    blobs: tuple[BlobSource, ...]
