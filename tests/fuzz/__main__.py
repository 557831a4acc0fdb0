"""Random inputs from a seed that is printed: `python -m tests.fuzz --seconds 600`.

Two halves run side by side, each in a process of its own for all the seconds: networks, which are
judged in Caffe, and damaged files, for which nothing but one line of error may come out. Ends with
1 if anything failed. `--again FOLDER` judges a network that an earlier run saved.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import secrets
import subprocess
import sys
from pathlib import Path

HALVES = ("networks", "files")


def main() -> int:
    """Run the halves that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="how long, for each half")
    parser.add_argument("--seed", type=int, help="decides all inputs; a random one by default")
    parser.add_argument("--half", choices=HALVES, help="only this half")
    parser.add_argument("--save", type=Path, default=Path("build/fuzz"), help="for what fails")
    parser.add_argument("--again", type=Path, help="judge the network in this folder once more")
    options = parser.parse_args()
    if options.again:
        return again(options.again)
    seed = secrets.randbits(31) if options.seed is None else options.seed
    if options.half:
        return half(options.half, options.seconds, seed, options.save)
    print(f"seed {seed}", flush=True)
    common = ["--seconds", str(options.seconds), "--seed", str(seed), "--save", options.save]
    started = [
        subprocess.Popen([sys.executable, "-m", "tests.fuzz", "--half", name, *common])
        for name in HALVES
        if importlib.util.find_spec(f"tests.fuzz.{name}")
    ]
    return max(process.wait() != 0 for process in started)


def half(name: str, seconds: float, seed: int, save: Path) -> int:
    """Run one half; say what it came to."""
    try:
        summary = importlib.import_module(f"tests.fuzz.{name}").run(seconds, seed, save)
    except ImportError as error:
        print(f"{name}: {error}; build Caffe with `make pycaffe`", file=sys.stderr)
        return 2
    print(f"{name}: seed {seed}, {summary.inputs} inputs, {len(summary.failures)} failures")
    for failure in summary.failures:
        print(f"{name}: {failure}")
    return int(bool(summary.failures))


def again(folder: Path) -> int:
    """Judge a network that was saved."""
    from .judge import Judge
    from .networks import Saved

    verdict = Judge()(Saved(folder))
    print(json.dumps(vars(verdict)))
    return int(verdict.is_failure)


if __name__ == "__main__":
    sys.exit(main())
