"""Names come from files, and files from strangers: none reaches a terminal as more than text."""

from __future__ import annotations

import ast
import json
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from models import Model

import bnfold
from bnfold.cli import progress, terminal
from bnfold.outputs import json_document
from bnfold.printable import printable

from .terminals import on_terminal

HOSTILE = {
    "\x1b[31mred": "\\x1b[31mred",
    "\x1b]0;title\x07": "\\x1b]0;title\\x07",
    "a\nmerged b": "a\\nmerged b",
    "a\rb": "a\\rb",
    "a\x7fb": "a\\x7fb",
    "a\x9b2Jb": "a\\x9b2Jb",
    "a\u202eb": "a\\u202eb",
    "a\u2066b": "a\\u2066b",
    "a\u2028b": "a\\u2028b",
    "a\u200bb": "a\\u200bb",
    "[red]x[/red]": "[red]x[/red]",
    "[/]": "[/]",
    "[link=file:///etc]x": "[link=file:///etc]x",
    "back\\": "back\\",
    "café ☕": "café ☕",
}


def quoted(name: str) -> str:
    """A name as text format writes it."""
    return "".join(f"\\{byte:03o}" for byte in name.encode("utf-8", "surrogateescape"))


@pytest.fixture(params=HOSTILE, ids=HOSTILE.values())
def model(request, tmp_path):
    """A network whose convolution and batch norm have a hostile name."""
    net = Model(seed=1).input("data", (1, 3, 8, 8)).conv("CONV", "data", 4).batch_norm("b", "CONV")
    net.relu("stop", "CONV").batch_norm("NORM", "CONV")
    path = tmp_path / "net.prototxt"
    name = quoted(request.param)
    path.write_text(net.text.replace("CONV", f"conv {name}").replace("NORM", f"norm {name}"))
    path.with_name("name.txt").write_text(request.param, newline="\n")
    return path, request.param, HOSTILE[request.param]


def is_plain(text: str) -> bool:
    return all(line.isprintable() for line in text.split("\n"))


def test_a_report_in_a_pipe_shows_them_escaped(model, run):
    path, _, shown = model
    ran = run("inspect", "--model", path)
    assert ran.code == 0
    assert is_plain(ran.out)
    assert f"folded b (BatchNorm) into conv {shown}" in ran.out
    assert f" norm {shown} (BatchNorm)" in ran.out


def terminal_of(arguments: list[str], columns: int) -> str:
    """What a command prints on a terminal of so many columns, without rich's own colours."""
    command = [sys.executable, "-m", "bnfold", *map(str, arguments)]
    done = on_terminal(command, "stdout", "stderr", columns=columns)
    assert done.code == 0
    return done.plain


@pytest.mark.parametrize("columns", [60, 300])
def test_a_terminal_shows_them_escaped_and_markup_as_it_is(tmp_path, columns):
    net = Model(seed=1).input("data", (1, 3, 8, 8)).conv("c", "data", 4).relu("r", "c")
    for i in range(len(HOSTILE)):
        net.batch_norm(f"NORM{i}.", "c", f"t{i}")
    text = net.text
    for i, name in enumerate(HOSTILE):
        text = text.replace(f"NORM{i}.", f"norm {quoted(name)}")
    path = tmp_path / "net.prototxt"
    path.write_text(text)
    out = terminal_of(["inspect", "--model", path], columns)
    assert is_plain(out)
    # The escape sequences that were taken out above are rich's own, and none is a name's.
    for shown in HOSTILE.values():
        assert f"norm {shown} " in out


def test_an_error_shows_them_escaped_in_one_line(model, refused):
    path, name, shown = model
    text = path.read_text().replace('bottom: "data"', 'bottom: "gone"')
    path.write_text(text)
    line = refused("inspect", "--model", path)
    assert is_plain(line)
    # An error in a prototxt has a blank for white space of any kind.
    assert f"conv {shown}" in line or f"conv {' '.join(name.split())}" in line


def test_the_library_s_errors_are_one_printable_line(model):
    path, _, _ = model
    path.write_text(path.read_text().replace('bottom: "data"', 'bottom: "gone"'))
    with pytest.raises(bnfold.BnfoldError) as caught:
        bnfold.inspect(path)
    assert str(caught.value).isprintable()
    assert str(bnfold.BnfoldError("layer 'a\nb\x1b'")) == "layer 'a\\nb\\x1b'"


def test_json_holds_them_exactly(model, run):
    path, name, _ = model
    ran = run("inspect", "--model", path, "--json", "-")
    names = {outcome["layer"] for outcome in json.loads(ran.out)["layers"]}
    assert f"norm {name}" in names
    assert ran.out.isascii()


def test_bytes_that_are_no_utf8_come_out_as_valid_json(run, tmp_path):
    net = Model(seed=1).input("data", (1, 3, 8, 8)).conv("c", "data", 4).batch_norm("NORM", "c")
    path = tmp_path / "net.prototxt"
    path.write_bytes(net.text.encode().replace(b"NORM", b"caf\xe9 \\377 \xf0\x9f\x92\x80"))
    document = json.loads(run("inspect", "--model", path, "--json", "-").out)
    document["layers"][0]["layer"].encode()  # A lone surrogate would not do.
    assert document["layers"][0]["layer"] == "caf\\xe9 \\xff \N{SKULL}"
    assert "caf\\xe9 \\xff \N{SKULL}" in run("inspect", "--model", path).out


def test_a_path_with_an_escape_sequence_is_shown_escaped(refused, tmp_path):
    assert "no\\x1b[31mwhere" in refused("inspect", "--model", tmp_path / "no\x1b[31mwhere")
    assert "--\\x1b[31m" in refused("inspect", "--\x1b[31m")


@given(st.text())
def test_printable_is_one_line_of_visible_characters_and_leaves_those_alone(text):
    shown = printable(text)
    assert shown.isprintable()
    assert printable(shown) == shown
    assert text.isprintable() == (shown == text)


@given(st.recursive(st.text() | st.integers() | st.none(), st.lists))
def test_documents_are_json_that_says_the_same(content):
    document = json_document({"content": content})
    assert document.isascii()
    if not re.search("[\ud800-\udfff]", str(content)):
        assert json.loads(document) == {"content": content}
    json.loads(document)


# ---------------------------------------------------------------- long names


def test_names_are_never_cut_so_that_two_look_alike(tmp_path):
    net = Model(seed=1).input("data", (1, 3, 8, 8))
    names = [f"inception_{'a_rather_long_name_' * 3}/{end}" for end in ("1x1_bn", "3x3_bn")]
    net.conv("c", "data", 4).relu("stop", "c")
    for name in names:
        net.batch_norm(name, "c").relu(f"r {name[-6:]}", "c")
    path = tmp_path / "net.prototxt"
    path.write_text(net.text)
    for columns in (40, 80, 200):
        out = terminal_of(["inspect", "--model", path], columns)
        assert all(name in out for name in names)


# ---------------------------------------------------------------- progress


def test_a_log_gets_a_line_now_and_then(monkeypatch, capfd):
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    with progress.progress("verifying", False, unit="inputs") as tell:
        for done in range(250):
            tell(done, 250)
            now += 0.125
    assert capfd.readouterr().err == (
        "bnfold: verifying: 80 of 250 inputs, 32%\nbnfold: verifying: 160 of 250 inputs, 64%\n"
        "bnfold: verifying: 240 of 250 inputs, 96%\n"
    )
    with progress.progress("loading", False) as tell:
        tell(0.1, 1, "time")
        now += 11
        tell(0.5, 1, "memory")
    assert capfd.readouterr().err == "bnfold: memory: 50%\n"
    with progress.progress("loading", True) as tell:
        now += 11
        tell(1, 1)
    assert capfd.readouterr().err == ""


# ---------------------------------------------------------------- one way out


def test_nothing_else_in_the_command_line_prints():
    ways = {"echo", "secho", "print", "Console", "print_json"}
    for path in sorted(Path(terminal.__file__).parent.glob("*.py")):
        if path.stem in ("terminal", "progress"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                called = getattr(node.func, "attr", getattr(node.func, "id", ""))
                assert called not in ways, f"{path.name}:{node.lineno}"
