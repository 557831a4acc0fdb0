"""The files of a network, and those of two networks that are compared."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from bnfold.aliases import PathLike
from bnfold.errors import BnfoldError
from bnfold.outputs import settle

_HDF5_ENDING = ".caffemodel.h5"


class NetworkFiles(NamedTuple):
    """The two files of a network.

    Attributes:
        model: its prototxt.
        weights: its caffemodel.
    """

    model: Path
    weights: Path

    def beside(
        self, word: str, model: PathLike | None = None, weights: PathLike | None = None
    ) -> NetworkFiles:
        """The files of a network that is made of this one.

        Args:
            word: what stands in the default names: "folded" for `deploy.folded.prototxt`.
            model, weights: names that were chosen instead.

        Raises:
            BnfoldError: a default name is asked for, and the path has none, as `.` and `/`.
        """
        return NetworkFiles(
            default_name(self.model, word) if model is None else Path(model),
            default_name(self.weights, word) if weights is None else Path(weights),
        )


class PairFiles(NamedTuple):
    """The files of a network and of its folded form.

    Attributes:
        original: the network.
        folded: its folded form.
    """

    original: NetworkFiles
    folded: NetworkFiles

    @classmethod
    def of(
        cls,
        model: PathLike,
        weights: PathLike,
        folded_model: PathLike | None,
        folded_weights: PathLike | None,
    ) -> PairFiles:
        """A pair; a folded file that is not given is what `merge` calls it by default.

        Raises:
            BnfoldError: as for `NetworkFiles.beside`.
        """
        original = NetworkFiles(Path(model), Path(weights))
        return cls(original, original.beside("folded", folded_model, folded_weights))

    @property
    def all(self) -> tuple[Path, Path, Path, Path]:
        """All four files, the original's first."""
        return (
            self.original.model,
            self.original.weights,
            self.folded.model,
            self.folded.weights,
        )

    @property
    def networks(self) -> tuple[tuple[Path, Path], tuple[Path, Path]]:
        """Prototxt and caffemodel of the original, and of the folded network."""
        return (
            (self.original.model, self.original.weights),
            (self.folded.model, self.folded.weights),
        )

    def ready(self) -> None:
        """Settle what a killed run left of the files, and refuse those that are not there.

        Raises:
            BnfoldError: one is missing; for the folded network the message says how to make it.
        """
        settle(self.all)
        for path in self.networks[0]:
            if not path.exists():
                raise BnfoldError(f"{path}: there is no such file; check the path")
        for path in self.networks[1]:
            if not path.exists():
                raise BnfoldError(
                    f"{path}: there is no such file; make it with `bnfold merge --model "
                    f"{self.original.model} --weights {self.original.weights}`, or name the "
                    "folded pair with --folded-model and --folded-weights"
                )


def default_name(path: Path, word: str) -> Path:
    """The default name of an output: `deploy.prototxt` becomes `deploy.folded.prototxt`.

    `x.caffemodel.h5` has one ending in two parts, and becomes `x.folded.caffemodel.h5`.

    Raises:
        BnfoldError: the path has no name of its own, as `.` and `/` have none.
    """
    if not path.name:
        raise BnfoldError(f"'{path}': this is a folder; give the path of a file")
    suffix = _HDF5_ENDING if path.name.endswith(_HDF5_ENDING) else path.suffix
    return path.with_name(f"{path.name.removesuffix(suffix)}.{word}{suffix}")
