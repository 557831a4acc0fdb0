"""Branches of one value that fit into one convolution: which do, and the convolution they make.

Widest first, a branch joins the first bundle that it fits in; what fits nowhere begins its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import gcd, prod

import numpy as np

from bnfold.aliases import Vector
from bnfold.fold.branches.branch import Branch
from bnfold.fold.branches.kernels import Grid, KernelPart, Part, ScalePart, Summed
from bnfold.fold.branches.placing import joined, place, point
from bnfold.fold.branches.windowing import set_windows
from bnfold.fold.plan import Code, Reason
from bnfold.fold.rewrite import Context
from bnfold.fold.weighted import WeightedLayer
from bnfold.fold.weights import Dense, Scaled
from bnfold.graph import Layer, Value
from bnfold.graph.windows import Windows, convolution_windows, spatial_axes

_PARAM = "convolution_param"
_ONE, _ZERO = np.ones(1), np.zeros(1)


@dataclass(frozen=True, eq=False)
class Bundle:
    """Branches that one convolution can compute.

    Attributes:
        branches: the branches, with the window of each; widest first, and convolutions before
            all others.
        windows: a window that holds theirs.
        inputs, outputs: how many channels they read and make.
        groups: into how many groups the channels can be parted; as many as there are, where each
            output depends on its own channel only.
        work: how many multiplications they take as one convolution, for each place of the output.
    """

    branches: tuple[tuple[Branch, Windows], ...]
    windows: Windows
    inputs: int
    outputs: int
    groups: int
    work: int

    @property
    def members(self) -> list[Branch]:
        """The branches alone."""
        return [branch for branch, _ in self.branches]

    @property
    def survivor(self) -> Branch:
        """The branch whose convolution stays: the first whose type can have so many groups."""
        return next(branch for branch, _ in self.branches if self._can_stay(branch.convolution))

    def _can_stay(self, convolution: WeightedLayer | None) -> bool:
        if convolution is None:
            return False
        return not convolution.layer.kind.is_depthwise or convolution.groups == self.groups

    def joined(self, other: Bundle) -> Bundle | Reason:
        """Return both as one, or why that cannot be."""
        mine, its = self.branches[0][0].title, other.branches[0][0].title
        if (self.inputs, self.outputs) != (other.inputs, other.outputs):
            why = (
                f"{its} turns {other.inputs} channels into {other.outputs}, {mine} {self.inputs} "
                f"into {self.outputs}"
            )
            return Reason(Code.DIFFERENT_WINDOWS, why)
        windows = joined(self.windows, other.windows)
        if isinstance(windows, str):
            why = f"{its} does not look at the same places as {mine}: {windows}"
            return Reason(Code.DIFFERENT_WINDOWS, why)
        groups = gcd(self.groups, other.groups)
        work = self.outputs * (self.inputs // groups) * prod(windows.kernel)
        apart = self.work + other.work
        if work > apart:
            why = (
                f"{its} and {mine} take {apart:,} multiplications for each place of the output, "
                f"and as one convolution they would take {work:,}"
            )
            return Reason(Code.MORE_WORK, why)
        branches = (*self.branches, *other.branches)
        both = Bundle(branches, windows, self.inputs, self.outputs, groups, work)
        if not any(both._can_stay(branch.convolution) for branch, _ in both.branches):
            why = f"neither {its} nor {mine} is of a type that can have {groups} groups"
            return Reason(Code.MORE_WORK, why)
        return both

    def apply(self, context: Context, coefficients: Sequence[float]) -> bool:
        """Make the surviving convolution all of the branches; the others are left to the caller.

        Args:
            context: the network and how it is read.
            coefficients: what it multiplies each of its bottoms by.

        Returns:
            Whether the convolution gains a bias.

        Raises:
            BnfoldError: stored blobs do not fit the prototxt, or hold a NaN or an infinity.
        """
        survivor = self.survivor
        convolution = survivor.convolution
        assert convolution is not None
        gains = not convolution.is_biased and any(_has_shift(branch) for branch in self.members)
        if context.has_weights:
            biased = gains or convolution.is_biased
            convolution.layer.give(*self._blobs(convolution, coefficients, biased=biased))
        own = next(windows for branch, windows in self.branches if branch is survivor)
        set_windows(convolution.layer, own, self.windows)
        if self.groups != convolution.groups:
            convolution.layer.set(_PARAM, "group", self.groups)
        if gains:
            convolution.layer.set(_PARAM, "bias_term", True)
        return gains

    def _blobs(
        self, survivor: WeightedLayer, coefficients: Sequence[float], *, biased: bool
    ) -> tuple[Scaled, Dense] | tuple[Scaled]:
        """The weight and the bias of the convolution, computed when they are written."""
        parts: list[Part] = []
        shifts: list[tuple[float, Dense]] = []
        for branch, windows in self.branches:
            start, factor = place(self.windows, windows), coefficients[branch.index]
            if branch.convolution is not None:
                weight, shift = branch.convolution.lazy()
                parts.append(KernelPart(weight, branch.convolution.groups, start, factor))
            else:
                scale, values = _numbers(branch, self.outputs)
                parts.append(ScalePart(factor * scale, start))
                shift = Dense.of(values, np.dtype(np.float64), branch.name)
            shifts.append((factor, shift))
        stored = survivor.lazy()
        grid = Grid(self.outputs, self.inputs, self.groups, self.windows.kernel)
        what = str(survivor.layer)
        weight = Scaled(Summed(grid, parts, what), (), stored[0].dtype, what)
        if not biased:
            return (weight,)

        def bias() -> Vector:
            total: Vector = np.zeros(self.outputs)
            for factor, shift in shifts:
                total = total + factor * shift.values
            return total

        return weight, Dense(self.outputs, bias, stored[1].dtype, f"bias of {what}")


def bundles(
    context: Context, family: Sequence[Branch]
) -> tuple[list[Bundle], list[tuple[Branch, Reason]]]:
    """Sort the branches of one value into bundles of at least two.

    Args:
        context: the network and how it is read.
        family: the branches.

    Returns:
        The bundles, and the branches that are in none, where there is something that says why.

    Raises:
        BnfoldError: stored blobs do not fit the prototxt.
    """
    why = {b: reason for b in family if (reason := _refusal(context, b, family[0])) is not None}
    able = [branch for branch in family if branch not in why]
    if all(branch.convolution is None for branch in able):
        return [], list(why.items())
    alone: list[Bundle] = []
    for single in singles(context, able):
        if isinstance(single, Bundle):
            alone.append(single)
        else:
            why[single[0]] = single[1]
    found: list[Bundle] = []
    for single in sorted(alone, key=_width):
        (branch,) = single.members
        for at, bundle in enumerate(found):
            both = bundle.joined(single)
            if isinstance(both, Bundle):
                found[at] = both
                break
            why.setdefault(branch, both)
        else:
            if branch.convolution is not None:
                found.append(single)
    merged = [bundle for bundle in found if len(bundle.branches) > 1]
    inside = {branch for bundle in merged for branch in bundle.members}
    return merged, [(b, why[b]) for b in family if b in why and b not in inside]


def _width(single: Bundle) -> tuple[bool, int, int]:
    """Convolutions first, the largest kernel first, else in the order of the file."""
    (branch,) = single.members
    index = branch.layers[0].index if branch.layers else -1
    return branch.convolution is None, -prod(single.windows.kernel), index


def singles(context: Context, family: Sequence[Branch]) -> Iterator[Bundle | tuple[Branch, Reason]]:
    """Give each branch as a bundle of its own, or why it can be in none.

    Args:
        context: the network and how it is read.
        family: branches of one value, with a convolution among them.

    Raises:
        BnfoldError: stored blobs do not fit the prototxt.
    """
    convolutions = [branch.convolution for branch in family if branch.convolution is not None]
    axes = next(filter(None, (_axes(context, each.layer) for each in convolutions)), 2)
    for branch in family:
        convolution, windows = branch.convolution, point(axes)
        inputs = _inputs(context, branch.source, convolution or convolutions[0])
        if inputs is None:
            why = f"how many channels '{branch.source.name}' has cannot be told"
            yield branch, Reason(Code.UNKNOWN_SHAPE, why)
            continue
        outputs, groups, work = inputs, inputs, inputs * (branch.chain is not None)
        if convolution is not None:
            own = convolution_windows(convolution.layer, axes)
            if own is None:
                what = "the kernel, stride, pad or dilation of"
                why = f"{what} {convolution.layer} cannot be read"
                yield branch, Reason(Code.DIFFERENT_WINDOWS, why)
                continue
            if context.has_weights and convolution.lazy()[0].shape[2:] != own.kernel:
                what = f"the weight of {convolution.layer}"
                why = f"{what} is not for the {axes} axes of what it reads"
                yield branch, Reason(Code.UNKNOWN_SHAPE, why)
                continue
            windows, outputs, groups = own, convolution.outputs, convolution.groups
            work = outputs * (inputs // groups) * prod(windows.kernel)
        yield Bundle(((branch, windows),), windows, inputs, outputs, groups, work)


def _axes(context: Context, layer: Layer) -> int | None:
    return spatial_axes(layer, context.shapes.get(layer.bottoms[0]))


def _refusal(context: Context, branch: Branch, first: Branch) -> Reason | None:
    """Why a branch can be in no bundle, if so: in itself, or as it is not of the first one's size.

    Forks let an Eltwise spread what is smaller, and only there can sizes differ.
    """
    if branch.refusal is not None:
        return branch.refusal
    mine, its = context.shapes.get(branch.value), context.shapes.get(first.value)
    if mine is None or its is None:
        return None
    pairs = zip(mine, its, strict=False)
    if len(mine) == len(its) and all(a == b or None in (a, b) for a, b in pairs):
        return None
    why = f"{branch.title} and {first.title} are not of one size"
    return Reason(Code.DIFFERENT_WINDOWS, why)


def _inputs(context: Context, source: Value, convolution: WeightedLayer) -> int | None:
    """How many channels the source has: by a weight that reads it, or by its shape."""
    if context.has_weights:
        return convolution.inputs
    shape = context.shapes.get(source)
    return shape[1] if shape is not None and len(shape) > 1 else None


def _has_shift(branch: Branch) -> bool:
    """Whether it adds something constant, or may do so where there are no weights to tell."""
    if branch.convolution is not None:
        return branch.convolution.is_biased
    return branch.chain is not None and not branch.chain.affine.is_shiftless


def _numbers(branch: Branch, channels: int) -> tuple[Vector, Vector]:
    """Scale and shift of a branch without a convolution, shape (channels,)."""
    if branch.chain is None:
        return np.broadcast_to(_ONE, channels), np.broadcast_to(_ZERO, channels)
    affine = branch.chain.affine.over(channels)
    assert affine.scale is not None
    assert affine.shift is not None
    return affine.scale, affine.shift
