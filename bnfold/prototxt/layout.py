"""Rewrite the gaps of one message, or one bracketed list, around removed and added fields.

The text between two fields that stay is one region. A region is rewritten as a whole, so what
happens at one place of the file cannot disturb another.
"""

from collections.abc import Sequence

from . import gaps, style
from .style import Item, Style, Value
from .tree import Field, FieldList, Message

Span = tuple[int, int, str]


class Addition:
    """A field to be added; its name is None where it becomes an element of a list."""

    __slots__ = ("name", "value")

    def __init__(self, name: str | None, value: Value) -> None:
        self.name = name
        self.value = value


class Changes:
    """What happens to the items of one message or list.

    Args:
        removed: for each item, whether it goes.
        after: for each item, what is added after it.
        inside: what is added to a message without items.
    """

    __slots__ = ("after", "inside", "removed")

    def __init__(
        self,
        removed: Sequence[bool],
        after: Sequence[Sequence[Addition]],
        inside: Sequence[Addition],
    ) -> None:
        self.removed = removed
        self.after = after
        self.inside = inside


def rewrite(container: Message | FieldList, changes: Changes, default: Style) -> list[Span]:
    """Return replacements of spans of the text that carry out the changes.

    Args:
        container: the message or list.
        changes: what happens to its items.
        default: how to write what the neighbours give no example of.
    """
    layout = _Layout(container, changes, default)
    previous, at = -1, 0
    while True:
        stop = at
        while stop < len(layout.items) and changes.removed[stop]:
            stop += 1
        layout.region(previous, at, stop)
        if stop == len(layout.items):
            return layout.spans
        previous, at = stop, stop + 1
        layout.emitted += 1


class _Layout:
    def __init__(self, container: Message | FieldList, changes: Changes, default: Style) -> None:
        self.container = container
        self.changes = changes
        self.default = default
        self.spans: list[Span] = []
        if isinstance(container, Message):
            self.source = container.source
            self.items: Sequence[Item] = container.items
            self.begin, self.end = container.start, container.end
        else:
            self.source = container.parent.source
            self.items = container.fields
            self.begin, self.end = container.body, container.close
        self.text = self.source.text
        self.in_list = isinstance(container, FieldList)
        self.is_root = isinstance(container, Message) and container.field is None
        # Separators: a list needs them, a message may have them.
        self.separator = next(
            (self.text[i.after - 1] for i in self.items if i.after > i.end), "," * self.in_list
        )
        self.last_is_separated = bool(self.items) and self.items[-1].after > self.items[-1].end
        self.total = len(changes.inside) + sum(
            (not gone) + len(after)
            for gone, after in zip(changes.removed, changes.after, strict=True)
        )
        self.emitted = 0
        # The region at work: what is written of it, and the gap that comes next.
        self.out: list[str] = []
        self.gap = ""
        self.at_line_start = False

    def region(self, previous: int, at: int, stop: int) -> None:
        """Rewrite what is between the item that stays at `previous` and the one at `stop`."""
        changes, items = self.changes, self.items
        left = changes.after[previous] if previous >= 0 else changes.inside
        if not left and at == stop:
            return
        begin = items[previous].after if previous >= 0 else self.begin
        end = items[stop].start if stop < len(items) else self.end
        self.out = []
        self.gap = self.text[begin : items[at].start if at < len(items) else end]
        self.at_line_start = self.is_root and previous < 0
        if self.at_line_start and items:
            # The comment that a file begins with is about the file.
            head = gaps.head_comment(self.gap)
            self.out.append(self.gap[:head])
            self.gap = self.gap[head:]
        if previous >= 0:
            self.settle_separator(previous)
            if left:
                self.add_after(previous, left)
        elif left:
            self.add_inside(left)
        for index in range(at, stop):
            self.remove(index, follows_bracket=previous < 0 and index == at)
        self.out.append(self.gap)
        following = self.text[end : end + 1] if stop < len(items) else ""
        self.spans.append((begin, end, _join(self.text[begin - 1 : begin], self.out, following)))

    def settle_separator(self, index: int) -> None:
        """Give the item before the region a separator, or take it away, if its role changes."""
        item = self.items[index]
        has = item.after > item.end
        is_last, was_last = self.emitted == self.total, index == len(self.items) - 1
        if not self.in_list and ("\n" in self.gap or "#" in self.gap):
            return  # in a message separators are optional: not worth touching another line
        if has and is_last and not was_last and not self.last_is_separated:
            self.spans.append((item.after - 1, item.after, ""))
        elif was_last and not has and not is_last:
            self.out.append(self.separator)

    def add_after(self, index: int, additions: Sequence[Addition]) -> None:
        item = self.items[index]
        has = item.after > item.end
        tail, newline, _ = gaps.split_line(self.gap)
        ends_text = self.is_root and index == len(self.items) - 1
        if newline or (ends_text and ("#" in tail or "\n" in self.text)):
            self.out.append(tail)
            self.gap = self.gap[len(tail) :]
            newline = newline or self.default.newline
            indent = self.indent_at(index)
            for addition in additions:
                written = self.write(addition, index, indent, inline=False)
                blank = newline * self.blank_lines(index, written)
                self.out.append(newline + blank + indent + written + self.separate(has))
            return
        indent = style.line_indent(self.source, item.start)
        hugs = not self.gap and index < len(self.items) - 1
        for addition in additions:
            written = self.write(addition, index, indent, inline=True)
            self.out.append(" " * (not (hugs and "\n" in written)) + written + self.separate(True))
            if hugs and "\n" not in written:
                self.gap = " "

    def add_inside(self, additions: Sequence[Addition]) -> None:
        """Add to a message without items, after the comments it may have."""
        gap = self.gap
        step = style.nearby(self.container, None, self.default).step
        newline = self.default.newline
        if self.is_root:
            if gap and not gap.endswith("\n"):
                gap += newline
            self.out.append(gap)
            for addition in additions:
                written = self.write(addition, None, "", inline=False)
                self.out.append(written + self.separate(True) + newline)
            self.gap = ""
        elif "\n" in gap:
            last = gap.rfind("\n")
            last -= gap[:last].endswith("\r")
            indent = style.line_indent(self.source, self.begin) + step
            self.out.append(gap[:last])
            for addition in additions:
                written = self.write(addition, None, indent, inline=False)
                self.out.append(newline + indent + written + self.separate(True))
            self.gap = gap[last:]
        else:
            self.gap = gap or " "
            indent = style.line_indent(self.source, self.begin)
            for addition in additions:
                self.out.append(" " + self.write(addition, None, indent, inline=True))

    def remove(self, index: int, *, follows_bracket: bool) -> None:
        items = self.items
        item = items[index]
        is_last = index == len(items) - 1
        after = self.text[item.after : self.end if is_last else items[index + 1].start]
        hole = gaps.cut(
            self.gap,
            after,
            at_line_start=self.at_line_start,
            at_text_end=self.is_root and is_last,
            several_lines="\n" in self.text[item.start : item.after],
        )
        additions = self.changes.after[index]
        if not additions:
            self.gap = gaps.close(
                hole,
                at_line_start=self.at_line_start,
                before_is_bracket=follows_bracket or not self.emitted,
                after_is_bracket=is_last,
            )
            return
        # What is added next to a removed item takes its place.
        indent = hole.indent if hole.own_lines else style.line_indent(self.source, item.start)
        newline = hole.newline or self.default.newline
        self.out.append(hole.left)
        lead = hole.indent
        for addition in additions:
            written = self.write(addition, index, indent, inline=not hole.own_lines)
            self.out.append(lead + written + self.separate(item.after > item.end))
            blank = newline * self.blank_lines(index, written)
            lead = newline + blank + hole.indent if hole.own_lines else " "
        self.gap = hole.newline + hole.right
        self.at_line_start = False

    def separate(self, wanted: bool) -> str:
        """Count an addition as written and return the separator that it needs."""
        self.emitted += 1
        if self.emitted < self.total:
            return self.separator if wanted or self.in_list else ""
        return self.separator if self.last_is_separated else ""

    def write(self, addition: Addition, near: int | None, indent: str, *, inline: bool) -> str:
        anchor = None if near is None else self.items[near]
        habits = style.nearby(self.container, anchor, self.default)
        one_line = inline
        if style.is_message(addition.value):
            example = self.example(addition.name, anchor)
            if example is not None:
                one_line = "\n" not in self.text[example.start : example.end]
        return habits.write(addition.name, addition.value, indent, one_line=one_line)

    def example(self, name: str | None, anchor: Item | None) -> Field | None:
        """Find a message to tell by whether messages here are written on one line."""

        def fits(item: Item | None) -> bool:
            return isinstance(item, Field) and isinstance(item.value, Message)

        for item in (anchor, *reversed(self.items)):
            if fits(item) and (name is None or (item is not None and item.name == name)):
                return item if isinstance(item, Field) else None
        return None

    def indent_at(self, index: int) -> str:
        """Return the indentation of an item's line, or of the first that has one of its own."""
        for item in (self.items[index], *self.items):
            indent = style.indent_of(self.source, item.start)
            if indent is not None:
                return indent
        if self.is_root:
            return ""
        step = style.nearby(self.container, None, self.default).step
        return style.line_indent(self.source, self.begin) + step

    def blank_lines(self, index: int, written: str) -> int:
        """Return how many blank lines set items apart next to an item; none around scalars."""
        if "\n" not in written:
            return 0
        # The gap behind the item, where the addition goes, or else the one in front of it.
        for first, second in ((index, index + 1), (index - 1, index)):
            if first >= 0 and second < len(self.items):
                gap = self.text[self.items[first].after : self.items[second].start]
                return gaps.most_blank_lines(gap)
        return 0


def _join(before: str, parts: Sequence[str], after: str) -> str:
    """Join parts, keeping words apart from each other and from what stands around them."""
    joined: list[str] = []
    last = before
    for part in parts:
        if part:
            if _is_word(last) and _is_word(part[0]):
                joined.append(" ")
            joined.append(part)
            last = part[-1]
    if _is_word(last) and _is_word(after):
        joined.append(" ")
    return "".join(joined)


def _is_word(char: str) -> bool:
    return char.isalnum() or (char != "" and char in "_.-")
