"""Importing numpy without the threads of its linear algebra, which a merge has no use for."""

from __future__ import annotations

import os
import sys

_THREADS = "OPENBLAS_NUM_THREADS"


def import_numpy() -> None:
    """Import numpy before the library does.

    OpenBLAS starts a thread for each core when it is loaded. They wait for work in a loop, which
    takes 90 ms of a core that others could use.
    """
    if "numpy" in sys.modules or _THREADS in os.environ:
        return
    os.environ[_THREADS] = "1"
    try:
        import numpy  # noqa: F401
    finally:
        # An engine that is started later has as many threads as it likes.
        del os.environ[_THREADS]
