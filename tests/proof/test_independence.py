"""The proof is a second opinion: it shares no code with what it checks."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import bnfold

ALLOWED = {"aliases", "caffemodel", "errors", "printable", "proof", "prototxt"}


def test_it_imports_the_readers_of_the_two_files_and_nothing_else():
    for path in sorted((Path(bnfold.__file__).parent / "proof").glob("*.py")):
        found = re.findall(r"(?:from|import) bnfold\.(\w+)", path.read_text())
        assert set(found) <= ALLOWED, path


def test_nothing_else_is_loaded_by_it():
    code = "import sys, bnfold.proof; print(*(n for n in sys.modules if n.startswith('bnfold.')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {name.split(".")[1] for name in done.stdout.split()} <= ALLOWED
