"""What any room raises for bad input, as a BnfoldError of one line."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

from bnfold.caffemodel import CaffemodelError
from bnfold.errors import BnfoldError
from bnfold.prototxt import PrototxtError


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Whatever a room raises for bad input becomes a BnfoldError."""
    try:
        yield
    except (PrototxtError, CaffemodelError) as error:
        raise BnfoldError(str(error)) from error
    except MemoryError as error:
        what = str(error) or "an array did not fit"
        raise BnfoldError(f"there is not enough memory: {what}; use a smaller batch") from error
    except OSError as error:
        what = error.strerror or str(error)
        where = error.filename2 or error.filename
        line = f"{os.fsdecode(where)}: {what}" if where else what
        advice = _ADVICE.get(error.errno or 0)
        raise BnfoldError(f"{line}; {advice}" if advice else line) from error


_ADVICE = {
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "check the path",
    errno.EISDIR: "give the path of a file",
    errno.EACCES: "check its permissions",
    errno.EPERM: "check its permissions",
    errno.EROFS: "write the outputs elsewhere",
    errno.ENOSPC: "make room, or write the outputs elsewhere",
    errno.EDQUOT: "make room, or write the outputs elsewhere",
    errno.EFBIG: "write the outputs elsewhere",
}
