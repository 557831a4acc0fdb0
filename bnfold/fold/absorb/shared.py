"""Rewrite: layers that share their weights fold alike, or not at all.

Where every layer that shares a blob, by `param` name, is followed by a chain with the same scale,
the shared weight is scaled once (in each copy that the file has of it). The shifts must be the
same too where the bias is shared; a bias of its own takes a shift of its own.
"""

from __future__ import annotations

from typing import NamedTuple

from bnfold.fold.absorb.backward import finish, permitted
from bnfold.fold.absorb.leaving import seen_by_others, upward
from bnfold.fold.absorb.search import Move, same_name_outside
from bnfold.fold.affines.chains import Chain
from bnfold.fold.blobs import same_values
from bnfold.fold.plan import Reason
from bnfold.fold.rewrite import Context
from bnfold.fold.weighted import WeightedLayer
from bnfold.graph import Layer


class Sharer(NamedTuple):
    """A layer that shares its weights, with the chain behind it."""

    weighted: WeightedLayer
    chain: Chain


class AbsorbShared:
    """Fold equal chains behind layers that share their weights."""

    def run(self, context: Context) -> bool:
        """Apply the rewrite to all groups of layers that share blobs."""
        changed = False
        tried: set[tuple[str, ...]] = set()
        for chain in context.standing_chains():
            producer = chain.bottom.producer
            if chain.layers[0] not in context.chains or producer is None:
                continue
            # What fits one of a group fits all of it, or none.
            if not any(producer.blob_names) or producer.blob_names in tried:
                continue
            tried.add(producer.blob_names)
            group = self._group(context, producer)
            if group and all(self._check(context, one, group[0]) for one in group):
                for sharer in group:
                    finish(context, sharer.chain, [_move(sharer)])
                    for layer in sharer.chain.layers:
                        context.net.remove_into_producer(layer)
                changed = True
        return changed

    def _group(self, context: Context, producer: Layer) -> list[Sharer]:
        """A layer and all that share weights with it, if each is followed by a chain."""
        if context.weighted(producer) is None:
            return []
        others = list(context.net.sharers(producer))
        if not others or not all(map(context.net.runs, others)):
            return []
        found = [_sharer(context, layer) for layer in [producer, *others]]
        return [one for one in found if one is not None] if all(found) else []

    def _check(self, context: Context, one: Sharer, first: Sharer) -> bool:
        layer, other = one.weighted.layer, first.weighted.layer
        alike = (
            one.weighted.has_layout_of(first.weighted)
            and layer.blob_names == other.blob_names
            and layer.blob_names[:1] != ("",)
            and bool(layer.blobs)
            and one.weighted.output_refusal(one.chain.affine) is None
            and same_name_outside(context.net, layer) is None
            and not isinstance(permitted(context, one.chain, [_move(one)]), Reason)
        )
        if not alike or not context.has_weights:
            return False
        bias_is_shared = any(layer.blob_names[1:])
        mine, its = one.chain.affine, first.chain.affine
        if not bias_is_shared:
            mine, its = mine.without_shift(), its.without_shift()
        copies = zip(one.weighted.blobs(), first.weighted.blobs(), layer.blob_names, strict=False)
        return mine.equals(its) and all(same_values(a, b) for a, b, name in copies if name)


def _sharer(context: Context, layer: Layer) -> Sharer | None:
    weighted = context.weighted(layer)
    if weighted is None or len(layer.tops) != 1 or len(layer.tops[0].readers) != 1:
        return None
    if seen_by_others(context.net, layer.tops[0]) or layer.given_blobs is not None:
        return None
    chain = context.chains.get(layer.tops[0].readers[0])
    return None if chain is None or upward(context.net, chain.layers) else Sharer(weighted, chain)


def _move(sharer: Sharer) -> Move:
    return Move(sharer.weighted, sharer.chain.affine, False)
