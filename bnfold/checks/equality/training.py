"""Training definitions among networks that are compared: they are run as `deploy` writes them.

No engine can be fed through a data layer. So in the place of a definition that has some, its deploy
definition is run, with inputs as large as those of the other network.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bnfold.aliases import ArrayShape
from bnfold.checks.equality.copies import named_as
from bnfold.deploying.definition import deploy_definition, reads_data
from bnfold.deploying.input_shapes import NotToldError
from bnfold.deploying.inputs import declared_shapes
from bnfold.errors import BnfoldError
from bnfold.graph.build import build
from bnfold.network_files import NetworkFiles, PairFiles
from bnfold.prototxt import Document, load


@dataclass(frozen=True)
class Fed:
    """Two networks that can be fed.

    Attributes:
        files: what is run.
        notes: which of the files were training definitions, each in one line.
    """

    files: PairFiles
    notes: tuple[str, ...]


@contextlib.contextmanager
def fed(files: PairFiles) -> Iterator[Fed]:
    """The networks with inputs in the place of data layers.

    Raises:
        BnfoldError: how large an input is, is told by neither network.
        PrototxtError, OSError: a prototxt cannot be read.
    """
    documents = [load(model) for model, _ in files.networks]
    training = [reads_data(document) for document in documents]
    if not any(training):
        yield Fed(files, ())
        return
    shapes: dict[str, ArrayShape] = {}
    for document, trains in zip(documents, training, strict=True):
        if not trains:
            shapes.update(declared_shapes(build(document)))
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bnfold-")))
        made, notes = [], []
        for number, (model, weights) in enumerate(files.networks):
            if training[number]:
                copy = folder / f"{number}.prototxt"
                copy.write_bytes(_deployed(documents[number], shapes))
                stack.enter_context(named_as(model, copy))
                notes.append(f"{model}: a training definition, run as `bnfold deploy` writes it")
                model = copy
            made.append(NetworkFiles(model, weights))
        yield Fed(PairFiles(*made), tuple(notes))


def _deployed(document: Document, shapes: Mapping[str, ArrayShape]) -> bytes:
    """The deploy definition, with shapes for those data that it has."""
    layers = (
        field.message() for field in document.root.fields if field.name in ("layer", "layers")
    )
    sources = (layer for layer in layers if not layer.all("bottom"))
    names = {top.string() for layer in sources for top in layer.all("top")}
    told = {name: shape for name, shape in shapes.items() if name in names}
    try:
        return deploy_definition(document, inputs=told).document.to_bytes()
    except NotToldError as error:
        raise BnfoldError(f"{error}; or make deploy definitions first, and verify those") from error
