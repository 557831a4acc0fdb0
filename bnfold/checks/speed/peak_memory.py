"""The memory that one network takes, in a process that runs nothing else.

`main`, in that process, prints the peak resident bytes, or `null` where the system does not tell.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bnfold.aliases import Array
from bnfold.errors import BnfoldError
from bnfold.import_path import isolated, trusted
from bnfold.runtimes import Runtime, Session, open_runtime

_PASSES = 2
_START = (
    "import sys; sys.path[:] = sys.argv[3:]; "
    "from bnfold.checks.speed.peak_memory import main; main()"
)


def load(runtime: Runtime, model: Path, weights: Path, fusion: bool | None) -> Session:
    """Load a network as its users run it: with Winograd where the engine has it.

    Args:
        runtime: the engine.
        model: the prototxt.
        weights: the caffemodel.
        fusion: whether the engine may merge layers on its own; None for one that cannot.

    Raises:
        EngineError: the engine cannot load it.
    """
    if fusion is None:
        return runtime.load(model, weights)
    return runtime.load(model, weights, fusion=fusion, winograd=True)


def peak_of(
    runtime: str,
    model: Path,
    weights: Path,
    *,
    feeds: Mapping[str, Array],
    fusion: bool | None,
    threads: int | None,
    caffe_root: str | None,
) -> int | None:
    """Load a network into a fresh process, run it, and return what the process took at most.

    Args:
        runtime: the engine's name.
        model: the prototxt.
        weights: the caffemodel.
        feeds: its inputs.
        fusion: as for `load`.
        threads: how many threads the engine may use; None for its own default.
        caffe_root: Caffe's folder; None for whatever `import caffe` finds.

    Returns:
        Peak resident bytes of the process that holds the engine: the engine, the loading and the
        passes. None where the system does not tell.

    Raises:
        BnfoldError: the process failed.
    """
    task = {
        "runtime": runtime,
        "model": str(model),
        "weights": str(weights),
        "inputs": list(feeds),
        "fusion": fusion,
        "threads": threads,
        "caffe_root": caffe_root,
    }
    with tempfile.TemporaryDirectory(prefix="bnfold-") as folder:
        # Making suitable inputs takes memory, which is not the network's.
        arrays = Path(folder) / "feeds.npz"
        np.savez(arrays, *feeds.values())
        done = subprocess.run(
            # The process shall import what this one does, wherever that came from.
            isolated(sys.executable, "-c", _START, json.dumps(task), str(arrays), *trusted()),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        words = [line for line in done.stderr.splitlines() if line.strip()]
        last = words[-1].strip() if words else f"it ended with status {done.returncode}"
        raise BnfoldError(
            f"{model}: the process that measures its memory failed: {last}; "
            "is there enough memory for the network?"
        )
    found: int | None = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure what the first argument describes, on the arrays in the file that is the second."""
    task = json.loads(sys.argv[1])
    with np.load(sys.argv[2]) as arrays:
        feeds = {name: arrays[f"arr_{i}"] for i, name in enumerate(task["inputs"])}
    pair = Path(task["model"]), Path(task["weights"])
    options = {"threads": task["threads"], "caffe_root": task["caffe_root"]}
    with (
        open_runtime(task["runtime"], **options) as runtime,
        load(runtime, *pair, task["fusion"]) as session,
    ):
        session.feed(feeds)
        for _ in range(_PASSES):
            session.forward()
        found = session.peak_memory()
    print(json.dumps(found))
