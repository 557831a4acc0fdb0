#!/usr/bin/env python3
"""Measure `bnfold merge` against copying the file, on networks of the size people ship.

python benchmarks/merge.py        (or `make bench`)

Two networks are generated in a temporary folder: ResNet-50 (100 MB) and VGG16 with batch
normalisation (550 MB, most of it in three inner products). Then, with a warm cache:

- merge: the wall time of the whole command, over that of a bare Python start that imports numpy
  and protobuf plus `cp` of the weights. bnfold waits until its output is on the disk, so `cp` is
  followed by `sync` of the file; then neither waits for the disk;
- memory: the largest resident size of the command, mapped pages included;
- the plan of the ResNet-50 with its weights, in processor time: reading both files and deciding
  what to fold, in a Python that has imported bnfold;
- `bnfold --version`, `bnfold --help` and `bnfold merge --help`, over a bare Python start that
  imports click;
- `bnfold inspect` of the ResNet-50 prototxt alone, in seconds.

What is compared is run in turns, and each ratio is the median over the rounds of the ratio within
a round, so that other work on the machine meets both sides. Nothing is asserted: the targets are
printed beside the figures.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from networks import resnet50, vgg16

ROUNDS = 9
QUICK_ROUNDS = 21
MB = 1_000_000

BOTH_LIBRARIES = [sys.executable, "-c", "import numpy, google.protobuf.message"]
CLICK = [sys.executable, "-c", "import click"]
# The command, but that it does not wait for the disk.
UNSYNCED = """
import os, sys
os.fsync = lambda descriptor: None
sys.argv[0] = "bnfold"
from bnfold.cli import main
main()
"""
PLAN = """
import sys, time
from bnfold import api
begin = time.process_time()
api.inspect(*sys.argv[1:])
print(time.process_time() - begin)
"""


def main() -> int:
    bnfold = Path(sys.executable).with_name("bnfold")
    if not bnfold.exists():
        print(f"{bnfold}: not there; install bnfold into this Python, or use `make bench`")
        return 2
    with tempfile.TemporaryDirectory(prefix="bnfold-bench-") as name:
        folder = Path(name)
        bench = Bench(str(bnfold), folder, environment(folder))
        print(f"{'':38}{'measured':>10}{'target':>10}   medians behind it")
        for title, network, targets in (
            ("ResNet-50", resnet50(), ("<= 1.25", "<= 1.5")),
            ("VGG16-BN", vgg16(), ("<= 0.8", "")),
        ):
            model, weights = network.save(folder, title)
            bench.merge(title, model, weights, targets)
            if title == "ResNet-50":
                bench.plan(title, model, weights)
                bench.inspect(title, model)
            # Else the next network's files push this one's out of a small machine's cache.
            weights.unlink()
        for words in (["--version"], ["--help"], ["merge", "--help"]):
            bench.answer(words)
    return 0


def environment(folder: Path) -> dict[str, str]:
    """The environment of all commands, in which Python keeps the modules it has compiled.

    An ordinary installation has them compiled; a checkout installed in place may not, where
    PYTHONDONTWRITEBYTECODE is set. A first run, which is not counted, fills the folder.
    """
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return env | {"PYTHONPYCACHEPREFIX": str(folder / "pycache")}


@dataclass(frozen=True)
class Run:
    """What one run of a command took: seconds, and bytes of its largest resident size."""

    seconds: float
    memory: int


@dataclass(frozen=True)
class Bench:
    """Runs commands in turns and prints what they took.

    Attributes:
        bnfold: the installed command.
        folder: where outputs go.
        env: the environment of the commands.
    """

    bnfold: str
    folder: Path
    env: Mapping[str, str]

    def merge(self, title: str, model: Path, weights: Path, targets: tuple[str, str]) -> None:
        """Print time and memory of a merge, against copies of the weights, on the disk or not."""
        copy, merged = self.folder / "copy", self.folder / "merged"
        outputs = [copy, merged, self.folder / "merged.prototxt"]
        words = ["merge", "--model", str(model), "--weights", str(weights)]
        words += ["--output-model", str(outputs[2]), "--output-weights", str(merged)]
        cp, sync = ["cp", str(weights), str(copy)], ["sync", str(copy)]

        def clean() -> None:
            # A file that is gone is not written to the disk while the next command is timed.
            for path in outputs:
                path.unlink(missing_ok=True)

        def copy_and_sync() -> Run:
            return Run(self.run(cp).seconds + self.run(sync).seconds, 0)

        runs = in_turns(
            ROUNDS,
            {
                "start": lambda: self.run(BOTH_LIBRARIES),
                "cp": lambda: self.run(cp),
                "unsynced": lambda: self.run([sys.executable, "-c", UNSYNCED, *words]),
                "cp, sync": copy_and_sync,
                "merge": lambda: self.run([self.bnfold, *words]),
            },
            clean,
        )
        size = f"{weights.stat().st_size / MB:.0f} MB"
        middle = {name: median(run.seconds for run in each) for name, each in runs.items()}
        for what, name, copied, target in (
            ("to cp and sync", "merge", "cp, sync", targets[0]),
            ("unsynced to cp", "unsynced", "cp", targets[1]),
        ):
            ratio = median(
                run.seconds / (copy.seconds + start.seconds)
                for run, copy, start in zip(runs[name], runs[copied], runs["start"], strict=True)
            )
            behind = f"{middle[name]:.2f} s, {copied} {middle[copied]:.2f} s"
            behind = f"{behind}, Python start {middle['start']:.2f} s"
            row(f"{title} ({size}) {what}", f"{ratio:.2f}", target, behind)
        memory = max(run.memory for run in runs["merge"])
        row(f"{title} ({size}) memory", f"{memory / MB:.0f} MB", "<= 60 MB", "largest of all runs")

    def inspect(self, title: str, model: Path) -> None:
        """Print the time that a look at a prototxt takes."""
        command = [self.bnfold, "inspect", "--model", str(model)]
        runs = in_turns(ROUNDS, {"inspect": lambda: self.run(command)})
        row(f"inspect, {title} prototxt", f"{median_seconds(runs['inspect']):.2f} s", "", "")

    def plan(self, title: str, model: Path, weights: Path) -> None:
        """Print the processor time that a plan takes."""
        command = [sys.executable, "-c", PLAN, str(model), str(weights)]
        times = []
        for _ in range(ROUNDS + 1):
            ran = subprocess.run(
                command, env=self.env, check=True, stdout=subprocess.PIPE, text=True
            )
            times.append(float(ran.stdout))
        row(f"{title} plan, processor time", f"{median(times[1:]) * 1000:.0f} ms", "<= 40 ms", "")

    def answer(self, words: Sequence[str]) -> None:
        """Print the time that the command takes to answer at all, against a Python start."""
        command = [self.bnfold, *words]
        runs = in_turns(
            QUICK_ROUNDS,
            {"answer": lambda: self.run(command), "click": lambda: self.run(CLICK)},
        )
        ratio = median(
            answer.seconds / click.seconds
            for answer, click in zip(runs["answer"], runs["click"], strict=True)
        )
        answer, click = (median_seconds(runs[name]) for name in ("answer", "click"))
        behind = f"{answer:.3f} s, Python start with click {click:.3f} s"
        row(" ".join(words), f"{ratio:.2f}", "<= 1.3", behind)

    def run(self, command: Sequence[str]) -> Run:
        """Run a command to its end. Raises CalledProcessError if it fails."""
        begin = time.perf_counter()
        # Linux counts what the parent had resident at the start of the child towards the child's
        # largest size. This file imports no numpy and builds no large objects for that reason.
        with subprocess.Popen(command, env=self.env, stdout=subprocess.DEVNULL) as process:
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - begin
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)
        # In bytes on macOS, in kibibytes elsewhere.
        return Run(seconds, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024))


def in_turns(
    rounds: int,
    sides: Mapping[str, Callable[[], Run]],
    clean: Callable[[], None] = lambda: None,
) -> dict[str, list[Run]]:
    """Run each of `sides` once a round, after one round that is not counted; clean after each."""
    runs: dict[str, list[Run]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, side in sides.items():
            run = side()
            clean()
            if number:
                runs[name].append(run)
    return runs


def median_seconds(runs: Sequence[Run]) -> float:
    return median(run.seconds for run in runs)


def row(what: str, measured: str, target: str, behind: str) -> None:
    print(f"{what:38}{measured:>10}{target:>10}   {behind}".rstrip(), flush=True)


if __name__ == "__main__":
    sys.exit(main())
