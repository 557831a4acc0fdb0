"""Which file an error is about, and which name a file must not have."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from bnfold.caffemodel import Weights
from bnfold.errors import BnfoldError


@contextlib.contextmanager
def naming(model: Path) -> Iterator[None]:
    """Have what rewrites say of a network begin with its file, as other errors do by themselves."""
    try:
        yield
    except BnfoldError as error:
        raise BnfoldError(f"{model}: {error}") from error


def check_suffix(weights: Path, stored: Weights) -> None:
    """Refuse a name for new weights that their format does not go with.

    Args:
        weights: where they will stand.
        stored: the weights that they are made of, whose format they have.

    Raises:
        BnfoldError: Caffe would take the file for another format.
    """
    # Caffe takes a name that ends in .h5, and no other, for HDF5 (BVLC caffe 1.0, net.cpp).
    if stored.is_hdf5 == (weights.suffix == ".h5"):
        return
    kind, ends = ("HDF5", "ends") if stored.is_hdf5 else ("binary", "does not end")
    raise BnfoldError(
        f"{weights}: the weights are {kind}, and Caffe tells the format by the name; choose one "
        f"that {ends} in .h5"
    )
