"""The blocks of code in a document, and what they are.

A block stands in fences (```console, ```python) or is indented by four. A shell block has prompts
and what the commands print; one without prompts prints nothing that the document shows. A block of
Python may be followed by what it prints, in ```text. A comment before a block, which readers do
not see, says what is not so:

    <!-- not run: why -->
    <!-- numbers vary -->     it runs, and the numbers that it prints are not compared
    <!-- times vary -->       it runs, and each line is compared up to its first number
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
DOCUMENTS.append(ROOT / "examples" / "digits" / "README.md")

PROGRAMS = {"$", "bnfold", "pip", "make", "export", "python", "diff"}
"""What the first line of an indented shell block starts with."""

_FENCE = re.compile(r"^```(\w*)\s*$")
_MARK = re.compile(r"^<!-- (not run: .+|(?:numbers|times) vary) -->$")


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        line: where it begins.
        language: "python", "shell", another fence's, or "" for what is neither.
        text: what it says.
        mark: what the comment before it says, "" if there is none.
        follows: whether only empty lines stand between it and the block before.
    """

    line: int
    language: str
    text: str
    mark: str
    follows: bool

    @property
    def runs(self) -> bool:
        """Whether it is to be run."""
        return self.language in ("python", "shell") and not self.mark.startswith("not run")


@dataclass(frozen=True)
class Example:
    """Something to run, and what it prints.

    Attributes:
        line: where it stands in the document.
        code: what a shell is given.
        prints: the lines that the document shows; one that is `...` stands for any lines. None
            where it shows nothing of it.
        varies: what of those lines may be other: "numbers", "times", or "" for nothing.
    """

    line: int
    code: str
    prints: list[str] | None
    varies: str


def name(path: Path) -> str:
    """The path of a document within the checkout."""
    return path.relative_to(ROOT).as_posix()


def blocks(path: Path) -> list[Block]:
    """The blocks of a document in Markdown, in order."""
    lines = path.read_text(encoding="utf-8").splitlines()
    found: list[Block] = []
    number = end = 0
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
        between = [line for line in lines[end:start] if line.strip()]
        found.append(_block(start, language, "\n".join(text).strip("\n"), between))
        number += 1
        end = number
    return found


def _block(start: int, language: str, text: str, between: list[str]) -> Block:
    mark = _MARK.match(between[-1]) if between else None
    if language == "console" or (not language and text.split(None, 1)[0] in PROGRAMS):
        language = "shell"
    return Block(start + 1, language, text, mark[1] if mark else "", not between)


def examples(path: Path) -> list[Example]:
    """All that a document has run, in order."""
    found: list[Example] = []
    all_blocks = blocks(path)
    for number, block in enumerate(all_blocks):
        after = all_blocks[number + 1] if number + 1 < len(all_blocks) else None
        varies = block.mark.removesuffix(" vary") if block.mark.endswith(" vary") else ""
        if block.runs and block.language == "shell":
            found += _commands(block, varies)
        elif block.runs:
            shown = after is not None and after.follows and after.language == "text"
            prints = after.text.splitlines() if after is not None and shown else []
            code = f"python - <<'PYTHON'\n{block.text}\nPYTHON"
            found.append(Example(block.line, code, prints, varies))
    return found


def _commands(block: Block, varies: str) -> list[Example]:
    prompted = block.text.startswith("$ ")
    lines = list(enumerate(block.text.splitlines(), block.line + 1))
    found = []
    while lines:
        number, line = lines.pop(0)
        if prompted and not line.startswith("$ "):
            raise ValueError(f"line {number}: neither a command nor the output of one")
        command = [line.removeprefix("$ ")]
        while command[-1].endswith("\\"):
            command.append(lines.pop(0)[1])
        prints = []
        while prompted and lines and not lines[0][1].startswith("$ "):
            prints.append(lines.pop(0)[1])
        found.append(Example(number, "\n".join(command), prints if prompted else None, varies))
    return found


def matches(prints: list[str], printed: str, varies: str = "") -> bool:
    """Whether an output is what a document shows."""
    if varies:
        # On a busy machine times have other units, and what is said of them is something else.
        what = r".*" if varies == "times" else r"(?:[.,]\d+)*(?:e[+-]?\d+)?"
        number = re.compile(rf"\d+{what}")
        prints, printed = [number.sub("0", line) for line in prints], number.sub("0", printed)
    lines = ["(?:.*\n)*" if line == "..." else f"{re.escape(line)}\n" for line in prints]
    return re.fullmatch("".join(lines), printed) is not None
