"""Inputs that lie in a file, so that a device and an engine are fed the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from bnfold.aliases import Array, ArrayShape
from bnfold.checks.feeds.arrays import ArrayFile
from bnfold.errors import BnfoldError


class StoredInputs:
    """Batches of the inputs that a file holds.

    Args:
        path: an .npz file with an array for each input of the network, by its name: of any number
            of batches, one behind the other along the first axis.
        shapes: the inputs and their shapes; () where the network has none for an input, which then
            is one batch.

    Attributes:
        batch: the number of images in a batch.
        runs: the number of batches.
        images: the number of images in them.

    Raises:
        BnfoldError: the file is none, or does not fit the network.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path, shapes: Mapping[str, ArrayShape]) -> None:
        self._path = path
        stored = ArrayFile(path)
        missing = [name for name in shapes if name not in stored]
        unknown = [name for name in stored if name not in shapes]
        for names, what in ((missing, "has no array"), (unknown, "has an array")):
            if names:
                known = ", ".join(f"'{name}'" for name in shapes)
                raise BnfoldError(
                    f"{path}: {what} '{names[0]}'; the inputs of the network are {known}"
                )
        self._arrays = {name: self._fitting(name, stored[name], shapes[name]) for name in shapes}
        counts = {name: len(batches) for name, batches in self._arrays.items()}
        self.runs = min(counts.values(), default=0)
        if self.runs == 0 or self.runs != max(counts.values()):
            said = ", ".join(f"{count} of '{name}'" for name, count in counts.items())
            raise BnfoldError(f"{path}: holds {said or 'no'} batches; give as many for each input")
        first = next(iter(self._arrays.values()))[0]
        self.batch = max(1, len(first)) if first.ndim else 1
        self.images = self.runs * self.batch

    def _fitting(self, name: str, array: Array, shape: ArrayShape) -> list[Array]:
        if not shape or 0 in shape:
            return [array]
        if array.ndim != len(shape) or array.shape[1:] != shape[1:] or len(array) % shape[0]:
            dims = "x".join(map(str, shape[1:]))
            raise BnfoldError(
                f"{self._path}: array '{name}' has the shape {array.shape}; the network takes "
                f"a multiple of {shape[0]}, each of {dims or 'one number'}"
            )
        return list(array.reshape(-1, *shape))

    def __iter__(self) -> Iterator[dict[str, Array]]:
        for run in range(self.runs):
            yield {name: np.asarray(a[run], np.float32) for name, a in self._arrays.items()}

    def __str__(self) -> str:
        return f"{self.images} inputs of {self._path}"
