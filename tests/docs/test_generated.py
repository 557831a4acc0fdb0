"""The pages that are made from the code are what the code says now."""

from __future__ import annotations

import re
import subprocess
import sys

from documents import ROOT

import bnfold


def test_generated_pages_are_up_to_date():
    """If this fails, run tools/write_docs.py."""
    command = [sys.executable, str(ROOT / "tools" / "write_docs.py"), "--check"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_meaning_is_made_of_sentences():
    for code in bnfold.Code:
        assert re.fullmatch(r"[A-Z].*\.", code.meaning), code


def test_contributing_names_every_module():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set()
    for line in text.partition("## Every module")[2].splitlines():
        if heading := re.fullmatch(r"### `(bnfold/.*)`", line):
            folder = heading[1]
            named.add(f"{folder}__init__.py")
        elif row := re.fullmatch(r"\| `(\w+\.py)` \| \S.*\. \|", line):
            named.add(folder + row[1])
    assert named == {path.relative_to(ROOT).as_posix() for path in ROOT.glob("bnfold/**/*.py")}


def test_the_page_on_python_names_every_function():
    text = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    functions = [name for name in bnfold.__all__ if name[0].islower()]
    assert [name for name in functions if f"| `bnfold.{name}(" not in text] == []
