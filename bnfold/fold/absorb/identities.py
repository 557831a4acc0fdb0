"""Rewrite: a chain of affine layers that changes nothing goes.

    1 x + 0  =  x

It applies where what feeds the chain can make its top, or what reads the chain can read its bottom
(leaving.py), and where no name goes by which the network is fed, read or looked at from outside
the phase.
"""

from __future__ import annotations

from bnfold.fold.absorb.leaving import downward, upward
from bnfold.fold.affines.chains import Chain
from bnfold.fold.plan import Fate, Outcome
from bnfold.fold.rewrite import Context


class DropIdentities:
    """Take out every chain that changes nothing, if its neighbours can meet."""

    def run(self, context: Context) -> bool:
        """Apply the rewrite to all chains that stand, in file order."""
        changed = False
        for chain in context.standing_chains():
            if chain.affine.is_identity and context.choice.allows(*chain.layers):
                changed |= _drop(context, chain)
        if changed:
            # Whoever found what one of them wrote in place now finds what its name says.
            context.net.look_at_memory_anew()
        return changed


def _drop(context: Context, chain: Chain) -> bool:
    net, bottom, top = context.net, chain.bottom, chain.top
    alone = bottom.readers == [chain.layers[0]] and not bottom.outside_readers
    # What provides the network's input keeps its name, by which it is fed.
    made = bottom.producer is not None and bool(bottom.producer.bottoms)
    if made and alone and upward(net, chain.layers) is None:
        for layer in chain.layers:
            net.remove_into_producer(layer)
    elif top.readers and not top.outside_readers and downward(net, chain.layers) is None:
        for layer in reversed(chain.layers):
            net.remove_into_readers(layer)
    else:
        return False
    for layer in chain.layers:
        outcome = Outcome(layer.name, layer.written_type, layer.line, Fate.DROPPED)
        context.plan.outcomes.append(outcome)
        del context.chains[layer]
    return True
