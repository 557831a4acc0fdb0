"""Which engines there are, and which one to take."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from bnfold.aliases import PathLike
from bnfold.runtimes.errors import EngineError, EngineMissingError
from bnfold.runtimes.opencv import OpenCV
from bnfold.runtimes.protocol import Closing, Runtime, RuntimeInfo, Session
from bnfold.runtimes.pycaffe import PyCaffe

THREADS_PER_CORE = 4


NAMES = ("pycaffe", "opencv")
"""The engines, in the order in which "auto" tries them: Caffe itself is the one to be equal to."""


class Picked(Closing):
    """An engine and the networks loaded in it. Close it, or use it as a context manager.

    Attributes:
        runtime: the engine.
        sessions: a session for each model, in their order.
        why: one line that names the engine and says why it was taken.
    """

    def __init__(self, runtime: Runtime, sessions: tuple[Session, ...], why: str) -> None:
        self.runtime = runtime
        self.sessions = sessions
        self.why = why

    def __enter__(self) -> Picked:
        return self

    def close(self) -> None:
        """Close the sessions and the engine."""
        for session in self.sessions:
            session.close()
        self.runtime.close()


def open_runtime(
    name: str, *, threads: int | None = None, caffe_root: PathLike | None = None
) -> Runtime:
    """Start one engine.

    Args:
        name: "opencv" or "pycaffe".
        threads: how many threads it may use; None for its own default.
        caffe_root: Caffe's folder, for pycaffe; None for whatever `import caffe` finds.

    Raises:
        EngineMissingError: it is not installed; the message says how to get it.
        EngineError: there is no engine of that name.
    """
    check_threads(threads)
    if name == "pycaffe":
        return PyCaffe(caffe_root=caffe_root, threads=threads)
    if name == "opencv":
        return OpenCV(threads=threads)
    raise EngineError(f"no runtime is named '{name}'; there are auto, {', '.join(NAMES)}")


def check_threads(count: int | None) -> None:
    """Refuse a number of threads that would do nothing, or bring the machine down.

    Raises:
        EngineError: there are none, or more than four for each processor.
    """
    if count is None:
        return
    if count < 1:
        raise EngineError(f"cannot run on {count} threads; give at least 1")
    cores = os.cpu_count() or 1
    if count > THREADS_PER_CORE * cores:
        raise EngineError(
            f"{count} threads are too many for {cores} processors; give at most "
            f"{THREADS_PER_CORE * cores}"
        )


def pick(
    name: str,
    models: Sequence[tuple[PathLike, PathLike]],
    *,
    threads: int | None = None,
    caffe_root: PathLike | None = None,
) -> Picked:
    """Take an engine that can load every one of the models, and load them.

    Args:
        name: "auto", "opencv" or "pycaffe". "auto" is pycaffe where it imports and can load the
            models, and else OpenCV.
        models: pairs of a prototxt and a caffemodel.
        threads: how many threads it may use; None for its own default.
        caffe_root: Caffe's folder, for pycaffe; None for whatever `import caffe` finds.

    Raises:
        EngineError: no engine that was allowed can be had, or can load the models; where several
            were tried, the message says of each why not.
    """
    check_threads(threads)
    failures: list[EngineError] = []
    for candidate in NAMES if name == "auto" else (name,):
        try:
            runtime = open_runtime(candidate, threads=threads, caffe_root=caffe_root)
            sessions = _load_all(runtime, models)
        except EngineError as error:
            if caffe_root is not None and isinstance(error, EngineMissingError):
                raise  # Whoever says where Caffe is wants no other engine.
            failures.append(error)
            continue
        return Picked(runtime, sessions, _why(runtime, failures))
    if len(failures) == 1:
        raise failures[0]
    reasons = "; ".join(f"({i}) {error}" for i, error in enumerate(failures, 1))
    if all(isinstance(error, EngineMissingError) for error in failures):
        raise EngineMissingError(f"no runtime is installed: {reasons}")
    raise EngineError(f"no runtime can load the network: {reasons}")


def available(caffe_root: PathLike | None = None) -> list[RuntimeInfo]:
    """Say of every engine whether it can be used here, by starting it.

    Args:
        caffe_root: Caffe's folder, for pycaffe; None for whatever `import caffe` finds.
    """
    return [_info(name, caffe_root) for name in NAMES]


def _info(name: str, caffe_root: PathLike | None) -> RuntimeInfo:
    try:
        with open_runtime(name, caffe_root=caffe_root) as runtime:
            return RuntimeInfo(name, runtime.version, True, str(getattr(runtime, "place", "")))
    except EngineError as error:
        return RuntimeInfo(name, None, False, str(error))


def _load_all(runtime: Runtime, models: Sequence[tuple[PathLike, PathLike]]) -> tuple[Session, ...]:
    sessions: list[Session] = []
    try:
        for model, weights in models:
            sessions.append(runtime.load(Path(model), Path(weights)))
    except BaseException:
        for session in sessions:
            session.close()
        runtime.close()
        raise
    return tuple(sessions)


def _why(runtime: Runtime, failures: Sequence[EngineError]) -> str:
    line = f"{runtime.name} {runtime.version}"
    if failures:
        why = failures[0]
        where = f"layer '{why.layer}': " if why.layer else ""
        line += f", since pycaffe cannot be used: {where}{why.reason}"
        if isinstance(why, EngineMissingError):
            line += " (`bnfold runtimes` says what to do)"
    return line
