"""The list of rewrites, and the order they run in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bnfold.errors import BnfoldError
from bnfold.fold.absorb import AbsorbBackward
from bnfold.fold.dialects import Reader
from bnfold.fold.engine import EngineCaffe
from bnfold.fold.plan import Plan
from bnfold.fold.rewrite import Context, Rewrite
from bnfold.graph import Net, Phase

_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Options:
    """What a user may choose.

    Attributes:
        phase: the phase whose function is preserved.
        eps: replaces every BatchNorm's own eps, where given.
        engine_caffe: whether 1x1 convolutions are set to `engine: CAFFE`.
        keep_dtype: whether changed blobs keep the type they are stored in, else float32.
    """

    phase: Phase = Phase.TEST
    eps: float | None = None
    engine_caffe: bool = True
    keep_dtype: bool = False

    @classmethod
    def of(
        cls, phase: Phase | str, eps: float | None, engine_caffe: bool, keep_dtype: bool = False
    ) -> Options:
        """Options from what a caller gave.

        Raises:
            BnfoldError: the phase or eps is not one.
        """
        if eps is not None and not 0 <= eps <= _LARGEST:
            raise BnfoldError(f"eps {eps}: must be a finite number that is not negative")
        try:
            return cls(Phase(phase), eps, engine_caffe, keep_dtype)
        except ValueError:
            raise BnfoldError(f"phase '{phase}': must be TEST or TRAIN") from None


def fold(net: Net, options: Options) -> Plan:
    """Rewrite a network in place and say what was done.

    Without weights only the structure is planned.

    Raises:
        BnfoldError: the model or its weights are not what they claim to be.
        PrototxtError: a parameter in the prototxt has a bad value.
    """
    plan = Plan()
    reader = Reader(options.phase, options.eps, plan.warnings.append)
    rewrites: list[Rewrite] = [AbsorbBackward()]
    if options.engine_caffe:
        rewrites.append(EngineCaffe())
    context = Context(net, plan, reader, options.keep_dtype)
    # What overflows becomes an infinity, and writing that is refused by name.
    with np.errstate(over="ignore", invalid="ignore"):
        for rewrite in rewrites:
            rewrite.run(context)
    plan.kept.sort(key=lambda kept: kept.line)
    return plan
