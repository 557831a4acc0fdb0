"""Scalar values of text format: what their spelling means and how to spell them.

The readers raise ValueError with a few words about what was expected; the tree adds the place.
"""

import re
import struct


class Ident(str):
    """A bare word, such as the name of an enum value, as opposed to a quoted string."""

    __slots__ = ()


_TRUE = frozenset(("true", "True", "t"))
_FALSE = frozenset(("false", "False", "f"))

_MINUS = re.compile(r"-(?:\s+|#[^\n]*\n)*")
_INTEGER = re.compile(r"(-?)(?:(0[xX][0-9a-fA-F]+)|(0[0-7]*)|([1-9][0-9]*))", re.ASCII)
_FLOAT = re.compile(r"-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[fF]?", re.ASCII)
_OCTAL_FLOAT = re.compile(r"-?0[0-9]+[fF]?", re.ASCII)
_SPECIAL = {"inf": float("inf"), "infinity": float("inf"), "nan": float("nan")}

_PIECE = re.compile(
    r""""([^"\\\n]*(?:\\[^\n][^"\\\n]*)*)"|'([^'\\\n]*(?:\\[^\n][^'\\\n]*)*)'|\#[^\n]*""",
    re.VERBOSE,
)
_ESCAPE = re.compile(
    r"""\\(?:([0-7]{1,3}) | [xX]([0-9a-fA-F]{1,2})
    | u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})
    | u([0-9a-fA-F]{4}) | U([0-9a-fA-F]{8}) | (.))""",
    re.VERBOSE | re.DOTALL,
)
_SIMPLE_ESCAPES = dict(zip("abfnrtv\\'\"?", b"\a\b\f\n\r\t\v\\'\"?", strict=True))
# Control characters, and surrogates that do not stand for a byte of a badly encoded file.
_TO_ESCAPE = re.compile("[\x00-\x1f\x7f\\\\\"'\ud800-\udc7f\udd00-\udfff]")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\"}


def canonical(text: str) -> str:
    """Return a scalar's spelling without the blanks that may follow its minus sign."""
    return _MINUS.sub("-", text, count=1) if text.startswith("-") else text


def read_boolean(text: str) -> bool:
    """Read true/True/t/1 or false/False/f/0."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    try:
        number = read_integer(text)
    except ValueError:
        number = -1
    if number not in (0, 1) or text.startswith("-"):
        raise ValueError("expected true or false")
    return number == 1


def read_integer(text: str, *, signed: bool = True, bits: int = 32) -> int:
    """Read a decimal, hexadecimal or octal integer and check its range."""
    match = _INTEGER.fullmatch(text)
    if match is None:
        raise ValueError("expected an integer")
    sign, hexadecimal, octal, decimal = match.groups()
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    digits = hexadecimal or octal or decimal
    # 64 bits need 22 octal digits; int() on a million digits would take minutes.
    if len(digits.lstrip("0xX")) > bits:
        raise ValueError(f"expected an integer between {low} and {high}")
    number = int(digits, 16 if hexadecimal else 8 if octal else 10)
    if sign:
        number = -number
    if not low <= number <= high:
        raise ValueError(f"expected an integer between {low} and {high}")
    return number


def read_float(text: str) -> float:
    """Read a number, ``inf`` or ``nan``; hexadecimal and octal are for integers only."""
    if _FLOAT.fullmatch(text) and not _OCTAL_FLOAT.fullmatch(text):
        return float(text.rstrip("fF"))
    special = _SPECIAL.get(text.lstrip("-").lower())
    if special is None or text.startswith("--"):
        raise ValueError("expected a number")
    return -special if text.startswith("-") else special


def read_string(text: str) -> str:
    """Read one or more quoted strings, with what may stand between them, as one string."""
    if text.count(text[0]) == 2 and text[-1] == text[0] and "\\" not in text and text.isascii():
        return text[1:-1]
    parts: list[bytes] = []
    for match in _PIECE.finditer(text):
        piece = match[1] if match[1] is not None else match[2]
        if piece is not None:
            parts.append(_unescape(piece))
    return b"".join(parts).decode("utf-8", "surrogateescape")


def _unescape(piece: str) -> bytes:
    parts: list[bytes] = []
    done = 0
    for match in _ESCAPE.finditer(piece):
        parts.append(_to_bytes(piece[done : match.start()]))
        parts.append(_escaped(match))
        done = match.end()
    parts.append(_to_bytes(piece[done:]))
    return b"".join(parts)


def _to_bytes(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def _escaped(match: re.Match[str]) -> bytes:
    octal, hexadecimal, high, low, short, long, simple = match.groups()
    if octal or hexadecimal:
        return bytes([(int(octal, 8) if octal else int(hexadecimal, 16)) & 0xFF])
    if simple:
        if simple not in _SIMPLE_ESCAPES:
            raise ValueError(f"unknown escape \\{simple}; write a backslash as \\\\")
        return bytes([_SIMPLE_ESCAPES[simple]])
    if high:
        code = 0x10000 + ((int(high, 16) & 0x3FF) << 10) + (int(low, 16) & 0x3FF)
    else:
        code = int(short or long, 16)
    if code > 0x10FFFF:
        raise ValueError(f"no such character as \\U{long}")
    return chr(code).encode("utf-8", "surrogatepass")


def write_string(value: str, quote: str) -> str:
    """Spell a string within quotes of the given kind."""

    def escape(match: re.Match[str]) -> str:
        char = match[0]
        if char in "\"'":
            return "\\" + char if char == quote else char
        if char in _SHORT:
            return _SHORT[char]
        return "".join(f"\\{byte:03o}" for byte in char.encode("utf-8", "surrogatepass"))

    return quote + _TO_ESCAPE.sub(escape, value) + quote


def write_float(value: float) -> str:
    """Spell a float in the fewest digits that give the same float32 back."""
    try:
        wanted = struct.pack("<f", value)
    except OverflowError:
        return repr(value)
    if value != value or value in (float("inf"), float("-inf")):
        return "nan" if value != value else "inf" if value > 0 else "-inf"
    for digits in range(1, 9):
        text = f"{value:.{digits}g}"
        try:
            if struct.pack("<f", float(text)) == wanted:
                return text
        except OverflowError:  # few digits of the largest float32 round up beyond it
            continue
    return f"{value:.9g}"


def write_scalar(value: object, quote: str) -> str:
    """Spell a Python value.

    Args:
        value: str for a quoted string, Ident for a bare word, bool, or a number (numpy's too).
        quote: which quotes a string gets.

    Raises:
        ValueError: an Ident that is no identifier.
        TypeError: any other kind of value.
    """
    if isinstance(value, Ident):
        if not (value.isascii() and value.isidentifier()):
            raise ValueError(f"not an identifier: {str(value)!r}")
        return str(value)
    if isinstance(value, str):
        return write_string(value, quote)
    if isinstance(value, bool):
        return "true" if value else "false"
    if hasattr(value, "__index__"):
        return str(value.__index__())
    if hasattr(value, "__float__"):
        return write_float(value.__float__())
    raise TypeError(f"not a scalar: {value!r}")
