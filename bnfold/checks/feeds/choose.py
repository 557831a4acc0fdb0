"""What a network is fed, as the user asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bnfold.aliases import ArrayShape, PathLike
from bnfold.checks.feeds.image_inputs import ImageInputs
from bnfold.checks.feeds.random_inputs import RandomInputs
from bnfold.checks.feeds.stored_inputs import StoredInputs
from bnfold.errors import BnfoldError
from bnfold.graph import Net
from bnfold.preprocess_options import PreprocessOptions

Inputs = RandomInputs | ImageInputs | StoredInputs
"""Batches of inputs, the same each time."""


@dataclass(frozen=True)
class InputOptions:
    """What to feed: images, stored inputs, or random ones.

    Attributes:
        images: a list file, a folder or an LMDB.
        root: where the paths of a list start; its own folder by default.
        preprocess: how images become inputs; what it leaves open the model's transform_param and
            input shape say.
        inputs: an .npz file with an array for each input.
        random: how many random inputs, where there are neither of these.
        seed: of the random inputs.

    Raises:
        BnfoldError: a number is out of range, or two exclude each other.
    """

    images: PathLike | None = None
    root: PathLike | None = None
    preprocess: PreprocessOptions | None = None
    inputs: PathLike | None = None
    random: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        if self.images is not None and self.inputs is not None:
            raise BnfoldError("images and stored inputs exclude each other; choose one of the two")
        if self.random < 1:
            raise BnfoldError(f"{self.random} random inputs prove nothing; give at least 1")
        if self.seed < 0:
            raise BnfoldError(f"the seed {self.seed} cannot be; give 0 or more")

    def open(self, model: Path, net: Net, shapes: Mapping[str, ArrayShape]) -> Inputs:
        """The inputs for a network.

        Args:
            model: its prototxt.
            net: the network, with its weights.
            shapes: its inputs and their shapes, as an engine knows them.

        Raises:
            BnfoldError: a file cannot be used, or does not fit the network.
            OSError: a file cannot be read.
        """
        if self.inputs is not None:
            return StoredInputs(Path(self.inputs), shapes)
        if self.images is not None:
            preprocess = self.preprocess or PreprocessOptions()
            return ImageInputs(self.images, self.root, preprocess, shapes, model)
        return RandomInputs(net, shapes, self.random, self.seed)


@dataclass(frozen=True)
class RunOptions(InputOptions):
    """What to feed, and which engine is to run.

    Attributes:
        runtime: "auto", "opencv" or "pycaffe".
        threads: how many threads the engine may use; None for its own default.
        caffe_root: Caffe's folder, for pycaffe.
    """

    runtime: str = "auto"
    threads: int | None = None
    caffe_root: PathLike | None = None
