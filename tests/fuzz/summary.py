"""What a run of random inputs came to."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Summary:
    """The count of a run and a line for every failure.

    Each half has a function `run(seconds: float, seed: int, save: Path) -> Summary`. It stops soon
    after `seconds`, draws the same inputs from the same seed in the same order, and keeps each
    failing input, made as small as it can be, in a folder of its own under `save`.

    Attributes:
        inputs: how many inputs were judged.
        failures: one line for each that failed: what is wrong, and the folder that has the input.
    """

    inputs: int = 0
    failures: list[str] = field(default_factory=list)
