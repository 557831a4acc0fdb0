"""The way back that quantisers ask for: the input becomes an ImageData layer that reads a list.

Caffe's ImageData computes (pixel - mean) * scale, of pixels in the order blue, green, red, resized
to `new_height` x `new_width` and cropped to the square of `crop_size` (BVLC caffe,
image_data_layer.cpp and data_transformer.cpp). What it cannot do is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bnfold.aliases import ArrayShape
from bnfold.deploying.changes import Action, Change
from bnfold.deploying.definition import reads_data
from bnfold.deploying.inputs import declared_shapes, words_of
from bnfold.deploying.modern import modernise
from bnfold.errors import BnfoldError
from bnfold.graph import Layer, Net, build
from bnfold.preprocess_options import PreprocessOptions
from bnfold.prototxt import Document, parse
from bnfold.whole import read_whole

_NPY = b"\x93NUMPY"


def read_images(
    document: Document,
    images: Path,
    root: Path | None,
    options: PreprocessOptions,
    batch: int | None = None,
) -> tuple[Document, Change]:
    """Have the input of a network read a list of images.

    Args:
        document: the deploy definition.
        images: the list: a path and a label in each line.
        root: where its paths start; None for its own folder.
        options: what is done to the images.
        batch: how many are read at once; None for the batch of the input.

    Returns:
        The document with its edits; another one if its inputs were declared in the legacy way,
        which no layer can take the place of.

    Raises:
        BnfoldError: the network has not one input for images, the list cannot be used, or Caffe
            cannot do what the options say.
        PrototxtError: the definition is malformed.
    """
    if reads_data(document):
        raise BnfoldError(
            f"{document.path}: it has data layers; make a deploy definition of it first"
        )
    net = build(document)
    if net.inputs:
        modernise(net)
        net = build(parse(document.render(), document.path))
    layer, shape = _image_input(net)
    _check_list(images)
    transform = _transform(options, shape, f"{document.path}: {layer}")
    folder = images.parent if root is None else root
    read: list[tuple[str, Any]] = [("source", str(images)), ("batch_size", batch or shape[0])]
    if folder != Path():
        read.append(("root_folder", f"{folder}/"))
    read += _sizes(options, shape, f"{document.path}: {layer}")
    if shape[1] == 1:
        read.append(("is_color", False))
    _retype(net, layer, transform, read)
    text = f"it reads {images}, {words_of((batch or shape[0], *shape[1:]))} at a time"
    return net.document, Change.of(Action.IMAGES, layer, text)


def _image_input(net: Net) -> tuple[Layer, ArrayShape]:
    shapes = declared_shapes(net)
    found = [
        layer
        for layer in net.layers
        if layer.kind.is_input and any(len(shapes.get(top.name, ())) == 4 for top in layer.tops)
    ]
    path = net.document.path
    if len(found) != 1 or len(found[0].tops) != 1:
        raise BnfoldError(f"{path}: one input for images is needed, and it has {len(found)}")
    shape = shapes[found[0].tops[0].name]
    if shape[1] not in (1, 3) or 0 in shape:
        raise BnfoldError(
            f"{path}: its input is {words_of(shape)}; images have 1 or 3 channels, and a size"
        )
    return found[0], shape


def _check_list(images: Path) -> None:
    """Caffe takes what is behind the last blank of a line for the label."""
    for number, line in enumerate(read_whole(images).decode("utf-8", "replace").splitlines(), 1):
        words = line.rsplit(maxsplit=1)
        if words and (len(words) < 2 or not words[1].lstrip("-").isdecimal()):
            raise BnfoldError(
                f"{images}:{number}: no label behind the path; Caffe's ImageData needs one, as 0"
            )


def _transform(options: PreprocessOptions, shape: ArrayShape, where: str) -> list[tuple[str, Any]]:
    """The fields of `transform_param`.

    What pycaffe calls `raw_scale` r comes before the mean: (p r / 255 - m) s is
    (p - m 255 / r) s r / 255.
    """
    if options.gray is not None and options.gray != (shape[1] == 1):
        raise BnfoldError(f"{where} takes {shape[1]} channels; say so of the images, too")
    if options.channel_order == "rgb" and shape[1] == 3:
        raise BnfoldError(f"{where}: Caffe's ImageData gives blue, green, red, and no rgb")
    ratio = (255.0 if options.raw_scale is None else options.raw_scale) / 255.0
    transform: list[tuple[str, Any]] = []
    if options.mean_value is not None and ratio != 0:
        if len(options.mean_value) not in (1, shape[1]):
            raise BnfoldError(f"{where} takes {shape[1]} channels; give as many means, or one")
        transform += [("mean_value", value / ratio) for value in options.mean_value]
    if options.mean_file is not None:
        if ratio != 1 or read_whole(options.mean_file).startswith(_NPY):
            raise BnfoldError(
                f"{options.mean_file}: Caffe reads a mean file as a .binaryproto, of pixels as "
                "they are; give that, or mean values"
            )
        transform.append(("mean_file", str(options.mean_file)))
    scale = (1.0 if options.scale is None else options.scale) * ratio
    if scale != 1:
        transform.append(("scale", scale))
    crop = _crop(options, shape)
    if crop is not None:
        if crop != shape[2:] or crop[0] != crop[1]:
            raise BnfoldError(
                f"{where} takes {words_of(shape[2:])}, and Caffe crops squares; "
                f"{words_of(crop)} cannot be cropped for it: resize to {words_of(shape[2:])}"
            )
        transform.append(("crop_size", crop[0]))
    return transform


def _crop(options: PreprocessOptions, shape: ArrayShape) -> ArrayShape | None:
    """The crop; images that are resized to something else than the input are cropped to it."""
    if options.crop is not None:
        return options.crop * 2 if len(options.crop) == 1 else options.crop
    return None if options.resize in (None, shape[2:]) else shape[2:]


def _sizes(options: PreprocessOptions, shape: ArrayShape, where: str) -> list[tuple[str, Any]]:
    size = options.resize
    if size is None:
        if options.crop is not None:
            return []
        size = shape[2:]
    if len(size) == 1:
        raise BnfoldError(
            f"{where}: Caffe's ImageData keeps no proportions; give --resize HEIGHTxWIDTH"
        )
    return [("new_height", size[0]), ("new_width", size[1])]


def _retype(
    net: Net, layer: Layer, transform: list[tuple[str, Any]], read: list[tuple[str, Any]]
) -> None:
    document, text = net.document, layer.text
    document.replace(text.all("type")[0], "ImageData")
    names = {top.name for each in net.layers for top in each.tops}
    label = next(
        name for name in ("label", *(f"label{n}" for n in range(2, 99))) if name not in names
    )
    document.add(text, "top", label)
    stale = text.all("input_param")
    for field in stale:
        document.remove(field)
    place = stale[-1] if stale else text.fields[-1]
    if transform:
        document.add(text, "transform_param", transform, after=place)
    document.add(text, "image_data_param", read, after=place)
