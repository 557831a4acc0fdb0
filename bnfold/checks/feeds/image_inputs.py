"""Inputs that are images, in batches of the size that the file has."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from bnfold.aliases import Array, ArrayShape, PathLike
from bnfold.checks.images.batches import batches
from bnfold.checks.images.preprocess import Preprocess
from bnfold.checks.images.sources import open_images
from bnfold.errors import BnfoldError
from bnfold.preprocess_options import PreprocessOptions


class ImageInputs:
    """Batches of images for a network with one input.

    The last batch is filled up with its last image, since some networks take one batch size only.

    Args:
        images: a list file, a folder or an LMDB; labels are not needed.
        root: where the paths of a list start; its own folder by default.
        options: how to preprocess, over what the model's transform_param says.
        shapes: the inputs and their shapes.
        model: the prototxt.

    Attributes:
        images: the number of images.
        batch: the number of images in a batch.
        runs: the number of batches.

    Raises:
        BnfoldError: the images cannot be used, or the network does not take exactly one input.
    """

    def __init__(
        self,
        images: PathLike,
        root: PathLike | None,
        options: PreprocessOptions,
        shapes: Mapping[str, ArrayShape],
        model: Path,
    ) -> None:
        if len(shapes) != 1:
            names = ", ".join(f"'{name}'" for name in shapes)
            raise BnfoldError(
                f"{model}: images go into one input, and there are {len(shapes)} ({names}); "
                "check it with random inputs"
            )
        ((self._name, shape),) = shapes.items()
        self._path = Path(images)
        self._source = open_images(images, root, labelled=False)
        self._preprocess = Preprocess.of(options, shape, model)
        self.batch = max(1, shape[0]) if shape else 1
        self.images = len(self._source)
        self.runs = math.ceil(self.images / self.batch)

    def __iter__(self) -> Iterator[dict[str, Array]]:
        for batch in batches(self._source, self._preprocess, self.batch):
            if not len(batch.images):
                continue
            missing = self.batch - len(batch.images)
            padded = np.pad(batch.images, ((0, missing), (0, 0), (0, 0), (0, 0)), mode="edge")
            yield {self._name: padded}

    def __str__(self) -> str:
        return f"{self.images} images of {self._path}"
