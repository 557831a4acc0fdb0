"""Random prototxt files in random handwriting, and random edits with a model of their outcome."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from bnfold.prototxt import Document, Field, Ident, Message
from bnfold.prototxt.tree import FieldList

NAMES = ["a", "b", "layer", "top", "[x.y]", "kernel_size", "7"]
SCALARS = [
    "1", "-3", "- 4", "0x1F", "017", "1.", ".5", "1e-5f", "-inf", "nan", "true", "t", "MAX",
    '"s"', "'q'", '"\\n\\x41\\101\\u00e9"', '"a" "b"', "\"a\"  'b'", '"#no"', '"{"', '"é"', '""',
]  # fmt: skip
BLANKS = [" ", " ", "  ", "\t"]


BYTES = st.binary(min_size=40, max_size=40)


class Picker:
    """Picks one of a few options by a byte of many: a draw for each would take most of the time."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw
        self.drawn: Iterator[int] = iter(b"")

    def pick(self, options: Sequence[Any]) -> Any:
        byte = next(self.drawn, None)
        if byte is None:
            self.drawn = iter(self.draw(BYTES))
            byte = next(self.drawn)
        return options[byte % len(options)]


class Writer(Picker):
    """Writes a random file; picks what to write next as it goes."""

    def __init__(self, draw: Any) -> None:
        super().__init__(draw)
        self.parts: list[str] = []
        self.newline = self.pick(["\n", "\n", "\r\n"])
        self.comments = 0
        self.room = 14

    def comment(self) -> str:
        self.comments += 1
        text = self.pick(["", " about", "#", " }", ' "', " x: 1", " layer {"])
        return f"# c{self.comments}{text}"

    def inner_blank(self) -> str:
        kind = self.pick([0, 0, 0, 0, 1, 2, 3])
        if kind == 0:
            return self.pick(["", " "])
        if kind == 1:
            return self.pick(BLANKS)
        return self.newline if kind == 2 else " " + self.comment() + self.newline

    def gap(self, level: int, style: int, needs_blank: bool) -> str:
        if style == 0:  # all on one line
            return self.pick([" ", " ", "  "] if needs_blank else ["", " "])
        indent = self.pick(["  ", "\t"]) * level if style == 2 else "  " * level
        kind = self.pick([0, 0, 0, 0, 1, 2, 3, 4, 5, 6])
        line = self.newline
        if kind == 0:
            return line + indent
        if kind == 1:
            return line + line + indent
        if kind == 2:
            return " " + self.comment() + line + indent
        if kind == 3:
            return line + indent + self.comment() + line + indent
        if kind == 4:
            return line + line + self.comment() + line + self.pick(["", line]) + indent
        if kind == 5:
            return " " if needs_blank else self.pick(["", " "])
        return line + " " + line + self.comment() + line + line + line + indent

    def scalar(self) -> None:
        self.parts.append(self.pick(SCALARS))

    def message(self, level: int, one_line: bool) -> None:
        opening, closing = self.pick([("{", "}"), ("{", "}"), ("{", "}"), ("<", ">")])
        self.parts.append(opening)
        self.body(level + 1, one_line)
        self.parts.append(closing)

    def body(self, level: int, one_line: bool) -> None:
        style = 0 if one_line else self.pick([1, 1, 2])
        if not one_line and level and self.pick([0, 0, 0, 1]):
            style, one_line = 0, True
        separator = self.pick(["", "", "", ",", ";"])
        self.parts.append(self.gap(level, style, needs_blank=False))
        for _ in range(self.pick(range(5 if level else 6))):
            if self.room <= 0:
                break
            self.room -= 1
            self.field(level, style)
            written = separator and self.pick([True, True, False])
            if written:
                self.parts.append(separator)
            needs_blank = not written and self.parts[-1][-1] not in "}>]"
            self.parts.append(self.gap(level, style, needs_blank))

    def field(self, level: int, style: int) -> None:
        blank = self.inner_blank if style else lambda: self.pick(["", " "])
        self.parts.append(self.pick(NAMES))
        kind = self.pick([0, 0, 0, 1, 1, 2, 3]) if level < 3 else self.pick([0, 2])
        if kind == 0:
            self.parts += [blank(), ":", blank()]
            self.scalar()
        elif kind == 1:
            self.parts += [blank(), self.pick(["", ":"]), blank()]
            self.message(level, style == 0)
        else:
            self.parts += [blank(), ":", blank(), "["]
            for index in range(self.pick(range(4))):
                if index:
                    self.parts += [blank(), ","]
                self.parts.append(blank())
                if kind == 2:
                    self.scalar()
                else:
                    self.message(level, True)
            self.parts += [blank(), "]"]


@st.composite
def texts(draw: Any) -> str:
    writer = Writer(draw)
    if writer.pick(range(10)) == 9:
        writer.parts.append("\ufeff")
    if writer.pick(range(5)) == 4:
        writer.parts.append(writer.comment() + writer.newline)
    writer.body(0, one_line=writer.pick(range(10)) == 9)
    if writer.pick(range(7)) == 6:
        writer.parts.append(writer.comment())
    return "".join(writer.parts)


Model = list[tuple[str, Any]]


def value_of(field: Field) -> Any:
    if isinstance(field.value, Message):
        return model_of(field.value)
    return ("string", field.string()) if field.value.is_string else field.value.text


def model_of(message: Message) -> Model:
    return [(field.name, value_of(field)) for field in message.fields]


def model_of_value(value: Any) -> Any:
    if isinstance(value, list):
        return [(name, model_of_value(child)) for name, child in value]
    if isinstance(value, Ident):
        return str(value)
    if isinstance(value, str):
        return ("string", value)
    return str(value).lower() if isinstance(value, bool) else str(value)


NEW_VALUES = [
    7, True, Ident("CAFFE"), "new", "it's \"é\"\n", [], [("p", 1)],
    [("name", "n"), ("q_param", [("r", 2), ("r", "s")])],
]  # fmt: skip


@dataclass
class Edited:
    """A document with edits, and what they are as this test understands them."""

    document: Document
    removed: set[Field] = field(default_factory=set)
    replaced: dict[Field, Any] = field(default_factory=dict)
    after: dict[Any, Model] = field(default_factory=dict)
    inside: dict[Message, Model] = field(default_factory=dict)

    def remove(self, target: Field) -> None:
        self.document.remove(target)
        self.removed.add(target)

    def replace(self, target: Field, value: Any) -> None:
        self.document.replace(target, value)
        self.replaced[target] = model_of_value(value)

    def add(self, message: Message, name: str, value: Any, **where: Field) -> None:
        self.document.add(message, name, value, **where)
        pair = (name, model_of_value(value))
        same = [f for f in message.fields if f.name == name]
        target: Any = where.get("after") or (same[-1] if same else None)
        if target is None:
            if not message.items:
                self.inside.setdefault(message, []).append(pair)
                return
            target = message.items[-1]
        elif target.group is not None and (
            target.name != name or isinstance(target.value, Message) != isinstance(value, list)
        ):
            target = target.group
        self.after.setdefault(target, []).append(pair)

    def expected(self, message: Message) -> Model:
        model: Model = []
        for item in message.items:
            for each in item.fields if isinstance(item, FieldList) else [item]:
                if each not in self.removed:
                    if isinstance(each.value, Message):
                        model.append((each.name, self.expected(each.value)))
                    else:
                        model.append((each.name, self.replaced.get(each, value_of(each))))
                if each is not item:
                    model += self.after.get(each, [])
            model += self.after.get(item, [])
        return model + self.inside.get(message, [])


def messages_of(message: Message) -> list[Message]:
    found = [message]
    for child in message.fields:
        if isinstance(child.value, Message):
            found += messages_of(child.value)
    return found


def edit(draw: Any, document: Document, *, kinds: list[str]) -> Edited:
    edited = Edited(document)
    messages = messages_of(document.root)
    fields = [each for message in messages for each in message.fields]
    pick = Picker(draw).pick
    for _ in range(pick(range(1, 8))):
        kind = pick(kinds)
        if kind == "add":
            message = pick(messages)
            where = {}
            if message.fields and pick([False, True]):
                where["after"] = pick(message.fields)
            edited.add(message, pick([*NAMES, "new"]), pick(NEW_VALUES), **where)
        elif fields:
            target = pick(fields)
            if kind == "remove":
                edited.remove(target)
            elif not isinstance(target.value, Message):
                edited.replace(target, pick(NEW_VALUES[:5]))
    return edited
