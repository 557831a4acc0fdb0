"""A report on accuracy in lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bnfold.checks.accuracy.report import AccuracyReport, Answer

_SHOWN = 20
"""How many images of another answer are named."""


def lines(report: AccuracyReport) -> list[str]:
    """The engine and the images, the answers that changed, and each kind of accuracy."""
    found = [f"engine {report.engine}", f"images {report.images} of {report.source}"]
    if report.bad:
        found[-1] += f", {len(report.bad)} unreadable ones passed over"
    for changed in report.changed[:_SHOWN]:
        label = "" if changed.label is None else f" (class {changed.label})"
        found.append(
            f"changed {changed.name}{label}: {_answer(changed.before)} -> {_answer(changed.after)}"
        )
    if len(report.changed) > _SHOWN:
        found.append(f"changed: {len(report.changed) - _SHOWN} more, all of them in the --json")
    found += metric_lines(report)
    same = report.images - len(report.changed)
    where = f" ({report.largest_at})" if report.largest_at else ""
    found.append(
        f"same answer on {same} of {report.images} images; largest difference of a score "
        f"{report.largest_difference:.3g}{where}"
    )
    share = report.engine_seconds / report.seconds if report.seconds else 1.0
    found.append(f"{report.seconds:.1f} s, {100 * share:.0f} % of them in the engine")
    return found


def metric_lines(report: AccuracyReport) -> list[str]:
    """A line for each kind of accuracy, before and after."""
    from bnfold.checks.accuracy.report import percent

    lines = []
    for metric in report.metrics:
        right = ""
        if metric.right_before is not None:
            right = f" ({metric.right_before} -> {metric.right_after} of {report.images})"
        drop = float(metric.drop)
        move = "the same" if not drop else f"{abs(drop):.4g} points {'lost' if drop > 0 else 'won'}"
        lines.append(
            f"{metric.name} {percent(metric.before)} -> {percent(metric.after)}{right}, {move}"
        )
    return lines


def _answer(answer: Answer) -> str:
    return "nothing" if answer.label is None else f"{answer.label} at {answer.score:.4f}"
