"""Rewrite: a chain of affine layers goes into what feeds it.

    scale * (W x + b) + shift  =  (scale * W) x + (scale * b + shift)

It applies where

1. all that feeds the chain ends in layers that can take it in at their output: a Convolution,
   Deconvolution or InnerProduct whose outputs are the channels, or another chain;
2. what lies between lets it pass (passing.py), Concat and Eltwise for each branch;
3. on the whole way nobody else reads a value that would change, in the phase or outside of it;
4. no other layer uses the weights of a layer that takes it in;
5. nobody sees what would change, or what it writes in place, in memory that has another name, and
   what feeds the chain may make its top (leaving.py).

The last top's name lives on.
"""

from __future__ import annotations

from bnfold.fold.absorb.leaving import seen_by_others, upward
from bnfold.fold.absorb.search import Move, altered, backward, passed
from bnfold.fold.affines.chains import Chain
from bnfold.fold.plan import Code, Fate, Outcome, Reason
from bnfold.fold.rewrite import Context


class AbsorbBackward:
    """Fold every chain that can be into what feeds it."""

    def run(self, context: Context) -> bool:
        """Apply the rewrite to all chains that stand, in file order."""
        changed = False
        for chain in context.standing_chains():
            found = self._check(context, chain)
            if isinstance(found, Reason):
                chain.refusals = [found]
            else:
                self._apply(context, chain, found)
                changed = True
        return changed

    def _check(self, context: Context, chain: Chain) -> list[Move] | Reason:
        in_place = chain.top.name == chain.bottom.name
        seen = seen_by_others(context.net, chain.top) if in_place else None
        moves = seen or backward(context, chain.bottom, chain.layers[0], chain.affine)
        if isinstance(moves, Reason):
            return moves
        return upward(context.net, chain.layers) or permitted(context, chain, moves)

    def _apply(self, context: Context, chain: Chain, moves: list[Move]) -> None:
        finish(context, chain, moves)
        for layer in chain.layers:
            context.net.remove_into_producer(layer)


def permitted(context: Context, chain: Chain, moves: list[Move]) -> list[Move] | Reason:
    """The moves, unless the user chose that one of the layers concerned stays."""
    concerned = [layer for move in moves for layer in move.layers]
    if context.choice.allows(*chain.layers, *concerned):
        return moves
    return Reason(Code.CHOSEN, "it stays as it is, as the user asked (--keep or --only)")


def finish(context: Context, chain: Chain, moves: list[Move]) -> None:
    """Make all the moves of a chain, note what became of its layers, and let it go."""
    gains = [move.layers[-1].name for move in moves if move.apply(context)]
    into = tuple(dict.fromkeys(move.layers[-1].name for move in moves))
    through = tuple(layer.name for layer in passed(moves))
    context.plan.altered |= {layer.name for layer in altered(moves)}
    merged = all(isinstance(move.target, Chain) for move in moves)
    for layer in chain.layers:
        fate = Fate.MERGED if merged else Fate.FOLDED
        outcome = Outcome(
            layer.name,
            layer.written_type,
            layer.line,
            fate,
            into,
            through,
            tuple(dict.fromkeys(gains)),
        )
        context.plan.outcomes.append(outcome)
        del context.chains[layer]
