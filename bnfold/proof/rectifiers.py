"""max(x, 0), of which all piecewise linear activations are made: Lemma 4 of docs/proof.md.

max(a x, 0) = a max(x, 0)            for a > 0
max(a x, 0) = a x - a max(x, 0)      for a < 0
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from bnfold.proof.forms import Form, total, whole
from bnfold.proof.layers import Layer
from bnfold.proof.relations import CONSTANT, Relation, applied, relate
from bnfold.proof.roots import Root, Roots


class HasRoot(Protocol):
    """A value whose max(x, 0) is known, with the root that this is."""

    @property
    def layer(self) -> Layer:
        """The layer that rectifies."""
        ...

    @property
    def form(self) -> Form:
        """The value."""
        ...

    @property
    def root(self) -> Root:
        """Its max(x, 0)."""
        ...


@dataclass(frozen=True)
class NoRectified:
    """Why max(x, 0) of a value is none that is known.

    Attributes:
        why: as the end of a sentence.
        channel: the first channel in the way, or None.
    """

    why: str
    channel: int | None = None


def is_positive(form: Form, roots: Roots) -> bool:
    """Whether no number of a value can be negative."""
    surely = np.all(form.a > 2 * form.ea) and np.all(form.b >= 2 * form.eb)
    return bool(surely) and all(roots[number].is_positive for number in form.numbers)


def rectified_constant(form: Form) -> Form:
    """max(x, 0) of a value that no input changes."""
    return replace(form, b=np.maximum(form.b, 0.0))


def known_rectified(
    known: Sequence[HasRoot], layer: Layer, form: Form, roots: Roots, ulps: float
) -> Form | NoRectified:
    """max(x, 0) of a value by that of another one in proportion to it.

    Those are tried first whose layer has the same name.
    """
    bases = {roots[number].base.number for number in form.numbers}
    near = [one for one in known if bases & {roots[n].base.number for n in one.form.numbers}]
    near.sort(key=lambda one: one.layer.name != layer.name)
    why = NoRectified("no layer of the original rectifies this value")
    for one in near:
        relation = relate(form, one.form, roots, ulps)
        if relation is None:
            continue
        shifted = (relation.row != CONSTANT) & (relation.beta != 0)
        if shifted.any():
            why = NoRectified("a shift cannot pass max(x, 0)", int(np.argmax(shifted)))
            continue
        return _rectified(form, one, relation, roots)
    return why


def _rectified(form: Form, one: HasRoot, relation: Relation, roots: Roots) -> Form:
    count = one.form.channels or relation.row.size
    base = one.form.sized(count) or one.form
    above = replace(whole(one.root, count), is_flat=base.is_flat)
    turned = (relation.alpha < 0) & (relation.row != CONSTANT)
    straight = replace(
        relation,
        alpha=np.abs(relation.alpha),
        beta=np.maximum(relation.beta, 0.0),
        beta_error=np.where(relation.row == CONSTANT, relation.beta_error, 0.0),
    )
    result = applied(straight, above, roots)
    if not turned.any():
        return result
    below = applied(replace(relation, beta=np.zeros(relation.beta.size)), base, roots)
    kept = np.flatnonzero(turned[below.rows])
    mask = turned.astype(np.float64)
    only = replace(below._entries(kept), b=below.b * mask, eb=below.eb * mask, mb=below.mb * mask)
    found = total([result, only])
    assert found is not None
    return found
