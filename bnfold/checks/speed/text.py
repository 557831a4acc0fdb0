"""What `bench` measured in lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bnfold.checks.speed.spread import Spread

if TYPE_CHECKING:
    from bnfold.checks.speed.report import BenchReport, Comparison


def lines(report: BenchReport) -> list[str]:
    """All that a person wants to know."""
    before, after = report.before, report.after
    sizes = f"{before.parameters:,} -> {after.parameters:,}"
    shown = [
        where(report),
        f"layers {before.layers} -> {after.layers}, parameters {sizes}",
    ]
    for found in report.comparisons:
        original, folded = found.original, found.folded
        shown.append(
            f"{setting(found)}: {median(original.seconds)} [{quartiles(original.seconds)}] -> "
            f"{median(folded.seconds)} [{quartiles(folded.seconds)}], ratio "
            f"{found.ratio.median:.3f} [{interval(found.ratio)}], limit {limit(found)}, memory "
            f"{memory(original.peak_memory)} -> {memory(folded.peak_memory)}, "
            f"{found.ratio.count} rounds: {_verdict(found, report)}"
        )
    return shown


def closing(found: Comparison, report: BenchReport) -> str:
    """What one setting of the engine came to."""
    return f"{setting(found)}, {found.ratio.count} rounds: {_verdict(found, report)}"


def where(report: BenchReport) -> str:
    """The engine, its threads and the inputs."""
    inputs = ", ".join(
        f"{name} {'x'.join(map(str, shape))}" for name, shape in report.inputs.items()
    )
    threads = "threads as it likes" if report.threads is None else f"threads {report.threads}"
    return f"{report.why}; {threads}; {inputs}"


def setting(found: Comparison) -> str:
    """The setting of the engine."""
    return {None: "time", False: "fusion off", True: "fusion on"}[found.fusion]


def _verdict(found: Comparison, report: BenchReport) -> str:
    """What the ratio says, and what the engine had done by itself."""
    ratio = found.ratio
    if ratio.interval.high < 1:
        words = f"folded takes {1 - ratio.median:.1%} less time"
    elif ratio.interval.low > 1:
        words = f"folded takes {ratio.median - 1:.1%} more time"
    else:
        words = "no difference that stands out of the noise"
    if found.fusion and found.merged_by_engine:
        merged = f"{found.merged_by_engine} of the {len(report.removed)} removed layers"
        words += f"; the engine itself had merged {merged}"
    return words


def median(seconds: Spread) -> str:
    """A median time."""
    unit, factor, digits = _unit(seconds)
    return f"{seconds.median * factor:.{digits}f} {unit}"


def quartiles(seconds: Spread) -> str:
    """The quartiles, in the unit of the median."""
    _, factor, digits = _unit(seconds)
    return f"{seconds.lower * factor:.{digits}f}..{seconds.upper * factor:.{digits}f}"


def _unit(seconds: Spread) -> tuple[str, float, int]:
    """The unit for a time, what to multiply it by, and digits for three that count."""
    unit, factor = next(
        (
            (unit, factor)
            for unit, factor in (("s", 1.0), ("ms", 1e3))
            if seconds.median * factor > 1
        ),
        ("us", 1e6),
    )
    value = seconds.median * factor
    return unit, factor, 0 if value >= 100 else 1 if value >= 10 else 2


def interval(ratio: Spread) -> str:
    """What the median of ratios is in."""
    return f"{ratio.interval.low:.3f}..{ratio.interval.high:.3f}"


def limit(found: Comparison) -> str:
    """The ratio that could be reached."""
    return "unknown" if found.limit is None else f"{found.limit.median:.3f}"


def memory(size: int | None) -> str:
    """A peak of memory."""
    return "unknown" if size is None else f"{size / 1e6:.0f} MB"
