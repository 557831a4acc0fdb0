"""Names and globs by which a user chooses layers, checked against the layers that there are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from bnfold.errors import BnfoldError
from bnfold.spelling import did_you_mean


def check_patterns(option: str, patterns: Sequence[str], names: Iterable[str]) -> None:
    """Refuse patterns that choose nothing: they are slips, and would be obeyed in silence.

    Args:
        option: what the patterns were given as, "--only".
        patterns: names, or globs with `*`, `?` and `[...]`.
        names: the names of the layers.

    Raises:
        BnfoldError: a pattern is empty, has a bracket that is not closed, or matches no name.
    """
    known = list(dict.fromkeys(names))
    for pattern in patterns:
        if not pattern:
            raise BnfoldError(f"{option}: the pattern is empty; give a layer's name or a glob")
        if pattern in known or any(fnmatchcase(name, pattern) for name in known):
            continue
        if _is_broken(pattern):
            raise BnfoldError(
                f"{option} {pattern}: the bracket is not closed; write `[[]` for a bracket itself"
            )
        raise BnfoldError(f"{option} {pattern}: no layer has such a name{_near(pattern, known)}")


def check_types(option: str, types: Iterable[str], known: Iterable[str]) -> None:
    """Refuse layer types that no layer of the network has.

    Raises:
        BnfoldError: there is no layer of one of `types`.
    """
    known = list(dict.fromkeys(known))
    for kind in types:
        if kind not in known:
            near = did_you_mean(kind, known)
            raise BnfoldError(f"{option} '{kind}': no layer has this type{near}")


def _is_broken(pattern: str) -> bool:
    """Whether a `[` of a glob has no `]`: fnmatch takes it for itself then."""
    start = pattern.find("[")
    while start >= 0:
        # A `]` right behind the bracket, or behind its `!`, is one of the characters.
        first = start + (3 if pattern[start + 1 : start + 2] == "!" else 2)
        end = pattern.find("]", first)
        if end < 0:
            return True
        start = pattern.find("[", end)
    return False


def _near(pattern: str, known: list[str]) -> str:
    plain = pattern.strip("*?")
    return did_you_mean(plain, known) if plain else ""
