"""How large the inputs are that data layers become: told, or asked for, and never guessed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bnfold.aliases import ArrayShape
from bnfold.deploying.preprocessing import MeanImage, mean_image
from bnfold.deploying.training import Training
from bnfold.errors import BnfoldError
from bnfold.graph import AffineForm, Layer, Layout, Shape, Value
from bnfold.graph.words import Words

_WORDS = ("N", "CHANNELS", "HEIGHT", "WIDTH")


class NotToldError(BnfoldError):
    """How large an input is, neither the data layer tells nor anybody else."""


@dataclass(frozen=True)
class InputShape:
    """The shape of an input.

    Attributes:
        name: the name of its blob.
        shape: the lengths of its axes.
        told_by: what told them.
    """

    name: str
    shape: ArrayShape
    told_by: str


class ShapeFinder:
    """Finds the shapes of what data layers provide.

    Args:
        model: the prototxt, beside which mean files are looked for.
        asked: shapes that the user gave, by name.
        batch: how many images an input takes, where the user did not give its whole shape.
        training: says which layers stay.
    """

    def __init__(
        self, model: Path, asked: Mapping[str, ArrayShape], batch: int, training: Training
    ) -> None:
        self._model = model
        self._asked = asked
        self._batch = batch
        self._training = training
        self._missing: list[tuple[Layer, Value, Shape | None]] = []

    def shapes_of(self, layer: Layer) -> list[InputShape]:
        """The shapes of those tops of a data layer that what stays reads.

        What is not told is kept for `check`.

        Raises:
            BnfoldError: what tells the shape contradicts itself or what reads it.
            PrototxtError: a parameter has a bad value.
        """
        rule = layer.kind.shape
        told = [] if rule is None else rule(layer, ())
        found = []
        for number, value in enumerate(layer.tops):
            if not self._training.is_read(value):
                continue
            shape = told[number] if number < len(told) else None
            one = self._shape(layer, value, shape)
            if one is not None:
                found.append(one)
        return found

    def check(self) -> None:
        """Ask for what was not told.

        Raises:
            NotToldError: it names the first data layer, and all options that are needed.
        """
        if not self._missing:
            return
        (layer, value, _), *rest = self._missing
        names = " or ".join(f"'{name.name}'" for name in (value, *(one for _, one, _ in rest)))
        wanted = " ".join(f"--input {one.name}:{_wanted(shape)}" for _, one, shape in self._missing)
        raise NotToldError(
            f"{self._model}: {layer} on line {layer.line} does not tell how large {names} is; give "
            f"{wanted} with the numbers of the network"
        )

    def _shape(self, layer: Layer, value: Value, told: Shape | None) -> InputShape | None:
        asked = self._asked.get(value.name)
        if asked is not None:
            self._check_asked(layer, value, asked, told)
            return InputShape(value.name, asked, "--input")
        by = "its own parameters"
        if told is not None and len(told) == 4:
            told = (self._batch, *told[1:])
            mean = mean_image(layer, self._model)
            if mean is not None and mean.shape is not None:
                _check_mean(layer, told, mean)
                told, by = _filled(told, mean), f"{by} and the mean file {mean.path}"
            channels = self._trained_channels(value)
            if told[1] is None and channels is not None:
                told, by = (told[0], channels, *told[2:]), f"{by} and the weights"
        if told is None or None in told:
            self._missing.append((layer, value, told))
            return None
        shape = tuple(length for length in told if length is not None)
        self._check_channels(value, shape)
        return InputShape(value.name, shape, by)

    def _check_asked(
        self, layer: Layer, value: Value, asked: ArrayShape, told: Shape | None
    ) -> None:
        option = f"--input {value.name}:{','.join(map(str, asked))}"
        if told is not None and len(told) != len(asked):
            raise BnfoldError(
                f"{option}: {layer} of {self._model} provides {len(told)} axes and not "
                f"{len(asked)}; give {value.name}:{_wanted(told)}"
            )
        channels = told[1] if told is not None and len(told) == 4 else None
        if channels is not None and channels != asked[1]:
            raise BnfoldError(
                f"{option}: {layer} of {self._model} provides {channels} channels and not "
                f"{asked[1]}; give {value.name}:{_wanted(told)}"
            )
        self._check_channels(value, asked, option)

    def _check_channels(self, value: Value, shape: ArrayShape, option: str = "") -> None:
        for reader in filter(self._training.stays, value.readers):
            trained = _channels_of(reader)
            if trained is None:
                continue
            axes, channels = trained
            words = "x".join(map(str, shape))
            if axes is not None and len(shape) != axes:
                raise BnfoldError(
                    f"{option or self._model}: '{value.name}' would be {words}, and {reader} was "
                    f"trained on {axes} axes"
                )
            if len(shape) > 1 and shape[1] != channels:
                raise BnfoldError(
                    f"{option or self._model}: '{value.name}' would be {words}, and {reader} was "
                    f"trained on {channels} channels; do model and weights belong together?"
                )

    def _trained_channels(self, value: Value) -> int | None:
        found = filter(None, map(_channels_of, filter(self._training.stays, value.readers)))
        return next((channels for _, channels in found), None)


def _channels_of(layer: Layer) -> tuple[int | None, int] | None:
    """How many axes and channels a layer was trained on, as its weights tell."""
    if not layer.blobs:
        return None
    shape = layer.blobs[0].shape
    if layer.kind.layout is Layout.CONVOLUTION and len(shape) > 2:
        group = shape[0] if layer.kind.is_depthwise else layer.param("convolution_param").group
        return len(shape), shape[1] * group
    if layer.kind.affine is AffineForm.BATCH_NORM and shape:
        return None, shape[-1]
    return None


def _check_mean(layer: Layer, told: Shape, mean: MeanImage) -> None:
    """Caffe takes a crop out of an image of the mean's own size (data_transformer.cpp)."""
    assert mean.shape is not None
    channels, *_ = mean.shape
    if told[1] not in (None, channels):
        raise BnfoldError(
            f"{mean.path}: the mean has {channels} channels, and {layer} provides {told[1]}; give "
            "the mean of its own training set"
        )
    if mean.size is None:
        return
    sides = "x".join(map(str, mean.size))
    if _crops(layer):
        pairs = zip(told[2:], mean.size, strict=True)
        if any(crop is not None and crop > side for crop, side in pairs):
            raise BnfoldError(
                f"{mean.path}: the mean is {sides}, and {layer} on line {layer.line} crops "
                f"{told[2]}x{told[3]} out of it; mend crop_size, or give the mean file that was "
                "trained with"
            )
    elif told[2:] not in (mean.size, (None, None)):
        raise BnfoldError(
            f"{mean.path}: the mean is {sides}, and {layer} on line {layer.line} resizes to "
            f"{told[2]}x{told[3]}; give the mean file that was trained with"
        )


def _crops(layer: Layer) -> bool:
    names = ("transform_param", "data_param", "image_data_param", "window_data_param")
    return any(Words.of(layer, name).length("crop_size") for name in names)


def _filled(told: Shape, mean: MeanImage) -> Shape:
    assert mean.shape is not None
    batch, channels, *size = told
    lengths = size if mean.size is None or size != [None, None] else mean.size
    return (batch, mean.shape[0] if channels is None else channels, *lengths)


def _wanted(shape: Shape | None) -> str:
    """What to write for --input, with words for what is not known."""
    lengths: Shape = shape if shape is not None else (None,) * 4
    words = _WORDS if len(lengths) == 4 else ("N", *(f"D{i}" for i in range(1, len(lengths))))
    pairs = zip(words, lengths, strict=True)
    return ",".join(word if length is None else str(length) for word, length in pairs)
