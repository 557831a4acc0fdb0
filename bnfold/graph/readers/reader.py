"""What one reader of Caffe's files makes of a network: a table, and where it was read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from bnfold.graph.layer_type import Fields
from bnfold.graph.readers.schema import Schema

Ignored: TypeAlias = Mapping[str, Mapping[str, str]]
"""For a layer type the fields that are passed over, each with the value that changes nothing."""


@dataclass(frozen=True)
class Reader:
    """A program that reads Caffe's files.

    Attributes:
        key: the word that the command line takes.
        name: what people call it.
        source: the files that the table was read from, with their version.
        types: the layer types that it has.
        schema: the fields that it knows.
        unknown_type: what becomes of a layer of another type, as the end of a sentence.
        skips_unknown: whether it passes over fields that it does not know; such a field with a
            string in it, or in a message of it, ends the reading all the same where it stands in a
            layer (see opencv.py). The others refuse the file.
        reads_rules: whether it leaves out the layers that `include` and `exclude` leave out.
        reads_v1: whether it reads `layers`, the layers of before 2014.
        reads_inputs: whether it reads `input` and its shapes beside the layers.
        reads_raw: whether it reads blobs in `raw_data`, as NVIDIA's Caffe writes them.
        reads_hdf5: whether it reads weights in HDF5.
        most_blobs: for layer types how many blobs it takes.
        refuses_blobs: whether it refuses a layer with more of them; else it passes over them.
        needs: for layer types the fields that must be written, where Caffe has a default.
        ignored: what it passes over without a word.
        several_windows: what it does with several values of a window's field, if not Caffe's thing.
    """

    key: str
    name: str
    source: str
    types: Fields
    schema: Schema
    unknown_type: str = "the network is refused"
    skips_unknown: bool = False
    reads_rules: bool = True
    reads_v1: bool = True
    reads_inputs: bool = True
    reads_raw: bool = False
    reads_hdf5: bool = True
    most_blobs: Mapping[str, int] = field(default_factory=dict)
    refuses_blobs: bool = True
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ignored: Ignored = field(default_factory=dict)
    several_windows: str = ""


def passed_over(text: str) -> Ignored:
    """Fields that are passed over, from lines of the form `Type: message field=value ...`.

    A value is what the field has where it does not stand; `*` is for a field of which every value
    is lost. `Type Type: ...` is for several types.
    """
    found: dict[str, dict[str, str]] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        types, _, rest = line.partition(":")
        message, *fields = rest.split()
        for name in types.split():
            for part in fields:
                one, _, value = part.partition("=")
                found.setdefault(name, {})[f"{message}.{one}"] = value
    return found
