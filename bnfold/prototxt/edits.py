"""Edits of a file: recorded one by one, applied together to the text."""

from collections.abc import Iterable

from . import layout, style
from .layout import Addition, Changes, Span
from .scalars import write_scalar
from .style import Item, Style, Value
from .tree import Field, FieldList, Message, Scalar


class Edits:
    """The edits made to one file. The tree stays as it was read."""

    def __init__(self, root: Message) -> None:
        self._root = root
        self._removed: set[Field] = set()
        self._replaced: dict[Field, str] = {}
        self._renamed: dict[Field, str] = {}
        self._after: dict[Item, list[Addition]] = {}
        self._inside: dict[Message, list[Addition]] = {}
        self._habits: Style | None = None
        # The messages and lists to rewrite, in a fixed order.
        self._touched: dict[Message | FieldList, None] = {}

    def remove(self, field: Field) -> None:
        """Record that a field goes."""
        self._check(field.parent)
        self._removed.add(field)
        self._touched[field.parent] = None
        if field.group is not None:
            self._touched[field.group] = None

    def replace(self, field: Field, value: object) -> None:
        """Record another value for a scalar field."""
        self._check(field.parent)
        old = field.value
        if not isinstance(old, Scalar):
            raise field.error("a message cannot be replaced by a scalar")
        if old.is_string:
            quote = old.text[0]
        else:
            quote = style.nearby(field.parent, field, self._style()).quote
        self._replaced[field] = write_scalar(value, quote)

    def rename(self, field: Field, name: str) -> None:
        """Record another name for a field."""
        self._check(field.parent)
        if field.group is not None:
            raise ValueError("elements of a list have the list's name")
        # Written once to no end, as in `add`.
        Style().write(name, 0, "", one_line=True)
        self._renamed[field] = name

    def add(
        self,
        message: Message,
        name: str,
        value: Value,
        *,
        after: Field | None,
    ) -> None:
        """Record a new field."""
        self._check(message)
        # Written once to no end: what cannot be written should fail here, where the caller is.
        Style().write(name, value, "", one_line=True)
        anchor = after or next((f for f in reversed(message.fields) if f.name == name), None)
        if anchor is not None and anchor.parent is not message:
            raise ValueError(f"{anchor.name} is not a field of this message")
        if anchor is None and not message.items:
            self._inside.setdefault(message, []).append(Addition(name, value))
            self._touched[message] = None
            return
        item: Item = message.items[-1] if anchor is None else anchor
        addition = Addition(name, value)
        if isinstance(item, Field) and item.group is not None:
            group = item.group
            same_kind = style.is_message(value) == isinstance(item.value, Message)
            if group.name == name and same_kind:
                addition.name = None
                self._touched[group] = None
            else:
                item = group
        self._after.setdefault(item, []).append(addition)
        self._touched[message] = None

    def render(self) -> str:
        """Return the text with the edits applied."""
        text = self._root.source.text
        spans: list[Span] = []
        for field, written in self._replaced.items():
            if isinstance(field.value, Scalar) and not self._is_gone(field):
                spans.append((field.value.start, field.value.end, written))
        for field, name in self._renamed.items():
            if not self._is_gone(field):
                spans.append((field.start, field.start + len(field.name), name))
        default = self._style() if self._touched else Style()
        for container in self._touched:
            if isinstance(container, Message):
                items: tuple[Item, ...] = container.items
                gone = container.field is not None and self._is_gone(container.field)
                inside = self._inside.get(container, [])
            else:
                items = container.fields
                holder = container.parent.field
                gone = self._is_removed(container) or (holder is not None and self._is_gone(holder))
                inside = []
            if gone:
                continue
            changes = Changes(
                [self._is_removed(item) for item in items],
                [self._after.get(item, ()) for item in items],
                inside,
            )
            spans.extend(layout.rewrite(container, changes, default))
        return _apply(text, spans)

    def _style(self) -> Style:
        if self._habits is None:
            self._habits = style.of_document(self._root)
        return self._habits

    def _check(self, message: Message) -> None:
        if message.source is not self._root.source:
            raise ValueError("not a part of this document")

    def _is_removed(self, item: Item) -> bool:
        """Tell whether an item itself goes; a list does when nothing is left in it."""
        if isinstance(item, Field):
            return item in self._removed
        return bool(item.fields) and all(
            field in self._removed and field not in self._after for field in item.fields
        )

    def _is_gone(self, field: Field) -> bool:
        """Tell whether a field goes, by itself or with a message around it."""
        at: Field | None = field
        while at is not None:
            if at in self._removed:
                return True
            at = at.parent.field
        return False


def _apply(text: str, spans: Iterable[Span]) -> str:
    parts: list[str] = []
    done = 0
    for start, end, new in sorted(spans):
        parts += (text[done:start], new)
        done = end
    parts.append(text[done:])
    return "".join(parts)
