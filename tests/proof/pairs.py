"""Pairs of files that are changed in one place, and what the proof says of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from models import Model, blob

import bnfold
from bnfold.caffemodel import schema


@dataclass(frozen=True)
class Pair:
    """A network and its folded form, in a folder."""

    model: Path
    weights: Path
    folded_model: Path
    folded_weights: Path

    @classmethod
    def merged(cls, folder: Path, net: Model, **options) -> Pair:
        """A network and what `merge` makes of it."""
        model, weights = net.save(folder)
        report = bnfold.merge(model, weights, **options)
        return cls(model, weights, report.output_model, report.output_weights)

    @classmethod
    def of(cls, folder: Path, net: Model, other: Model) -> Pair:
        """Two networks that were written by hand."""
        return cls(*net.save(folder, "one"), *other.save(folder, "other"))

    def prove(self, **options) -> bnfold.Proof:
        return bnfold.prove(
            self.model,
            self.weights,
            folded_model=self.folded_model,
            folded_weights=self.folded_weights,
            **options,
        )

    def change(self, layer: str, index: int, change: Callable[[np.ndarray], np.ndarray]) -> Pair:
        """Change one blob of the folded network."""
        net = schema.message("NetParameter").FromString(self.folded_weights.read_bytes())
        (record,) = (each for each in [*net.layer, *net.layers] if each.name == layer)
        old = record.blobs[index]
        values = np.array(old.data, np.float32).reshape(tuple(old.shape.dim))
        record.blobs[index].CopyFrom(blob(change(values.copy())))
        self.folded_weights.write_bytes(net.SerializeToString())
        return self

    def write(self, old: str, new: str) -> Pair:
        """Change the text of the folded network, where it stands once."""
        text = self.folded_model.read_text()
        assert text.count(old) == 1
        self.folded_model.write_text(text.replace(old, new))
        return self
