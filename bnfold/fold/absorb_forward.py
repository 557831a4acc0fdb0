"""Rewrite: a run of affine layers goes into what reads it.

    W (scale * x + shift) + b  =  (W * scale) x + (b + W shift)

It applies where

1. all that reads the run ends in layers that can take it in at their input: a Convolution or
   InnerProduct, a Deconvolution where there is no shift, or another run;
2. no zero padding meets a shift: padded zeros stand for zeros behind the run, not before it;
3. what lies between lets it pass (passing.py);
4. nobody outside the phase reads a value that would change, none of them is an output of the
   network, and no other layer uses the weights of a layer that takes it in;
5. the name that the run reads still means the same value where its readers stand, and nobody
   writes over its memory before that (leaving.py).

The commonest case is the normalisation of the input, by a Scale, Power or BatchNorm on data.
"""

from __future__ import annotations

from bnfold.fold.absorb_backward import finish, permitted
from bnfold.fold.leaving import downward
from bnfold.fold.plan import Reason
from bnfold.fold.pushing import Move, forward
from bnfold.fold.rewrite import Context
from bnfold.fold.runs import Run


class AbsorbForward:
    """Fold every run that can be into what reads it."""

    def run(self, context: Context) -> bool:
        """Apply the rewrite to all runs that stand, in file order."""
        changed = False
        for run in context.standing_runs():
            found = self._check(context, run)
            if not isinstance(found, Reason):
                self._apply(context, run, found)
                changed = True
            elif found not in run.refusals:
                run.refusals.append(found)
        return changed

    def _check(self, context: Context, run: Run) -> list[Move] | Reason:
        moves = forward(context, run.top, run.affine)
        if isinstance(moves, Reason):
            return moves
        return downward(context.net, run.layers) or permitted(context, run, moves)

    def _apply(self, context: Context, run: Run, moves: list[Move]) -> None:
        finish(context, run, moves)
        for layer in reversed(run.layers):
            context.net.remove_into_readers(layer)
            context.plan.ahead.add(layer.name)
