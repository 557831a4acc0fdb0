"""Words: what somebody may have meant who wrote one that nobody knows, and plurals."""

from __future__ import annotations

from collections.abc import Iterable

_SHOWN = 3
_LONGEST = 64


def distance(one: str, other: str) -> int:
    """How many slips make one word of the other.

    A slip is a character added, left out or replaced, or two neighbours exchanged (the optimal
    string alignment distance).
    """
    before: list[int] = []
    last = list(range(len(other) + 1))
    for row, left in enumerate(one, 1):
        line = [row]
        for column, right in enumerate(other, 1):
            best = min(last[column] + 1, line[-1] + 1, last[column - 1] + (left != right))
            swapped = row > 1 and column > 1 and left == other[column - 2]
            if swapped and right == one[row - 2]:
                best = min(best, before[column - 2] + 1)
            line.append(best)
        before, last = last, line
    return last[-1]


def nearest(word: str, known: Iterable[str]) -> list[str]:
    """The words that are the fewest slips away, at most three, or none if all are too far.

    A word is near if a third of its characters are slips, at most; case does not count.
    """
    bound = max(1, len(word) // 3)
    if len(word) > _LONGEST:
        return []
    found: dict[str, int] = {}
    for other in known:
        if abs(len(other) - len(word)) <= bound:
            slips = distance(word.lower(), other.lower())
            if slips <= bound:
                found[other] = slips
    least = min(found.values(), default=0)
    return sorted(other for other, slips in found.items() if slips == least)[:_SHOWN]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The closing words of an error about a name: "; did you mean 'conv1'?", or nothing."""
    found = nearest(word, known)
    return f"; did you mean {' or '.join(map(repr, found))}?" if found else ""


def plural(count: int, noun: str) -> str:
    """A count of things: "1 layer", "2 layers"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
