"""A blob without some of its rows and columns, taken out as it streams by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from bnfold.caffemodel import BlobSource
from bnfold.fold.channels.current import size_of
from bnfold.fold.channels.ties import Mask


class Sliced:
    """Part of a blob, read as a matrix; a BlobSource whose values are those of its source.

    Args:
        source: the whole blob.
        rows: which rows stay, shape (R,).
        columns: which columns stay, shape (size / R,).
        shape: the axes of what stays.
    """

    def __init__(
        self, source: BlobSource, rows: Mask, columns: Mask, shape: tuple[int, ...]
    ) -> None:
        assert rows.size * columns.size == size_of(source)
        self._source, self._rows, self._columns = source, rows, columns
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
        width = self._columns.size
        first, last = start // width, (start + count - 1) // width
        mask = self._rows[first : last + 1, None] & self._columns
        return np.ravel(mask)[start - first * width :][:count]
