"""Which channels to take out, of those that can go: network slimming.

Channels are ranked by |gamma|, the scale that their batch norm was trained with, over the whole
network (Liu et al., "Learning Efficient Convolutional Networks through Network Slimming",
arXiv 1708.06519). Channels that are tied go together, so they are ranked together, by the largest
|gamma| among them: a set goes only if each of its channels would.

1. A ratio takes the lowest sets, as many as make up no more than that share of all the channels
   that can go. A threshold takes every set whose |gamma|s are all at most that.
2. Then each layer gets channels back, those of the highest sets first, until it has as many as it
   must have: at least `least`, and a multiple of `multiple` or all that it had.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bnfold.aliases import Vector
from bnfold.fold.channels.flow import Flow
from bnfold.fold.channels.gammas import Gamma
from bnfold.graph import Layer


@dataclass(frozen=True)
class Ranked:
    """A set of tied channels that can go.

    Attributes:
        score: the largest |gamma| among its channels.
        root: the number that stands for it.
        count: how many channels it has.
    """

    score: float
    root: int
    count: int


def rank(flow: Flow, found: Mapping[Layer, Gamma], pinned: Mapping[int, object]) -> list[Ranked]:
    """The sets that can go, the lowest first; those of one score in the order of the file.

    Args:
        flow: how channels flow.
        found: the gammas.
        pinned: the sets that stay, by the numbers that stand for them.
    """
    ties = flow.ties
    scores = best(flow, found)
    counts = np.bincount(ties.roots(np.arange(ties.count)), minlength=ties.count)
    roots = np.flatnonzero((scores >= 0) & (counts > 0)).tolist()
    roots = [root for root in roots if root not in pinned]
    ranked = [Ranked(float(scores[root]), root, int(counts[root])) for root in roots]
    return sorted(ranked, key=lambda one: (one.score, one.root))


def best(flow: Flow, found: Mapping[Layer, Gamma]) -> Vector:
    """The largest |gamma| in the set of each channel, -1 where none has one; shape (count,)."""
    ties = flow.ties
    scores = np.full(ties.count, -1.0)
    for layer, gamma in found.items():
        lanes = flow.read(layer)
        assert lanes is not None
        np.maximum.at(scores, ties.roots(lanes), np.abs(gamma.gamma))
    return scores[ties.roots(np.arange(ties.count))]


def lowest_share(ranked: list[Ranked], ratio: float) -> list[Ranked]:
    """The lowest sets that together are no more than this share of all their channels."""
    left = ratio * sum(one.count for one in ranked) + 1e-9
    chosen = []
    for one in ranked:
        left -= one.count
        if left < 0:
            break
        chosen.append(one)
    return chosen


def up_to(ranked: list[Ranked], threshold: float) -> list[Ranked]:
    """The sets whose |gamma|s are all at most so large."""
    # Gammas are stored as float32, so what is written is rounded to one first.
    return [one for one in ranked if one.score <= float(np.float32(threshold))]


def keep_enough(flow: Flow, chosen: list[Ranked], min_channels: int, round_to: int) -> list[Ranked]:
    """Of the sets to take out, those that leave each layer as many channels as it must have."""
    ties = flow.ties
    scores = np.full(ties.count, -1.0)
    for one in chosen:
        scores[one.root] = one.score
    out = scores >= 0
    layers = [ties.roots(own) for own in flow.own.values()]
    changed = True
    while changed:
        changed = False
        for roots in layers:
            gone = roots[out[roots]]
            while gone.size and roots.size - gone.size < _needed(
                roots.size, gone.size, min_channels, round_to
            ):
                # Of one score, the last in the file comes back first, as it would go last.
                out[gone[scores[gone] == scores[gone].max()].max()] = False
                gone = roots[out[roots]]
                changed = True
    return [one for one in chosen if out[one.root]]


def _needed(had: int, gone: int, min_channels: int, round_to: int) -> int:
    """How many channels a layer must have, if it may not have fewer than it keeps so far."""
    return min(-(-max(had - gone, min_channels, 1) // round_to) * round_to, had)
