"""The text of a file and where in it an offset lies."""

import re
from array import array
from bisect import bisect_right

from .errors import PrototxtError

BOM = "\ufeff"


class Source:
    """A text with its path; turns offsets into lines and columns."""

    __slots__ = ("_line_starts", "path", "text")

    def __init__(self, text: str, path: str) -> None:
        self.text = text
        self.path = path
        self._line_starts: array[int] | None = None

    @property
    def body(self) -> int:
        """Offset of the first character after a byte-order mark."""
        return 1 if self.text.startswith(BOM) else 0

    def locate(self, offset: int) -> tuple[int, int]:
        """Return line and column of an offset, both from 1; only ``\\n`` ends a line."""
        starts = self._line_starts
        if starts is None:
            # Built once: counting lines for each question would make many questions quadratic.
            starts = array("Q", [self.body])
            starts.extend(m.end() for m in re.finditer("\n", self.text))
            self._line_starts = starts
        line = max(bisect_right(starts, offset), 1)
        return line, max(offset - starts[line - 1], 0) + 1

    def error(self, offset: int, reason: str) -> PrototxtError:
        """Build, without raising it, an error at an offset."""
        line, column = self.locate(offset)
        return PrototxtError(self.path, line, column, reason)
