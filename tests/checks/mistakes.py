"""Folded networks with a mistake in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import bnfold
from bnfold.caffemodel import schema

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits"


def edit(weights: Path, layer: str, change) -> None:
    """Change the blobs of a layer: `change` gets float32 arrays and may write to them."""
    net = schema.message("NetParameter").FromString(weights.read_bytes())
    (record,) = (record for record in net.layer if record.name == layer)
    arrays = [np.array(b.data, np.float32).reshape(list(b.shape.dim)) for b in record.blobs]
    change(arrays)
    for blob, array in zip(record.blobs, arrays, strict=True):
        del blob.data[:]
        blob.data.extend(array.ravel().tolist())
    weights.write_bytes(net.SerializeToString())


def nudge(arrays) -> None:
    """One weight of output channel 5, by 1 %: the largest, so that it is of some use."""
    weight = arrays[0][5]
    weight[np.unravel_index(np.abs(weight).argmax(), weight.shape)] *= 1.01


def swap(arrays) -> None:
    """Two input channels, or output channels where there is one input channel only."""
    weight = arrays[0]
    if weight.shape[1] > 1:
        weight[:, [0, 1]] = weight[:, [1, 0]]
    else:
        weight[[0, 1]] = weight[[1, 0]]


def with_wrong_eps(folder: Path, model: Path, weights: Path, line: str, other: str) -> None:
    """Fold as if `line`, which has the eps of one layer, were `other`."""
    text = model.read_text()
    assert text.count(line) == 1
    wrong = folder / "wrong.prototxt"
    wrong.write_text(text.replace(line, other))
    bnfold.merge(
        wrong,
        weights,
        output_model=folder / "deploy.folded.prototxt",
        output_weights=folder / "digits.folded.caffemodel",
        force=True,
    )
