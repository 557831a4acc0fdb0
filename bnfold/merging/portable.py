"""What stock Caffe does not know of a network that a merge has made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bnfold.caffemodel import ArrayBlob, BlobSource
from bnfold.fold import MergeOptions
from bnfold.graph import Net
from bnfold.prototxt import parse

if TYPE_CHECKING:
    from bnfold.graph.readers import Problem

_PLAIN = ArrayBlob(np.zeros(0, np.float32))
"""Stands for any blob that is written as plain float32."""


def unportable(net: Net, text: str, options: MergeOptions) -> tuple[Problem, ...] | None:
    """What stock Caffe does not know of a new network; None where nobody asks.

    Args:
        net: the network, after all rewrites.
        text: its prototxt.
        options: what the user chose.
    """
    if options.portable is None:
        return None
    # What other programs read is asked by few, and takes 6 ms to import.
    from bnfold.graph.readers import BVLC, problems

    blobs = {layer.name: layer.blobs for layer in net.layers}

    def written(name: str) -> Sequence[BlobSource]:
        found = blobs.get(name, ())
        return [_PLAIN] * len(found) if options.float32 else found

    return tuple(problems(parse(text, str(net.document.path)), BVLC, options.phase, written))
