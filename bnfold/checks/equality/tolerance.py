"""How far apart rounding alone may put two networks.

Nobody can say beforehand: a network may swallow a rounding error or make it a hundred times as
large. So it is measured, on the network and the inputs at hand. A third network is made, the
original with every weight moved to a neighbouring float32, up or down at random. What that does to
a value is what one rounding of each weight costs there, and folding rounds each weight once. The
tolerance is SAFETY times it.

One random network may by chance move a value by nearly nothing, if it is a single number above
all. So the tolerance is never less than SAFETY times u * sqrt(n), which is how the roundings of a
value's n layers with weights add up if each rounds its result but once, at random (N. Higham and
T. Mary, "A New Approach to Probabilistic Rounding Error Analysis", SIAM Journal on Scientific
Computing 41(5), 2019); u = 2**-24 is the unit roundoff of float32.

Measured (docs/commands/verify.md): honest folds are apart by 0.01 to 0.16 of the tolerance.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bnfold.aliases import Array
from bnfold.caffemodel import Blob, BlobSource, LayerEdit, LayerRecord, Weights

UNIT = 2.0**-24
"""The unit roundoff of float32: rounding changes a number by this share of it at most."""

SAFETY = 16
"""How much of what one rounding of each weight costs is allowed.

Engines round in other places and other orders, and with other numbers of threads: a factor of ten
and some is what lies between the largest of the differences that were measured and the tolerance.
"""

_HALF_UNIT = 2.0**-11


def tolerance_of(nudged: float, depth: int) -> float:
    """The tolerance of a value's relative difference.

    Args:
        nudged: the relative difference that nudging every weight made there.
        depth: the number of layers with weights above the value.
    """
    return SAFETY * max(nudged if math.isfinite(nudged) else 0.0, UNIT * math.sqrt(max(1, depth)))


class Nudged:
    """A blob with every value moved to a neighbour: `x * (1 + step)` or `x * (1 - step)`.

    Args:
        source: the blob.
        step: twice the unit roundoff of the type to move in.
        seed: decides which values go up.
    """

    def __init__(self, source: BlobSource, step: float, seed: int) -> None:
        self.shape = source.shape
        half = source.dtype == np.float16
        self.dtype: np.dtype[Any] = np.dtype("<f4") if half else source.dtype
        self._source = source
        self._factors = np.array([1 - step, 1 + step], self.dtype)
        self._seed = seed

    def chunks(self, max_items: int) -> Iterator[Array]:
        """The values in order, flat, at most `max_items` at a time."""
        rng = np.random.default_rng(self._seed)
        for chunk in self._source.chunks(max_items):
            bits = np.unpackbits(np.frombuffer(rng.bytes(-(-chunk.size // 8)), np.uint8))
            yield (chunk * self._factors[bits[: chunk.size]]).astype(self.dtype, copy=False)


def write_nudged(stored: Weights, folded: Weights, target: Path, seed: int) -> None:
    """Write the original's weights, each moved to a neighbour.

    Where the folded file stores new weights of a layer in float16, as `merge --keep-dtype` does,
    the neighbours are those of float16: folding rounded them so.

    Args:
        stored: the original weights.
        folded: the folded weights.
        target: the file to write.
        seed: decides which weights go up and which go down.

    Raises:
        CaffemodelError: a blob cannot be read.
        OSError: the file cannot be written.
    """
    edits = {}
    for record in stored.records:
        if not record.blobs:
            continue
        step = 2 * (_HALF_UNIT if _rounded_to_half(record, folded.get(record.name)) else UNIT)
        blobs: list[BlobSource] = []
        for index, blob in enumerate(record.blobs):
            # One value is BatchNorm's count of batches, which no engine and no fold rounds.
            start = zlib.crc32(f"{seed} {index} {record.name}".encode("utf-8", "surrogateescape"))
            blobs.append(blob if blob.size == 1 else Nudged(blob, step, start))
        edits[record.name] = LayerEdit(blobs=tuple(blobs))
    with target.open("wb") as out:
        stored.write(out, edits)


def _rounded_to_half(record: LayerRecord, folded: LayerRecord | None) -> bool:
    if folded is None or len(folded.blobs) == 0:
        return False
    return any(blob.dtype == np.float16 for blob in folded.blobs) and not all(
        _same(one, other) for one, other in zip(record.blobs, folded.blobs, strict=False)
    )


def _same(one: Blob, other: Blob) -> bool:
    alike = one.dtype == other.dtype and one.size == other.size
    return alike and np.array_equal(one.read(), other.read())
