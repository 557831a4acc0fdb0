"""Hold the files of a network against the table of a reader."""

from __future__ import annotations

import contextlib
from pathlib import Path

from bnfold.caffemodel import open_weights
from bnfold.errors import BnfoldError
from bnfold.graph import Phase
from bnfold.graph.readers import READERS, Reader, file_problems, problems, stored_blobs
from bnfold.outputs import settle
from bnfold.prototxt import load
from bnfold.reading.report import ReaderReport
from bnfold.spelling import did_you_mean


def reader_named(key: str) -> Reader:
    """The reader of a name.

    Raises:
        BnfoldError: there is no table of it.
    """
    if key in READERS:
        return READERS[key]
    raise BnfoldError(
        f"no reader '{key}'{did_you_mean(key, READERS)}; there are tables of {', '.join(READERS)}"
    )


def read_for(model: Path, weights: Path | None, reader: Reader, phase: Phase) -> ReaderReport:
    """List what a reader does not load of a network.

    Raises:
        PrototxtError: the prototxt is malformed.
        CaffemodelError: the weights file is.
    """
    settle([model] if weights is None else [model, weights])
    with contextlib.ExitStack() as stack:
        stored = None if weights is None else stack.enter_context(open_weights(weights))
        document = load(model)
        found = problems(document, reader, phase, None if stored is None else stored_blobs(stored))
        whole = [] if stored is None else file_problems(stored, reader)
    found = [*whole, *found]
    return ReaderReport(model, weights, phase, reader, tuple(found))
