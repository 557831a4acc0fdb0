"""Text for people, whose parts may be a stranger's: nothing in it moves the cursor or the eye."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return text in which whatever is not to be seen is written as an escape.

    That is all that Python does not call printable: control characters (an escape sequence could
    rewrite the screen, a line end forge a line), marks that turn the direction of writing, blanks
    other than the plain one, and what is invisible. A byte that was no UTF-8 is shown as itself.

    >>> printable("conv1\\x1b[31m")
    'conv1\\\\x1b[31m'
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else _escape(one) for one in text)


def _escape(one: str) -> str:
    if "\udc80" <= one <= "\udcff":  # how Python holds a byte that is no UTF-8
        return f"\\x{ord(one) - 0xDC00:02x}"
    return repr(one)[1:-1]
