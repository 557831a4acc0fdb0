"""How the neighbours of an inserted field are written, so that it can be written likewise."""

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Union

from .scalars import Ident, write_scalar
from .source import Source
from .tree import Field, FieldList, Message, Scalar

Value = Union[str, Ident, int, float, bool, "Sequence[tuple[str, Value]]"]
Item = Field | FieldList

_NAME = re.compile(r"[A-Za-z_]\w*|[0-9]+|\[[\w./ -]+\]", re.ASCII)
# Looking at a few neighbours is enough; the whole of them could be the whole file.
_NEARBY = 64
_PLAIN = re.compile(r"[ \t]*:?[ \t]*[{<]?")
_CLOSING = {"{": "}", "<": ">"}


class Style:
    """Habits of writing, with defaults where the file shows none.

    Args:
        colon: what stands between a name and a scalar.
        bracket: what stands between a name and a message's fields, bracket included.
        quote: the quotes of strings.
        step: what one level of nesting adds to the indentation.
        newline: the end of a line.
    """

    __slots__ = ("bracket", "colon", "newline", "quote", "step")

    def __init__(
        self,
        colon: str = ": ",
        bracket: str = " {",
        quote: str = '"',
        step: str = "  ",
        newline: str = "\n",
    ) -> None:
        self.colon = colon
        self.bracket = bracket
        self.quote = quote
        self.step = step
        self.newline = newline

    def write(self, name: str | None, value: Value, indent: str, *, one_line: bool) -> str:
        """Write a field, without indentation before it or a line end after it.

        Args:
            name: the field's name; None for an element of a list.
            value: its value; a sequence of pairs is a message.
            indent: the indentation of the field's first line.
            one_line: whether a message is written on one line.

        Raises:
            ValueError: a name that text format cannot have.
            TypeError: a value of a kind that text format does not know.
        """
        if name is not None and not _NAME.fullmatch(name):
            raise ValueError(f"not a field name: {name!r}")
        if isinstance(value, str) or not isinstance(value, Sequence):
            scalar = write_scalar(value, self.quote)
            return scalar if name is None else name + self.colon + scalar
        opening = self.bracket[-1] if name is None else name + self.bracket
        closing = _CLOSING[self.bracket[-1]]
        inner = indent + self.step
        written = [self.write(pair[0], pair[1], inner, one_line=one_line) for pair in value]
        if not written:
            return opening + closing
        if one_line:
            return " ".join((opening, *written, closing))
        lines = (opening, *(inner + field for field in written), indent + closing)
        return self.newline.join(lines)


def is_message(value: object) -> bool:
    """Tell a message's pairs from a scalar."""
    return isinstance(value, Sequence) and not isinstance(value, str)


def of_document(root: Message) -> Style:
    """Read off the first examples in a file."""
    text = root.source.text
    style = Style(newline="\r\n" if text.find("\r\n") == text.find("\n") - 1 >= 0 else "\n")
    return _learn(style, _walk(root.items), root.source)


def nearby(container: Message | FieldList, anchor: Item | None, default: Style) -> Style:
    """Read off the neighbours of a place, the anchor first, then the others in its message."""
    style = Style(default.colon, default.bracket, default.quote, default.step, default.newline)
    siblings: Sequence[Item] = (
        container.items if isinstance(container, Message) else container.fields
    )
    examples = [*islice(_walk(siblings), _NEARBY)]
    if anchor is not None:
        examples = [*islice(_walk([anchor]), _NEARBY), *examples]
    source = container.source if isinstance(container, Message) else container.parent.source
    return _learn(style, iter(examples), source)


def indent_of(source: Source, offset: int) -> str | None:
    """Return the indentation of the line that begins with what is at an offset, if it does."""
    lead = source.text[max(source.text.rfind("\n", 0, offset) + 1, source.body) : offset]
    return lead if not lead.strip() else None


def line_indent(source: Source, offset: int) -> str:
    """Return the indentation of the line an offset is on."""
    begin = max(source.text.rfind("\n", 0, offset) + 1, source.body)
    end = begin
    while end < offset and source.text[end] in " \t":
        end += 1
    return source.text[begin:end]


def _walk(items: Sequence[Item]) -> Iterator[Field]:
    stack = [iter(items)]
    while stack:
        for item in stack[-1]:
            if isinstance(item, FieldList):
                stack.append(iter(item.fields))
                break
            yield item
            if isinstance(item.value, Message):
                stack.append(iter(item.value.items))
                break
        else:
            stack.pop()


def _learn(style: Style, examples: Iterator[Field], source: Source) -> Style:
    missing = {"colon", "bracket", "quote", "step"}
    for field in examples:
        value = field.value
        begin = field.start + len(field.name)
        if isinstance(value, Scalar):
            if "colon" in missing and field.group is None:
                between = source.text[begin : value.start]
                if _PLAIN.fullmatch(between):
                    style.colon = between
                    missing.discard("colon")
            if "quote" in missing and value.is_string:
                style.quote = value.text[0]
                missing.discard("quote")
        else:
            if "bracket" in missing and field.group is None:
                between = source.text[begin : value.start]
                if _PLAIN.fullmatch(between):
                    style.bracket = between
                    missing.discard("bracket")
            if "step" in missing and value.items:
                outer = line_indent(source, field.start)
                inner = indent_of(source, value.items[0].start)
                if inner is not None and inner.startswith(outer) and len(inner) > len(outer):
                    style.step = inner[len(outer) :]
                    missing.discard("step")
        if not missing:
            break
    return style
