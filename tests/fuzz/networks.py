"""Random networks, judged in Caffe: whatever bnfold changes, they compute the same."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .drawing import Drawing
from .judge import Judge, Verdict
from .shrink import shrink
from .summary import Summary
from .wiring import Case

MOST_FAILURES = 25
SHRINK_SECONDS = 40.0
AGAIN = 4
"""How often a failure must come again to be one."""


def run(seconds: float, seed: int, save: Path) -> Summary:
    """Judge networks until the time is over, or until MOST_FAILURES kinds of failure were found.

    A network that this Caffe cannot run, or whose outputs are not finite, is not counted.

    Args:
        seconds: how long.
        seed: decides all networks.
        save: gets a folder for each failure: both files, what was asked, and what went wrong.
    """
    judge, summary, kinds = Judge(), Summary(), Counter[str]()
    found: dict[str, str] = {}
    end = time.monotonic() + seconds
    number = 0
    while time.monotonic() < end and len(found) < MOST_FAILURES:
        case = drawn(seed, number)
        verdict = judge(case)
        kinds[verdict.kind] += 1
        if verdict.is_failure and _comes_again(judge, case, verdict):
            _keep(judge, case, verdict, found, save / f"networks-{seed}-{number}")
        number += 1
    summary.inputs = kinds.total() - kinds["refused"] - kinds["unfit"]
    summary.failures = list(found.values())
    return summary


def drawn(seed: int, number: int) -> Case:
    """The network of this number in a run with this seed."""
    return Drawing((seed << 32) + number).draw()


def _comes_again(judge: Judge, case: Case, verdict: Verdict) -> bool:
    """Whether a network fails each time that it is judged.

    Some layers of Caffe write beyond their memory where a batch changes its size, which ends the
    process now and then, whatever was merged.
    """
    return all(judge(case).likeness == verdict.likeness for _ in range(AGAIN))


def _keep(judge: Judge, case: Case, verdict: Verdict, found: dict[str, str], folder: Path) -> None:
    """Make it smaller, and save it unless one like it was found before."""
    small = shrink(case, lambda other: judge(other).likeness == verdict.likeness, SHRINK_SECONDS)
    again = judge(small)
    if again.is_failure:
        verdict = again
    like = verdict.likeness
    if verdict.kind in ("differs", "unstable"):
        like += f" {sorted(node.type for node in small.nodes)}"
    if like in found:
        return
    folder.mkdir(parents=True, exist_ok=True)
    small.save(folder)
    (folder / "found.txt").write_text(f"{verdict.kind}: {verdict.detail}\n")
    found[like] = f"{verdict.kind}: {verdict.detail} ({folder})"
    print(found[like], flush=True)


@dataclass(frozen=True)
class Saved:
    """A failing network that an earlier run saved, to be judged again.

    Attributes:
        folder: where it lies.
    """

    folder: Path

    @property
    def command(self) -> str:
        """As of Case."""
        return str(self._asked["command"])

    @property
    def options(self) -> dict[str, Any]:
        """As of Case."""
        return dict(self._asked["options"])

    @property
    def seed(self) -> int:
        """As of Case."""
        return int(self._asked["feeds"])

    @property
    def _asked(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "asked.json").read_text()))

    def save(self, folder: Path) -> tuple[Path, Path]:
        """As of Case: a copy of both files."""
        names = ("net.prototxt", "net.caffemodel")
        for name in names:
            (folder / name).write_bytes((self.folder / name).read_bytes())
        return folder / names[0], folder / names[1]
