"""What a diff of an edited file looks like: the change and nothing more."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnfold.prototxt import Document, Field, Ident, PrototxtError, load, parse


def at(document: Document, *path: int) -> Field:
    """The field that a path of indices leads to."""
    field = document.root.fields[path[0]]
    for index in path[1:]:
        field = field.message().fields[index]
    return field


def edited(text: str, edit: Callable[[Document], Any]) -> str:
    document = parse(text)
    edit(document)
    return document.render()


def without(text: str, *paths: tuple[int, ...]) -> str:
    return edited(text, lambda d: [d.remove(at(d, *path)) for path in paths])


THREE = "layer {\n  a: 1\n}\n{gap}layer {\n  b: 1\n}\n{gap}layer {\n  c: 1\n}\n"


@pytest.mark.parametrize(
    ("text", "index", "result"),
    [
        # Lines of its own.
        ("a: 1\nb: 2\nc: 3\n", 1, "a: 1\nc: 3\n"),
        ("a: 1\r\nb: 2\r\nc: 3\r\n", 1, "a: 1\r\nc: 3\r\n"),
        ("a: 1\nb: 2", 1, "a: 1\n"),
        ("a: 1", 0, ""),
        # Blank lines.
        ("a: 1\n\nb: 2\n\nc: 3\n", 1, "a: 1\n\nc: 3\n"),
        ("a: 1\n\n\nb: 2\n\nc: 3\n", 1, "a: 1\n\n\nc: 3\n"),
        ("a: 1\n\nb: 2\nc: 3\n", 1, "a: 1\n\nc: 3\n"),
        ("a: 1\n\nb: 2\n", 1, "a: 1\n"),
        ("a: 1\n\nb: 2\n", 0, "b: 2\n"),
        ("\ufeffa: 1\n\nb: 2\n", 0, "\ufeffb: 2\n"),
        # Comments.
        ("a: 1\n# of b\n# too\nb: 2 # b\nc: 3\n", 1, "a: 1\nc: 3\n"),
        ("a: 1 # of a\nb: 2\n# of c\nc: 3\n", 1, "a: 1 # of a\n# of c\nc: 3\n"),
        ("a: 1\n# section\n\nb: 2\nc: 3\n", 1, "a: 1\n# section\n\nc: 3\n"),
        ("# licence\n\na: 1\nb: 2\n", 0, "# licence\n\nb: 2\n"),
        ("# licence\na: 1\nb: 2\n", 0, "# licence\nb: 2\n"),
        ("\n# of a\na: 1\nb: 2\n", 0, "\nb: 2\n"),
        ("a: 1 b: 2 # of both\nc: 3\n", 1, "a: 1 # of both\nc: 3\n"),
        ("# of both\na: 1 b: 2\nc: 3\n", 0, "# of both\nb: 2\nc: 3\n"),
        ("a: 1\n#layer {\n#}\nb: 2\n", 1, "a: 1\n"),
        # Shared lines.
        ("a: 1 b: 2 c: 3\n", 1, "a: 1 c: 3\n"),
        ("a: 1 b: 2 c: 3\n", 0, "b: 2 c: 3\n"),
        ("a: 1 b: 2 c: 3\n", 2, "a: 1 b: 2\n"),
        ("a: 1, b: 2, c: 3\n", 1, "a: 1, c: 3\n"),
        ("a: 1; b: 2; c: 3\n", 2, "a: 1; b: 2\n"),
        ("a: 1; b: 2; c: 3;\n", 2, "a: 1; b: 2;\n"),
        ("a {\n}b {\n}c {\n}\n", 0, "b {\n}c {\n}\n"),
        ("a {\n}b {\n}c {\n}\n", 1, "a {\n}c {\n}\n"),
        ("a {\n}b {\n} # of b\nc {\n}\n", 1, "a {\n}\nc {\n}\n"),
        ("a: 1 b {}c: 1\n", 1, "a: 1 c: 1\n"),
        # Lists.
        ("a: [1, 2, 3]\n", 0, "a: [2, 3]\n"),
        ("a: [1, 2, 3]\n", 1, "a: [1, 3]\n"),
        ("a: [1, 2, 3]\n", 2, "a: [1, 2]\n"),
        ("a: [1]\nb: 2\n", 0, "b: 2\n"),
        ("a: [\n  1, # one\n  2 # two\n]\n", 1, "a: [\n  1 # one\n]\n"),
        ("a [{b: 1}, {c: 1}]\n", 0, "a [{c: 1}]\n"),
    ],
)
def test_removing_a_field_takes_what_is_its_own(text: str, index: int, result: str) -> None:
    assert without(text, (index,)) == result


@pytest.mark.parametrize(
    ("text", "path", "result"),
    [
        ("p {\n  a: 1\n}\n", (0, 0), "p {\n}\n"),
        ("p {\n\n  a: 1\n\n}\n", (0, 0), "p {\n}\n"),
        ("p {\n  a: 1\n\n  b: 1\n}\n", (0, 0), "p {\n  b: 1\n}\n"),
        ("p {\n  a: 1\n\n  b: 1\n}\n", (0, 1), "p {\n  a: 1\n}\n"),
        ("p { # of p\n  a: 1 # of a\n}\n", (0, 0), "p { # of p\n}\n"),
        ("p { a: 1 }\n", (0, 0), "p { }\n"),
        ("p { a: 1 b: 2 }\n", (0, 1), "p { a: 1 }\n"),
        ("p {a: 1 b: 2}\n", (0, 0), "p {b: 2}\n"),
        ("p { a: 1, b: 2 }\n", (0, 1), "p { a: 1 }\n"),
        ("p {\n  a: 1 }\n", (0, 0), "p {\n  }\n"),
    ],
)
def test_removing_within_brackets_keeps_the_brackets(
    text: str, path: tuple[int, ...], result: str
) -> None:
    assert without(text, path) == result


@pytest.mark.parametrize("gap", ["", "\n", "\n\n"])
def test_layers_in_a_row_can_all_go(gap: str) -> None:
    text = THREE.replace("{gap}", gap)
    first, last = "layer {\n  a: 1\n}\n", "layer {\n  c: 1\n}\n"
    assert without(text, (1,), (2,)) == first
    assert without(text, (0,), (1,)) == last
    assert without(text, (0,), (1,), (2,)) == ""
    assert without(text, (1,)) == first + gap + last


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("p { n: 8 }\n", "p { n: 8 e: X }\n"),
        ("p {n: 8}\n", "p {n: 8 e: X}\n"),
        ("p { n: 8, m: 9 }\n", "p { n: 8, m: 9, e: X }\n"),
        ("p { n: 8; m: 9; }\n", "p { n: 8; m: 9; e: X; }\n"),
        ("p { n: 8, m: 9, }\n", "p { n: 8, m: 9, e: X, }\n"),
        ("p {}\n", "p { e: X }\n"),
        ("p { }\n", "p { e: X }\n"),
        ("p < n: 8 >\n", "p < n: 8 e: X >\n"),
        ("p {\n}\n", "p {\n  e: X\n}\n"),
        ("p {\n  # none\n}\n", "p {\n  # none\n  e: X\n}\n"),
        ("p {\n  n: 8 # eight\n}\n", "p {\n  n: 8 # eight\n  e: X\n}\n"),
        ("p {\r\n\tn : 8\r\n}\r\n", "p {\r\n\tn : 8\r\n\te : X\r\n}\r\n"),
        ("p {\n n:8 }\n", "p {\n n:8 e:X }\n"),
        ("q {\n\tp {\n\t}\n}\n", "q {\n\tp {\n\t}\n\te: X\n}\n"),
        (
            "p { # of p\n    n: 1\n\n    # end\n}\n",
            "p { # of p\n    n: 1\n    e: X\n\n    # end\n}\n",
        ),
        ("p {\n  e: Y\n  n: 1\n}\n", "p {\n  e: Y\n  e: X\n  n: 1\n}\n"),
    ],
)
def test_a_field_is_added_the_way_its_neighbours_are_written(text: str, result: str) -> None:
    assert edited(text, lambda d: d.add(at(d, 0).message(), "e", Ident("X"))) == result


LAYER = [("name", "n"), ("q", [("r", 1.5), ("s", True)])]


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("", 'layer {\n  name: "n"\n  q {\n    r: 1.5\n    s: true\n  }\n}\n'),
        ("# c", '# c\nlayer {\n  name: "n"\n  q {\n    r: 1.5\n    s: true\n  }\n}\n'),
        (
            "layer{\n\tt : 'x'\n}\n",
            "layer{\n\tt : 'x'\n}\nlayer{\n\tname : 'n'\n\tq{\n\t\tr : 1.5\n\t\ts : true\n\t}\n}\n",
        ),
        (
            'layer: <\n t: "x"\n>',
            'layer: <\n t: "x"\n>\nlayer: <\n name: "n"\n q: <\n  r: 1.5\n  s: true\n >\n>',
        ),
        (
            'layer { t: "x" }\n',
            'layer { t: "x" }\nlayer { name: "n" q { r: 1.5 s: true } }\n',
        ),
        (
            "layer {\r\n}\r\n",
            (
                "layer {\r\n}\r\n"
                'layer {\r\n  name: "n"\r\n  q {\r\n    r: 1.5\r\n    s: true\r\n  }\r\n}\r\n'
            ),
        ),
    ],
)
def test_a_layer_is_added_the_way_its_neighbours_are_written(text: str, result: str) -> None:
    assert edited(text, lambda d: d.add(d.root, "layer", LAYER)) == result


@pytest.mark.parametrize("gap", ["", "\n"])
def test_layers_are_set_apart_as_their_neighbours_are(gap: str) -> None:
    first, new, second = "layer {\n  a: 1\n}\n", "layer {\n  n: 0\n}\n", "layer {\n  b: 1\n}\n"
    text = f"name: 1\n{gap}{first}{gap}# of b\n{second}"
    pairs = [("n", 0)]
    expected = f"name: 1\n{gap}{first}{gap}{new}{gap}# of b\n{second}"
    assert edited(text, lambda d: d.add(d.root, "layer", pairs, after=at(d, 1))) == expected
    at_end = text + gap + new
    assert edited(text, lambda d: d.add(d.root, "layer", pairs)) == at_end

    def instead(document: Document) -> None:
        document.add(document.root, "layer", pairs, after=at(document, 1))
        document.remove(at(document, 1))

    assert edited(text, instead) == f"name: 1\n{gap}{new}{gap}# of b\n{second}"


def test_a_layer_goes_between_two_that_share_a_line() -> None:
    text = "layer {\n  a: 1\n}layer {\n  b: 1\n}\n"
    expected = "layer {\n  a: 1\n}layer {\n  n: 0\n}layer {\n  b: 1\n}\n"
    assert edited(text, lambda d: d.add(d.root, "layer", [("n", 0)], after=at(d, 0))) == expected


def test_what_is_added_next_to_a_list_of_its_name_joins_the_list() -> None:
    text = "k: [3, 5]\nb: 1\n"
    assert edited(text, lambda d: d.add(d.root, "k", 7)) == "k: [3, 5, 7]\nb: 1\n"
    assert (
        edited(text, lambda d: d.add(d.root, "c", 2, after=at(d, 0))) == "k: [3, 5]\nc: 2\nb: 1\n"
    )


def test_several_fields_added_at_one_place_keep_the_order_of_the_calls() -> None:
    def add(document: Document) -> None:
        for value in (1, 2):
            document.add(document.root, "x", value, after=at(document, 0))
            document.add(document.root, "y", value, after=at(document, 0))

    assert edited("a: 1\nb: 1\n", add) == "a: 1\nx: 1\ny: 1\nx: 2\ny: 2\nb: 1\n"


def test_edits_of_one_file_compose() -> None:
    text = "l {\n  a: 1\n  b: 2\n}\nm: 1\n"

    def edit(document: Document) -> None:
        layer = at(document, 0)
        document.replace(at(document, 0, 0), 5)
        document.add(layer.message(), "c", 3)
        document.remove(layer)
        document.remove(layer)
        document.replace(at(document, 1), 2)
        document.replace(at(document, 1), 3)

    assert edited(text, edit) == "m: 3\n"
    document = parse(text)
    edit(document)
    assert document.text == text
    assert at(document, 1).integer() == 1


@pytest.mark.parametrize(
    ("old", "value", "new"),
    [
        ('"a"', 'say "é"', r'"say \"é\""'),
        ("'a'", "it's", r"'it\'s'"),
        ('"a" # c\n "b"', "c", '"c"'),
        ("1", 2, "2"),
        ("true", False, "false"),
        ("MAX", Ident("AVE"), "AVE"),
        ("1", 0.1, "0.1"),
        ("1", 1e-5, "1e-05"),
        ("1", 999.9823608398438, "999.98236"),
        ("- 1", -2, "-2"),
        ("1", "\x00\n\\", r'"\000\n\\"'),
    ],
)
def test_replacing_a_value_touches_nothing_else(old: str, value: Any, new: str) -> None:
    text = "x {{ a : {} , # c\n}}\n"
    result = edited(text.format(old), lambda d: d.replace(at(d, 0, 0), value))
    assert result == text.format(new)


@given(st.floats(width=32))
def test_a_written_float_is_the_same_float32_when_read(value: float) -> None:
    result = parse(edited("a: 1", lambda d: d.replace(at(d, 0), value)))
    written = at(result, 0).floating()
    if value == value:
        assert struct.pack("<f", written) == struct.pack("<f", value)
    else:
        assert written != written


@given(st.text())
def test_a_written_string_is_the_same_string_when_read(value: str) -> None:
    for text in ('a: "x"', "a: 'x'"):
        result = parse(edited(text, lambda d: d.replace(at(d, 0), value)))
        assert at(result, 0).string() == value


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\n\n", b"# only a comment", b"\xef\xbb\xbfa: 1\r\n", b"a: 1\rb: 2\r",
        b"a: 'caf\xe9' # \xff\n", b"\ta :1;", b"a{b<c:[1,2],>}",
        b'a: "x"\r\n  # c\r\n  \'y\'\r\n', b"layer [ {a: 1}, <b: []> ];",
    ],
)  # fmt: skip
def test_files_come_out_byte_for_byte(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "net.prototxt"
    path.write_bytes(data)
    document = load(path)
    assert document.path == str(path)
    assert document.to_bytes() == data
    document.add(document.root, "new", 1)
    written = document.to_bytes()
    assert b"new" in written
    for word in data.split():
        assert word in written


def test_edits_that_make_no_sense_are_refused_at_once() -> None:
    document = parse("a: 1\nm { b: 1 }\n")
    scalar, message = document.root.fields
    other = parse("a: 1").root.fields[0]
    with pytest.raises(ValueError, match="not a part of this document"):
        document.remove(other)
    with pytest.raises(ValueError, match="not a field of this message"):
        document.add(message.message(), "x", 1, after=scalar)
    with pytest.raises(ValueError, match="not a field name"):
        document.add(document.root, "x y", 1)
    with pytest.raises(ValueError, match="not an identifier"):
        document.add(document.root, "x", Ident("a b"))
    with pytest.raises(TypeError, match="not a scalar"):
        document.add(document.root, "x", [("y", object())])  # type: ignore[list-item]
    with pytest.raises(PrototxtError, match="a message cannot be replaced"):
        document.replace(message, 1)
    assert document.render() == document.text
