"""The memory that a process takes beyond what it has at its start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_HEAD = """
import os, sys
import numpy as np
from bnfold.caffemodel import LayerEdit, open_weights

class Twice:
    def __init__(self, blob):
        self.blob, self.shape, self.dtype = blob, blob.shape, blob.dtype
    def chunks(self, max_items):
        for chunk in self.blob.chunks(max_items):
            yield chunk * np.float32(2)

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

"""


def kilobytes(code: str, *arguments: Path) -> int:
    """What code takes in a process of its own, where it has `peak()` and a blob `Twice` another.

    The code prints what it took, at its end.
    """
    command = [sys.executable, "-c", _HEAD + code, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return int(done.stdout)
