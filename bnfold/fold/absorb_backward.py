"""Rewrite: a run of affine layers goes into what feeds it.

    scale * (W x + b) + shift  =  (scale * W) x + (scale * b + shift)

It applies where

1. all that feeds the run ends in layers that can take it in at their output: a Convolution,
   Deconvolution or InnerProduct whose outputs are the channels, or another run;
2. what lies between lets it pass (passing.py), Concat and Eltwise for each branch;
3. on the whole way nobody else reads a value that would change, in the phase or outside of it;
4. no other layer uses the weights of a layer that takes it in;
5. nobody sees what would change, or what it writes in place, in memory that has another name, and
   what feeds the run may make its top (leaving.py).

The last top's name lives on.
"""

from __future__ import annotations

from bnfold.fold.leaving import seen_by_others, upward
from bnfold.fold.plan import Code, Fate, Outcome, Reason
from bnfold.fold.pushing import Move, altered, backward, passed
from bnfold.fold.rewrite import Context
from bnfold.fold.runs import Run


class AbsorbBackward:
    """Fold every run that can be into what feeds it."""

    def run(self, context: Context) -> bool:
        """Apply the rewrite to all runs that stand, in file order."""
        changed = False
        for run in context.standing_runs():
            found = self._check(context, run)
            if isinstance(found, Reason):
                run.refusals = [found]
            else:
                self._apply(context, run, found)
                changed = True
        return changed

    def _check(self, context: Context, run: Run) -> list[Move] | Reason:
        seen = seen_by_others(context.net, run.top) if run.top.name == run.bottom.name else None
        moves = seen or backward(context, run.bottom, run.layers[0], run.affine)
        if isinstance(moves, Reason):
            return moves
        return upward(context.net, run.layers) or permitted(context, run, moves)

    def _apply(self, context: Context, run: Run, moves: list[Move]) -> None:
        finish(context, run, moves)
        for layer in run.layers:
            context.net.remove_into_producer(layer)


def permitted(context: Context, run: Run, moves: list[Move]) -> list[Move] | Reason:
    """The moves, unless the user chose that one of the layers concerned stays."""
    concerned = [layer for move in moves for layer in move.layers]
    if context.choice.allows(*run.layers, *concerned):
        return moves
    return Reason(Code.CHOSEN, "it stays as it is, as the user asked (--keep or --only)")


def finish(context: Context, run: Run, moves: list[Move]) -> None:
    """Make all the moves of a run, note what became of its layers, and let it go."""
    gains = [move.layers[-1].name for move in moves if move.apply(context)]
    into = tuple(dict.fromkeys(move.layers[-1].name for move in moves))
    through = tuple(layer.name for layer in passed(moves))
    context.plan.altered |= {layer.name for layer in altered(moves)}
    merged = all(isinstance(move.target, Run) for move in moves)
    for layer in run.layers:
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
        del context.runs[layer]
