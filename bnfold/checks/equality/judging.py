"""Networks in an engine, with what tells how far rounding alone moves their values."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from bnfold.caffemodel import Weights
from bnfold.checks.equality.copies import named_as
from bnfold.checks.equality.difference import RunningDifference
from bnfold.checks.equality.matching import Pair
from bnfold.checks.equality.options import VerifyOptions
from bnfold.checks.equality.tolerance import tolerance_of, write_nudged
from bnfold.checks.equality.verification import Compared
from bnfold.network_files import NetworkFiles
from bnfold.runtimes import Picked, pick

NUDGED_IMAGES = 16
"""How many inputs the nudged network is run on: what rounding does varies little after that."""


@contextlib.contextmanager
def loaded(
    networks: Sequence[NetworkFiles], stored: Weights, folded: Weights, options: VerifyOptions
) -> Iterator[Picked]:
    """Networks in an engine; behind them, where tolerances are measured, the first one nudged.

    Args:
        networks: the original, and what is compared with it there.
        stored: the weights of the original, open.
        folded: those of the folded network, which say what was rounded to half.
        options: the tolerance and the engine.

    Raises:
        BnfoldError: no engine can load them.
        OSError: the nudged weights cannot be written.
    """
    with contextlib.ExitStack() as stack:
        models = [*networks]
        if options.tolerance is None:
            model, weights = networks[0]
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bnfold-")))
            nudged = folder / "nudged.caffemodel"
            write_nudged(stored, folded, nudged, options.seed)
            models.append(NetworkFiles(model, nudged))
            stack.enter_context(named_as(weights, nudged))
        yield stack.enter_context(
            pick(options.runtime, models, threads=options.threads, caffe_root=options.caffe_root)
        )


def judged(
    pair: Pair, difference: RunningDifference, noise: RunningDifference, options: VerifyOptions
) -> Compared:
    """A difference with the tolerance that is given for its value, or that the noise makes."""
    tolerance = options.tolerances.get(pair.name, options.tolerance)
    if tolerance is None:
        tolerance = tolerance_of(noise.result().relative, pair.depth)
    return Compared(pair, difference.result(), tolerance)
