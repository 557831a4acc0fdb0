"""Any edits on any file: the result says what the edits say, and the rest of the file stays."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bnfold.prototxt import parse

from .documents import Edited, edit, model_of, texts

SETTINGS = settings(max_examples=250)


@SETTINGS
@given(texts())
def test_a_file_without_edits_comes_out_as_it_went_in(text: str) -> None:
    document = parse(text)
    assert document.render() == text
    assert document.to_bytes() == text.encode()


@SETTINGS
@given(texts(), st.data())
def test_edits_give_a_file_that_parses_to_the_edited_tree(text: str, data: Any) -> None:
    edited = edit(data.draw, parse(text), kinds=["add", "remove", "replace"])
    result = edited.document.render()
    assert model_of(parse(result).root) == edited.expected(edited.document.root)


@SETTINGS
@given(texts(), st.data())
def test_removing_and_replacing_leave_all_other_lines_as_they_are(text: str, data: Any) -> None:
    edited = edit(data.draw, parse(text), kinds=["remove", "remove", "replace"])
    result = edited.document.render()
    assert is_subsequence(lines_that_stay(edited), result.split("\n"))


@SETTINGS
@given(texts(), st.data())
def test_adding_leaves_all_other_lines_as_they_are(text: str, data: Any) -> None:
    edited = edit(data.draw, parse(text), kinds=["add"])
    result = edited.document.render()
    assert is_subsequence(lines_that_stay(edited), result.split("\n"))


@SETTINGS
@given(texts(), st.data())
def test_comments_stay_unless_they_belong_to_a_removed_field(text: str, data: Any) -> None:
    edited = edit(data.draw, parse(text), kinds=["remove", "add", "replace"])
    result = edited.document.render()
    free = "\n".join(comment_text(line) for line in text.split("\n"))
    for name in re.findall(r"# c\d+\b", free):
        line = next(i for i, each in enumerate(text.split("\n")) if re.search(name + r"\b", each))
        if line not in may_lose_comment(edited):
            assert re.search(name + r"\b", result)


@SETTINGS
@given(texts(), st.data())
def test_no_two_blank_lines_meet_where_one_was_on_each_side(text: str, data: Any) -> None:
    edited = edit(data.draw, parse(text), kinds=["remove"])
    # A list's comma may have had a line of its own.
    assume(not any(field.group for field in edited.removed))
    result = edited.document.render()
    assert longest_blank_run(result) <= longest_blank_run(text)


def longest_blank_run(text: str) -> int:
    runs = re.findall(r"(?:(?<=\n)|^)(?:[ \t\r]*\n)+", text.lstrip("\ufeff"))
    return max((run.count("\n") for run in runs), default=0)


def comment_text(line: str) -> str:
    bare = re.sub(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'', "", line) if "# c" in line else ""
    return bare[bare.find("#") :] if "#" in bare else ""


def lines_of(text: str, start: int, end: int) -> range:
    return range(text.count("\n", 0, start), text.count("\n", 0, end) + 1)


def may_lose_comment(edited: Edited) -> set[int]:
    """Lines of removed or replaced values, and of comments directly above them."""
    text = edited.document.text
    lines = text.split("\n")
    touched: set[int] = set()
    for field in [*edited.removed, *edited.replaced]:
        spans = [(field.start, field.after)]
        if field.group is not None:
            spans.append((field.group.start, field.group.after))
        for start, end in spans:
            touched.update(lines_of(text, start, end))
    for field in edited.removed:
        first = lines_of(text, (field.group or field).start, field.start)[0]
        while first and lines[first - 1].strip().startswith("#"):
            first -= 1
            touched.add(first)
        # When a whole line of fields goes, so does the comment above the first of them.
    for line in sorted(touched):
        while line and lines[line - 1].strip().startswith("#"):
            line -= 1
            touched.add(line)
    return touched


def lines_that_stay(edited: Edited) -> list[str]:
    text = edited.document.text
    lines = text.lstrip("\ufeff").split("\n")
    touched = may_lose_comment(edited)
    for item in edited.after:
        spans = [(item.start, item.start), (item.after, item.after)]
        group = getattr(item, "group", None)
        if group is not None:
            spans.append((group.start, group.after))
        for start, end in spans:
            touched.update(lines_of(text, start, end))
    for message in edited.inside:
        touched.update(lines_of(text, message.start, message.end))
    last = len(lines) - 1
    return [line for i, line in enumerate(lines) if i not in touched and line.strip() and i != last]


def is_subsequence(wanted: list[str], lines: list[str]) -> bool:
    rest = iter([lines[0].lstrip("\ufeff"), *lines[1:]])
    return all(any(line == each for each in rest) for line in wanted)
