"""What this room raises."""

from __future__ import annotations

from bnfold.errors import BnfoldError


class EngineError(BnfoldError):
    """An engine could not do what it was asked.

    The message is one line: the model, the engine, the layer where known, what is wrong and what
    else to try.

    Attributes:
        engine: the engine's name, "opencv" or "pycaffe"; "" where no engine was asked yet.
        layer: the name of the layer that the engine stumbled over, or None.
        reason: what is wrong, without the model, the engine and the layer.
    """

    def __init__(
        self,
        reason: str,
        *,
        engine: str = "",
        layer: str | None = None,
        subject: str = "",
        advice: str = "",
    ) -> None:
        self.engine = engine
        self.layer = layer
        self.reason = one_line(reason).rstrip(".")
        where = f"layer '{layer}'" if layer else ""
        line = ": ".join(filter(None, (subject, engine, where, self.reason)))
        super().__init__(one_line(f"{line}; {advice}" if advice else line))


class EngineMissingError(EngineError):
    """An engine is not installed, or not one that can be used; the message says how to get it."""


def one_line(text: str) -> str:
    """Return `text` with every run of white space as one blank."""
    return " ".join(text.split())
