"""What the documents tell a reader to do, done: every command, every example in Python."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import click
import pytest
from documents import DOCUMENTS, ROOT, Block, blocks, examples, matches, name

from bnfold.cli.app import COMMANDS, cli

ALL = [(path, block) for path in DOCUMENTS for block in blocks(path)]
BEGINS = "\x1ebegins\n"


def those(language: str) -> list[object]:
    return [
        pytest.param(block, id=f"{name(path)}:{block.line}")
        for path, block in ALL
        if block.language == language
    ]


PROGRESS = re.compile(r"^bnfold: [^:\n]+: (?:[\d,]+ of [\d,]+ \w+, )?\d+%\n", re.MULTILINE)


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A checkout after `make demo`, as far as the documents use one."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    main = "import sys; sys.argv[0] = 'bnfold'; from bnfold.cli import main; sys.exit(main())"
    for program, arguments in {"bnfold": f'-c "{main}"', "python": ""}.items():
        path = programs / program
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return tmp_path


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if examples(path)], ids=name)
def test_every_example_prints_what_the_document_shows(path, checkout, opencv):
    """One shell runs all of a document, in the order in which a reader would."""
    found = examples(path)
    begin = f"_code=$?; printf '{BEGINS}'; (exit $_code)"
    ran = subprocess.run(
        ["bash", "-c", "\n".join(f"{begin}\n{example.code}" for example in found)],
        cwd=checkout,
        env=os.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    first, *outputs = ran.stdout.split(BEGINS)
    assert (first, len(outputs)) == ("", len(found)), ran.stdout
    for example, output in zip(found, outputs, strict=True):
        # On a busy machine a command takes so long that it says how far it is.
        printed = PROGRESS.sub("", output)
        place = f"{name(path)}, line {example.line}: {example.code}"
        assert "Traceback" not in printed, f"{place}\n{printed}"
        if example.prints is not None:
            same = matches(example.prints, printed, example.varies)
            assert same, f"{place}\nprints\n{printed}"


def test_lines_of_progress_are_no_output():
    said = "a\nbnfold: comparing: 12%\nbnfold: verifying: 1,024 of 2,048 inputs, 50%\n"
    assert PROGRESS.sub("", said) == "a\n"
    assert PROGRESS.sub("", "bnfold: x: lost 3%, not 0%\n") != ""


def test_an_output_that_differs_is_found():
    assert matches(["a", "...", "d 1.5"], "a\nb\nc\nd 1.5\n")
    assert not matches(["a", "...", "d 1.5"], "a\nb\nc\nd 1.6\n")
    assert matches(["took 1.5e-07 s"], "took 2 s\n", "numbers")
    assert not matches(["took 1.5 s"], "took 1.5 s\nmore\n", "numbers")
    assert not matches(["took 1.5 s"], "took 15 ms\n", "numbers")
    assert matches(["took 1.5 s"], "took 15 ms, which is less\n", "times")
    assert not matches(["took 1.5 s"], "takes 1.5 s\n", "times")
    assert not matches(["took 1.5 s"], "took 1.5 s\nmore\n", "times")


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


@pytest.mark.parametrize("block", those("shell"))
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


@pytest.mark.parametrize("path", [p for p in DOCUMENTS if "examples" not in p.parts], ids=name)
def test_every_option_that_a_document_names_is_one_of_some_command(path):
    known = {"--help", "--version"}
    for command in COMMANDS:
        for one in cli.get_command(click.Context(cli), command).params:
            known |= {*one.opts, *one.secondary_opts}
    spans = re.findall(r"`([^`\n]*)`", path.read_text(encoding="utf-8"))
    options = {
        option
        for span in spans
        if span.startswith(("bnfold ", "--", *(f"{command} -" for command in COMMANDS)))
        for option in re.findall(r"(?<![\w-])--[a-z][\w-]*", span)
    }
    assert options <= known


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_every_file_of_the_checkout_that_a_document_names_is_there(path):
    text = path.read_text(encoding="utf-8")
    folders = "bnfold|tests|tools|docs|examples|benchmarks|proto"
    named = set(re.findall(rf"`((?:{folders})/[\w./-]*)`", text))
    assert not [file for file in named if not (ROOT / file).exists()]


def test_every_block_that_does_not_run_says_why():
    for path, block in ALL:
        if block.mark.startswith("not run"):
            assert len(block.mark) > len("not run: "), f"{name(path)}:{block.line}"
