"""Engines that can run a network, each behind one small protocol.

    with pick("auto", [("deploy.prototxt", "x.caffemodel")]) as picked:
        print(picked.why)
        scores = picked.sessions[0].run({"data": images})["prob"]

A new engine is a file beside the others, with its Runtime and its Session, and a line in choose.py.
An engine is imported when it is asked for.
"""

from bnfold.runtimes.choose import NAMES, Picked, available, check_threads, open_runtime, pick
from bnfold.runtimes.errors import EngineError, EngineMissingError
from bnfold.runtimes.protocol import LayerInfo, Place, Runtime, RuntimeInfo, Session, Top
from bnfold.runtimes.report import RuntimesReport

__all__ = [
    "NAMES",
    "EngineError",
    "EngineMissingError",
    "LayerInfo",
    "Picked",
    "Place",
    "Runtime",
    "RuntimeInfo",
    "RuntimesReport",
    "Session",
    "Top",
    "available",
    "check_threads",
    "open_runtime",
    "pick",
]
