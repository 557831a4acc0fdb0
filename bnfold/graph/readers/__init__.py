"""What other programs make of a network: a table for each reader of Caffe's files.

A table hangs beside the register of layer types: it says which types the reader has, which fields
it knows, and what it passes over without a word. Each names the files that it was read from.
`problems` holds a prototxt against a table.
"""

from __future__ import annotations

from collections.abc import Mapping

from bnfold.graph.readers.caffe import BVLC
from bnfold.graph.readers.mnn import MNN
from bnfold.graph.readers.ncnn import NCNN
from bnfold.graph.readers.opencv import OPENCV4
from bnfold.graph.readers.problems import (
    Effect,
    Problem,
    ProblemKind,
    file_problems,
    problems,
    stored_blobs,
)
from bnfold.graph.readers.reader import Reader

__all__ = [
    "BVLC",
    "READERS",
    "Effect",
    "Problem",
    "ProblemKind",
    "Reader",
    "file_problems",
    "problems",
    "stored_blobs",
]

READERS: Mapping[str, Reader] = {one.key: one for one in (BVLC, OPENCV4, NCNN, MNN)}
"""Every reader with a table, by the word that the command line takes."""
