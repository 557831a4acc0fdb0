"""Keep OpenCV from printing, and make sentences of what it raises and prints."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from bnfold.runtimes.errors import one_line

_CANNOT_CREATE = re.compile(r"""Can't create layer "(.*?)" of type "(.*?)\"""")
_BUSY = re.compile(r"OPENCV/DNN: \[[^\]]*\]:\((.*?)\): \w+\(\) throws exception")
_PROTOBUF = re.compile(r"^\[libprotobuf ERROR [^\]]*\] (.*)$", re.MULTILINE)
_PARSE = re.compile(r"Failed to parse NetParameter file: (.*?)(?: in function|$)", re.DOTALL)
_LONG = 160
_redirection = threading.Lock()


class Failure(NamedTuple):
    """Why OpenCV failed.

    Attributes:
        reason: in one line.
        layer: the layer that OpenCV named, if any.
        is_assertion: whether the reason is only what OpenCV's code expected.
        is_unparsed: whether it could not even parse a file.
    """

    reason: str
    layer: str | None
    is_assertion: bool
    is_unparsed: bool = False


def failure(error: Exception) -> Failure:
    """Read a cv2.error, and the log that `overheard` attached to it."""
    message = str(getattr(error, "err", "") or error)
    log = str(getattr(error, "overheard", ""))
    if created := _CANNOT_CREATE.search(message):
        return Failure(f"OpenCV has no layer of type {created[2]}", created[1], False)
    if parse := _PARSE.search(message):
        reason = f"cannot parse {parse[1].strip()}"
        if said := _PROTOBUF.findall(log):
            reason += f" ({said[-1].strip()})"
        return Failure(reason, None, False, is_unparsed=True)
    busy = _BUSY.findall(log)
    reason = one_line(message)
    if len(reason) > _LONG:
        reason = reason[:_LONG].rstrip() + "..."
    if getattr(error, "code", 0) == -215:
        reason = f"OpenCV expects {reason}"
    return Failure(reason or "OpenCV gives no reason", busy[-1] if busy else None, True)


@contextlib.contextmanager
def quiet(cv2: Any) -> Iterator[None]:
    """Silence OpenCV's log on standard error."""
    logging = cv2.utils.logging
    level = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(level)


@contextlib.contextmanager
def overheard(cv2: Any) -> Iterator[None]:
    """Keep what is printed on standard error from it, and attach it to a cv2.error as `overheard`.

    It redirects the file descriptor, for the whole process, since that is what OpenCV and its
    protobuf write to. So it is for short stretches only; a message of another thread is lost.
    """
    logging = cv2.utils.logging
    with _redirection, tempfile.TemporaryFile() as log:
        level = logging.getLogLevel()
        try:
            kept = os.dup(2)
        except OSError:  # There is no standard error.
            yield
            return
        os.dup2(log.fileno(), 2)
        logging.setLogLevel(logging.LOG_LEVEL_ERROR)
        try:
            yield
        except cv2.error as error:
            log.seek(0)
            error.overheard = log.read().decode("utf-8", "replace")
            raise
        finally:
            logging.setLogLevel(level)
            os.dup2(kept, 2)
            os.close(kept)


@contextlib.contextmanager
def as_written(text: str) -> Iterator[Path]:
    """A file with a prototxt's text, for as long as the context lasts."""
    with tempfile.TemporaryDirectory(prefix="bnfold-") as folder:
        path = Path(folder) / "net.prototxt"
        path.write_text(text, "utf-8", "surrogateescape")
        yield path
