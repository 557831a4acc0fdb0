"""What stands between two fields: blanks and comments, and what becomes of them.

A gap is the text between one item (or an opening bracket) and the next (or a closing one). Up to
its first line end it belongs to the line of what is before; after its last one it is the
indentation of what follows. Functions here know nothing of trees: they take and return gaps.
"""

import re
from typing import NamedTuple

_LINE_END = re.compile(r"\r?\n")
_BLANK_LINES = re.compile(r"(?:[ \t\r\v\f]*\n)*")


class Cut(NamedTuple):
    """The gap that is left where an item was: `left + newline + right`.

    Args:
        left: what stays before the item; if it had lines of its own, up to its first line's start.
        indent: the indentation of the item's own first line.
        newline: the end of the item's own last line.
        right: what stays after that.
        own_lines: whether the item shared none of its lines.
    """

    left: str
    indent: str
    newline: str
    right: str
    own_lines: bool


def split_line(gap: str) -> tuple[str, str, str]:
    """Split a gap at its first line end: the rest of that line, the line end, what follows."""
    match = _LINE_END.search(gap)
    if match is None:
        return gap, "", ""
    return gap[: match.start()], match[0], gap[match.end() :]


def attached_comments(gap: str, *, at_line_start: bool) -> int:
    """Return where in a gap the comment lines directly above the next item's line begin.

    Args:
        gap: the text before the item; it has a line end, or is at the start of a line.
        at_line_start: whether the gap's first line is a line of its own rather than what follows
            an item on that item's line.
    """
    begin = gap.rfind("\n") + 1
    while begin:
        above = gap.rfind("\n", 0, begin - 1) + 1
        if above == 0 and not at_line_start:
            break
        if not gap[above:begin].lstrip().startswith("#"):
            break
        begin = above
    return begin


def head_comment(gap: str) -> int:
    """Return how much of a file's first gap is the comment that the file begins with."""
    end = 0
    while (stop := gap.find("\n", end) + 1) and gap[end:stop].lstrip(" \t").startswith("#"):
        end = stop
    return end


def cut(
    before: str, after: str, *, at_line_start: bool, at_text_end: bool, several_lines: bool
) -> Cut:
    """Take an item out from between two gaps, with the comments that are its own.

    Its own are the comment lines directly above it, if its first line is not shared with others,
    and the comment behind it, if its last line is not shared. Where an item of one line shares
    that line, comments may be about the others and stay.

    Args:
        before: the gap before the item.
        after: the gap after it.
        at_line_start: whether `before` begins at the start of a line.
        at_text_end: whether `after` ends at the end of the text.
        several_lines: whether the item has more than one line.
    """
    starts_line = at_line_start or "\n" in before
    ends_line = at_text_end or "\n" in after
    left, indent, newline, right = before, "", "", after
    if starts_line and (ends_line or several_lines):
        indent = before[before.rfind("\n") + 1 :]
        left = before[: attached_comments(before, at_line_start=at_line_start)]
    if ends_line and (starts_line or several_lines):
        _, newline, right = split_line(after)
    own_lines = starts_line and ends_line
    if not own_lines:
        left, indent = left + indent, ""
    return Cut(left, indent, newline, right, own_lines)


def close(
    hole: Cut, *, at_line_start: bool, before_is_bracket: bool, after_is_bracket: bool
) -> str:
    """Join the two sides of a cut into one gap.

    Args:
        hole: the cut.
        at_line_start: whether the gap begins at the start of a line.
        before_is_bracket: whether the gap follows an opening bracket (or begins the text).
        after_is_bracket: whether a closing bracket (or the end of the text) follows the gap.
    """
    left, right = hole.left, hole.right
    if not hole.own_lines:
        if hole.newline:
            return left.rstrip(" \t") + hole.newline + right
        if "\n" in right or "#" in right:
            return right
        if "\n" in left or at_line_start:
            return left
        if after_is_bracket and not before_is_bracket:
            return right
        return left if left or before_is_bracket else right
    # Blank lines on both sides would now meet: keep those of one side.
    kept, above = _blank_lines_at_end(left, at_line_start=at_line_start)
    match = _BLANK_LINES.match(right)
    below_end = match.end() if match else 0
    below = right.count("\n", 0, below_end)
    touches_opening = before_is_bracket and kept == (0 if at_line_start else left.find("\n") + 1)
    touches_closing = after_is_bracket and not right[below_end:].strip()
    if touches_closing:
        return left[:kept] + (right[below_end:] if touches_opening else right)
    if touches_opening or above >= below:
        return left + right[below_end:]
    return left[:kept] + right


def _blank_lines_at_end(left: str, *, at_line_start: bool) -> tuple[int, int]:
    """Return where the blank lines that end a text begin, and how many they are."""
    begin, count = len(left), 0
    while begin:
        above = left.rfind("\n", 0, begin - 1) + 1
        if (above == 0 and not at_line_start) or left[above:begin].strip():
            break
        begin, count = above, count + 1
    return begin, count


def most_blank_lines(gap: str) -> int:
    """Return the length of the longest run of blank lines in a gap between two items' lines."""
    longest = run = 0
    for line in gap.split("\n")[1:-1]:
        run = 0 if line.strip() else run + 1
        longest = max(longest, run)
    return longest
