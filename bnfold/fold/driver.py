"""The list of rewrites, and the order they run in.

1. Types that stock Caffe does not have become types that it has (forms/), where the user asks.
2. Layers are read as affines and joined into chains (chains.py).
3. Behind shared weights, then backward, and forward where neither moves anything, from the
   start again after each change. Backward comes first because it fits where it applies,
   whatever the padding; forward has more conditions, and what goes forward may meet another
   chain that then can go.
4. Parallel branches become one convolution, and what can move then moves: back to 3.
5. What changes nothing goes, and others may have been in its way: back to 3.
6. What is left is collapsed.
7. Engines, which change no number.
8. Channels that are constant are taken out: what they are constant at is told from the weights as
   they will be.
9. Where 6 or 8 changed something, layers are read as they are now: back to 2. A Scale without its
   zeros may pass a ReLU, and two that became neighbours may be one. So a second merge changes
   nothing.

Every search looks at the whole way before anything moves, and moves depend only on who reads
what, so the order of independent layers in the file does not matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bnfold.fold.absorb.backward import AbsorbBackward
from bnfold.fold.absorb.collapse import Collapse
from bnfold.fold.absorb.forward import AbsorbForward
from bnfold.fold.absorb.identities import DropIdentities
from bnfold.fold.absorb.leaving import other_readers
from bnfold.fold.absorb.search import same_name_outside
from bnfold.fold.absorb.shared import AbsorbShared
from bnfold.fold.affines.chains import Chain
from bnfold.fold.affines.copies import Copies
from bnfold.fold.affines.dialects import AffineReader, Reading
from bnfold.fold.fitting import misfits, plausible_channels
from bnfold.fold.misspelt import slips
from bnfold.fold.options import MergeOptions
from bnfold.fold.patterns import check_patterns, check_types
from bnfold.fold.plan import Code, Fate, Outcome, Plan, Reason
from bnfold.fold.rewrite import Choice, Context, Rewrite
from bnfold.graph import Layer, Net, Value, infer_shapes
from bnfold.graph.axes import Shape
from bnfold.spelling import plural

MOVES: tuple[Rewrite, ...] = (AbsorbShared(), AbsorbBackward(), AbsorbForward())
"""The rewrites that move chains; each has its turn when those before it have nothing to move."""


def fold(net: Net, options: MergeOptions, shapes: Mapping[Value, Shape | None]) -> Plan:
    """Rewrite a network in place and say what was done.

    Without weights only the structure is planned.

    Args:
        net: the network.
        options: what the user chose.
        shapes: the shapes of its values, as far as they are known.

    Raises:
        BnfoldError: the model or its weights are not what they claim to be.
        PrototxtError: a parameter in the prototxt has a bad value.
    """
    plan = Plan()
    _check_choices(net, options)
    context = context_of(net, plan, options, shapes)
    # What overflows becomes an infinity, and writing that is refused by name.
    with np.errstate(over="ignore", invalid="ignore"):
        for rewrite in options.rewrites(first=True):
            if rewrite.run(context):
                context.shapes = infer_shapes(net)
        find_chains(context)
        _warn_of_eps(context)
        _warn_of_misfits(context)
        moves = [*MOVES, *options.rewrites(), DropIdentities()]
        _rewrite(context, moves, [*options.rewrites(last=True)])
    _close(net, plan)
    return plan


def _rewrite(context: Context, moves: Sequence[Rewrite], last: Sequence[Rewrite]) -> None:
    """Run all rewrites, until none of them finds anything to do."""
    changed = True
    while True:
        while any(rewrite.run(context) for rewrite in moves):
            changed = True
        collapsed = Collapse().run(context)
        if changed or collapsed:
            # They look at all weights, so not where nothing is new.
            changed = sum(rewrite.run(context) for rewrite in last) > 0
        if not changed and not collapsed:
            return
        context.look_anew()
        find_chains(context)


def _check_choices(net: Net, options: MergeOptions) -> None:
    """Refuse names of layers that are not there.

    Raises:
        BnfoldError: one of `only` or `keep` matches no layer.
    """
    names = [layer.name for layer in (*net.layers, *net.outside)]
    check_patterns("--only", options.only, names)
    check_patterns("--keep", options.keep, names)


def _close(net: Net, plan: Plan) -> None:
    """Put the plan in order, and say which values are others than before."""
    standing = {layer.name for layer in net.layers}
    plan.altered.update(*(entry.alters(standing) for entry in plan.entries))
    plan.outcomes.sort(key=lambda outcome: outcome.line)
    kinds = [*MergeOptions.entries()]
    plan.entries.sort(key=lambda entry: (kinds.index(type(entry)), entry.line))


def context_of(
    net: Net, plan: Plan, options: MergeOptions, shapes: Mapping[Value, Shape | None]
) -> Context:
    """What rewrites work on, for a network that none of them has seen."""
    types = [layer.type for layer in (*net.layers, *net.outside)]
    check_types("--treat-as", options.treat_as, types)
    plan.warnings += slips(net, frozenset(options.treat_as))
    reader = AffineReader(
        options.phase,
        options.eps,
        options.bn_dialect,
        net.weights is not None,
        plan.warnings.append,
    )
    return Context(
        net,
        plan,
        options.phase,
        reader,
        shapes,
        Choice(options.keep, options.only),
        options.keep_dtype,
        options.collapse,
        misfits(net),
        plausible_channels(net.weights),
    )


def find_chains(context: Context) -> None:
    """Read the affine layers of the phase and join them into chains; note what cannot be read."""
    copies = Copies(context.net)
    for layer in context.net.layers:
        reading = _read(context, layer, copies)
        if isinstance(reading, Reason):
            _keep(context.plan, layer, reading)
        elif reading is not None:
            _join(context, layer, reading)
    for layer in context.net.outside:
        if layer.kind.is_affine:
            phase = context.phase.value
            reason = Reason(Code.OUTSIDE_PHASE, f"it does not run in phase {phase}")
            _keep(context.plan, layer, reason)


def _warn_of_eps(context: Context) -> None:
    """Say in one line where the eps that the user chose replaces what was trained."""
    swamped = context.reader.swamped
    if swamped:
        more = f" and {len(swamped) - 1} more" if len(swamped) > 1 else ""
        context.plan.warnings.append(
            f"eps {context.reader.eps:g} is larger than most variances of '{swamped[0]}'{more}; "
            "the result is that of another network than the one that was trained"
        )


def _warn_of_misfits(context: Context) -> None:
    """Say in one line which layers have no weights that they could compute with."""
    reasons = [reason.text for reason in context.misfits.values()]
    if reasons:
        more = f" (and {plural(len(reasons) - 1, 'more layer')} like it)" if reasons[1:] else ""
        context.plan.warnings.append(
            f"{reasons[0]}{more}; Caffe refuses such a file, or starts such a layer anew"
        )


def _read(context: Context, layer: Layer, copies: Copies) -> Reading | Reason | None:
    weights, sharer = context.net.weights, next(context.net.sharers(layer), None)
    if layer.kind.is_affine and weights is not None and weights.is_hdf5 and sharer:
        why = f"it shares blobs with {sharer}, and HDF5 stores them with their owner only"
        return Reason(Code.SHARED_WEIGHTS, why, "save the weights as a binary caffemodel")
    shape = context.shapes.get(layer.bottoms[0]) if layer.bottoms else None
    reading = context.reader.read(layer, shape)
    if not isinstance(reading, Reading):
        return reading
    other = copies.differing(layer) if context.has_weights else None
    if other is not None:
        why = f"it shares blobs with {other}, but the file has other numbers for that layer"
        return same_name_outside(context.net, layer) or Reason(Code.SHARED_WEIGHTS, why)
    return same_name_outside(context.net, layer) or reading


def _join(context: Context, layer: Layer, reading: Reading) -> None:
    bottom = layer.bottoms[0]
    chain = context.chains.get(bottom.producer) if bottom.producer else None
    if chain is not None and other_readers(context.net, bottom, layer) is None:
        chain.append(layer, reading)
    else:
        chain = Chain.of(layer, reading)
    context.chains[layer] = chain


def _keep(plan: Plan, layer: Layer, reason: Reason) -> None:
    plan.outcomes.append(
        Outcome(layer.name, layer.written_type, layer.line, Fate.KEPT, reason=reason)
    )
