"""A command on a terminal, and all that it shows there."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import threading
from collections.abc import Sequence
from typing import NamedTuple

_END = b"\x1ethe end\x1e"


class Shown(NamedTuple):
    """What a command did: `other` is what it wrote to a stream that is no terminal."""

    code: int
    terminal: str
    other: str

    @property
    def plain(self) -> str:
        """What was on the terminal, without colours."""
        return re.sub(r"\x1b\[[\d;]*m", "", self.terminal).replace("\r\n", "\n")


def on_terminal(
    command: Sequence[str], *streams: str, columns: int, term: str = "xterm", **environment: str
) -> Shown:
    """Run a command of which some streams, "stdout" or "stderr", are a terminal."""
    ours, theirs = pty.openpty()
    ends = {name: theirs if name in streams else subprocess.PIPE for name in ("stdout", "stderr")}
    size = {"TERM": term, "COLUMNS": str(columns)}
    shown = bytearray()

    def read() -> None:
        while not shown.endswith(_END):
            shown.extend(os.read(ours, 4096))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        with subprocess.Popen(command, env=os.environ | size | environment, **ends) as process:
            other = b"".join(filter(None, process.communicate()))
    finally:
        # A terminal whose last writer has gone may lose what is still on its way.
        os.write(theirs, _END)
        reader.join()
        os.close(theirs)
        os.close(ours)
    return Shown(process.returncode, shown.removesuffix(_END).decode(), other.decode())
