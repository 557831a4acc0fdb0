"""Fold a definition and its snapshot, and find weights for a file that somebody else wrote."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from bnfold.caffemodel import LayerEdit, NewLayer, Weights
from bnfold.fold import MergeOptions, Plan, fold
from bnfold.fold.option import rewrites_of
from bnfold.graph import Net, build, infer_shapes
from bnfold.merging.naming import naming
from bnfold.merging.onto.differences import DifferenceError, Differences
from bnfold.merging.onto.matching import Match, match
from bnfold.merging.onto.records import check_numbers, give_biases, renamed_records
from bnfold.merging.onto.side import Side
from bnfold.merging.reading import read_net
from bnfold.merging.report import Counts, Onto, raw_count, warn_of_raw
from bnfold.merging.rounding import rounding_of
from bnfold.prototxt import load


@dataclass(frozen=True)
class Fitted:
    """A folded network that is the given one.

    Attributes:
        edits: what becomes of the records of the weights file, by name.
        additions: what is new in it.
        plan: what the fold decided.
        before, after: sizes, the second of the given network.
        onto: what was found of the given file.
    """

    edits: dict[str, LayerEdit]
    additions: list[NewLayer]
    plan: Plan
    before: Counts
    after: Counts
    onto: Onto


def fold_onto(model: Path, given: Path, options: MergeOptions, stored: Weights) -> Fitted:
    """Fold a network, and find the partner of every layer of the given file.

    The given file may be what a fold with all its rewrites makes, as bnfold's own is, or what one
    makes that moves batch norms and nothing else, as most scripts do: both are tried.

    Args:
        model: the definition of the trained network.
        given: the prototxt that weights are wanted for.
        options: how to fold.
        stored: the weights of the trained network.

    Raises:
        BnfoldError: the input cannot be used, or the two are not the same graph.
        PrototxtError, CaffemodelError: a file is malformed.
    """
    target = build(load(given), options.phase, None, options.treat_as, alone=True)
    plain = _plain(options)
    try:
        return _fit(model, given, options, stored, target)
    except DifferenceError as difference:
        if plain == options:
            raise
        first = difference
    try:
        return _fit(model, given, plain, stored, target)
    except DifferenceError as second:
        raise max(second, first, key=lambda one: one.place) from None


def _plain(options: MergeOptions) -> MergeOptions:
    """Options with which batch norms move, and nothing else happens."""
    on = [one.name for one in fields(options) if rewrites_of(one)]
    forms = options.forms()
    off: dict[str, Any] = {name: None if name in forms else False for name in on}
    return replace(options, **off)


def _fit(model: Path, given: Path, options: MergeOptions, stored: Weights, target: Net) -> Fitted:
    net = read_net(model, options, stored, alone=True)
    with naming(model):
        shapes = infer_shapes(net)
        before = Counts.of(net, shapes, stored.size)
        plan = fold(net, options, shapes)
    folded, wanted = Side.of(net, model, options), Side.of(target, given, options)
    found = match(folded, wanted, Differences(folded, wanted, plan))
    shapes = infer_shapes(target)
    check_numbers(found.pairs, given, model, stored, shapes)
    give_biases(found.pairs)
    edits, additions = renamed_records(net, stored, found.pairs)
    counted = Counts.of(target, shapes, None)
    blobs = [blob for partner in found.pairs.values() for blob in partner.blobs]
    raw = raw_count(blobs, stored, rounding_of(options))
    parameters = sum(math.prod(blob.shape) for blob in blobs)
    # The given network with the numbers that it gets.
    after = replace(counted, parameters=parameters, raw_blobs=raw)
    warn_of_raw(after, plan, options)
    return Fitted(edits, additions, plan, before, after, _described(given, found))


def _described(given: Path, found: Match) -> Onto:
    """Whose names are others, and what is left out."""
    layers = {partner.name: layer.name for layer, partner in found.pairs.items()}
    inputs = {mine: its for its, mine in found.inputs.items()}
    outputs = {mine: its for its, mine in found.outputs.items()}
    ends = {layer.name: loss.name for layer, loss in found.ends.items()}
    left_out = tuple(layer.name for layer in found.left_out)
    return Onto(given, layers, inputs, outputs, ends, left_out)
