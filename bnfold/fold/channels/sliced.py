"""A blob without some of its rows and columns, taken out as it streams by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from bnfold.caffemodel import BlobSource
from bnfold.fold.blobs import size_of
from bnfold.fold.channels.ties import Mask


class Sliced:
    """Part of a blob, read as a matrix; a BlobSource whose values are those of its source.

    Args:
        source: the whole blob.
        rows: which rows stay, shape (R,).
        columns: which columns stay, shape (size / R,); or (groups, size / R), a line for each of so
            many groups of rows.
        shape: the axes of what stays.
    """

    def __init__(
        self, source: BlobSource, rows: Mask, columns: Mask, shape: tuple[int, ...]
    ) -> None:
        self._source, self._rows = source, rows
        self._columns = columns.reshape(-1, columns.shape[-1])
        assert rows.size * columns.shape[-1] == size_of(source)
        assert rows.size % len(self._columns) == 0
        self.shape = shape
        self.dtype: np.dtype[Any] = source.dtype

    def chunks(self, max_items: int) -> Iterator[npt.NDArray[Any]]:
        """Yield the values flat and in order, at most `max_items` at a time."""
        start = 0
        for chunk in self._source.chunks(max_items):
            kept = chunk[self._mask(start, chunk.size)]
            start += chunk.size
            if kept.size:
                yield kept

    def _mask(self, start: int, count: int) -> Mask:
        """Which of the values [start, start + count) stay."""
        groups, width = self._columns.shape
        first, last = start // width, (start + count - 1) // width
        rows = np.arange(first, last + 1)
        mask = self._rows[rows, None] & self._columns[rows // (self._rows.size // groups)]
        return np.ravel(mask)[start - first * width :][:count]
