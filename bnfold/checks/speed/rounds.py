"""Run two networks side by side, so that what differs between them is theirs.

A round runs each network once, and the original once more with the engine's own stop watch on
every layer. The next round runs them in the opposite order, and every second round draws a new
order, so that a machine that slows down or speeds up meets all of them alike. What is compared is
compared within a round.
"""

from __future__ import annotations

import math
import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from bnfold.aliases import Array, ArrayShape
from bnfold.checks.feeds.timing_inputs import SEED
from bnfold.checks.speed.peak_memory import load
from bnfold.errors import BnfoldError
from bnfold.runtimes import Runtime, Session

SECONDS = 5.0
"""How long two networks are compared, unless said otherwise."""

MIN_ROUNDS = 10
_WARM_ROUNDS = 2
_WARM_SECONDS = 0.3

Network = tuple[Path, Path]
"""A prototxt and its caffemodel."""

StageProgress = Callable[[str, float], None]
"""Told what is being measured, and how much of the whole is done, from 0 to 1."""


class Setting(NamedTuple):
    """How long to compare two networks, and where.

    Attributes:
        fusion: whether the engine may merge layers on its own; None for one that cannot.
        feeds: what both are fed.
        seconds: how long to compare; at least MIN_ROUNDS rounds are made.
        repeats: make exactly so many rounds instead.
    """

    fusion: bool | None
    feeds: Mapping[str, Array]
    seconds: float = SECONDS
    repeats: int | None = None


@dataclass
class Rounds:
    """What was measured; each list has an item for each round.

    Attributes:
        removed: the layers that the original runs and the folded network does not.
        original, folded: seconds of a forward pass.
        profiles: seconds of each layer of the original; empty where the engine has no profile.
        unread: the share of each layer's work in the original whose results nobody reads.
    """

    removed: tuple[str, ...] = ()
    original: list[float] = field(default_factory=list)
    folded: list[float] = field(default_factory=list)
    profiles: list[Mapping[str, float]] = field(default_factory=list)
    unread: Mapping[str, float] = field(default_factory=dict)

    @property
    def ratios(self) -> list[float]:
        """Seconds of the folded network over those of the original."""
        return [new / old for old, new in zip(self.original, self.folded, strict=True)]

    @property
    def limits(self) -> list[float]:
        """The ratio if all that the fold did was to save the time of what need not be computed.

        The original's time less what its profile gives to the removed layers and, of the others, to
        results that nobody reads (`merge --strides`), over the original's time. Both
        are taken from the profiled pass, whose stop watch costs every layer a little: for
        layers of microseconds that is much, and a pass without it would not compare.
        """
        found = []
        for profile in self.profiles:
            whole = sum(profile.values())
            saved = sum(profile[name] for name in self.removed)
            left = self.unread.keys() & profile.keys() - set(self.removed)
            saved += sum(profile[name] * self.unread[name] for name in sorted(left))
            found.append(1 - saved / whole if whole else 1.0)
        return found

    @property
    def merged(self) -> int | None:
        """How many removed layers took no time, since the engine had merged them into others."""
        if not self.profiles:
            return None
        return sum(self.profiles[0][name] == 0 for name in self.removed)


def compare(
    runtime: Runtime,
    pairs: tuple[Network, Network],
    setting: Setting,
    tell: Callable[[float], None] = lambda done: None,
    unread: Mapping[str, float] | None = None,
) -> Rounds:
    """Run an original and a folded network in turns, after passes that are not counted.

    Args:
        runtime: the engine.
        pairs: the original and the folded network.
        setting: what to feed and how long.
        tell: told after each round how much is done, from 0 to 1.
        unread: the share of each layer's work in the original whose results nobody reads.

    Raises:
        EngineError: the engine fails on one of them.
    """
    with (
        load(runtime, *pairs[0], setting.fusion) as original,
        load(runtime, *pairs[1], setting.fusion) as folded,
    ):
        for session in (original, folded):
            session.feed(setting.feeds)
        _warm_up(original, folded)
        rounds = Rounds(removed_layers(original, folded), unread=unread or {})
        turns = [
            lambda: rounds.original.append(original.forward()),
            lambda: rounds.folded.append(folded.forward()),
        ]
        if original.profile() is not None:
            turns.append(lambda: rounds.profiles.append(original.profile() or {}))
        _take_turns(turns, setting, tell)
    return rounds


def removed_layers(original: Session, folded: Session) -> tuple[str, ...]:
    """The names of the layers that only the original runs, in order."""
    left = {layer.name for layer in folded.layers}
    return tuple(layer.name for layer in original.layers if layer.name not in left)


def input_shapes(
    original: Session, folded: Session, models: tuple[Path, Path], batch: int | None
) -> dict[str, ArrayShape]:
    """Return the shapes to feed to both networks.

    Args:
        original, folded: the networks.
        models: their files, for messages.
        batch: replaces the first dimension of the first input, and of those others that share
            it; None to leave it as it is.

    Raises:
        BnfoldError: they do not take the same inputs, or the files give no shapes.
    """
    shapes = dict(original.inputs)
    if shapes != dict(folded.inputs):
        raise BnfoldError(
            f"{models[1]}: it takes {_words(folded.inputs)}, and {models[0]} takes "
            f"{_words(shapes)}; give a network and its own folded form"
        )
    for name, shape in shapes.items():
        if not shape:
            raise BnfoldError(
                f"{models[0]}: it gives no shape for its input '{name}'; "
                "write one into its Input layer"
            )
    if batch is None:
        return shapes
    first = next(iter(shapes.values()))[0]
    shapes = {
        name: (batch, *shape[1:]) if shape[0] == first else shape for name, shape in shapes.items()
    }
    _check_memory(batch, shapes)
    return shapes


def _check_memory(batch: int, shapes: Mapping[str, ArrayShape]) -> None:
    """Refuse a batch whose inputs alone, once here and once in the engine, do not fit.

    Raises:
        BnfoldError: they do not.
    """
    needed = 2 * 4 * sum(math.prod(shape) for shape in shapes.values())
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        raise BnfoldError(
            f"batch: the inputs of a batch of {batch} alone take {needed / 1e9:,.0f} GB, and this "
            f"machine has {there / 1e9:,.0f} GB; give a smaller one"
        )


def _warm_up(*sessions: Session) -> None:
    begin = time.perf_counter()
    done = 0
    while done < _WARM_ROUNDS or time.perf_counter() - begin < _WARM_SECONDS:
        for session in sessions:
            session.forward()
        done += 1


def _take_turns(
    turns: Sequence[Callable[[], Any]], setting: Setting, tell: Callable[[float], None]
) -> None:
    """Call each of `turns` once a round."""
    rng = random.Random(SEED)
    order = list(turns)
    begin = time.perf_counter()
    done, share = 0, 0.0
    while share < 1:
        if done % 2:
            order.reverse()
        else:
            rng.shuffle(order)
        for turn in order:
            turn()
        done += 1
        if setting.repeats is not None:
            share = done / setting.repeats
        else:
            passed = time.perf_counter() - begin
            share = min(passed / setting.seconds, done / MIN_ROUNDS)
        tell(min(share, 1.0))


def _words(shapes: Mapping[str, ArrayShape]) -> str:
    return ", ".join(f"'{name}' {'x'.join(map(str, s))}" for name, s in shapes.items())
