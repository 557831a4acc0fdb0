"""How much memory a process has used."""

from __future__ import annotations

from pathlib import Path


def peak_memory(process: int | str = "self") -> int | None:
    """Return the peak resident memory of a process in bytes; None where it cannot be told.

    Source: proc(5), `VmHWM` in /proc/PID/status, which Linux alone has.
    """
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return None
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None
