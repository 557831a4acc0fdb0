"""A merge that writes layers in another form, with everything checked that must hold of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from folding import Merged, assert_same_function
from models import Model

from bnfold.fold.forms.form import Form

from ..conftest import ALL


def forms(merged: Merged) -> dict[str, str]:
    """The form that each layer has now, or the code of the reason why it stays."""
    found = merged.report.plan.of_type(Form)
    return {one.layer: one.reason.code.value if one.reason else one.form for one in found}


class Former:
    """Merges a network, and holds it to its function and to a second merge.

    Attributes:
        options: those with which it merges.
    """

    def __init__(self, merger, runtime, **options) -> None:
        self.merger = merger
        self.runtime = runtime
        self.options = options

    def __call__(
        self,
        net: Model,
        expected: dict[str, str],
        fates: dict[str, str] | None = None,
        *,
        like: Model | None = None,
        engines=ALL,
        tolerance=2e-5,
        **options,
    ) -> Merged:
        """Merge, and check the forms and the function.

        Args:
            net: the network.
            expected: the form of each layer, or the code of the reason why it stays.
            fates: what must become of affine layers.
            like: a network that computes the same and that the engines know, if they do not know
                `net`.
            engines: those that can run it.
            tolerance: how far apart values may be.
            options: as for `bnfold.merge`.
        """
        options = self.options | options
        merged = self.merger(net, fates or {}, engines=(), **options)
        assert forms(merged) == expected
        if self.runtime.name in engines:
            judged = merged
            if like is not None:
                judged = replace(merged, before=like.save(merged.before[0].parent, "like"))
            assert_same_function(self.runtime, judged, tolerance=tolerance)
        return merged

    def refuses(self, net: Model, layer: str, code: str, *words: str, **more) -> Merged:
        """Merge a network in which a layer stays as it is, for a reason."""
        merged = self(net, {layer: code}, engines=(), **more)
        assert merged.text == net.text
        (entry,) = merged.report.plan.of_type(Form)
        for word in words:
            assert word in str(entry.reason)
        return merged


@pytest.fixture
def former(merger, runtime):
    """Makes a `Former` with options."""
    return lambda **options: Former(merger, runtime, **options)
