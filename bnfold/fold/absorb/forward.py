"""Rewrite: a chain of affine layers goes into what reads it.

    W (scale * x + shift) + b  =  (W * scale) x + (b + W shift)

It applies where

1. all that reads the chain ends in layers that can take it in at their input: a Convolution or
   InnerProduct, a Deconvolution where there is no shift, or another chain;
2. no zero padding meets a shift: padded zeros stand for zeros behind the chain, not before it;
3. what lies between lets it pass (passing.py);
4. nobody outside the phase reads a value that would change, none of them is an output of the
   network, and no other layer uses the weights of a layer that takes it in;
5. the name that the chain reads still means the same value where its readers stand, and nobody
   writes over its memory before that (leaving.py).

The commonest case is the normalisation of the input, by a Scale, Power or BatchNorm on data.
"""

from __future__ import annotations

from bnfold.fold.absorb.backward import finish, permitted
from bnfold.fold.absorb.leaving import downward
from bnfold.fold.absorb.search import Move, forward
from bnfold.fold.affines.chains import Chain
from bnfold.fold.plan import Reason
from bnfold.fold.rewrite import Context


class AbsorbForward:
    """Fold every chain that can be into what reads it."""

    def run(self, context: Context) -> bool:
        """Apply the rewrite to all chains that stand, in file order."""
        changed = False
        for chain in context.standing_chains():
            found = self._check(context, chain)
            if not isinstance(found, Reason):
                self._apply(context, chain, found)
                changed = True
            elif found not in chain.refusals:
                chain.refusals.append(found)
        return changed

    def _check(self, context: Context, chain: Chain) -> list[Move] | Reason:
        moves = forward(context, chain.top, chain.affine)
        if isinstance(moves, Reason):
            return moves
        return downward(context.net, chain.layers) or permitted(context, chain, moves)

    def _apply(self, context: Context, chain: Chain, moves: list[Move]) -> None:
        finish(context, chain, moves)
        for layer in reversed(chain.layers):
            context.net.remove_into_readers(layer)
            context.plan.ahead.add(layer.name)
