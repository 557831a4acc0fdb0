"""The rewrite of a training definition into the deploy definition, as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bnfold.aliases import ArrayShape
from bnfold.caffemodel import Weights
from bnfold.deploying.changes import Change
from bnfold.deploying.input_shapes import InputShape, ShapeFinder
from bnfold.deploying.inputs import become_inputs, declared_shapes, leave_out_labels, words_of
from bnfold.deploying.losses import leave_out_judges
from bnfold.deploying.phases import (
    batch_statistics,
    leave_out,
    read_net,
    settle,
    store_statistics,
)
from bnfold.deploying.training import Training, data_layers, find_training
from bnfold.errors import BnfoldError
from bnfold.graph import Layer, Net, NotProducedError, Phase, build
from bnfold.prototxt import Document
from bnfold.spelling import did_you_mean


@dataclass(frozen=True)
class Definition:
    """A deploy definition.

    Attributes:
        document: it, as edits of the training definition.
        phase: the phase that was read.
        inputs: the inputs that data layers became.
        sources: the data layers that they were.
        changes: what was done to which layer.
        warnings: what is legal but suspicious.
    """

    document: Document
    phase: Phase
    inputs: tuple[InputShape, ...]
    sources: tuple[Layer, ...]
    changes: tuple[Change, ...]
    warnings: tuple[str, ...] = field(default=())


def deploy_definition(
    document: Document,
    weights: Weights | None = None,
    *,
    inputs: Mapping[str, ArrayShape],
    phase: Phase | None = None,
    batch: int = 1,
) -> Definition:
    """Record on a training definition what makes a deploy definition of it.

    Args:
        document: the training definition.
        weights: its weights file, if there is one; it tells channels, and nothing of it changes.
        inputs: shapes of inputs, by the names of the blobs.
        phase: which phase to read; None for TEST, or for TRAIN if the file has only that.
        batch: how many images an input takes whose shape the data layer tells.

    Raises:
        BnfoldError: a shape is not told, or contradicts what is; an input is no data layer's.
        PrototxtError: the definition is malformed.
    """
    model = Path(document.path)
    net, read = read_net(document, weights, phase)
    training = find_training(net, inputs)
    _check_names(model, net, training, inputs)
    finder = ShapeFinder(model, inputs, batch, training)
    shapes = [(layer, finder.shapes_of(layer)) for layer in training.sources]
    finder.check()
    _check_closed(document, net, training)
    if all(layer in training.sources or not training.stays(layer) for layer in net.layers):
        raise BnfoldError(f"{model}: data and judges are all it has; give a network's definition")
    changes = leave_out(document, net, read)
    for layer, found in shapes:
        changes += become_inputs(document, layer, found)
    changes += leave_out_labels(document, net, training)
    changes += leave_out_judges(document, net, training)
    kept = [one for one in net.layers if training.stays(one) and one not in training.sources]
    changes += settle(document, kept, read)
    if read is Phase.TRAIN:
        changes += store_statistics(document, kept)
    warnings = batch_statistics(kept) if read is Phase.TEST else []
    changes.sort(key=lambda change: change.line)
    used = tuple(layer for layer, found in shapes if found)
    made = tuple(one for _, found in shapes for one in found)
    return Definition(document, read, made, used, tuple(changes), tuple(warnings))


def reads_data(document: Document) -> bool:
    """Whether a definition has data layers, or lacks what one of another phase makes.

    Raises:
        PrototxtError: the definition is malformed.
    """
    try:
        return bool(data_layers(build(document), ()))
    except NotProducedError:
        return True


def _check_names(
    model: Path, net: Net, training: Training, inputs: Mapping[str, ArrayShape]
) -> None:
    """Refuse shapes of what no data layer provides, and others for inputs that are there."""
    made = [top.name for layer in training.sources for top in layer.tops]
    there = declared_shapes(net)
    for name, shape in inputs.items():
        if name in made or there.get(name) == shape:
            continue
        option = f"--input {name}:{','.join(map(str, shape))}"
        if name in there:
            raise BnfoldError(
                f"{option}: '{name}' is an input of {model} already, of the shape "
                f"{words_of(there[name])}; change it there"
            )
        known = ", ".join(f"'{one}'" for one in made) or "no such blobs"
        raise BnfoldError(
            f"{option}: no data layer of {model} makes '{name}'; they make {known}"
            f"{did_you_mean(name, made)}"
        )


def _check_closed(document: Document, net: Net, training: Training) -> None:
    """Refuse a network of which a part that stays reads what only a judge makes."""
    for layer in filter(training.stays, net.layers):
        for value in layer.bottoms:
            producer = value.producer
            if producer is None or training.stays(producer):
                continue
            if producer.kind.scores and len(producer.tops) > 1 and value is producer.tops[1]:
                continue
            raise document.error(
                layer.field,
                f"{layer} reads '{value.name}', which {producer} on line {producer.line} makes of "
                "labels; take that layer, or this one, out of the definition first",
            )
