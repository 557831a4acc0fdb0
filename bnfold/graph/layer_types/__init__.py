"""The register of layer types: one record for each type that bnfold knows.

A record says what a type means, once for all who ask: which of its fields are understood, how
shapes and costs follow, which affine functions pass through it, what it does with channels and with
memory. Adding a type is one record and its test (tests/graph/test_layer_types.py holds every record
to Caffe itself where that has the type).

Sources: BVLC caffe, src/caffe/proto/caffe.proto and src/caffe/layers/*_layer.cpp, the file named
after the type; for types of forks the forks' own, as named beside the records and rules.
"""

from __future__ import annotations

from collections.abc import Mapping

from bnfold.graph.layer_type import (
    ChannelRole,
    Dialect,
    Ending,
    LayerType,
    Layout,
    Passes,
    Work,
)
from bnfold.graph.layer_types import (
    activations,
    affine,
    data,
    endings,
    moving,
    numbers,
    pooling,
    weighted,
)

__all__ = [
    "LAYER_TYPES",
    "ChannelRole",
    "Dialect",
    "Ending",
    "LayerType",
    "Layout",
    "Passes",
    "Work",
    "record_of",
]

_RECORDS = (
    *data.RECORDS,
    *weighted.RECORDS,
    *affine.RECORDS,
    *activations.RECORDS,
    *pooling.RECORDS,
    *moving.RECORDS,
    *numbers.RECORDS,
    *endings.RECORDS,
)

LAYER_TYPES: Mapping[str, LayerType] = {record.name: record for record in _RECORDS}
"""Every type that bnfold knows, by its name."""


def record_of(name: str) -> LayerType:
    """The record of a type; for a type that nobody knows, one that says so."""
    return LAYER_TYPES.get(name) or LayerType(name)
