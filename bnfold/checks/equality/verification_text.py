"""A verification in lines of text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bnfold.checks.equality.verification import Compared, Verification


def verdict(found: Verification) -> str:
    """Whether the two are the same function, on which inputs, in which engine, and how near."""
    if found.mismatches:
        return "not the same function: inputs or outputs do not match"
    engine = found.engine.partition(", since ")[0]  # The reason stands in a line of its own.
    judged = found.judged
    count = f"{len(found.outputs)} output" + ("s" if len(found.outputs) != 1 else "")
    worst = max(judged, key=lambda c: c.difference.badness)
    near = (
        f"largest difference {worst.difference.relative:.2g} of a value's magnitude "
        f"(tolerance {worst.tolerance:.2g})"
    )
    if found.passed:
        return f"same function: {count}, {found.images} inputs, {near}, in {engine}"
    if found.outputs_agree:
        return f"not the same layers: {count} agree, a layer does not, in {engine}"
    return f"not the same function: {count}, {found.images} inputs, {near}, in {engine}"


def rows(found: Verification) -> Iterator[tuple[str, Compared]]:
    """The values that were compared, each with what it is."""
    for kind, values in (
        ("output", found.outputs),
        ("scores", found.scores),
        ("layer", found.layers or ()),
    ):
        for compared in values:
            yield kind, compared


def lines(found: Verification) -> Iterator[str]:
    """The engine and the inputs, a line for each value, and the verdict."""
    yield f"engine {found.engine}"
    yield f"inputs {found.inputs}"
    for kind, compared in rows(found):
        yield value_line(kind, compared)
    for name in found.altered:
        yield f"left out {name}: folding is meant to change it"
    yield verdict(found)


def value_line(kind: str, compared: Compared) -> str:
    """All that is known of a value."""
    pair = compared.pair
    cosine, top1 = angle(compared), top_answers(compared)
    words = [word(compared), str(compared), *filter(None, [noise(compared)])]
    words += [f"cosine {cosine}"] * bool(cosine) + [f"top-1 {top1}"] * bool(top1)
    return f"{kind} {full_name(compared)} ({pair.type}, line {pair.line}): {', '.join(words)}"


def full_name(compared: Compared) -> str:
    """Which value it is, in both networks."""
    pair = compared.pair
    name = pair.name if pair.name == pair.layer else f"{pair.layer} -> {pair.name}"
    return f"{name} (was {pair.end})" if pair.end else name


def word(compared: Compared) -> str:
    """Whether the two networks agree."""
    return "agrees" if compared.within else "DIFFERS"


def noise(compared: Compared) -> str:
    """How the differences are distributed, where there are some."""
    d = compared.difference
    if d.other_shape is not None or not d.absolute:
        return ""
    return (
        f"mean {d.mean:.2g}, median {d.median:.2g}, 99 % within {d.p99:.2g}, SQNR {d.sqnr:.0f} dB"
    )


def angle(compared: Compared) -> str:
    """The cosine of the angle between the two values, where they have one shape."""
    return "" if compared.difference.other_shape else f"{compared.difference.cosine:.7f}"


def top_answers(compared: Compared) -> str:
    """How often both have the same largest value."""
    top1 = compared.difference.top1
    return "" if top1 is None else f"{top1.same}/{top1.total}"
