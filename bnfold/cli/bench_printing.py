"""What `bench` measured, on the screen: a table for a person, plain lines for a pipe, JSON."""

from __future__ import annotations

from bnfold.checks.bench_report import BenchReport, Comparison
from bnfold.checks.spread import Spread
from bnfold.cli.terminal import Table, is_for_people, say, say_json, say_wrapped


def show(report: BenchReport, *, to_json: bool, quiet: bool) -> None:
    """Print a report to standard output."""
    if to_json:
        say_json(report)
    elif not quiet:
        table = _table(report)
        if is_for_people() and table.fits():
            say_wrapped(_where(report), "")
            table.show()
            say_wrapped(*(_closing(found, report) for found in report.comparisons))
        else:
            say(*_lines(report))


def _lines(report: BenchReport) -> list[str]:
    before, after = report.before, report.after
    sizes = f"{before.parameters:,} -> {after.parameters:,}"
    lines = [
        _where(report),
        f"layers {before.layers} -> {after.layers}, parameters {sizes}",
    ]
    for found in report.comparisons:
        original, folded = found.original, found.folded
        lines.append(
            f"{_setting(found)}: {_time(original.seconds)} [{_quartiles(original.seconds)}] -> "
            f"{_time(folded.seconds)} [{_quartiles(folded.seconds)}], ratio "
            f"{found.ratio.median:.3f} [{_interval(found.ratio)}], limit {_limit(found)}, memory "
            f"{_memory(original.peak_memory)} -> {_memory(folded.peak_memory)}, "
            f"{found.ratio.count} rounds: {_verdict(found, report)}"
        )
    return lines


def _table(report: BenchReport) -> Table:
    numbers = ("original", "folded", "ratio", "limit")
    table = Table(("", *numbers), numbers, free=False)
    before, after = report.before, report.after
    table.row("layers", str(before.layers), str(after.layers), "", "")
    table.row("parameters", f"{before.parameters:,}", f"{after.parameters:,}", "", "")
    for found in report.comparisons:
        original, folded = found.original, found.folded
        times = [_time(original.seconds), _time(folded.seconds), f"{found.ratio.median:.3f}"]
        table.row(_setting(found), *times, _limit(found))
        ranges = [_quartiles(original.seconds), _quartiles(folded.seconds), _interval(found.ratio)]
        table.row("  spread", *ranges, "")
        table.row("  memory", _memory(original.peak_memory), _memory(folded.peak_memory), "", "")
    return table


def _closing(found: Comparison, report: BenchReport) -> str:
    return f"{_setting(found)}, {found.ratio.count} rounds: {_verdict(found, report)}"


def _where(report: BenchReport) -> str:
    inputs = ", ".join(
        f"{name} {'x'.join(map(str, shape))}" for name, shape in report.inputs.items()
    )
    threads = "threads as it likes" if report.threads is None else f"threads {report.threads}"
    return f"{report.why}; {threads}; {inputs}"


def _setting(found: Comparison) -> str:
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


def _time(seconds: Spread) -> str:
    unit, factor, digits = _unit(seconds)
    return f"{seconds.median * factor:.{digits}f} {unit}"


def _quartiles(seconds: Spread) -> str:
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


def _interval(ratio: Spread) -> str:
    return f"{ratio.interval.low:.3f}..{ratio.interval.high:.3f}"


def _limit(found: Comparison) -> str:
    return "unknown" if found.limit is None else f"{found.limit.median:.3f}"


def _memory(size: int | None) -> str:
    return "unknown" if size is None else f"{size / 1e6:.0f} MB"
