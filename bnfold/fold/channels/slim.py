"""Network slimming: take out channels whose batch norm barely lets anything through.

A channel is taken for the constant that it is with its gamma at zero and its beta kept, behind its
activation; what it gave to each reader goes into the reader's batch norm's mean, else into its
bias. The smaller network computes what the network computes whose gammas are set to zero: exactly
where no padding is met, and up to a known amount at borders. Refused with a reason is what
flow.py and refusals.py refuse, and what the user excludes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import numpy as np

from bnfold.aliases import Vector
from bnfold.errors import BnfoldError
from bnfold.fold.channels import ranking
from bnfold.fold.channels.constants import propagate
from bnfold.fold.channels.cut import cut
from bnfold.fold.channels.flow import Flow, Role, trace
from bnfold.fold.channels.gammas import Gamma, gammas, mean_takes
from bnfold.fold.channels.refusals import Refusal, refusals
from bnfold.fold.patterns import check_patterns
from bnfold.fold.plan import Code, Reason
from bnfold.fold.rewrite import Context
from bnfold.graph import Layer
from bnfold.spelling import did_you_mean


@dataclass(frozen=True)
class Slimming:
    """What to take out: one of the first three.

    Attributes:
        ratio: this share of the channels that can go, between 0 and 1.
        threshold: channels whose |gamma| is at most this.
        channels: these channels, by the name of a layer that makes or hands them on.
        round_to: layers keep a multiple of so many channels, or all.
        min_channels: layers keep at least so many.
        exclude: layers, by name or glob, whose channels stay.
    """

    ratio: float | None = None
    threshold: float | None = None
    channels: Mapping[str, Sequence[int]] | None = None
    round_to: int = 1
    min_channels: int = 1
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if sum(given is not None for given in (self.ratio, self.threshold, self.channels)) != 1:
            raise BnfoldError("what to remove: give one of ratio, threshold and channels")
        if self.ratio is not None and not 0 <= self.ratio < 1:
            raise BnfoldError(f"ratio {self.ratio}: must be at least 0 and below 1")
        if self.threshold is not None and not self.threshold >= 0:
            raise BnfoldError(f"threshold {self.threshold}: must be a number that is not negative")
        for name, count in (("round", self.round_to), ("min-channels", self.min_channels)):
            if count < 1:
                raise BnfoldError(f"{name} {count}: must be at least 1")


@dataclass(frozen=True)
class Border:
    """A layer that pads, and that read a removed channel which is not zero.

    Attributes:
        layer, line: the layer.
        bound: by how much its outputs may differ where its window meets the padding (or where what
            it reads is off), for the same input; elsewhere they are the same.
    """

    layer: str
    line: int
    bound: float


@dataclass(frozen=True)
class Stays:
    """Channels that have a gamma and could not go.

    Attributes:
        layer, line: the layer that makes them.
        count: how many they are.
        reason: why.
    """

    layer: str
    line: int
    count: int
    reason: Reason


@dataclass
class Slimmed:
    """What was taken out.

    Attributes:
        removed: the channels of each layer, by the layer, as the input counts them.
        absorbed: for each layer that read constants, the layer whose mean or bias took what they
            gave.
        borders: where the result is not exact.
        stays: what could not go, and why.
        highest: the largest |gamma| that was removed; None if nothing was.
    """

    removed: dict[Layer, tuple[int, ...]] = field(default_factory=dict)
    absorbed: dict[str, str] = field(default_factory=dict)
    borders: list[Border] = field(default_factory=list)
    stays: list[Stays] = field(default_factory=list)
    highest: float | None = None


def slim(context: Context, wish: Slimming) -> Slimmed:
    """Take channels out of a network in place.

    Raises:
        BnfoldError: a channel that was asked for by name cannot go, or blobs do not fit.
        PrototxtError: a parameter has a bad value.
    """
    check_patterns("--exclude", wish.exclude, (layer.name for layer in context.net.layers))
    flow = trace(context)
    found = gammas(context, flow)
    flow.match(ranking.best(flow, found))
    starts = {layer: gamma.beta for layer, gamma in found.items()}
    constants = propagate(context, flow, starts)
    reads = refusals(context, flow, constants, exact=False)
    reasons = flow.ties.reasons([*_excluded(flow, wish.exclude), *reads])
    ranked = ranking.rank(flow, found, reasons)
    if wish.channels is not None:
        chosen = _named(flow, wish.channels, ranked, reasons)
    else:
        some = (
            ranking.lowest_share(ranked, wish.ratio)
            if wish.ratio is not None
            else ranking.up_to(ranked, wish.threshold or 0.0)
        )
        chosen = ranking.keep_enough(flow, some, wish.min_channels, wish.round_to)
        if not chosen:
            context.plan.warnings.append(_nothing(flow, ranked, some, wish))
    removed = flow.ties.members(one.root for one in chosen)
    slimmed = Slimmed(highest=max((one.score for one in chosen), default=None))

    def absorb(layer: Layer, sums: Vector) -> bool:
        takes = mean_takes(context, flow, layer, sums)
        slimmed.absorbed[layer.name] = (takes or layer).name
        return takes is not None

    for layer, sums in cut(context, flow, constants, removed, absorb).items():
        bound = float(sums.off[~removed[flow.own[layer]]].max(initial=0.0))
        if bound > 0:
            slimmed.borders.append(Border(layer.name, layer.line, bound))
    for layer, own in flow.own.items():
        if removed[own].any():
            slimmed.removed[layer] = tuple(np.flatnonzero(removed[own]).tolist())
    slimmed.stays = list(_stays(flow, found, reasons))
    return slimmed


def _nothing(
    flow: Flow, ranked: list[ranking.Ranked], some: list[ranking.Ranked], wish: Slimming
) -> str:
    """Why no channel goes, and with which option one would."""
    if not ranked:
        return "no channel was removed: there is none with a gamma that could go"
    if not some and wish.ratio is not None:
        total, first = sum(one.count for one in ranked), ranked[0].count
        return (
            f"no channel was removed: --ratio {wish.ratio:g} of the {total} that can go is less "
            f"than the {first} that would go first; --ratio {_up(first / total)} would remove some"
        )
    if not some:
        lowest = _up(ranked[0].score)
        return (
            f"no channel was removed: none has a |gamma| of at most {wish.threshold:g}; "
            f"--threshold {lowest} would remove some"
        )
    count = sum(one.count for one in some)
    start = f"no channel was removed: {count} would go, but --round {wish.round_to} and "
    start += f"--min-channels {wish.min_channels} have their layers keep them"
    round_to = wish.round_to // 2
    while round_to >= 1:
        left = ranking.keep_enough(flow, some, wish.min_channels, round_to)
        if left:
            return f"{start}; --round {round_to} would remove {sum(one.count for one in left)}"
        round_to //= 2
    return f"{start}; lower --min-channels, or remove more"


def _up(number: float) -> str:
    """A number in three digits that is not below it."""
    rounded = float(f"{number:.3g}")
    return f"{rounded if rounded >= number else number * 1.005:.3g}"


def _excluded(flow: Flow, patterns: tuple[str, ...]) -> list[Refusal]:
    reason = Reason(Code.CHOSEN, "it stays as it is, as the user asked (--exclude)")
    found: list[Refusal] = []
    for layer, role in flow.roles.items():
        matching = any(fnmatchcase(layer.name, pattern) for pattern in patterns)
        lanes = flow.lanes.get(layer.tops[0]) if layer.tops else None
        if matching and lanes is not None and role is not Role.OPAQUE:
            found.append((lanes, reason))
    return found


def _named(
    flow: Flow,
    wanted: Mapping[str, Sequence[int]],
    ranked: list[ranking.Ranked],
    reasons: Mapping[int, Reason],
) -> list[ranking.Ranked]:
    """The sets of the channels that the user asked for.

    Raises:
        BnfoldError: there is no such layer or channel, it cannot go, or none would be left.
    """
    layers = {layer.name: layer for layer in flow.roles}
    sets = {one.root: one for one in ranked}
    chosen: dict[int, ranking.Ranked] = {}
    for name, indices in wanted.items():
        layer = layers.get(name)
        lanes = flow.lanes.get(layer.tops[0]) if layer and layer.tops else None
        if layer is None or lanes is None:
            what = "its channels are not known; check the name"
            if layer is None:
                what = f"no such layer in the network{did_you_mean(name, layers)}"
            raise BnfoldError(f"channels of '{name}': {what}")
        for index in indices:
            if not 0 <= index < lanes.size:
                raise BnfoldError(
                    f"channel {index} of '{name}': it has channels 0 to {lanes.size - 1}"
                )
            (root,) = flow.ties.roots(lanes[index : index + 1]).tolist()
            if root not in sets:
                why = reasons[root].text if root in reasons else "it has no batch norm with a scale"
                raise BnfoldError(f"channel {index} of '{name}' cannot be removed: {why}")
            chosen[root] = sets[root]
    removed = flow.ties.members(chosen)
    for layer, own in flow.own.items():
        if removed[own].all():
            raise BnfoldError(f"'{layer.name}': no channel would be left; keep at least one")
    return list(chosen.values())


def _stays(flow: Flow, found: Mapping[Layer, Gamma], reasons: Mapping[int, Reason]) -> list[Stays]:
    """The channels with a gamma that could not go, by the layer that makes them."""
    counts: dict[tuple[Layer, Reason], int] = {}
    seen = np.zeros(flow.ties.count, np.bool_)
    for layer in found:
        lanes = flow.read(layer)
        assert lanes is not None
        roots = flow.ties.roots(lanes)
        for channel, root in zip(lanes.tolist(), roots.tolist(), strict=True):
            maker = flow.maker(channel)
            if root in reasons and maker is not None and not seen[channel]:
                key = (maker, reasons[root])
                counts[key] = counts.get(key, 0) + 1
                seen[channel] = True
    return [Stays(maker.name, maker.line, n, why) for (maker, why), n in counts.items()]
