"""What a data layer does to images before the network sees them."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bnfold.aliases import ArrayShape
from bnfold.errors import BnfoldError
from bnfold.graph import Layer
from bnfold.graph.source_rules import read_size, resized
from bnfold.graph.words import Words
from bnfold.mean_image import read_mean
from bnfold.preprocess_options import PreprocessOptions
from bnfold.printable import printable

_OWN_MESSAGES = ("data_param", "image_data_param", "window_data_param", "dense_image_data_param")


@dataclass(frozen=True)
class MeanImage:
    """The mean file of a data layer.

    Attributes:
        path: where it is, or, if it is not there, where it should be.
        shape: (channels, height, width); None if the file is not there.
    """

    path: Path
    shape: ArrayShape | None

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width; None where they are not known, or the mean is one for each channel."""
        if self.shape is None or self.shape[1:] == (1, 1):
            return None
        return self.shape[1], self.shape[2]


def layer_options(layer: Layer, model: Path) -> PreprocessOptions:
    """The preprocessing that a data layer does, as far as it can be said by options.

    A mean file is looked for in the working folder, as Caffe does, and then beside the model.
    `mirror` is left aside: it is an augmentation. What now stands in `transform_param` stood in the
    layer's own message before (BVLC caffe, src/caffe/util/upgrade_proto.cpp,
    `UpgradeNetDataTransformation`).

    Raises:
        PrototxtError: a parameter has a bad value.
    """
    transform, own = Words.of(layer, "transform_param"), _own(layer)
    mean_file = mean_path(layer, model)
    means = () if transform.text is None else transform.text.all("mean_value")
    scale = transform.number("scale", own.number("scale", 1.0))
    side = transform.length("crop_size") or own.length("crop_size")
    gray = True if transform.boolean("force_gray", False) else None
    if transform.boolean("force_color", False):
        gray = False
    return PreprocessOptions(
        mean_value=None if mean_file else tuple(mean.floating() for mean in means) or None,
        mean_file=mean_file,
        scale=scale if "scale" in transform.names | own.names else None,
        resize=resized(transform) or read_size(own),
        crop=(side, side) if side else None,
        gray=gray,
    )


def mean_path(layer: Layer, model: Path) -> Path | None:
    """The mean file that a data layer names, where it is found.

    Raises:
        PrototxtError: its name is no string.
    """
    for words in (Words.of(layer, "transform_param"), _own(layer)):
        field = None if words.text is None else words.text.get("mean_file")
        name = field.string() if field else ""
        if name and "\0" not in name:
            path = Path(name)
            beside = model.parent / path
            return beside if not path.exists() and beside.exists() else path
    return None


def mean_image(layer: Layer, model: Path) -> MeanImage | None:
    """The mean file of a data layer and its size, where there is one.

    Raises:
        BnfoldError: it is there, and is no mean image.
        PrototxtError: its name is no string.
    """
    path = mean_path(layer, model)
    if path is None:
        return None
    return MeanImage(path, tuple(read_mean(path).shape) if path.is_file() else None)


def whole(options: PreprocessOptions, mean: MeanImage | None) -> PreprocessOptions:
    """The options with the size that the mean image says all images have."""
    if mean is None or mean.size is None or options.resize is not None:
        return options
    return PreprocessOptions(resize=mean.size).completed_by(options)


def words_of(options: PreprocessOptions) -> list[str]:
    """The options for people, in the order in which they are done; none where there are none."""
    found = []
    if options.gray is not None:
        found.append("gray" if options.gray else "color")
    if options.resize is not None:
        found.append(f"resize {_size(options.resize)}")
    if options.crop is not None:
        found.append(f"crop {_size(options.crop)}")
    if options.mean_file is not None:
        found.append(f"mean file {options.mean_file}")
    if options.mean_value is not None:
        found.append(f"mean {','.join(f'{value:g}' for value in options.mean_value)}")
    if options.scale is not None:
        found.append(f"scale {options.scale:g}")
    return found


def to_toml(options: PreprocessOptions, folder: Path, of: str) -> str:
    """The options as a file that `--preprocess` reads.

    Args:
        options: what was found.
        folder: where the file will stand; the path of the mean file starts there.
        of: whose preprocessing it is, for people.

    Raises:
        BnfoldError: the mean file's name is no text.
    """
    lines = [f"# The preprocessing of {printable(of)}.", "# For --preprocess-file of bnfold."]
    if options.gray is not None:
        lines.append(f"gray = {str(options.gray).lower()}")
    for key, size in (("resize", options.resize), ("crop", options.crop)):
        if size is not None:
            lines.append(f'{key} = "{_size(size)}"')
    if options.mean_file is not None:
        real = os.path.realpath(options.mean_file), os.path.realpath(folder)
        lines.append(f"mean-file = {_quoted(os.path.relpath(*real))}")
    if options.mean_value is not None:
        lines.append(f"mean-value = [{', '.join(map(repr, options.mean_value))}]")
    if options.scale is not None:
        lines.append(f"scale = {options.scale!r}")
    return "\n".join(lines) + "\n"


def to_json(options: PreprocessOptions) -> dict[str, Any]:
    """The options that were found, as an object of the JSON report."""
    found = {
        "gray": options.gray,
        "resize": None if options.resize is None else list(options.resize),
        "crop": None if options.crop is None else list(options.crop),
        "mean_file": None if options.mean_file is None else str(options.mean_file),
        "mean_value": None if options.mean_value is None else list(options.mean_value),
        "scale": options.scale,
    }
    return {name: value for name, value in found.items() if value is not None}


def _size(size: tuple[int, ...]) -> str:
    return "x".join(map(str, size))


def _quoted(path: str) -> str:
    """A string of TOML: what JSON escapes it escapes alike, and one character more."""
    text = json.dumps(path, ensure_ascii=False).replace("\x7f", "\\u007f")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise BnfoldError(f"{path}: the mean file's name is not UTF-8; rename it") from None
    return text


def _own(layer: Layer) -> Words:
    for name in _OWN_MESSAGES:
        if layer.written(name) is not None:
            return Words.of(layer, name)
    return Words(None)
