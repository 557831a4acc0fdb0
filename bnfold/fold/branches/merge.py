"""Rewrite: parallel branches of one value that are added up become one convolution.

    c_1 (K_1 * x + b_1) + c_2 (K_2 * x + b_2) + c_3 (s x + t) + c_4 x
        =  (c_1 K_1 + c_2 K_2 + c_3 diag(s) + c_4 I) * x  +  (c_1 b_1 + c_2 b_2 + c_3 t)

where * is the convolution and kernels are added where their taps read the same places
(placing.py, kernels.py). It applies to inputs of an Eltwise SUM, some or all, where

1. each is a convolution of the same value, affine layers of it that stand, or the value itself,
   and one at least is a convolution;
2. nobody but the Eltwise reads them, in the phase or outside of it, and no other layer uses the
   weights of their convolutions;
3. their strides are equal, and so are their dilations along every axis where both kernels are
   larger than 1; their paddings differ by whole taps, and their outputs are of one size;
4. nobody writes over the memory of the value before all of them have read it;
5. the value has as many channels as the outputs, where it is itself an input or only scaled;
6. the merged convolution needs no more multiplications than they do together. (That is asked
   where groups differ, since the merged convolution has no more groups than any of them can be
   parted into, and where neither kernel covers the other.)

The convolution with the largest kernel survives, the first of them in the file. Where one input
is left the Eltwise goes, and its top's name lives on.

Source: Ding et al., "RepVGG: Making VGG-style ConvNets Great Again" (arXiv 2101.03697), for 3x3,
1x1 and identity; "ACNet" (arXiv 1908.03930) for kernels that are not square. BVLC caffe,
src/caffe/layers/eltwise_layer.cpp, for the coefficients.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from bnfold.fold.branches.branch import Branch, families, obstacle
from bnfold.fold.branches.bundle import Bundle, bundles
from bnfold.fold.plan import Code, Entry, Fate, Outcome, Reason, reason_json
from bnfold.fold.rewrite import Context, OptionalRewrite
from bnfold.graph import Layer, Passes
from bnfold.prototxt import PrototxtError
from bnfold.spelling import plural

_PROD, _SUM = 0, 1
_PARAM = "eltwise_param"


@dataclass(frozen=True)
class Branches(Entry):
    """Parallel branches of one value that became one convolution, or one that did not.

    Attributes:
        layer, type, line: the Eltwise or Concat that joins them, and where it stands.
        source: the value that they read.
        branches: the layers they end in, in the order of the bottoms; the name of the value
            itself where it is a bottom.
        into: the convolution they became; "" where they stay.
        kernel: its kernel, one length for each axis.
        gains_bias: whether it got a bias it did not have.
        reason: why they stay, if they do.
    """

    key = "branches"
    layer: str
    type: str
    line: int
    source: str
    branches: tuple[str, ...]
    into: str = ""
    kernel: tuple[int, ...] = ()
    gains_bias: bool = False
    reason: Reason | None = None

    @property
    def fate(self) -> Fate:
        """Whether they were merged or kept."""
        return Fate.MERGED if self.into else Fate.KEPT

    @property
    def done(self) -> bool:
        """Whether they were merged."""
        return bool(self.into)

    def what(self) -> tuple[str, str]:
        """What became of them, or why they stay."""
        verb, names = f"branches {self.fate.verb}", ", ".join(self.branches)
        if self.reason:
            return verb, f" from {names}: {self.reason}"
        kernel = "x".join(map(str, self.kernel))
        gains = ", with a new bias" if self.gains_bias else ""
        return verb, f" from {names} into {self.into}, a {kernel} convolution{gains}"

    def sentence(self) -> str:
        """The same, with the layer that joins them."""
        return f"{self.fate.value} branches at {self.layer} ({self.type}){self.what()[1]}"

    def to_json(self) -> dict[str, Any]:
        """The object in the list `branches`."""
        return {
            "layer": self.layer,
            "type": self.type,
            "line": self.line,
            "source": self.source,
            "branches": list(self.branches),
            "fate": self.fate.value,
            "into": self.into or None,
            "kernel": list(self.kernel),
            "gains_bias": self.gains_bias,
            **reason_json(self.reason),
        }

    @classmethod
    def summary(cls, entries: Sequence[Branches]) -> str:
        """How many branches were merged."""
        merged = [found for found in entries if found.into]
        count = sum(len(found.branches) for found in merged)
        into = plural(len({found.into for found in merged}), "convolution")
        return f"{count} parallel branches merged into {into}" if merged else ""

    def alters(self, standing: Collection[str]) -> Collection[str]:
        """The convolution, where what joins them still stands, so that it holds but a part."""
        return {self.into} if self.into and self.layer in standing else ()


class MergeBranches(OptionalRewrite):
    """Merge the branches of every Eltwise that adds some."""

    help = "Make parallel convolutions of one blob that an Eltwise adds up one."
    on = True
    entry = Branches

    def run(self, context: Context) -> bool:
        """Apply the rewrite to all Eltwise layers, in file order."""
        forget_kept(context, "Eltwise")
        changed = False
        for layer in list(context.net.layers):
            if layer.kind.passes is Passes.COMBINED and len(layer.tops) == 1:
                changed |= self._merge(context, layer)
        return changed

    def _merge(self, context: Context, joint: Layer) -> bool:
        done: list[Bundle] = []
        for family in families(context, joint):
            refusal = self._check(context, joint, family)
            if refusal is None:
                merged, kept = bundles(context, family)
                done += merged
                for branch, reason in kept:
                    note(context, joint, [branch], reason=reason)
            elif _is_asked_about(joint, family):
                note(context, joint, family, reason=refusal)
        if not done:
            return False
        coefficients = _coefficients(joint)
        for bundle in done:
            note_merged(context, joint, bundle, bundle.apply(context, coefficients))
        _rewire(context, joint, done)
        return True

    def _check(self, context: Context, joint: Layer, family: Sequence[Branch]) -> Reason | None:
        """Why none of the branches can be merged, whatever they are, if so."""
        operation = _operation(joint)
        if operation is None:
            return Reason(Code.NOT_LINEAR, f"{joint} has an operation that Caffe does not have")
        if operation != _SUM:
            what = "multiplies" if operation == _PROD else "takes the largest of"
            return Reason(Code.NOT_LINEAR, f"{joint} {what} its bottoms, and only a sum is linear")
        count = len(_coefficients(joint))
        if count != len(joint.bottoms):
            why = f"{joint} has {count} coefficients for {len(joint.bottoms)} bottoms"
            return Reason(Code.NOT_LINEAR, why, "give one for each bottom")
        if joint.tops[0].name in [bottom.name for bottom in joint.bottoms]:
            why = f"{joint} writes its top over one of its bottoms, which Caffe clears first"
            return Reason(Code.NAME_TAKEN, why, "give its top a name of its own")
        return obstacle(context, joint, family)


def _coefficients(joint: Layer) -> list[float]:
    """What an Eltwise multiplies its bottoms by."""
    return list(joint.param(_PARAM).coeff) or [1.0] * len(joint.bottoms)


def _is_asked_about(joint: Layer, family: Sequence[Branch]) -> bool:
    """Whether someone may ask why these stay: not so of gates, as in x * sigmoid(conv(x))."""
    mergeable = sum(branch.refusal is None for branch in family)
    return mergeable > 1 or _operation(joint) == _SUM


def _operation(joint: Layer) -> int | None:
    """What an Eltwise does with its bottoms; None for what only a fork has."""
    try:
        return int(joint.param(_PARAM).operation)
    except PrototxtError:
        return None


def _rewire(context: Context, joint: Layer, done: list[Bundle]) -> None:
    """Leave one bottom for each bundle, with coefficient 1; without others the Eltwise goes."""
    survivors = [bundle.survivor for bundle in done]
    gone = [b for bundle in done for b in bundle.members if b not in survivors]
    if joint.param(_PARAM).coeff:
        coefficients = _coefficients(joint)
        for branch in survivors:
            coefficients[branch.index] = 1.0
        dropped = {branch.index for branch in gone}
        left = tuple(each for i, each in enumerate(coefficients) if i not in dropped)
        joint.set(_PARAM, "coeff", left)
    drop(context, joint, gone)


def drop(context: Context, joint: Layer, gone: Sequence[Branch]) -> None:
    """Take branches from a joint, with their layers; a joint that is left with one bottom goes."""
    context.net.disconnect(joint, {branch.index for branch in gone})
    # It has one for each bottom, and matters in training only.
    joint.clear("propagate_down")
    for branch in gone:
        # A branch that stands twice goes once, and one that stays elsewhere does not.
        if branch.layers and not branch.value.readers and not branch.layers[-1].removed:
            context.net.remove_unread(branch.layers)
            for layer in branch.layers:
                context.chains.pop(layer, None)
    if len(joint.bottoms) == 1:
        context.net.remove_into_producer(joint)


def forget_kept(context: Context, kind: str) -> None:
    """Forget what was said of branches that stayed, since they are looked at again."""
    plan = context.plan
    plan.entries = [
        found
        for found in plan.entries
        if not isinstance(found, Branches) or found.into or found.type != kind
    ]


def note_merged(context: Context, joint: Layer, bundle: Bundle, gains_bias: bool) -> None:
    """Note what became of the branches of a bundle, and of the affine layers among them."""
    into = bundle.survivor.name
    gains = (into,) if gains_bias else ()
    affine = [layer for b in bundle.members if b.chain is not None for layer in b.chain.layers]
    for layer in dict.fromkeys(affine):
        outcome = Outcome(
            layer.name, layer.written_type, layer.line, Fate.FOLDED, (into,), (), gains
        )
        context.plan.outcomes.append(outcome)
    note(context, joint, bundle.members, into, bundle.windows.kernel, gains_bias)


def note(
    context: Context,
    joint: Layer,
    branches: Sequence[Branch],
    into: str = "",
    kernel: tuple[int, ...] = (),
    gains_bias: bool = False,
    reason: Reason | None = None,
) -> None:
    """Note that branches were merged into a convolution, or why they stay."""
    names = tuple(branch.name for branch in sorted(branches, key=lambda branch: branch.index))
    source = branches[0].source.name
    context.plan.entries.append(
        Branches(
            joint.name,
            joint.written_type,
            joint.line,
            source,
            names,
            into,
            kernel,
            gains_bias,
            reason,
        )
    )
