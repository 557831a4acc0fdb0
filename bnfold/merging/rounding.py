"""The one type that all blobs of the result are stored in, where the user asks for one."""

from __future__ import annotations

import numpy as np

from bnfold.caffemodel import Rounding
from bnfold.fold import MergeOptions, Plan
from bnfold.spelling import plural


def rounding_of(options: MergeOptions) -> Rounding | None:
    """The type that all blobs are to be stored in; None where each keeps its own."""
    if options.float32:
        return Rounding(np.float32)
    return Rounding(np.float16) if options.float16 else None


def warn_of_vanished(plan: Plan, rounding: Rounding | None) -> None:
    """Say, once all is written, which values the type has nothing for but zero."""
    vanished = rounding.vanished if rounding is not None else None
    if rounding is None or not vanished:
        return
    (layer, count), *more = vanished.most_common()
    beside = f" and {plural(sum(vanished.values()) - count, 'value')} elsewhere" if more else ""
    plan.warnings.append(
        f"{plural(count, 'value')} of '{layer}'{beside} became 0: they are smaller than "
        f"{rounding.dtype.name} holds"
    )
