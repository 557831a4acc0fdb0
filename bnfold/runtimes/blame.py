"""Find the layer that an engine stumbles over when the engine does not say."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from bnfold.runtimes.errors import EngineError
from bnfold.runtimes.model import Model


def first_bad_layer(model: Model, fails: Callable[[Path], bool]) -> str | None:
    """Return the name of the first layer without which the network still works.

    Args:
        model: a network on which the engine fails.
        fails: whether the engine fails on a prototxt that has only the first so many layers.

    Returns:
        None if the engine does not fail on the whole network read this way, or fails on none of
        its layers.
    """
    count = len(model.layers)
    with tempfile.TemporaryDirectory(prefix="bnfold-") as folder:
        path = Path(folder) / "part.prototxt"

        def bad(first: int) -> bool:
            path.write_text(model.text(first=first), "utf-8", "surrogateescape")
            return fails(path)

        try:
            if not count or not bad(count):
                return None
            good = 0  # An engine may not like a network of no layers at all: take it for good.
            while count - good > 1:
                middle = (good + count) // 2
                good, count = (good, middle) if bad(middle) else (middle, count)
        except EngineError:
            return None
    return model.layers[count - 1].name
