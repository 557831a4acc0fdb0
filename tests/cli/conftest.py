"""Running the command in this process, as `main` does, and looking at all that it did."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from bnfold.cli import app, progress


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


@pytest.fixture
def run(capfd, monkeypatch):
    """Run `bnfold` with arguments; gives the exit code and what was printed.

    However long it takes on a busy machine, it prints nothing of how far it is.
    """
    monkeypatch.setattr(progress, "SECONDS", float("inf"))

    def run(*arguments) -> Ran:
        monkeypatch.setattr(sys, "argv", ["bnfold", *map(str, arguments)])
        capfd.readouterr()
        code = app._run()
        sys.stdout.flush()
        out, err = capfd.readouterr()
        return Ran(code, out, err)

    return run


def snapshot(folder: Path) -> dict[str, bytes | None]:
    """Every file under a folder with its content."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def refused(run, tmp_path):
    """Run a command that must fail: one line, exit code 2, and no file made or changed."""

    def refused(*arguments, says=()) -> str:
        before = snapshot(tmp_path)
        ran = run(*arguments)
        assert ran.code == 2, ran
        assert ran.out == ""
        assert ran.err.startswith("bnfold: ")
        assert ran.err.count("\n") == 1
        assert ran.err.endswith("\n")
        assert "Traceback" not in ran.err
        assert snapshot(tmp_path) == before
        for word in [says] if isinstance(says, str) else says:
            assert word in ran.err
        return ran.err

    return refused
