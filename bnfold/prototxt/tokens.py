"""Cut text format into tokens.

Whitespace and comments are dropped here; they are found again as the text between two spans.
As in protobuf, only ``\\n`` ends a comment, a string cannot go past the end of its line, and a
lone carriage return is whitespace.
"""

from __future__ import annotations

import re
from array import array

WORD = "word"
NUMBER = "number"
STRING = "string"
STRAY = "stray"
END = "end"

_WORD, _PUNCTUATION, _STRING, _NUMBER, _COMMENT, _STRAY = range(1, 7)

# No part can match the same text in two ways, so a failure backtracks in linear time; and with \Z
# some part always matches, or blanks at the end of a file would be tried from each of them.
_TOKEN = re.compile(
    r"""[ \t\r\n\v\f]*(?:
    ([A-Za-z_]\w*)
    | ([{}<>\[\]:,;./-](?!(?<=\.)\d))
    | ("[^"\\\n]*(?:\\[^\n][^"\\\n]*)*" | '[^'\\\n]*(?:\\[^\n][^'\\\n]*)*')
    | ((?:0[xX][0-9a-fA-F]+ | (?:\d+(?:\.\d*)? | \.\d+)(?:[eE][+-]?\d+)?[fF]?)(?![\w.]))
    | (\#[^\n]*)
    | ([^ \t\r\n\v\f])
    | \Z
    )""",
    re.ASCII | re.VERBOSE,
)


def tokenize(text: str, start: int) -> tuple[list[str], array[int], array[int]]:
    """Cut a text into tokens from an offset on.

    Returns three sequences of the same length: the kinds (a character of punctuation is its own
    kind), the start offsets and the end offsets. The last kind is `END`, or `STRAY` at the first
    character that begins no token; what follows a stray character is not looked at.
    """
    kinds: list[str] = []
    # A large file has millions of tokens: numbers in an array take a quarter of a list's memory.
    starts, ends = array("q"), array("q")
    for match in _TOKEN.finditer(text, start):
        kind = match.lastindex
        if kind == _WORD:
            kinds.append(WORD)
        elif kind == _PUNCTUATION:
            kinds.append(match[_PUNCTUATION])
        elif kind == _STRING:
            kinds.append(STRING)
        elif kind == _NUMBER:
            kinds.append(NUMBER)
        elif kind == _COMMENT:
            continue
        elif kind is None:
            break
        else:
            # Stop: a later quote could make the pattern scan the same long line again and again.
            kinds.append(STRAY)
            starts.append(match.start(_STRAY))
            ends.append(match.end())
            return kinds, starts, ends
        end = match.end()
        starts.append(match.start(kind))
        ends.append(end)
    kinds.append(END)
    starts.append(len(text))
    ends.append(len(text))
    return kinds, starts, ends
