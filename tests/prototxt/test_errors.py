"""Every fault of a file is a PrototxtError that points at it."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnfold.prototxt import Message, PrototxtError, load, parse

from .documents import texts

FAULTS = [
    ("a", 1, 1, "a: the value is missing"),
    ("b: 1\n  a:\n", 2, 3, "a: the value is missing"),
    ("a: {", 1, 5, "the file ends within 'a', whose bracket is opened on line 1"),
    ("a {\n b {\n }\n", 4, 1, "the file ends within 'a', whose bracket is opened on line 1"),
    ("a {\n b: 1 >", 2, 7, "'a', whose bracket is opened on line 1, has to be closed with '}'"),
    ("a <\n b: 1 }", 2, 7, "'a', whose bracket is opened on line 1, has to be closed with '>'"),
    ("a: 1\n}", 2, 1, "'}' closes a bracket that was never opened"),
    ('a: "x\nb: 1', 1, 4, 'the string has no closing " on its line'),
    ("a: 'x\\'", 1, 4, "the string has no closing ' on its line"),
    ("a: 1.2.3", 1, 4, "'1.2.3' is not a number"),
    ("a: 12ab", 1, 4, "'12ab' is not a number"),
    ("a: 0x", 1, 4, "'0x' is not a number"),
    ("a: - x", 1, 6, "a: expected a number after '-'"),
    ("a: é", 1, 4, "unexpected character 'é'"),
    ("a\u00a0: 1", 1, 2, "unexpected character U+00A0"),
    ("a: 1\ufeff", 1, 5, "a byte-order mark within the file"),
    ("a: 1\0", 1, 5, "a zero byte"),
    ("a: \\", 1, 4, "unexpected character '\\\\'"),
    ("a: [1, 2\n", 2, 1, "a: expected ',' or ']' in the list opened on line 1"),
    ("a: [1 2]", 1, 7, "a: expected ',' or ']' in the list opened on line 1, found '2'"),
    ("a: [1}", 1, 6, "a: expected ',' or ']' in the list opened on line 1, found '}'"),
    ("a: [1,,2]", 1, 7, "a: expected a value in the list"),
    ("a: [1,]", 1, 7, "a: expected a value in the list"),
    ("a: [[1]]", 1, 5, "a: expected a value in the list"),
    ("a [1]", 1, 4, "a: expected ':' or '{' after the name, found '1'"),
    ("a 1", 1, 3, "a: expected ':' or '{' after the name, found '1'"),
    ("a: 1 ;; b: 2", 1, 7, "expected a field name, found ';'"),
    (": 1", 1, 1, "expected a field name, found ':'"),
    ("[a b: 1", 1, 1, "expected a field name, found '['"),
    ("\ufeffa: 1\r\n\tb 2", 2, 4, "b: expected ':' or '{' after the name"),
    ("\ufeffa 1", 1, 3, "a: expected ':' or '{' after the name"),
    ("a { " * 101 + "}" * 101, 1, 403, "messages are nested more than 100 levels deep"),
]


@pytest.mark.parametrize(("text", "line", "column", "reason"), FAULTS)
def test_a_fault_is_named_where_it_is(text: str, line: int, column: int, reason: str) -> None:
    with pytest.raises(PrototxtError) as caught:
        parse(text, "net.prototxt")
    error = caught.value
    assert (error.path, error.line, error.column) == ("net.prototxt", line, column)
    assert error.reason.startswith(reason)
    assert str(error) == f"net.prototxt:{line}:{column}: {error.reason}"
    assert "\n" not in str(error)


def test_a_bad_value_is_named_where_its_field_is() -> None:
    document = parse(
        "layer {\n  p {\n    bias_term: maybe\n    pool: BEST\n  }\n}\n", "net.prototxt"
    )
    (layer,) = document.root.fields
    bias_term, pool = layer.message().fields[0].message().fields
    with pytest.raises(PrototxtError) as caught:
        bias_term.boolean()
    assert str(caught.value) == (
        "net.prototxt:3:5: bias_term: expected true or false, found 'maybe'"
    )
    with pytest.raises(PrototxtError, match=r":4:5: pool: expected MAX or AVE, found 'BEST'$"):
        pool.enum({"MAX": 0, "AVE": 1})
    with pytest.raises(PrototxtError, match=r":4:5: pool: expected a message \{ \.\.\. \}, found"):
        pool.message()
    with pytest.raises(PrototxtError, match=r":1:1: layer: expected a string in quotes, found a"):
        layer.string()


def test_an_error_shows_only_the_start_of_a_long_value() -> None:
    (field,) = parse('a: "' + "x" * 10_000 + '"').root.fields
    with pytest.raises(PrototxtError) as caught:
        field.boolean()
    assert len(str(caught.value)) < 120


def test_a_singular_field_given_twice_names_both_lines() -> None:
    message = parse("eps: 1\n\n eps: 2\n", "net.prototxt").root
    with pytest.raises(PrototxtError, match=r"^net\.prototxt:3:2: eps: already given on line 1"):
        message.get("eps")


def test_callers_can_point_at_a_field_or_a_message() -> None:
    document = parse("a {\n  b: 1\n}\n", "net.prototxt")
    message = document.root.fields[0].message()
    assert str(document.error(message.fields[0], "odd")) == "net.prototxt:2:3: odd"
    assert str(document.error(message, "odd")) == "net.prototxt:1:1: odd"
    assert str(document.error(document.root, "odd")) == "net.prototxt:1:1: odd"


def test_errors_survive_pickling() -> None:
    error = pickle.loads(pickle.dumps(PrototxtError("p", 1, 2, "odd")))
    assert (str(error), error.line) == ("p:1:2: odd", 1)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\n\x05net\x00\x01\xa2\x06", "not text but a binary file; give the .prototxt"),
        ("a: 1".encode("utf-16"), "UTF-16"),
        (b"a: 1\n" * 20_000 + b"\0", "not text"),
    ],
)
def test_a_file_that_is_not_text_is_called_so(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(data)
    with pytest.raises(PrototxtError, match=reason) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}:1:1: ")


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.prototxt")


def error_of(action: Callable[[], Any]) -> str:
    """The message of the one kind of error that an action may raise, or nothing."""
    try:
        action()
    except PrototxtError as error:
        return str(error)
    return ""


def read_everything(text: str) -> None:
    stack = [*parse(text).root.fields]
    while stack:
        field = stack.pop()
        for reader in (field.string, field.boolean, field.integer, field.floating, field.message):
            assert "\n" not in error_of(reader)
        if isinstance(field.value, Message):
            stack.extend(field.value.fields)


@settings(max_examples=300)
@given(
    st.text(
        st.sampled_from("ab0 19.-\n\r\t\"'\\{}<>[]:,;#/xuefn\0\ufeffé\u2028\udc80"), max_size=40
    )
)
def test_garbage_raises_nothing_but_prototxt_errors(text: str) -> None:
    assert "\n" not in error_of(lambda: read_everything(text))


@settings(max_examples=200)
@given(texts(), st.data())
def test_damaged_files_raise_nothing_but_prototxt_errors(text: str, data: Any) -> None:
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = start + data.draw(st.integers(0, 3))
        text = text[:start] + data.draw(st.text(max_size=2)) + text[end:]
    assert "\n" not in error_of(lambda: read_everything(text))


@pytest.mark.parametrize(
    "text",
    [
        "a { " * 100_000,
        "a <" * 100_000 + ">" * 100_000,
        "a: [" * 100_000,
        "a: [{" * 100_000,
        "a: 1 " * 40_000,
        "a {}" * 40_000,
        "# c\n" * 100_000,
        "\n" * 300_000,
        'a: "' + '\\"' * 200_000,
        '"' * 200_000,
        'a: "x' + "'" * 200_000,
        "a: " + "1" * 300_000 + "x",
        "a: " + '"x" ' * 50_000,
        "a: [" + "1, " * 50_000 + "1]",
        "[" + "a." * 100_000,
        "[a.1b]: 1 " * 20_000,
        "a: " + "-" * 100_000,
        "a: 1" + " " * 300_000 + "}",
    ],
    ids=lambda text: text[:12],
)
def test_hostile_files_take_time_in_proportion_to_their_size(text: str) -> None:
    begun = time.process_time()
    assert len(error_of(lambda: parse(text).root.get("none"))) < 200
    # A quadratic path would take minutes; the limit is far above what slow machines need.
    assert time.process_time() - begun < 5
