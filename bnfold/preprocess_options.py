"""What somebody says of how images become what a network is fed."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from bnfold.errors import BnfoldError

Size = tuple[int, ...]
"""(height, width), or (side,) for the shorter side of an image that keeps its proportions."""

ORDERS = ("bgr", "rgb")


@dataclass(frozen=True)
class PreprocessOptions:
    """What a user asks for; None is for the default.

    Attributes:
        mean_value: one for all channels or one for each; excludes `mean_file`.
        mean_file: a mean image, .binaryproto or .npy; a one-dimensional .npy is one mean for each
            channel.
        scale: factor after the mean; by default the model's own, else 1.
        raw_scale: factor before the mean, of pixels as 0..1; 255 by default.
        resize: (height, width), or (side,) for the shorter side.
        crop: (height, width) of the middle.
        channel_order: "bgr", the default, or "rgb".
        gray: whether images are read as gray; by default a network with one channel gets gray.
    """

    mean_value: tuple[float, ...] | None = None
    mean_file: Path | None = None
    scale: float | None = None
    raw_scale: float | None = None
    resize: Size | None = None
    crop: Size | None = None
    channel_order: str | None = None
    gray: bool | None = None

    def __post_init__(self) -> None:
        if self.mean_value is not None and self.mean_file is not None:
            raise BnfoldError("a mean value and a mean file are given; keep one of the two")
        if self.channel_order not in (None, *ORDERS):
            raise BnfoldError(f"channel order '{self.channel_order}': give bgr or rgb")
        for name in ("scale", "raw_scale", "mean_value"):
            if not np.all(np.isfinite(np.asarray(getattr(self, name) or 0.0, np.float64))):
                raise BnfoldError(f"{name.replace('_', ' ')}: give finite numbers")

    def completed_by(self, other: PreprocessOptions) -> PreprocessOptions:
        """These options, with `other`'s where these have none. The two kinds of mean are one."""
        given = {f.name for f in fields(self) if getattr(self, f.name) is not None}
        if given & {"mean_value", "mean_file"}:
            given |= {"mean_value", "mean_file"}
        return replace(other, **{name: getattr(self, name) for name in given})


def parse_size(text: str) -> Size:
    """Read "HxW" as (height, width), and a single number as (side,).

    Raises:
        ValueError: it is neither, or a number is 0.
    """
    match = re.fullmatch(r"\s*([0-9]{1,6})(?:\s*[xX]\s*([0-9]{1,6}))?\s*", text)
    size = tuple(int(number) for number in match.groups() if number) if match else ()
    if not size or 0 in size:
        raise ValueError(f"'{text}' is no size; give HEIGHTxWIDTH, as 224x224, or one number")
    return size
