"""Proving that two pairs of files are one function."""

from __future__ import annotations

from collections.abc import Mapping

from bnfold.aliases import PathLike
from bnfold.caffemodel import open_weights
from bnfold.proof.affines import Reading
from bnfold.proof.folded import Findings, Folded, NotProvedError
from bnfold.proof.layers import read_net
from bnfold.proof.original import Original
from bnfold.proof.roots import Roots
from bnfold.proof.stored import Stored

ULPS = 1.0


def attempt(
    original: tuple[PathLike, PathLike],
    folded: tuple[PathLike, PathLike],
    reading: Reading,
    treat_as: Mapping[str, str],
    ulps: float = ULPS,
) -> tuple[Findings, NotProvedError | None]:
    """Try to prove; gives what was proved, and where the proof ended if it did."""
    before = read_net(original[0], reading.phase, treat_as)
    after = read_net(folded[0], reading.phase, treat_as)
    with open_weights(original[1]) as first, open_weights(folded[1]) as second:
        roots = Roots()
        stored = Stored(first, before.layers)
        known = Original(before, stored, reading, roots).walk()
        walk = Folded(after, Stored(second, after.layers), reading, roots, known, stored, ulps)
        try:
            walk.prove()
        except NotProvedError as error:
            return walk.findings, error
        return walk.findings, None
