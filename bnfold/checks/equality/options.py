"""How to verify."""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace

from bnfold.checks.feeds.choose import RunOptions
from bnfold.errors import BnfoldError
from bnfold.fold.inputs.steps import InputSteps


@dataclass(frozen=True)
class Names:
    """What layers, inputs and outputs of the folded network are called in the original.

    Attributes:
        layers, inputs, outputs: by the folded network's names. A layer that is not there has no
            partner; inputs and outputs that are not have the same name in both.
    """

    layers: Mapping[str, str]
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


@dataclass(frozen=True)
class VerifyOptions(RunOptions):
    """How to verify; the defaults suit a release pipeline.

    What is fed, and in which engine, is described with `RunOptions`; the seed is also that of what
    the tolerance is measured with.

    Attributes:
        tolerance: the largest relative difference to allow, everywhere; None to measure, for each
            value, what rounding does.
        tolerances: the same for values by name, in place of `tolerance` and of what is measured.
        layers: compare layers too, and have one past its tolerance fail the check.
        altered: layers whose values folding is meant to change; they are not compared.
        ahead: layers that folding took out, and whose work is done by what read them.
        names: the original's names for what the folded network calls otherwise; None where both
            have the same.
        input_steps: what the folded network does to its input itself and was done for the original:
            that gets its inputs preprocessed, and the folded network gets them raw.

    Raises:
        BnfoldError: a number is out of range.
    """

    tolerance: float | None = None
    tolerances: Mapping[str, float] = field(default_factory=dict)
    layers: bool = False
    altered: frozenset[str] = frozenset()
    ahead: frozenset[str] = frozenset()
    names: Names | None = None
    input_steps: InputSteps | None = None

    def __post_init__(self) -> None:
        if self.random < 1:
            raise BnfoldError(f"{self.random} random inputs prove nothing; give at least 1")
        super().__post_init__()
        given = [] if self.tolerance is None else [self.tolerance]
        for tolerance in (*given, *self.tolerances.values()):
            if not 0 <= tolerance < math.inf:
                raise BnfoldError(f"the tolerance {tolerance} cannot be; give 0 or more")

    def knowing(self, altered: Set[str], ahead: Set[str]) -> VerifyOptions:
        """These options, with the layers that a plan changes by design."""
        return replace(self, altered=self.altered | altered, ahead=self.ahead | ahead)
