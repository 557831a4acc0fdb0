"""How much of what each layer computes is read by nobody, without changing anything."""

from __future__ import annotations

import math

from bnfold.fold.driver import context_of
from bnfold.fold.options import MergeOptions
from bnfold.fold.plan import Plan
from bnfold.fold.strides.regions import refusal, regions
from bnfold.fold.strides.steps import Steps
from bnfold.graph import Net, infer_shapes


def unread_shares(net: Net) -> dict[str, float]:
    """The share of its places that each layer need not compute if strides moved up.

    Returns:
        By the name of the layer, more than 0 and less than 1, for those that have such places.

    Raises:
        BnfoldError: the weights are not what they claim to be.
        PrototxtError: a parameter in the prototxt has a bad value.
    """
    context = context_of(net, Plan(), MergeOptions(strides=True), infer_shapes(net))
    shares: dict[str, float] = {}
    for region in regions(context, Steps(context)):
        if refusal(context, region) is None:
            for layer in region.makers:
                shares[layer.name] = 1 - 1 / math.prod(region.step[layer.tops[0]])
    return shares
