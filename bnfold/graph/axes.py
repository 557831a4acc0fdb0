"""Shapes with unknown parts: what is known of a value before any weight or image is read."""

from __future__ import annotations

import math
from collections.abc import Sequence

Shape = tuple[int | None, ...]
"""The lengths of a value's axes, None where a length is unknown."""


def axis_index(axis: int, rank: int) -> int | None:
    """Return `axis` counted from the front; None if a value of `rank` axes has no such axis.

    Source: BVLC caffe, include/caffe/blob.hpp, `CanonicalAxisIndex`.
    """
    return axis % rank if -rank <= axis < rank else None


def is_channels(axis: int, rank: int | None) -> bool | None:
    """Return whether `axis` is axis 1 of a value of `rank` axes; None where that cannot be told."""
    if axis >= 0:
        return axis == 1
    return None if rank is None else axis_index(axis, rank) == 1


def item_count(shape: Shape | None) -> int | None:
    """Return how many items a value has: 1 for no axes, None where a length is unknown."""
    if shape is None:
        return None
    known = [length for length in shape if length is not None]
    return math.prod(known) if len(known) == len(shape) else None


def is_scores(shape: Sequence[int]) -> bool:
    """Return whether an array of this shape has a score for each class, for each image."""
    return len(shape) >= 2 and shape[1] > 1 and math.prod(shape[2:]) == 1


def agreed(shapes: Sequence[Shape | None]) -> Shape | None:
    """Return what is known of one shape that several values share, each known in part.

    A length on which they disagree becomes unknown; so does the rank.
    """
    known = [shape for shape in shapes if shape is not None]
    if len({len(shape) for shape in known}) != 1:
        return None
    return tuple(_agreed_length(lengths) for lengths in zip(*known, strict=True))


def _agreed_length(lengths: tuple[int | None, ...]) -> int | None:
    known = set(lengths) - {None}
    return known.pop() if len(known) == 1 else None
