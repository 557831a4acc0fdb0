"""What is done to pixels before a network gets them: the order of channels, a mean, a scale.

    x = scale * (S p - mean)        S turns the order of three channels round, or leaves it

The mean is in the order of the network's channels, and comes before the scale, as in Caffe (BVLC
caffe, src/caffe/data_transformer.cpp) and in bnfold/checks/images/preprocess.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bnfold.errors import BnfoldError
from bnfold.fold.affines.affine import Affine
from bnfold.graph import Net, Shape, Value
from bnfold.spelling import did_you_mean

_SWAPPED = 3
"""How many channels can be turned round: those of a colour image."""


@dataclass(frozen=True)
class InputSteps:
    """What a network does to pixels itself, once it is folded, and was done for it before.

    Attributes:
        mean: one for all channels, or one for each.
        scale: the factor behind the mean.
        swap: whether the order of the channels is turned round first.
        blob: the input; None for the only one that takes images.

    Raises:
        BnfoldError: a number is not finite, or the scale is 0.
    """

    mean: tuple[float, ...] = (0.0,)
    scale: float = 1.0
    swap: bool = False
    blob: str | None = None

    def __post_init__(self) -> None:
        if not self.mean or not all(map(math.isfinite, self.mean)):
            raise BnfoldError(f"--input-mean {_spelt(self.mean)}: give finite numbers, as 104,117")
        if not math.isfinite(self.scale) or not self.scale:
            raise BnfoldError(f"--input-scale {self.scale:g}: give a finite number that is not 0")

    @classmethod
    def chosen(
        cls,
        mean: str | float | Sequence[float] | None,
        scale: float | None,
        swap: bool,
        blob: str | None,
    ) -> InputSteps | None:
        """The steps that a user asks for; None where there are none.

        Raises:
            BnfoldError: as for the class; the mean is no list of numbers; or an input is named and
                nothing is to be done to it.
        """
        if mean is None and scale is None and not swap:
            if blob is not None:
                raise BnfoldError(
                    f"--input-blob {blob}: what is to be done to it? give --input-mean, "
                    "--input-scale or --input-swap, too"
                )
            return None
        return cls(read_mean(mean), 1.0 if scale is None else float(scale), swap, blob)

    def order(self, channels: int) -> npt.NDArray[np.intp]:
        """Which of so many channels of the pixels each channel of the network is."""
        order = np.arange(channels)
        return order[::-1] if self.swap else order

    def means(self, channels: int) -> npt.NDArray[np.float64]:
        """The mean of each channel of the pixels, shape (channels,)."""
        return np.broadcast_to(np.array(self.mean, np.float64), (channels,))[self.order(channels)]

    def affine(self, channels: int) -> Affine:
        """What the steps do to each channel of the pixels, before their order is turned round."""
        return Affine(np.full(channels, self.scale), -self.scale * self.means(channels))

    def apply(self, pixels: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """What the network used to be fed, of shape (images, channels, ...), for such pixels."""
        values = np.asarray(pixels, np.float64)
        across = (1, -1, *(1,) * (values.ndim - 2))
        values = (values - self.means(values.shape[1]).reshape(across)) * self.scale
        return np.ascontiguousarray(values[:, self.order(values.shape[1])], np.float32)

    def undo(self, values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """The pixels for which `apply` gives these values, but for rounding."""
        found = np.asarray(values, np.float64)[:, self.order(values.shape[1])] / self.scale
        across = (1, -1, *(1,) * (found.ndim - 2))
        found = found + self.means(found.shape[1]).reshape(across)
        return np.ascontiguousarray(found, np.float32)

    def input_of(self, shapes: Mapping[str, Shape | None]) -> str:
        """The input that they are for.

        Args:
            shapes: the inputs of the network with their shapes, as far as they are known.

        Raises:
            BnfoldError: there is none, or which of several cannot be told.
        """
        if self.blob is not None and self.blob in shapes:
            return self.blob
        names = ", ".join(f"'{name}'" for name in shapes) or "none"
        if self.blob is not None:
            guess = did_you_mean(self.blob, shapes)
            raise BnfoldError(f"no input is named '{self.blob}'; there are: {names}{guess}")
        if not shapes:
            raise BnfoldError(
                "it has no input that pixels could be fed to; make a deploy definition of it first"
            )
        images = [name for name, shape in shapes.items() if _takes_images(shape)]
        found = [*shapes] if len(shapes) == 1 else images
        if len(found) != 1:
            raise BnfoldError(
                f"which input takes the pixels cannot be told: there are {names}; say it with "
                "--input-blob"
            )
        return found[0]

    def channels_of(self, name: str, shape: Shape | None) -> int:
        """How many channels an input has.

        Raises:
            BnfoldError: they are not as many as there are means, or three that could be turned
                round; or nobody knows.
        """
        given = len(self.mean)
        count = shape[1] if shape is not None and len(shape) > 1 else None
        if count is None and (given > 1 or self.swap):
            count = given if given > 1 else _SWAPPED
        if count is None:
            raise BnfoldError(
                f"how many channels '{name}' has cannot be told; give its shape in the prototxt, "
                "or a mean for each"
            )
        if given not in (1, count):
            raise BnfoldError(
                f"--input-mean has {given} values, and '{name}' {count} "
                f"channel{'s' * (count != 1)}; give one for all or one for each"
            )
        if self.swap and count != _SWAPPED:
            raise BnfoldError(
                f"--input-swap turns the order of 3 channels round, and '{name}' has {count}"
            )
        return count


def read_mean(mean: str | float | Sequence[float] | None) -> tuple[float, ...]:
    """A mean as it may be given: a number, some, or some in a text with commas.

    Raises:
        BnfoldError: it is none of them.
    """
    if mean is None:
        return (0.0,)
    values = mean.split(",") if isinstance(mean, str) else mean
    try:
        return tuple(map(float, values)) if isinstance(values, Sequence) else (float(values),)
    except (TypeError, ValueError):
        raise BnfoldError(
            f"--input-mean {mean}: no list of numbers; give one, or 104,117,123"
        ) from None


def inputs_of(net: Net) -> dict[str, Value]:
    """The values that a network is fed, by name."""
    fed = [top for layer in net.layers if layer.kind.is_input for top in layer.tops]
    return {value.name: value for value in (*net.inputs, *fed)}


def _takes_images(shape: Shape | None) -> bool:
    return shape is not None and len(shape) == 4 and shape[1] in (1, 3)


def _spelt(values: Sequence[float]) -> str:
    return ",".join(f"{value:g}" for value in values)
