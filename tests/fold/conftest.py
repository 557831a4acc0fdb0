"""A merge with everything that must hold of every merge checked on the way."""

from __future__ import annotations

import fnmatch
import re

import pytest
from folding import Merged, assert_same_function, merge_files, merge_model
from models import Model

import bnfold

ALL = ("pycaffe", "opencv")


class Merger:
    """Merges a model, and holds it to its function and to a second merge."""

    def __init__(self, folder, runtime) -> None:
        self.folder = folder
        self.runtime = runtime

    def __call__(
        self, net: Model, fates: dict[str, str], *, engines=ALL, tolerance=2e-5, **options
    ) -> Merged:
        """Merge, and check what became of each layer and that the function is the same.

        Args:
            net: the network.
            fates: what must become of its affine layers.
            engines: those that can run it.
            options: as for `bnfold.merge`.
        """
        merged = merge_model(self.folder, net, **options)
        assert merged.fates == fates
        again = merge_files(*merged.after, **self._left(merged, options))
        for once, twice in zip(merged.after, again.after, strict=True):
            assert once.read_bytes() == twice.read_bytes()
        if self.runtime.name in engines:
            assert_same_function(self.runtime, merged, tolerance=tolerance)
        return merged

    def _left(self, merged: Merged, options: dict) -> dict:
        """The options of the second merge: a pattern that chooses no layer is an error."""
        names = re.findall(r'name: "([^"]*)" type:', merged.text)
        left = {
            key: [pattern for pattern in options[key] if fnmatch.filter(names, pattern)]
            for key in ("only", "keep")
            if key in options
        }
        if "only" in left and not left["only"]:
            left["only"] = names[:1]
        return options | left

    def folds(self, net: Model, *layers: str, into: str, through: str = "", **more) -> Merged:
        """Merge a network of which `layers` go into the layers named in `into`."""
        merged = self(net, dict.fromkeys(layers, "folded"), **more)
        for layer in layers:
            assert merged.outcome(layer).into == tuple(into.split())
            assert merged.outcome(layer).through == tuple(through.split())
        return merged

    def refuses(self, net: Model, layer: str, code: str, *words: str, **more) -> Merged:
        """Merge a network of which one affine layer can go nowhere, for a reason."""
        fate = "kept" if f'name: "{layer}" type: "Scale"' in net.text else "scale"
        merged = self(net, {layer: fate}, **more)
        reason = merged.reasons[layer]
        for word in words:
            assert word in reason.text
        assert reason.code is bnfold.Code(code)
        return merged


@pytest.fixture
def merger(tmp_path, runtime):
    return Merger(tmp_path, runtime)
