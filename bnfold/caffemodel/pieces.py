"""The pieces that a new file consists of."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from .blobs import BlobSource


class Copy(NamedTuple):
    """The bytes [start, end) of the old file."""

    start: int
    end: int


class Values(NamedTuple):
    """The values that `source` will yield, each behind the bytes `head`, which may be none.

    dtype: the source's, in one byte order. layer, blob: whose it is, and its place among the blobs,
        for errors.
    """

    source: BlobSource
    dtype: np.dtype[Any]
    head: bytes
    layer: str
    blob: int

    @property
    def items(self) -> int:
        """How many values there are."""
        return math.prod(self.source.shape)


Piece = bytes | Copy | Values
Pieces = list[Piece]


def size_of(pieces: Iterable[Piece]) -> int:
    """Return how many bytes `pieces` are, together."""
    size = 0
    for piece in pieces:
        if isinstance(piece, bytes):
            size += len(piece)
        elif isinstance(piece, Copy):
            size += piece.end - piece.start
        else:
            size += piece.items * (piece.dtype.itemsize + len(piece.head))
    return size
