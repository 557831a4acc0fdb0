"""Build the tree of a text."""

from __future__ import annotations

import re

from . import tokens
from .errors import PrototxtError
from .source import BOM, Source
from .tree import Field, FieldList, Message

# As deep as protobuf goes before it gives up on binary messages; files have five or six levels.
MAX_DEPTH = 100

_BRACKETED_NAME = re.compile(r"\[[ \t\r\n\v\f]*[\w./%-][-\w./% \t\r\n\v\f]*\]", re.ASCII)
_CLOSING = {"{": "}", "<": ">"}
_SIGNED_WORDS = frozenset(("inf", "infinity", "nan"))

_Open = tuple[Message, list[Field | FieldList], list[Field], str]
"""An open message, the items and fields found in it so far, and its closing bracket."""


def parse_source(source: Source) -> Message:
    """Parse a text into the message that its fields make up.

    Raises:
        PrototxtError: the text is not text format.
    """
    return _Parser(source).document()


class _Parser:
    """A parser with a stack of its own, so that no file can exhaust Python's."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.text = source.text
        self.kinds, self.starts, self.ends = tokens.tokenize(source.text, source.body)
        self.at = 0
        # One string for each name, however often it stands in the file.
        self.names: dict[str, str] = {}
        self.open: list[_Open] = []
        self.list_fields: list[Field] = []
        self.outer_list_fields: list[list[Field]] = []

    def document(self) -> Message:  # noqa: PLR0915  one loop: it is what parsing costs
        kinds, starts, ends = self.kinds, self.starts, self.ends
        root = message = Message(self.source, None, self.source.body)
        items: list[Field | FieldList] = []
        fields: list[Field] = []
        closing = tokens.END
        while True:
            kind = kinds[self.at]
            start = starts[self.at]
            if kind == tokens.WORD:
                name = self.text[start : ends[self.at]]
                name = self.names.setdefault(name, name)
                self.at += 1
            elif kind == closing:
                message.end = start
                message.items = tuple(items)
                # Where no list stands between them, the two are the same.
                message.fields = tuple(fields) if items != fields else message.items  # type: ignore[assignment]
                if message.field is None:
                    return root
                message, items, fields, closing = self.close(message.field)
                continue
            else:
                name = self.unusual_name(message, closing)
            # A value follows.
            colon = kinds[self.at] == ":"
            if colon:
                self.at += 1
            kind = kinds[self.at]
            if kind in _CLOSING:
                opened = self.bracket(Field(name, message, start, None))
            elif kind == "[":
                in_list = FieldList(name, message, start, ends[self.at])
                self.at += 1
                self.list_fields = []
                found = self.elements(in_list, message, items, fields, colon=colon)
                if found is None:
                    continue
                opened = found
            else:
                if not colon:
                    raise self.no_value(name, start)
                field = Field(name, message, start, None)
                self.scalar(field)
                items.append(field)
                fields.append(field)
                self.separator(field)
                continue
            outer = message, items, fields, closing
            message, items, fields, closing = self.descend(opened, outer)

    def descend(self, opened: tuple[Message, str], outer: _Open) -> _Open:
        """Go on in a message that was opened in another one."""
        message, closing = opened
        self.open.append(outer)
        if message.field is not None and message.field.group is not None:
            self.outer_list_fields.append(self.list_fields)
        if len(self.open) > MAX_DEPTH:
            raise self.error(
                message.start - 1, f"messages are nested more than {MAX_DEPTH} levels deep"
            )
        return message, [], [], closing

    def close(self, field: Field) -> _Open:
        """Go on behind the message of a field: in the outer one, or in the next of a list."""
        field.end = field.after = self.ends[self.at]
        self.at += 1
        outer = self.open.pop()
        message, items, fields, _ = outer
        if field.group is None:
            items.append(field)
            fields.append(field)
            self.separator(field)
            return outer
        self.list_fields = self.outer_list_fields.pop()
        self.list_fields.append(field)
        opened = self.elements(field.group, message, items, fields, after_element=True)
        return outer if opened is None else self.descend(opened, outer)

    def bracket(self, field: Field) -> tuple[Message, str]:
        """Open the message of a field; returns it and the bracket that has to close it."""
        closing = _CLOSING[self.kinds[self.at]]
        message = Message(self.source, field, self.ends[self.at])
        field.hold(message)
        self.at += 1
        return message, closing

    def separator(self, item: Field | FieldList) -> None:
        if self.kinds[self.at] in (",", ";"):
            item.after = self.ends[self.at]
            self.at += 1

    def elements(
        self,
        in_list: FieldList,
        message: Message,
        items: list[Field | FieldList],
        fields: list[Field],
        *,
        colon: bool = True,
        after_element: bool = False,
    ) -> tuple[Message, str] | None:
        """Read list elements up to the end of the list (then None) or to an opened message."""
        kinds = self.kinds
        if not after_element and kinds[self.at] == "]":
            self.close_list(in_list, items, fields)
            return None
        while True:
            if after_element:
                if kinds[self.at] == "]":
                    self.close_list(in_list, items, fields)
                    return None
                if kinds[self.at] != ",":
                    raise self.unclosed_list(in_list)
                self.list_fields[-1].after = self.ends[self.at]
                self.at += 1
            field = Field(in_list.name, message, self.starts[self.at], in_list)
            if kinds[self.at] in _CLOSING:
                return self.bracket(field)
            if kinds[self.at] in ("]", "[", ","):
                raise self.here(f"{in_list.name}: expected a value in the list, found %s")
            if not colon:
                raise self.no_value(in_list.name, in_list.start)
            if kinds[self.at] in (tokens.END, "}", ">"):
                raise self.unclosed_list(in_list)
            self.scalar(field)
            self.list_fields.append(field)
            after_element = True

    def close_list(
        self, in_list: FieldList, items: list[Field | FieldList], fields: list[Field]
    ) -> None:
        in_list.close = self.starts[self.at]
        in_list.end = in_list.after = self.ends[self.at]
        self.at += 1
        in_list.fields = tuple(self.list_fields)
        items.append(in_list)
        fields.extend(in_list.fields)
        self.separator(in_list)

    def scalar(self, field: Field) -> None:
        kinds = self.kinds
        at = self.at
        kind = kinds[at]
        start = self.starts[at]
        if kind == tokens.STRING:
            while kinds[at + 1] == tokens.STRING:
                at += 1
        elif kind == "-":
            at += 1
            if kinds[at] != tokens.NUMBER and not (
                kinds[at] == tokens.WORD and self.slice(at).lower() in _SIGNED_WORDS
            ):
                self.at = at
                raise self.here(f"{field.name}: expected a number after '-', found %s")
        elif kind not in (tokens.WORD, tokens.NUMBER):
            raise self.no_value(field.name, field.start)
        end = self.ends[at]
        field.hold(start)
        field.end = field.after = end
        self.at = at + 1

    def unusual_name(self, message: Message, closing: str) -> str:
        """Read a name in brackets or a field number, or say what is wrong here."""
        kind = self.kinds[self.at]
        start = self.starts[self.at]
        if kind == "[":
            match = _BRACKETED_NAME.match(self.text, start)
            if match is None:
                raise self.here("expected a field name, found %s; an extension is written [a.b]")
            # The tokens within are of no use: a name may hold what looks like half a number.
            self.resume(match.end())
            return match[0]
        if kind == tokens.NUMBER and self.slice(self.at).isdigit():
            self.at += 1
            return self.slice(self.at - 1)
        if kind == tokens.END and message.field is not None:
            line = self.source.locate(message.start - 1)[0]
            raise self.here(
                f"the file ends within '{message.field.name}', whose bracket is opened on line "
                f"{line}; close it with '{closing}'"
            )
        if kind in ("}", ">"):
            if message.field is None:
                raise self.here("%s closes a bracket that was never opened; remove it")
            line = self.source.locate(message.start - 1)[0]
            raise self.here(
                f"'{message.field.name}', whose bracket is opened on line {line}, has to be "
                f"closed with '{closing}', found %s"
            )
        raise self.here("expected a field name, found %s")

    def resume(self, offset: int) -> None:
        """Go to the first token at or after an offset."""
        while self.starts[self.at] < offset and self.kinds[self.at] not in (
            tokens.END,
            tokens.STRAY,
        ):
            self.at += 1
        if self.starts[self.at] < offset:
            # The tokens gave up within the name: cut the rest of the text anew.
            kinds, starts, ends = tokens.tokenize(self.text, offset)
            self.kinds[self.at :], self.starts[self.at :], self.ends[self.at :] = (
                kinds,
                starts,
                ends,
            )

    def no_value(self, name: str, start: int) -> PrototxtError:
        kind = self.kinds[self.at]
        if kind == tokens.STRAY:
            return self.here("")
        if kind in (tokens.WORD, tokens.NUMBER, tokens.STRING, "-", "[") and (
            self.kinds[self.at - 1] != ":"
        ):
            return self.here(f"{name}: expected ':' or '{{' after the name, found %s")
        return self.error(start, f"{name}: the value is missing; write it after the name")

    def unclosed_list(self, in_list: FieldList) -> PrototxtError:
        line = self.source.locate(in_list.body - 1)[0]
        return self.here(
            f"{in_list.name}: expected ',' or ']' in the list opened on line {line}, found %s"
        )

    def slice(self, at: int) -> str:
        return self.text[self.starts[at] : self.ends[at]]

    def here(self, reason: str) -> PrototxtError:
        """An error at the current token, which takes the place of %s in the reason."""
        start = self.starts[self.at]
        kind = self.kinds[self.at]
        if kind == tokens.STRAY:
            # Whatever was expected, a character that begins nothing is the better explanation.
            return self.error(start, _stray(self.text, start))
        if kind == tokens.END:
            return self.error(start, reason.replace("%s", "the end of the file"))
        found = self.slice(self.at)
        if len(found) > 40:
            found = found[:40] + "..."
        return self.error(start, reason.replace("%s", repr(found)))

    def error(self, offset: int, reason: str) -> PrototxtError:
        return self.source.error(offset, reason)


def _stray(text: str, start: int) -> str:
    char = text[start]
    if char in "\"'":
        return f"the string has no closing {char} on its line; close it"
    if char.isdigit() or char == ".":
        match = re.compile(r"[\w.]{1,40}").match(text, start)
        return f"{match[0] if match else char!r} is not a number"
    if char == BOM:
        return "a byte-order mark within the file; remove it"
    if char == "\0":
        return "a zero byte: this is not a text file"
    shown = repr(char) if char.isprintable() else f"U+{ord(char):04X}"
    return f"unexpected character {shown}; remove it, or put it in quotes if it is part of a value"
