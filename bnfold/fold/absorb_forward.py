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
   writes over its memory before that (graph/memory.py).

The commonest case is the normalisation of the input, by a Scale, Power or BatchNorm on data.
"""

from __future__ import annotations

from bnfold.fold.absorb_backward import finish, permitted
from bnfold.fold.plan import Code, Reason
from bnfold.fold.pushing import Move, forward
from bnfold.fold.rewrite import Context
from bnfold.fold.runs import Run
from bnfold.graph import can_join


class AbsorbForward:
    """Fold every run that can be into what reads it."""

    def run(self, context: Context) -> bool:
        """Apply the rewrite to all runs that stand, in file order."""
        changed = False
        for run in context.standing_runs():
            if run.pinned:
                continue
            found = self._check(context, run)
            if isinstance(found, Reason):
                run.refusals.append(found)
            else:
                self._apply(context, run, found)
                changed = True
        return changed

    def _check(self, context: Context, run: Run) -> list[Move] | Reason:
        moves = forward(context, run.top, run.affine)
        if isinstance(moves, Reason):
            return moves
        if not context.net.reaches(run.bottom, run.top.readers, run.layers):
            why = f"'{run.bottom.name}' means another value where what reads it stands"
            return Reason(Code.NAME_TAKEN, why)
        if not can_join(context.net, run.bottom, run.top, run.layers):
            why = f"'{run.bottom.name}' would share its memory with a layer that works in place"
            return Reason(Code.NAME_TAKEN, why)
        return permitted(context, run, moves)

    def _apply(self, context: Context, run: Run, moves: list[Move]) -> None:
        finish(context, run, moves)
        for layer in reversed(run.layers):
            context.net.remove_into_readers(layer)
            context.plan.ahead.add(layer.name)
