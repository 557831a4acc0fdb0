#!/usr/bin/env python3
"""Measure what `accuracy`, `verify` and `bench` say and cost, on a network of ResNet-50's size.

python benchmarks/checks.py       (or `make bench`, which runs merge.py first)

A ResNet-50 with random weights is generated and folded in a temporary folder. Then, in each
engine that is here:

- accuracy: the share of its time that passes inside the engine, on images that it must decode
  from JPEG files of a camera's size and shrink, which it does while the engine runs;
- verify: the wall time of a whole check less what passes inside the engine, loading included;
- bench: the ratio of the folded network's time to the original's, and its limit.

Nothing is asserted: the targets are printed beside the figures.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
from networks import resnet50

import bnfold
from bnfold.checks.equality import comparing
from bnfold.runtimes import available

IMAGES = 48
CAMERA = (480, 640)
BENCH_SECONDS = 20.0


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="bnfold-bench-") as name:
        folder = Path(name)
        files = resnet50().save(folder, "ResNet-50")
        bnfold.merge(*files)
        images = photos(folder)
        print(f"{'ResNet-50':38}{'measured':>10}{'target':>10}   behind it")
        for engine in available():
            if engine.found:
                accuracy(engine.name, files, images)
                verified(engine.name, files)
                bench(engine.name, files)
            else:
                print(f"{engine.name}: not here: {engine.detail}")
    return 0


def accuracy(engine: str, files: tuple[Path, Path], images: Path) -> None:
    """Print the share of `accuracy`'s time that passes inside the engine."""
    steps = bnfold.PreprocessOptions(
        resize=(256,), crop=(224, 224), mean_value=(104, 117, 123), scale=0.017
    )
    found = bnfold.accuracy(*files, images=images, runtime=engine, preprocess=steps)
    share = found.engine_seconds / found.seconds
    behind = f"{found.seconds:.1f} s for {found.images} JPEGs through both networks"
    row(f"accuracy, time in {engine}", f"{share:.1%}", ">= 90 %", behind)


def verified(engine: str, files: tuple[Path, Path]) -> None:
    """Print what `verify` adds to the time that its engine takes."""
    clock = Clock()
    with clock.inside_engines():
        begin = time.perf_counter()
        found = bnfold.verify(*files, options=bnfold.VerifyOptions(runtime=engine))
        whole = time.perf_counter() - begin
    behind = f"{whole:.1f} s, of them {clock.seconds:.1f} s in the engine, {found.images} inputs"
    row(f"verify, added to {engine}", f"{whole - clock.seconds:.2f} s", "< 1 s", behind)


def bench(engine: str, files: tuple[Path, Path]) -> None:
    """Print how much faster the folded network is."""
    found = bnfold.bench(*files, runtime=engine, seconds=BENCH_SECONDS)
    for each in found.comparisons:
        name = {None: engine, False: f"{engine}, fusion off", True: f"{engine}, fusion on"}
        ratio, limit = each.ratio, each.limit
        times = [side.seconds.median * 1e3 for side in (each.original, each.folded)]
        sizes = [(side.peak_memory or 0) / 1e6 for side in (each.original, each.folded)]
        row(
            f"bench, {name[each.fusion]}",
            f"{ratio.median:.3f}",
            "" if limit is None else f"({limit.median:.3f})",
            f"{times[0]:.0f} -> {times[1]:.0f} ms, 95 % interval {ratio.interval.low:.3f} to "
            f"{ratio.interval.high:.3f}, {sizes[0]:.0f} -> {sizes[1]:.0f} MB; limit in brackets",
        )


class Clock:
    """Sums the time that calls of an engine take.

    Attributes:
        seconds: so far.
    """

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def inside_engines(self) -> Iterator[None]:
        """Count what `verify` has its engine do: load networks, and run them."""
        pick = comparing.pick

        def picked(*args: Any, **options: Any) -> Any:
            found = self.timed(pick)(*args, **options)
            for session in found.sessions:
                session.run = self.timed(session.run)
            return found

        with mock.patch.object(comparing, "pick", picked):
            yield

    def timed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same call, with its time added to the sum."""

        def run(*args: Any, **options: Any) -> Any:
            begin = time.perf_counter()
            try:
                return call(*args, **options)
            finally:
                self.seconds += time.perf_counter() - begin

        return run


def photos(folder: Path) -> Path:
    """Write pictures with something in them, and a list of them; return the list."""
    rng = np.random.default_rng(0)
    lines = []
    for number in range(IMAGES):
        coarse = rng.integers(0, 256, (12, 16, 3), np.uint8)
        picture = cv2.resize(coarse, CAMERA[::-1], interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"{number}.jpg"), picture)
        lines.append(f"{number}.jpg {number}\n")
    path = folder / "val.txt"
    path.write_text("".join(lines))
    return path


def row(what: str, measured: str, target: str, behind: str) -> None:
    print(f"{what:38}{measured:>10}{target:>10}   {behind}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
