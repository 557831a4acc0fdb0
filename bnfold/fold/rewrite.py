"""What a rewrite is, and what it is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bnfold.fold.dialects import Reader
from bnfold.fold.plan import Plan
from bnfold.graph import Net


@dataclass(frozen=True)
class Context:
    """What every rewrite works on.

    Attributes:
        net: the network, changed in place.
        plan: the record of what was done and what was not, and why.
        reader: how affine layers are read.
        keep_dtype: whether changed blobs keep the type they are stored in.
    """

    net: Net
    plan: Plan
    reader: Reader
    keep_dtype: bool

    @property
    def has_weights(self) -> bool:
        """Whether numbers are at hand; without them only the structure is planned."""
        return self.net.weights is not None


class Rewrite(Protocol):
    """An identity of the network's function, applied wherever it holds."""

    def run(self, context: Context) -> None:
        """Find where the rewrite could apply, check each place, and apply it or say why not.

        Raises:
            BnfoldError: the model or its weights are not what they claim to be.
        """
