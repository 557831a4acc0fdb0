"""A report in lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bnfold.fold import Branches, DeadChannels, Fate, Outcome, Reason

if TYPE_CHECKING:
    from bnfold.report.report import Counts, Report

VERBS = {
    Fate.FOLDED: "folded",
    Fate.MERGED: "merged",
    Fate.SCALE: "became one Scale",
    Fate.DROPPED: "dropped",
    Fate.KEPT: "kept",
}
"""What becomes of a layer, as a verb."""


def rows(report: Report) -> list[str]:
    """A line for each layer, engine, set of branches and layer with dead channels."""
    lines = [
        f"{outcome.fate.value} {outcome.layer} ({outcome.type}){what_became(outcome)}"
        for outcome in report.plan.outcomes
    ]
    for change in report.plan.engines:
        was = f" instead of {change.replaced}" if change.replaced else ""
        lines.append(f"engine {change.layer}: CAFFE{was}")
    for found in report.plan.branches:
        where = f"branches at {found.layer} ({found.type})"
        lines.append(f"{found.fate.value} {where}{of_branches(found)}")
    for dead in report.plan.dead:
        word = "kept dead channels of" if dead.reason else "removed dead channels of"
        lines.append(f"{word} {dead.layer} ({dead.type}): {of_channels(dead)}")
    return lines


def closing(report: Report) -> list[str]:
    """The closing lines: how much went where, sizes before and after, what was written."""
    plan, before, after = report.plan, report.before, report.after
    hosts = {name for outcome in plan.of(Fate.FOLDED) for name in outcome.into}
    counts = [(VERBS[fate], len(list(plan.of(fate)))) for fate in Fate]
    total = sum(count for _, count in counts)
    what = ", ".join(f"{verb} {count}" for verb, count in counts if count)
    gone = sum(len(dead.channels) for dead in plan.dead if dead.reason is None)
    lines = [
        f"{plural(total, 'affine layer')}: {what or 'none'}"
        + (f", into {plural(len(hosts), 'layer')}" if hosts else "")
        + f"; engine CAFFE set on {plural(len(plan.engines), 'convolution')}",
        f"layers {before.layers} -> {after.layers}, affine {before.affine} -> {after.affine}",
    ]
    if before.parameters is not None and after.parameters is not None:
        lines[-1] += f", parameters {before.parameters:,} -> {after.parameters:,}"
    if before.weights_bytes is not None and after.weights_bytes is not None:
        lines[-1] += (
            f", weights {size_words(before.weights_bytes)} -> {size_words(after.weights_bytes)}"
        )
    merged = [found for found in plan.branches if found.into]
    if merged:
        count = sum(len(found.branches) for found in merged)
        into = plural(len({found.into for found in merged}), "convolution")
        lines.append(f"{count} parallel branches merged into {into}")
    if gone:
        lines.append(f"{plural(gone, 'constant channel')} removed")
    if after.operations != before.operations:
        lines.append(_savings(before, after))
    if report.output_model is not None:
        lines.append(f"wrote {report.output_model} and {report.output_weights}")
    return lines


def what_became(outcome: Outcome) -> str:
    """Where a layer went, or why it stays, as the rest of its line."""
    parts = []
    if outcome.into:
        parts.append(f" into {', '.join(outcome.into)}")
    if outcome.through:
        parts.append(f" through {', '.join(outcome.through)}")
    if outcome.gains_bias:
        parts.append(f", with a new bias in {', '.join(outcome.gains_bias)}")
    parts.append(_why(outcome.reason))
    return "".join(parts)


def of_branches(found: Branches) -> str:
    """What became of parallel branches, or why they stay, as the rest of their line."""
    names = ", ".join(found.branches)
    if found.reason:
        return f" from {names}{_why(found.reason)}"
    kernel = "x".join(map(str, found.kernel))
    gains = ", with a new bias" if found.gains_bias else ""
    return f" from {names} into {found.into}, a {kernel} convolution{gains}"


def of_channels(dead: DeadChannels) -> str:
    """How many constant channels a layer has, and why they stay, or what took what they gave."""
    line = f"{len(dead.channels)} of {dead.total}"
    if dead.into:
        line += f", what they gave into {', '.join(dead.into)}"
    return line + _why(dead.reason)


def _why(reason: Reason | None) -> str:
    if reason is None:
        return ""
    hint = f" ({reason.hint})" if reason.hint else ""
    return f": {reason.text} [{reason.code.value}]{hint}"


def _savings(before: Counts, after: Counts) -> str:
    work, traffic = before.operations - after.operations, before.traffic - after.traffic
    line = (
        f"each forward pass saves {_scaled(work)} of {_scaled(before.operations)} floating-point "
        f"operations and {size_words(traffic)} of {size_words(before.traffic)} of memory traffic"
    )
    if before.uncounted:
        line += f" ({plural(before.uncounted, 'layer')} of unknown cost not counted)"
    return line


def plural(count: int, noun: str) -> str:
    """A count of things: "1 layer", "2 layers"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def size_words(size: int) -> str:
    """A size in bytes for people, in decimal units."""
    return f"{size} bytes" if size < 1000 else f"{_scaled(size)}B"


def _scaled(count: int) -> str:
    """A large number in thousands, millions or (American) billions."""
    value = float(count)
    for unit in ("", "k", "M"):
        if abs(value) < 1000:
            return f"{value:.0f}" if not unit else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.2f} G"
