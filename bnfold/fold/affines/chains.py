"""Rewrite: a chain of affine layers is one.

    p * (a x + b) + q  =  (p a) x + (p b + q)

Layers join a chain where each is the only reader of the one before. A chain moves as a whole: all
of its layers go into a host, or all that stays of them is one Scale.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bnfold.errors import BnfoldError
from bnfold.fold.affines.affine import Affine
from bnfold.fold.affines.dialects import Reading
from bnfold.fold.plan import Reason
from bnfold.graph import Layer, Value


@dataclass(eq=False)
class Chain:
    """Affine layers in a row, each the only reader of the one before.

    Attributes:
        layers: the layers, in order.
        affine: what they compute together.
        channels: how many channels that tells apart; None where it treats all alike, or where
            there are no weights to tell from.
        touched: whether something from elsewhere went into it, so that it must be written anew.
        refusals: why it could not go into what is before it, and into what is behind it.
    """

    layers: list[Layer]
    affine: Affine
    channels: int | None
    touched: bool = False
    refusals: list[Reason] = field(default_factory=list)

    @classmethod
    def of(cls, layer: Layer, reading: Reading) -> Chain:
        """A chain of one layer."""
        return cls([layer], reading.affine, reading.channels)

    @property
    def bottom(self) -> Value:
        """What the first layer reads."""
        return self.layers[0].bottoms[0]

    @property
    def top(self) -> Value:
        """What the last layer makes."""
        return self.layers[-1].tops[0]

    def append(self, layer: Layer, reading: Reading) -> None:
        """Take in the layer that follows.

        Raises:
            BnfoldError: it has numbers for another count of channels.
        """
        self.extend_after(reading.affine, reading.channels, str(layer))
        self.layers.append(layer)

    def extend_after(self, affine: Affine, channels: int | None, what: str) -> None:
        """Let the chain compute `affine` of what it computed."""
        self._agree(channels, what)
        self.affine = self.affine.then(affine)

    def extend_before(self, affine: Affine, channels: int | None, what: str) -> None:
        """Let the chain compute what it computed, of `affine`."""
        self._agree(channels, what)
        self.affine = affine.then(self.affine)

    def _agree(self, channels: int | None, what: str) -> None:
        if None not in (channels, self.channels) and channels != self.channels:
            raise BnfoldError(
                f"{self.layers[-1]} (line {self.layers[-1].line}) has numbers for {self.channels} "
                f"channels, {what} for {channels}; do the two files belong together?"
            )
        self.channels = self.channels if channels is None else channels
