"""A report in lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bnfold.fold import Fate, MergeOptions, Plan
from bnfold.spelling import plural

if TYPE_CHECKING:
    from bnfold.merging.report import Counts, Onto, Report

_SHOWN = 5
"""How many names that are others in another file are shown; a JSON report has all."""


def rows(report: Report) -> list[str]:
    """A line for each affine layer, and for whatever else was done or was not."""
    return [entry.sentence() for entry in (*report.plan.outcomes, *report.plan.entries)]


def unportable(report: Report) -> list[str]:
    """A line for each thing that stock Caffe does not know of the new network."""
    return [
        f"not in stock Caffe: line {one.line} of the result: {one.sentence()}"
        for one in report.unportable or ()
    ]


def closing(report: Report) -> list[str]:
    """The closing lines: how much went where, sizes before and after, what was written."""
    plan, before, after = report.plan, report.before, report.after
    hosts = {name for outcome in plan.of(Fate.FOLDED) for name in outcome.into}
    counts = [(fate.verb, len(list(plan.of(fate)))) for fate in Fate]
    total = sum(count for _, count in counts)
    what = ", ".join(f"{verb} {count}" for verb, count in counts if count)
    affines = f"{plural(total, 'affine layer')}: {what or 'none'}"
    if hosts:
        affines += f", into {plural(len(hosts), 'layer')}"
    lines = [
        "; ".join([affines, *_summaries(plan, beside_affines=True)]),
        f"layers {before.layers} -> {after.layers}, affine {before.affine} -> {after.affine}",
    ]
    if before.parameters is not None and after.parameters is not None:
        lines[-1] += f", parameters {before.parameters:,} -> {after.parameters:,}"
    if before.weights_bytes is not None and after.weights_bytes is not None:
        lines[-1] += (
            f", weights {size_words(before.weights_bytes)} -> {size_words(after.weights_bytes)}"
        )
    lines += _summaries(plan, beside_affines=False)
    # A file that is given may be for another batch or size.
    if after.operations != before.operations and report.onto is None:
        lines.append(_savings(before, after))
    if report.onto is not None:
        lines += _onto(report.onto)
    lines += unportable(report)
    if report.unportable is not None and not report.unportable:
        lines.append("stock Caffe 1.0 knows every type, field and value of the result")
    if report.proof is not None and report.proof.proved:
        lines += report.proof.lines()
    if report.output_model is not None:
        lines.append(f"wrote {report.output_model} and {report.output_weights}")
    elif report.onto is not None and report.output_weights is not None:
        lines.append(f"wrote {report.output_weights} for {report.onto.model}")
    return lines


def _onto(onto: Onto) -> list[str]:
    """What the file that the weights are for calls otherwise, and what it has not."""
    renamed, lines = onto.renamed, []
    if renamed:
        shown = [f"{old} -> {new}" for old, new in renamed[:_SHOWN]]
        more = ["..."] if len(renamed) > _SHOWN else []
        what = f"{plural(len(renamed), 'name')} as in {onto.model}"
        lines.append(f"{what}: {', '.join([*shown, *more])}")
    if onto.left_out:
        lines.append(f"left out, since they are not in {onto.model}: {', '.join(onto.left_out)}")
    return lines


def _summaries(plan: Plan, *, beside_affines: bool) -> list[str]:
    """What came of each rewrite, where something did."""
    kinds = [kind for kind in MergeOptions.entries() if kind.beside_affines == beside_affines]
    return list(filter(None, (kind.summary(plan.of_type(kind)) for kind in kinds)))


def _savings(before: Counts, after: Counts) -> str:
    work, traffic = before.operations - after.operations, before.traffic - after.traffic
    if work < 0 or traffic < 0:
        line = (
            f"each forward pass takes {_scaled(after.operations)} floating-point operations and "
            f"{size_words(after.traffic)} of memory traffic, not {_scaled(before.operations)} and "
            f"{size_words(before.traffic)} as before"
        )
    else:
        line = (
            f"each forward pass saves {_scaled(work)} of {_scaled(before.operations)} "
            f"floating-point operations and {size_words(traffic)} of {size_words(before.traffic)} "
            "of memory traffic"
        )
    if before.uncounted:
        line += f" ({plural(before.uncounted, 'layer')} of unknown cost not counted)"
    return line


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
