"""Rewrite: parallel convolutions of one value that are concatenated become one.

    concat(K_1 * x + b_1, K_2 * x + b_2)  =  concat(K_1, K_2) * x + concat(b_1, b_2)

where * is the convolution and all that is concatenated stands on the axis of the output channels.
It applies to neighbouring bottoms of a Concat on channels where

1. each is a convolution of the same value, in one group;
2. their kernels, strides, paddings and dilations are equal, so that it is never more work;
3. nobody but the Concat reads them, in the phase or outside of it, and no other layer uses their
   weights;
4. nobody writes over the memory of the value before all of them have read it.

The first of them in the file survives. Where one bottom is left the Concat goes, and its top's
name lives on; else the merged convolution keeps its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnfold.aliases import Vector
from bnfold.fold.branches.branch import Branch, families, obstacle
from bnfold.fold.branches.bundle import Bundle, singles
from bnfold.fold.branches.kernels import Stacked
from bnfold.fold.branches.merge import Branches, drop, forget_kept, note
from bnfold.fold.plan import Code, Reason
from bnfold.fold.rewrite import Context, OptionalRewrite
from bnfold.fold.weights import Dense, Scaled
from bnfold.graph import Layer, Passes, infer_shapes
from bnfold.graph.axes import is_channels

_PARAM = "convolution_param"


class MergeConcatBranches(OptionalRewrite):
    """Merge the convolutions that every Concat on channels joins."""

    help = "Make parallel convolutions that a Concat joins one, too; the names of their blobs go."
    on = False
    entry = Branches

    def run(self, context: Context) -> bool:
        """Apply the rewrite to all Concat layers, in file order."""
        forget_kept(context, "Concat")
        changed = False
        for layer in list(context.net.layers):
            if (
                layer.kind.passes is Passes.JOINED
                and len(layer.tops) == 1
                and len(layer.bottoms) > 1
            ):
                changed |= self._merge(context, layer)
        return changed

    def _merge(self, context: Context, joint: Layer) -> bool:
        found: list[list[Bundle]] = []
        for family in families(context, joint):
            if sum(branch.convolution is not None for branch in family) < 2:
                continue
            refusal = _check(context, joint, family)
            if refusal is not None:
                note(context, joint, family, reason=refusal)
            else:
                found += self._rows(context, joint, family)
        gone = [branch for row in found for branch in _apply(context, joint, row)]
        if found:
            drop(context, joint, gone)
            context.shapes = infer_shapes(context.net)
        return bool(found)

    def _rows(self, context: Context, joint: Layer, family: Sequence[Branch]) -> list[list[Bundle]]:
        """Neighbours that fit, in rows of at least two; notes why the others stay."""
        why = {branch: _unfit(joint, branch) for branch in family}
        rows: list[list[Bundle]] = []
        for single in singles(context, [b for b, reason in why.items() if reason is None]):
            if not isinstance(single, Bundle):
                why[single[0]] = single[1]
                continue
            refusal = _apart(rows[-1][-1], single) if rows else None
            why[single.members[0]] = refusal
            if rows and refusal is None:
                rows[-1].append(single)
            else:
                rows.append([single])
        merged = [row for row in rows if len(row) > 1]
        inside = {bundle.members[0] for row in merged for bundle in row}
        for branch, reason in why.items():
            if reason is not None and branch not in inside:
                note(context, joint, [branch], reason=reason)
        return merged


def _check(context: Context, joint: Layer, family: Sequence[Branch]) -> Reason | None:
    """Why none of the branches can be merged, whatever they are, if so."""
    param = joint.param("concat_param")
    axis = param.concat_dim if param.HasField("concat_dim") else param.axis
    shape = context.shapes.get(joint.tops[0])
    if not is_channels(axis, None if shape is None else len(shape)):
        return Reason(Code.NOT_PER_CHANNEL, f"{joint} does not join channels (axis 1)")
    return obstacle(context, joint, family)


def _unfit(joint: Layer, branch: Branch) -> Reason | None:
    """Why a branch cannot be merged with any other, if so."""
    if branch.refusal is not None:
        return branch.refusal
    if branch.convolution is None:
        return Reason(Code.NO_HOST, f"{branch.title} is no convolution")
    if branch.convolution.groups != 1 or branch.convolution.layer.kind.is_depthwise:
        return Reason(Code.MORE_WORK, f"{branch.title} has groups, which would fall apart")
    if joint.bottoms.count(branch.value) > 1:
        return Reason(Code.OTHER_READER, f"{joint} reads '{branch.value.name}' twice")
    return None


def _apart(one: Bundle, other: Bundle) -> Reason | None:
    """Why two convolutions cannot be one, if so."""
    (mine,), (its,) = one.members, other.members
    if its.index != mine.index + 1:
        why = f"{mine.title} and {its.title} are no neighbours among the bottoms"
        return Reason(Code.OTHER_READER, why)
    if one.windows != other.windows:
        why = f"{its.title} has another kernel, stride, pad or dilation than {mine.title}"
        return Reason(Code.DIFFERENT_WINDOWS, why)
    return None


def _apply(context: Context, joint: Layer, row: Sequence[Bundle]) -> list[Branch]:
    """Make a row of convolutions one; gives the branches that are to go."""
    branches = [bundle.members[0] for bundle in row]
    survivor = min(branches, key=lambda branch: branch.layers[0].index)
    convolutions = [branch.convolution for branch in branches if branch.convolution is not None]
    layer = survivor.layers[0]
    assert survivor.convolution is not None
    biased = any(each.is_biased for each in convolutions)
    gains = biased and not survivor.convolution.is_biased
    outputs = sum(each.outputs for each in convolutions)
    if context.has_weights:
        lazy = [each.lazy() for each in convolutions]
        own = survivor.convolution.lazy()
        what = str(layer)
        weight = Scaled(Stacked([one for one, _ in lazy], what), (), own[0].dtype, what)

        def bias() -> Vector:
            return np.concatenate([shift.values for _, shift in lazy])

        shift = Dense(outputs, bias, own[1].dtype, f"bias of {what}")
        layer.give(*([weight, shift] if biased else [weight]))
    layer.set(_PARAM, "num_output", outputs)
    if gains:
        layer.set(_PARAM, "bias_term", True)
    note(context, joint, branches, layer.name, row[0].windows.kernel, gains)
    return [branch for branch in branches if branch is not survivor]
