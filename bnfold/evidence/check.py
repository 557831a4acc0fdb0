"""Whether the files that a statement is about are still those."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from bnfold.errors import BnfoldError
from bnfold.evidence.reports import is_digest, read_json
from bnfold.evidence.statement import PREDICATE, STATEMENT
from bnfold.outputs.run import Content
from bnfold.spelling import plural
from bnfold.summary import Summary

JSON_FORMAT = "bnfold.attest/1"


class State(str, Enum):
    """What became of a file."""

    SAME = "same"
    CHANGED = "changed"
    MISSING = "missing"
    """It is not there, or is no regular file that can be read."""


_WORDS = {
    State.SAME: "is the same",
    State.CHANGED: "has changed",
    State.MISSING: "is not here",
}


@dataclass(frozen=True)
class Attested:
    """A file that a statement names.

    Attributes:
        name: as the statement has it, from its own folder.
        subject: whether the statement is about it; otherwise it was read to make a subject.
        expected: its SHA-256 digest then, in hexadecimal.
        found: its digest now; None where it is missing.
    """

    name: str
    subject: bool
    expected: str
    found: str | None

    @property
    def state(self) -> State:
        """What became of it."""
        if self.found is None:
            return State.MISSING
        return State.SAME if self.found == self.expected else State.CHANGED

    @property
    def holds(self) -> bool:
        """Whether the statement holds of it: inputs need not be there, but may not be others."""
        return self.state is State.SAME or (self.state is State.MISSING and not self.subject)

    def line(self) -> str:
        """What is known of it, in words."""
        kind = "output" if self.subject else "input"
        return f"{kind} {self.name}: {_WORDS[self.state]}"


@dataclass(frozen=True, repr=False)
class AttestationCheck(Summary):
    """What holds of a statement.

    Attributes:
        path: the statement.
        files: those that it names, its subjects first.
    """

    path: Path
    files: tuple[Attested, ...]

    @property
    def passed(self) -> bool:
        """Whether all outputs are those of the statement, and no input is another."""
        return all(file.holds for file in self.files)

    @property
    def failure(self) -> str | None:
        """What no longer holds, in a line."""
        wrong = [file.line() for file in self.files if not file.holds]
        if not wrong:
            return None
        more = f" (and {plural(len(wrong) - 1, 'other file')})" if wrong[1:] else ""
        return f"{self.path}: no longer holds: {wrong[0]}{more}"

    def lines(self) -> list[str]:
        """Each file, and the verdict."""
        return [*(file.line() for file in self.files), self.headline()]

    def headline(self) -> str:
        """The verdict."""
        if self.failure is not None:
            return self.failure
        here = sum(file.state is State.SAME for file in self.files)
        return f"{self.path}: holds of {plural(here, 'file')}"

    def to_json(self) -> dict[str, Any]:
        """The object that docs/json.md describes."""
        return {
            "format": JSON_FORMAT,
            "passed": self.passed,
            "failure": self.failure,
            "attestation": str(self.path),
            "files": [
                {
                    "name": file.name,
                    "role": "output" if file.subject else "input",
                    "state": file.state.value,
                    "expected": file.expected,
                    "found": file.found,
                }
                for file in self.files
            ],
        }


def check_statement(path: Path) -> AttestationCheck:
    """Compute the digests of all files that a statement names, and compare.

    Raises:
        BnfoldError: the file is no statement about a network that bnfold wrote.
        OSError: it cannot be read.
    """
    content = read_json(path)
    predicate = content.get("predicate")
    if content.get("_type") != STATEMENT or content.get("predicateType") != PREDICATE:
        raise BnfoldError(f"{path}: is no statement of bnfold; give a file that '--attest' wrote")
    if not isinstance(predicate, dict):
        raise BnfoldError(f"{path}: has no predicate; give a file that '--attest' wrote")
    subjects = _files(path, "subject", content.get("subject"), subject=True)
    inputs = _files(path, "predicate.inputs", predicate.get("inputs"), subject=False)
    if not subjects:
        raise BnfoldError(f"{path}: has no subject; give a file that '--attest' wrote")
    return AttestationCheck(path, (*subjects, *inputs))


def _files(path: Path, key: str, listed: Any, *, subject: bool) -> list[Attested]:
    files = []
    for one in listed if isinstance(listed, list) else [None]:
        name, digest = (
            (one.get("name"), one.get("digest")) if isinstance(one, dict) else (None,) * 2
        )
        expected = digest.get("sha256") if isinstance(digest, dict) else None
        if not isinstance(name, str) or not is_digest(expected):
            raise BnfoldError(f"{path}: {key} does not name files with their SHA-256 digests")
        content = Content.of(path.parent / name)
        found = None if content is None else content.sha256
        files.append(Attested(name, subject, str(expected), found))
    return files
