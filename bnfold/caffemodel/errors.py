"""The one error this room raises, and how its message is put together."""

from __future__ import annotations

import os


class CaffemodelError(ValueError):
    """A weights file, or a request to change one, that makes no sense.

    The message is one line: the file, the layer and byte where known, what is wrong, what to do.
    """


def problem(
    path: str | os.PathLike[str],
    what: str,
    *,
    layer: str | None = None,
    offset: int | None = None,
    do: str = "",
) -> CaffemodelError:
    """Return the error for `what` being wrong with the file at `path`.

    `layer` is the name of a layer, `offset` a position in bytes from the start of the file, and
    `do` the advice that closes the message.
    """
    place = os.fsdecode(path)
    if layer is not None:
        place += f": layer {layer!r}" if layer else ": a layer without a name"
    if offset is not None:
        place += f" (byte {offset})"
    line = f"{place}: {what}"
    if do:
        line += f"; {do}"
    # Paths and names are other people's: keep the promise of one printable line.
    return CaffemodelError(line.replace("\n", "\\n").replace("\r", "\\r"))
