"""What the tests of folding share: a merge in a folder, and the comparison of two networks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from models import Model

import bnfold
from bnfold.caffemodel import schema


@dataclass(frozen=True)
class Merged:
    """A merge that was done, with both pairs of files and what the new ones hold."""

    report: bnfold.Report
    before: tuple[Path, Path]
    after: tuple[Path, Path]

    @property
    def text(self) -> str:
        return self.after[0].read_bytes().decode()

    @property
    def net(self):
        return read_net(self.after[1])

    @property
    def reasons(self) -> dict[str, bnfold.Reason]:
        """Why each layer that stays does, in whatever form."""
        return {
            outcome.layer: outcome.reason
            for outcome in self.report.plan.of(bnfold.Fate.KEPT, bnfold.Fate.SCALE)
        }

    @property
    def folded(self) -> list[str]:
        """The layers that went into the weights of others."""
        return [outcome.layer for outcome in self.report.plan.of(bnfold.Fate.FOLDED)]

    @property
    def fates(self) -> dict[str, str]:
        """What became of every affine layer."""
        return {o.layer: o.fate.value for o in self.report.plan.outcomes}

    def outcome(self, layer: str) -> bnfold.Outcome:
        (found,) = (o for o in self.report.plan.outcomes if o.layer == layer)
        return found

    def blobs(self, name: str) -> list[np.ndarray]:
        (record,) = (r for r in [*self.net.layer, *self.net.layers] if r.name == name)
        return [np.array(blob.data) for blob in record.blobs]


def read_net(path: Path):
    return schema.message("NetParameter").FromString(path.read_bytes())


def merge_files(model: Path, weights: Path, **options) -> Merged:
    report = bnfold.merge(model, weights, **options)
    return Merged(report, (model, weights), (report.output_model, report.output_weights))


def merge_model(folder: Path, model: Model, **options) -> Merged:
    return merge_files(*model.save(folder), **options)


def feeds_for(inputs, batch: int | None = None, seed: int = 7) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        name: rng.normal(0, 1, (batch or shape[0], *shape[1:])).astype(np.float32)
        for name, shape in inputs.items()
    }


def assert_same_function(runtime, merged: Merged, inputs=None, tolerance: float = 2e-5) -> None:
    """Every output of both networks, on the same random inputs, within float rounding.

    Args:
        inputs: their shapes, where the engine cannot read them off the file.
    """
    with runtime.load(*merged.before) as before, runtime.load(*merged.after) as after:
        shapes = dict(inputs or before.inputs)
        assert shapes
        feeds = feeds_for(shapes)
        old, new = before.run(feeds), after.run(feeds)
    assert old
    assert set(old) == set(new)
    for name, array in old.items():
        assert array.shape == new[name].shape
        assert np.isfinite(array).all()
        assert np.abs(array).max() > 1e-3, "an output of zeros would hide a wrong fold"
        difference = np.abs(array - new[name]).max()
        assert difference <= tolerance * max(1e-6, np.abs(array).max()), name
