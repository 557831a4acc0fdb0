"""Which channels to remove, from a file that names them."""

from __future__ import annotations

from pathlib import Path

from bnfold.errors import BnfoldError
from bnfold.whole import read_whole

_MOST = 1 << 20
"""Channels that a file may ask for, in all."""


def read_channels(path: Path) -> dict[str, list[int]]:
    """Read which channels to remove, from a file.

    A file is a JSON object, {"conv1": [0, 3, 5]}, or text of a line for each layer, which may be
    written as in TOML:

        conv1: 0, 3, 5-7
        "conv2/3x3" = [1, 2]    # a comment

    Raises:
        BnfoldError: the file is neither; the message names the line.
        OSError: it cannot be read.
    """
    text = read_whole(path).decode("utf-8", "surrogateescape")
    if text.lstrip().startswith("{"):
        return _from_json(path, text)
    found: dict[str, list[int]] = {}
    room = _MOST
    for number, line in enumerate(text.splitlines(), 1):
        line = line.split("#")[0].strip()
        if not line:
            continue
        name, channels = _halves(line)
        if not name or channels is None or name in found:
            what = "a second line for that layer" if name in found else _FORM
            raise BnfoldError(f"{path}:{number}: {what}")
        found[name] = _indices(path, number, channels, room)
        room -= len(found[name])
    return found


_FORM = "not of the form `layer: 0, 3, 5-7`"


def _halves(line: str) -> tuple[str, str | None]:
    """The name and the channels of a line; "" and None for what is neither."""
    at = max(line.rfind(":"), line.rfind("="))
    name, channels = line[: max(at, 0)].strip(), line[at + 1 :].strip()
    name = name.removeprefix(name[:1] if name[:1] in "\"'" else "").rstrip("\"'")
    channels = channels.removeprefix("[").removesuffix("]")
    fits = at > 0 and not set("\"'") & set(name) and set(channels) <= set("0123456789,- \t")
    return name, channels if fits else None


def _indices(path: Path, line: int, text: str, room: int) -> list[int]:
    found: list[int] = []
    for part in text.replace(",", " ").split():
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or len(part) > 40:
            raise BnfoldError(f"{path}:{line}: '{part[:40]}' is no channel, and no range as 5-7")
        wanted = range(int(first), int(last if dash else first) + 1)
        if wanted.stop - wanted.start > room - len(found):
            raise BnfoldError(f"{path}:{line}: '{part}' is more channels than any network has")
        found += wanted
    return found


def _from_json(path: Path, text: str) -> dict[str, list[int]]:
    import json

    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BnfoldError(f"{path}: {error}") from None
    for name, channels in found.items():
        numbers = isinstance(channels, list) and all(type(one) is int for one in channels)
        if not numbers:
            raise BnfoldError(f"{path}: '{name}' must have a list of channel numbers")
    return dict(found)
