"""The blocks of code in a document, and what they are.

A block stands in fences (```python, ```sh) or is indented by four. One that cannot run here has a
comment on the line before it, which readers do not see:

    <!-- not run: why -->
    <!-- output varies -->     it runs, and what it prints is not compared
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = {"$", "bnfold", "pip", "make", "export", "python", "diff"}
"""What the first line of a shell block starts with."""

_FENCE = re.compile(r"^```(\w*)\s*$")
_MARK = re.compile(r"^<!-- (not run: .+|output varies) -->$")


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        line: where it begins.
        language: "python", "shell", or "" for what is neither.
        text: what it says.
        mark: what the comment before it says, "" if there is none.
    """

    line: int
    language: str
    text: str
    mark: str

    @property
    def runs(self) -> bool:
        """Whether it is to be run."""
        return not self.mark.startswith("not run")

    @property
    def steps(self) -> list[tuple[list[str], list[str]]]:
        """The commands of a shell block, each with the lines that it is said to print.

        In a block with prompts all else is output; in one without there is none.
        """
        prompted = any(line.startswith("$ ") for line in self.text.splitlines())
        found: list[tuple[list[str], list[str]]] = []
        for line in re.sub(r"\\\n\s*", " ", self.text).splitlines():
            if not prompted and line.strip():
                found.append((shlex.split(line, comments=True), []))
            elif line.startswith("$ "):
                found.append((shlex.split(line[2:], comments=True), []))
            elif found:
                found[-1][1].append(line)
        return found


def blocks(path: Path) -> list[Block]:
    """The blocks of a document in Markdown, in order."""
    lines = path.read_text(encoding="utf-8").splitlines()
    found, number = [], 0
    while number < len(lines):
        start, fence = number, _FENCE.match(lines[number])
        if fence:
            number = lines.index("```", number + 1)
            text, language = lines[start + 1 : number], fence[1]
        elif lines[number].startswith("    ") and not lines[max(number - 1, 0)].strip():
            while number < len(lines) and (lines[number].startswith("    ") or not lines[number]):
                number += 1
            text, language = [line[4:] for line in lines[start:number]], ""
            number -= 1
        else:
            number += 1
            continue
        found.append(_block(start, language, "\n".join(text).strip("\n"), lines))
        number += 1
    return found


def _block(start: int, language: str, text: str, lines: list[str]) -> Block:
    before = next((line for line in reversed(lines[:start]) if line.strip()), "")
    mark = _MARK.match(before)
    if language in ("sh", "bash", "console", "shell") or text.split(None, 1)[0] in PROGRAMS:
        language = "shell"
    return Block(start + 1, language, text, mark[1] if mark else "")
