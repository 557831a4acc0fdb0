"""Proving that two pairs of files are one function."""

from __future__ import annotations

from collections.abc import Mapping

from bnfold.aliases import PathLike
from bnfold.caffemodel import CaffemodelError, open_weights
from bnfold.errors import BnfoldError
from bnfold.proof.affines import Reading
from bnfold.proof.folded import Ending, Findings, Folded
from bnfold.proof.layers import read_net
from bnfold.proof.original import Original
from bnfold.proof.roots import Roots
from bnfold.proof.stored import Stored
from bnfold.prototxt import PrototxtError

Files = tuple[PathLike, PathLike]
"""A prototxt and its weights."""


def attempt(
    original: Files, folded: Files, reading: Reading, treat_as: Mapping[str, str], ulps: float
) -> tuple[Findings, Ending | None]:
    """Try to prove that two networks are one function.

    Args:
        original, folded: their files.
        reading: how they are read.
        treat_as: types, each with the one that it is taken for.
        ulps: by how many units in the last place a stored number may be off.

    Returns:
        What was proved; and where the proof ends, None if all is proved.

    Raises:
        PrototxtError, CaffemodelError, BnfoldError, OSError: a file cannot be used.
    """
    before = read_net(original[0], reading.phase, treat_as)
    after = read_net(folded[0], reading.phase, treat_as)
    with open_weights(original[1]) as first, open_weights(folded[1]) as second:
        findings, roots = Findings(), Roots()
        stored, other = Stored(first, before.layers), Stored(second, after.layers)
        try:
            known = Original(before, stored, reading, roots).walk()
            walk = Folded(after, other, reading, roots, known, stored, ulps)
            findings = walk.findings
            return findings, walk.prove()
        except (BnfoldError, PrototxtError, CaffemodelError):
            raise
        except (ArithmeticError, AssertionError, LookupError, RecursionError, ValueError) as error:
            # A step that goes wrong proves nothing.
            return findings, Ending(None, f"a step of the proof went wrong: {error!r}")
