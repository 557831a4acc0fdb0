"""How layers can leave a network: what must hold of names and of memory, whatever they compute.

A chain leaves

    upward      what feeds it then makes its top: the top's name lives on
    downward    what reads it then reads its bottom: the bottom's name lives on

and no value that a rewrite changes may be one that others see: layers outside the phase, and
readers that find it in memory by another name (graph/memory.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bnfold.fold.plan import Code, Reason
from bnfold.graph import Layer, Net, Value

_NAMED = 8
"""How many layers a reason names; a blob can have thousands of readers."""


def seen_by_others(net: Net, value: Value) -> Reason | None:
    """Who sees a value without being among its readers, if anyone does."""
    if value.outside_readers:
        why = f"'{value.name}' is also read by {names(value.outside_readers)}, outside this phase"
        return Reason(Code.OUTSIDE_READER, why)
    mistaken = net.memory.mistaken(value)
    if mistaken is None:
        return None
    name, writer = mistaken.named.name, mistaken.found.producer
    if mistaken.reader is not None:
        what = f"{mistaken.reader} reads '{name}'"
    elif mistaken.named.is_output:
        what = f"'{name}' is an output of the network"
    else:
        what = f"{mistaken.named.producer} gives out '{name}' again for the next input"
    why = f"{what}, which lies in the same memory as what {writer} writes in place before that"
    return Reason(Code.OTHER_READER, why)


def other_readers(net: Net, value: Value, reader: Layer) -> Reason | None:
    """Who sees a value besides one of its readers, if anyone does."""
    if len(value.readers) > 1:
        # A layer that reads a value twice is another reader of it.
        others = names(value.readers, but=reader) or str(reader)
        return Reason(Code.OTHER_READER, f"'{value.name}' is also read by {others}")
    return seen_by_others(net, value)


def upward(net: Net, chain: Sequence[Layer]) -> Reason | None:
    """Why layers in a row cannot leave upward, if so.

    Args:
        net: the network.
        chain: layers of one bottom and one top, each the only reader of the one before, and the
            first of what feeds it.
    """
    if net.memory.can_rename(chain):
        return None
    misread = seen_by_others(net, chain[0].bottoms[0])
    if misread:
        return misread
    producer, top = chain[0].bottoms[0].producer, chain[-1].tops[0]
    if producer is not None and producer.kind.is_spoilt(producer):
        return would_leave_its_place(producer)
    why = f"'{top.name}' would lie in the memory that {producer} hands on, and others use it"
    return Reason(Code.NAME_TAKEN, why)


def would_leave_its_place(layer: Layer) -> Reason:
    """Why a layer has to go on writing over what it has yet to read."""
    why = f"{layer} works in place, and would compute something else if it did not"
    return Reason(Code.NO_HOST, why)


def downward(net: Net, chain: Sequence[Layer]) -> Reason | None:
    """Why layers in a row cannot leave downward, if so.

    Args:
        net: the network.
        chain: layers of one bottom and one top, each the only reader of the one before.
    """
    bottom, top = chain[0].bottoms[0], chain[-1].tops[0]
    if not net.reaches(bottom, top.readers, chain):
        why = f"'{bottom.name}' means another value where what reads it stands"
        return Reason(Code.NAME_TAKEN, why)
    if not net.memory.can_reread(chain):
        why = f"'{bottom.name}' would share its memory with a layer that works in place"
        return Reason(Code.NAME_TAKEN, why)
    return None


def names(layers: Iterable[Layer], but: Layer | None = None) -> str:
    """Layers for people, each once and without one of them; of many, only the first few."""
    found: dict[str, None] = {}
    for layer in layers:
        if len(found) == _NAMED:
            return f"{', '.join(found)} and others"
        if layer is not but:
            found[str(layer)] = None
    return ", ".join(found)
