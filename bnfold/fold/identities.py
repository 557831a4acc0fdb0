"""Rewrite: a run of affine layers that changes nothing goes.

    1 x + 0  =  x

It applies where what feeds the run can make its top, or what reads the run can read its bottom
(leaving.py), and where no name goes by which the network is fed, read or looked at from outside
the phase.
"""

from __future__ import annotations

from bnfold.fold.leaving import downward, upward
from bnfold.fold.plan import Fate, Outcome
from bnfold.fold.rewrite import Context
from bnfold.fold.runs import Run


class DropIdentities:
    """Take out every run that changes nothing, if its neighbours can meet."""

    def run(self, context: Context) -> bool:
        """Apply the rewrite to all runs that stand, in file order."""
        changed = False
        for run in context.standing_runs():
            if run.affine.is_identity and context.choice.allows(*run.layers):
                changed |= _drop(context, run)
        if changed:
            # Whoever found what one of them wrote in place now finds what its name says.
            context.net.look_at_memory_anew()
        return changed


def _drop(context: Context, run: Run) -> bool:
    net, bottom, top = context.net, run.bottom, run.top
    alone = bottom.readers == [run.layers[0]] and not bottom.outside_readers
    # What provides the network's input keeps its name, by which it is fed.
    made = bottom.producer is not None and bool(bottom.producer.bottoms)
    if made and alone and upward(net, run.layers) is None:
        for layer in run.layers:
            net.remove_into_producer(layer)
    elif top.readers and not top.outside_readers and downward(net, run.layers) is None:
        for layer in reversed(run.layers):
            net.remove_into_readers(layer)
    else:
        return False
    for layer in run.layers:
        outcome = Outcome(layer.name, layer.written_type, layer.line, Fate.DROPPED)
        context.plan.outcomes.append(outcome)
        del context.runs[layer]
    return True
