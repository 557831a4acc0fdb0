"""What a layer that is no linear function makes of relations: the lemmas 4 to 9 of docs/proof.md.

Each takes how the folded layer's bottoms follow from the original layer's, and gives how its top
then follows from the original's top, or says why that does not follow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bnfold.aliases import Array, Vector
from bnfold.proof.relations import CONSTANT, Relation

RelationRule = Callable[[Sequence[Relation]], "Relation | Refusal"]
NumberFunction = Callable[[Vector], Vector]
Fixed = tuple[Array, Vector]
"""Which channels of a value are constant, and which number each is."""
ConstantRule = Callable[[Sequence[Fixed]], Fixed]
"""From the constants of a layer's bottoms to those of its top."""


@dataclass(frozen=True)
class Refusal:
    """Why a lemma does not apply.

    Attributes:
        why: as the end of a sentence.
        channel: the first channel in the way, None if it is no channel.
    """

    why: str
    channel: int | None = None


@dataclass(frozen=True)
class Lemma:
    """How a layer hands relations on.

    Attributes:
        rule: from the relations of its bottoms to that of its top.
        constants: what it makes of constants; None if nothing is known of that.
        keeps_places: whether each number of its top depends on that of the same place alone.
        keeps_channels: whether each channel of its top depends on that of its bottoms alone.
        mixes_channels: whether numbers change their channels, and nothing else happens to them.
        is_symmetric: whether it does not matter in which order its bottoms stand.
    """

    rule: RelationRule
    constants: ConstantRule | None = None
    keeps_places: bool = False
    keeps_channels: bool = True
    mixes_channels: bool = False
    is_symmetric: bool = False


def same(relations: Sequence[Relation]) -> Relation | Refusal:
    """Lemma 9: equal functions of equal values are equal."""
    for relation in relations:
        if not relation.is_same:
            return Refusal("it must read the same as the original does", relation.first_unequal())
    return relations[0] if relations else Refusal("it reads nothing")


def each(function: NumberFunction) -> ConstantRule:
    """The constants of a layer that makes the same of each."""

    def rule(bottoms: Sequence[Fixed]) -> Fixed:
        (fixed, values), *_ = bottoms
        with np.errstate(all="ignore"):
            return fixed, function(values)

    return rule


def greatest(bottoms: Sequence[Fixed]) -> Fixed:
    """The constants of a maximum of several values."""
    fixed = np.all([mask for mask, _ in bottoms], axis=0)
    return fixed, np.max([values for _, values in bottoms], axis=0)


def product(bottoms: Sequence[Fixed]) -> Fixed:
    """The constants of a product: where all factors are constant, or one of them is zero."""
    masks = np.array([mask for mask, _ in bottoms])
    values = np.array([value for _, value in bottoms])
    is_zero = np.any(masks & (values == 0), axis=0)
    return masks.all(axis=0) | is_zero, np.where(is_zero, 0.0, np.prod(values, axis=0))


def lengths(relations: Sequence[Relation]) -> Relation | Refusal:
    """Lemma 9: a layer that looks at how long its bottoms are, and at nothing else."""
    if not relations or any(relation.stride for relation in relations):
        return Refusal("it reads only some of the places")
    return relations[0]


def element(constant: NumberFunction | None) -> RelationRule:
    """Lemma 5: a function of each number alone; channels and places may be missing."""

    def rule(relations: Sequence[Relation]) -> Relation | Refusal:
        (relation,) = relations
        varies = relation.row != CONSTANT
        bad = varies & ((relation.alpha != 1) | (relation.beta != 0) | (relation.alpha_error != 0))
        if bad.any():
            return Refusal("it must read the same as the original does", int(np.argmax(bad)))
        return _constants(relation, constant)

    return rule


def _constants(relation: Relation, constant: NumberFunction | None) -> Relation | Refusal:
    """With the constant channels replaced by what a function makes of them."""
    fixed = relation.row == CONSTANT
    if not fixed.any():
        return relation
    if constant is None:
        return Refusal("what it makes of a constant is not known", int(np.argmax(fixed)))
    with np.errstate(all="ignore"):
        value = constant(relation.beta)
        moved = np.abs(constant(relation.beta + relation.beta_error) - value)
    if not np.isfinite(value[fixed]).all():
        return Refusal("what it makes of a constant is not a number", int(np.argmax(fixed)))
    return replace(
        relation,
        beta=np.where(fixed, value, relation.beta),
        beta_error=np.where(fixed, moved, relation.beta_error),
        magnitude=np.where(fixed, np.abs(value), relation.magnitude),
    )


def rising(relations: Sequence[Relation]) -> Relation | Refusal:
    """Lemma 6: the largest of several numbers, under a function that rises."""
    (relation,) = relations
    bad = (relation.alpha <= 0) & (relation.row != CONSTANT)
    if bad.any():
        return Refusal("a factor that is not positive cannot pass a maximum", int(np.argmax(bad)))
    return _everywhere(relation)


def averaged(may_pad: bool) -> RelationRule:
    """Lemma 6: an average; where zeros are added to it, there must be no shift."""

    def rule(relations: Sequence[Relation]) -> Relation | Refusal:
        (relation,) = relations
        if may_pad and relation.beta.any():
            return Refusal("a shift cannot pass zero padding", int(np.argmax(relation.beta != 0)))
        return _everywhere(relation)

    return rule


def moved(relations: Sequence[Relation]) -> Relation | Refusal:
    """Lemma 6: numbers that change their places within a channel."""
    return _everywhere(relations[0])


def rearranged(relations: Sequence[Relation]) -> Relation | Refusal:
    """Lemma 6: numbers that change their places, channels or none; all are scaled alike."""
    (relation,) = relations
    middle = int(relation.row.size // 2)
    alpha, beta = np.sort(relation.alpha)[middle], np.sort(relation.beta)[middle]
    off = (
        np.abs(relation.alpha - alpha) > 2 * relation.alpha_error.max(),
        np.abs(relation.beta - beta) > 2 * relation.beta_error.max(),
    )
    if (
        relation.stride
        or not relation.is_whole
        or np.any((relation.row == CONSTANT) | off[0] | off[1])
    ):
        return Refusal("its channels are not all there, scaled and shifted alike")
    return replace(
        relation,
        row=relation.row[:1],
        alpha=np.full(1, alpha),
        alpha_error=relation.alpha_error.max(keepdims=True),
        beta=np.full(1, beta),
        beta_error=relation.beta_error.max(keepdims=True),
        magnitude=relation.magnitude.max(keepdims=True),
    )


def cropped(relations: Sequence[Relation]) -> Relation | Refusal:
    """Lemma 6: a window of the first bottom, as large as the second is."""
    if any(relation.stride for relation in relations):
        return Refusal("it reads only some of the places")
    return relations[0]


def _everywhere(relation: Relation) -> Relation | Refusal:
    return Refusal("it reads only some of the places") if relation.stride else relation


def _all_same(relations: Sequence[Relation]) -> Relation | Refusal:
    """The relation of a top whose bottoms are not known to have equal channels."""
    for relation in relations:
        if not relation.is_same:
            return Refusal("its bottoms do not have as many channels each")
    return max(relations, key=lambda relation: relation.row.size)


def common(relations: Sequence[Relation]) -> Relation | Refusal:
    """Lemma 7: values that are put together channel by channel, all in one relation."""
    first = relations[0]
    if len({relation.row.size for relation in relations}) > 1:
        return _all_same(relations)
    for other in relations[1:]:
        error = first.alpha_error + other.alpha_error, first.beta_error + other.beta_error
        bad = (
            (first.row != other.row)
            | (np.abs(first.alpha - other.alpha) > error[0])
            | (np.abs(first.beta - other.beta) > error[1])
        )
        if bad.any() or first.stride != other.stride:
            return Refusal("its bottoms are not scaled and shifted alike", int(np.argmax(bad)))
    return _everywhere(first)


def largest(relations: Sequence[Relation]) -> Relation | Refusal:
    """Lemma 7: the largest of several values at each place."""
    found = common(relations)
    return found if isinstance(found, Refusal) else rising([found])


def multiplied(relations: Sequence[Relation]) -> Relation | Refusal:
    """Lemma 7: products; factors multiply, and there must be no shift."""
    first = relations[0]
    if len({relation.row.size for relation in relations}) > 1:
        return _all_same(relations)
    alpha, error = np.ones(first.row.size), np.zeros(first.row.size)
    fixed = np.all([relation.row == CONSTANT for relation in relations], axis=0)
    product = np.ones(first.row.size)
    for relation in relations:
        bad = (relation.row != first.row) | ((relation.beta != 0) & ~fixed)
        if bad.any() or relation.stride != first.stride:
            return Refusal("a shift cannot pass a product", int(np.argmax(bad)))
        error = error * np.abs(relation.alpha) + np.abs(alpha) * relation.alpha_error
        alpha = alpha * relation.alpha
        product = product * relation.beta
    beta_error = np.sum([relation.beta_error for relation in relations], axis=0)
    return replace(
        first,
        alpha=alpha,
        alpha_error=error,
        beta=np.where(fixed, product, 0.0),
        beta_error=np.where(fixed, beta_error, 0.0),
        is_whole=all(relation.is_whole for relation in relations),
    )
