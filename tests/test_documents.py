"""What the documents tell a reader to do, done: every command, every example in Python."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import click
import pytest
from documents import Block, blocks

from bnfold.cli.app import COMMANDS, cli
from tests.cli import conftest

run = conftest.run

ROOT = Path(__file__).parents[1]
DIGITS = ROOT / "examples" / "digits"
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), DIGITS / "README.md"]
ALL = [(path, block) for path in DOCUMENTS for block in blocks(path)]


def those(language: str, *, runs: bool = True) -> list[object]:
    return [
        pytest.param(block, id=f"{path.name}:{block.line}")
        for path, block in ALL
        if block.language == language and block.runs == runs
    ]


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A folder with what the examples name: a network under two names, its images, a list."""
    for name in ("deploy.prototxt", "digits.caffemodel", "val.txt"):
        shutil.copy(DIGITS / name, tmp_path)
    shutil.copy(DIGITS / "digits.caffemodel", tmp_path / "x.caffemodel")
    shutil.copytree(DIGITS / "images", tmp_path / "images")
    (tmp_path / "list.txt").write_text("conv1: 0, 3\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("block", those("shell"))
def test_every_shell_block_runs(block: Block, run, folder, opencv):
    for words, promised in block.steps:
        make_ready(run, words)
        code, printed = execute(run, words)
        assert code == 0, printed
        if block.mark != "output varies":
            assert_in_order(promised, printed)


def make_ready(run, words: list[str]) -> None:
    """Have what a command needs there, and what it writes not."""
    if words[:2] in (["bnfold", "merge"], ["bnfold", "prune"]):
        for path in [*Path().glob("*.folded.*"), *Path().glob("*.pruned.*")]:
            path.unlink()
    elif words[1] not in ("inspect", "runtimes") and not Path("deploy.folded.prototxt").exists():
        for weights in ("digits.caffemodel", "x.caffemodel"):
            assert run("merge", "deploy.prototxt", weights, "--force").code == 0


def execute(run, words: list[str]) -> tuple[int, str]:
    """Run a command of a block, in this process if it is bnfold's."""
    if words[:2] == ["bnfold", "bench"]:
        words = [*words, "--seconds", "0.1"]  # the last one counts
    if words[0] == "bnfold":
        ran = run(*words[1:])
        return ran.code, ran.out + ran.err
    assert words[0] == "diff", f"{words[0]}: is it to be run here?"
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return int(done.returncode > 1), done.stdout + done.stderr


def assert_in_order(promised: list[str], printed: str) -> None:
    """Hold printed lines to promised ones; `...` stands for any number of lines."""
    left = iter(printed.splitlines())
    for line in promised:
        if line.strip() not in ("", "..."):
            assert line in left, f"not printed, or not there: {line}\n{printed}"


@pytest.mark.parametrize("block", those("python"))
def test_every_example_in_python_runs(block: Block, folder, opencv):
    exec(compile(block.text, "example", "exec"), {})


def test_every_example_in_python_has_right_types(tmp_path):
    from mypy import api

    files = []
    for path, block in ALL:
        if block.language == "python":
            files.append(tmp_path / f"{path.stem.lower()}_{block.line}.py")
            files[-1].write_text(block.text + "\n")
    assert files
    out, err, code = api.run(["--config-file", str(ROOT / "pyproject.toml"), *map(str, files)])
    assert code == 0, out + err


@pytest.mark.parametrize("block", [*those("shell"), *those("shell", runs=False)])
def test_every_option_that_a_shell_block_names_is_there(block: Block):
    for part in re.split(r"(?m)^(?:\$ )?(?=bnfold )", block.text):
        words = part.split()
        if words[:1] == ["bnfold"] and words[1:2] and words[1] in COMMANDS:
            command = cli.get_command(click.Context(cli), words[1])
            known = {
                option for one in command.params for option in (*one.opts, *one.secondary_opts)
            }
            known |= {"--help", "--version"}
            assert set(re.findall(r"(?<![\w-])--[a-z][\w-]*", part.split("\n\n")[0])) <= known


def test_every_block_that_does_not_run_says_why():
    assert any(block.language == "shell" and block.runs for _, block in ALL)
    for path, block in ALL:
        if not block.runs:
            assert len(block.mark) > len("not run: "), f"{path}:{block.line}"
