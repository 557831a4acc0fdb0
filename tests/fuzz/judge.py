"""Whether Caffe computes the same before and after, each network in a process of its own.

Caffe's way to fail is to abort the process, so the process that has Caffe in it forks for each
network. The fork says on a pipe how far it has come; where it dies, its last word tells what it
died of.

How far two networks may be apart is measured, as `bnfold verify` does it (see
bnfold/checks/equality/tolerance.py): the original runs again with every weight and input moved to a
neighbouring float32.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import bnfold

from .rewriting import Judged, import_all, rewrite, rewrites_again
from .translate import Translator
from .wiring import Array

SAFETY = 64.0
UNIT = 2.0**-24
NUDGES = 3
"""By chance one of them may move a single number by nearly nothing; not all."""
SECONDS = 60
MEMORY = 4 << 30
LEAST_BYTES = 10
LARGEST = 3.4e38
DECIDING = frozenset({"ArgMax", "Threshold"})


@dataclass(frozen=True)
class Verdict:
    """What came of a network.

    Attributes:
        kind: "same"; "refused" where this Caffe cannot run the original; "unfit" where the
            original's numbers are not finite; else what is wrong: "differs", "aborts",
            "traceback", "error", "unstable" (a second merge changes something) or "slow".
        detail: one line more about it.
        folded: how many layers went.
    """

    kind: str
    detail: str = ""
    folded: int = 0

    @property
    def likeness(self) -> str:
        """The same for failures that say the same with other names and numbers."""
        words = self.detail.split() if self.kind in ("error", "traceback", "aborts") else []
        return " ".join([self.kind, *(word for word in words if word.strip(",:;()").isalpha())])

    @property
    def is_failure(self) -> bool:
        return self.kind not in ("same", "refused", "unfit")


class Judge:
    """The Caffe that judges."""

    def __init__(self) -> None:
        os.environ.update(GLOG_minloglevel="2", OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")
        import caffe  # type: ignore[import-not-found,import-untyped,unused-ignore]
        from caffe.proto import caffe_pb2  # type: ignore[import-not-found,import-untyped,unused-ignore]

        caffe.set_mode_cpu()
        self._caffe = caffe
        self._translate = Translator(caffe_pb2)
        import_all()

    def __call__(self, case: Judged) -> Verdict:
        """Merge the network, run both, and compare."""
        with tempfile.TemporaryDirectory(prefix="bnfold-fuzz-", dir=_memory()) as folder:
            log = Path(folder) / "log"
            ended, words = _forked(lambda say: self._judge(case, Path(folder), say), log)
            last = words[-1] if words else {"stage": "start"}
            if "verdict" in last:
                return Verdict(last["verdict"], last["detail"], last.get("folded", 0))
            stage = last["stage"]
            if stage == "before":
                return Verdict("refused", _last_line(log))
            if stage == "batch before":
                return Verdict("same", "", last.get("folded", 0))
            return Verdict("slow" if ended == "slow" else "aborts", f"{stage}: {_last_line(log)}")

    def _judge(self, case: Judged, folder: Path, say: Callable[..., None]) -> None:
        before = case.save(folder)
        if before[1].stat().st_size < LEAST_BYTES:
            return say(verdict="unfit", detail="there are no weights")
        say(stage="before")
        net = self._load(folder, *before)
        feeds = _feeds(net, case.seed)
        expected = self._run(net, feeds)
        # A maximum of NaN, or of no place at all, is -FLT_MAX in Caffe.
        if not all((np.abs(array) < LARGEST).all() for array in expected.values()):
            return say(verdict="unfit", detail="")
        allowed = self._allowed(net, feeds, expected, case.seed)
        say(stage="merge")
        try:
            made = rewrite(case, *before)
        except bnfold.BnfoldError as error:
            return say(verdict="error", detail=str(error).replace(str(folder), ""))
        after, folded = made.files, made.folded
        if not made.is_exact:
            return say(verdict="same", detail="", folded=folded)
        say(stage="after")
        other = self._load(folder, *after)
        wrong = self._difference(expected, self._run(other, feeds), allowed)
        if wrong:
            return say(verdict="differs", detail=wrong)
        # These take as long as the rest, and what they find is in many networks or in none.
        if made.is_final and case.seed % 3 == 0:
            unstable = rewrites_again(case, after)
            if unstable:
                return say(verdict="unstable", detail=unstable)
        if case.seed % 3 != 1:
            return say(verdict="same", detail="", folded=folded)
        say(stage="batch before", folded=folded)
        net = self._load(folder, *before)
        feeds = _feeds(net, case.seed, more=1)
        expected = self._run(net, feeds)
        allowed = self._allowed(net, feeds, expected, case.seed)
        say(stage="batch after")
        wrong = self._difference(expected, self._run(other, feeds), allowed)
        kind, detail = ("differs", f"with another batch size, {wrong}") if wrong else ("same", "")
        return say(verdict=kind, detail=detail, folded=folded)

    def _load(self, folder: Path, model: Path, weights: Path) -> Any:
        text, stored = self._translate(model.read_bytes(), weights.read_bytes())
        model, weights = folder / "translated.prototxt", folder / "translated.caffemodel"
        model.write_text(text)
        weights.write_bytes(stored)
        return self._caffe.Net(str(model), self._caffe.TEST, weights=str(weights))

    def _run(self, net: Any, feeds: dict[str, Array]) -> dict[str, Array]:
        self._caffe.set_random_seed(1)
        changed = [n for n, array in feeds.items() if net.blobs[n].data.shape != array.shape]
        for name in changed:
            net.blobs[name].reshape(*feeds[name].shape)
        if changed:
            net.reshape()
        for name, array in feeds.items():
            net.blobs[name].data[...] = array
        net._forward(0, len(net.layers) - 1)
        return {name: net.blobs[name].data.copy() for name in net.outputs}

    def _allowed(
        self, net: Any, feeds: dict[str, Array], expected: dict[str, Array], seed: int
    ) -> dict[str, float]:
        """For each output the difference that rounding may make; inf where it decides."""
        kinds = dict(zip(net._layer_names, (layer.type for layer in net.layers), strict=True))
        deciding = {top for name in kinds if kinds[name] in DECIDING for top in net.top_names[name]}
        moved = dict.fromkeys(expected, 0.0)
        # The third blob of a BatchNorm is a count, which nothing rounds.
        blobs = [
            blob
            for name, held in net.params.items()
            for blob in (list(held)[:2] if kinds[name] == "BatchNorm" else held)
        ]
        stored = [blob.data.copy() for blob in blobs]
        for number in range(NUDGES):
            numbers = np.random.default_rng((seed, number))
            for blob, values in zip(blobs, stored, strict=True):
                blob.data[...] = _nudged(values, numbers)
            near = self._run(net, {name: _nudged(a, numbers) for name, a in feeds.items()})
            for name, array in near.items():
                gap = np.abs(array.astype(np.float64) - expected[name])
                moved[name] = max(moved[name], float(np.nanmax(gap, initial=0.0)))
        for blob, values in zip(blobs, stored, strict=True):
            blob.data[...] = values
        each = UNIT * (1 + len(net.params)) ** 0.5
        least = {name: each * float(np.abs(a).max(initial=0.0)) for name, a in expected.items()}
        return {
            name: np.inf if name in deciding else SAFETY * max(moved[name], least[name])
            for name in expected
        }

    def _difference(
        self, expected: dict[str, Array], found: dict[str, Array], allowed: dict[str, float]
    ) -> str:
        if set(expected) != set(found):
            return f"outputs {sorted(expected)} became {sorted(found)}"
        for name, array in expected.items():
            if array.shape != found[name].shape:
                return f"output {name} has shape {found[name].shape}, not {array.shape}"
            gap = np.abs(array.astype(np.float64) - found[name])
            if np.isinf(allowed[name]):
                # A decision on the edge may fall either way.
                if np.mean(gap > 0) > 0.2 and np.sum(gap > 0) > 2:
                    return f"output {name} decides otherwise at {int(np.sum(gap > 0))} places"
            elif not gap.max(initial=0.0) <= max(allowed[name], 1e-30):
                return (
                    f"output {name} is off by {gap.max():.3g} of {np.abs(array).max():.3g}, and "
                    f"rounding allows {allowed[name]:.3g}"
                )
        return ""


def _feeds(net: Any, seed: int, more: int = 0) -> dict[str, Array]:
    numbers = np.random.default_rng((seed, 77))
    found = {}
    for name in net.inputs:
        shape = tuple(net.blobs[name].shape)
        values = numbers.normal(0, 1, (shape[0] + more, *shape[1:]))
        found[name] = values.astype(np.float32)
    return found


def _nudged(values: Array, numbers: np.random.Generator) -> Array:
    step = numbers.choice([1 - 2 * UNIT, 1 + 2 * UNIT], values.shape)
    return np.asarray(values * step, np.float32)


def _memory() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _last_line(log: Path) -> str:
    text = log.read_text(errors="replace") if log.exists() else ""
    lines = [line for line in text.splitlines() if line.startswith("F") or "rror" in line]
    return lines[0].split("] ", 1)[-1][:300] if lines else text[-300:].replace("\n", " ")


def _forked(work: Callable[[Callable[..., None]], None], log: Path) -> tuple[str, list[Any]]:
    """Do `work` in a fork; gives how it ended and all that it said."""
    reads, writes = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reads)
            _child(work, writes, log)
        finally:
            os._exit(0)
    os.close(writes)
    try:
        ended, said = _listen(pid, reads)
    finally:
        os.close(reads)
    words = [json.loads(line) for line in said.splitlines() if line.endswith("}")]
    return ended, words


def _child(work: Callable[[Callable[..., None]], None], writes: int, log: Path) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))

    def say(**words: Any) -> None:
        os.write(writes, (json.dumps(words) + "\n").encode())

    try:
        work(say)
    except BaseException as error:
        frame = traceback.extract_tb(sys.exc_info()[2])[-1]
        where = f"{Path(frame.filename).name}:{frame.lineno}"
        say(verdict="traceback", detail=f"{type(error).__name__}: {error} ({where})"[:1500])


def _listen(pid: int, reads: int) -> tuple[str, str]:
    said, ended, end = b"", "slow", time.monotonic() + SECONDS
    while (left := end - time.monotonic()) > 0:
        if not select.select([reads], [], [], left)[0]:
            break
        chunk = os.read(reads, 1 << 16)
        if not chunk:
            ended = "done"
            break
        said += chunk
    if ended == "slow":
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return ended, said.decode()
