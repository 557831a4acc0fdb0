"""Reading a prototxt as the network of a phase, with its weights."""

from __future__ import annotations

from pathlib import Path

from bnfold.caffemodel import Weights
from bnfold.errors import BnfoldError
from bnfold.fold import MergeOptions
from bnfold.graph import Net, build
from bnfold.prototxt import load


def read_net(
    model: Path, options: MergeOptions, stored: Weights | None, *, alone: bool = False
) -> Net:
    """Read a prototxt as the network of a phase, and check that the weights are its own.

    Args:
        model: the prototxt.
        options: the phase, and types that are to be taken for others.
        stored: the weights, where there are some.
        alone: as for `build`.

    Raises:
        PrototxtError: the prototxt is malformed.
        BnfoldError: no layer of the model has weights in the weights file.
    """
    net = build(load(model), options.phase, stored, options.treat_as, alone=alone)
    check_belonging(net, model, stored)
    return net


def check_belonging(net: Net, model: Path, stored: Weights | None) -> None:
    """Refuse weights of which no layer of a network has any.

    Raises:
        BnfoldError: no layer of the network has weights in the weights file.
    """
    if stored is None or any(layer.blobs for layer in net.layers):
        return
    raise BnfoldError(
        f"{stored.path}: none of its layers with weights is in {model}; "
        "do the two files belong together?"
    )
