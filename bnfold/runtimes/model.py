"""What a prototxt says about the network an engine is to run in TEST phase."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from pathlib import Path

from bnfold.aliases import ArrayShape
from bnfold.caffemodel import CaffemodelError, open_weights
from bnfold.graph import Net, Phase, build
from bnfold.prototxt import Document, Field, Ident, Message, PrototxtError, load
from bnfold.runtimes.errors import EngineError
from bnfold.runtimes.protocol import LayerInfo, Place, Top
from bnfold.whole import check_regular

_MOST_VALUES = 1 << 28
"""As many as an input may have: 1 GB. More is a slip, or a file that wants to harm."""


class Model:
    """A network as its file describes it.

    Attributes:
        path: the prototxt.
        inputs: names and shapes; () where the file gives none.
        layers: the layers that compute, in order.
        outputs: where the values come from that nobody reads, by their names.
        unread: the inputs that no layer reads; to Caffe they are outputs too.
        outside: the layers of the file that do not run.
        net: the network itself.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._document, net = _read(path)
        self.net = net
        self._running = [layer for layer in net.layers if not layer.kind.is_input]
        self.inputs = _inputs(self._document.root, net)
        _check_sizes(path, self.inputs)
        self.layers = tuple(
            LayerInfo(layer.name, layer.type, tuple(value.name for value in layer.tops))
            for layer in self._running
        )
        self.outside = tuple(layer.name for layer in net.outside)
        given = [
            *net.inputs,
            *(v for layer in net.layers if layer.kind.is_input for v in layer.tops),
        ]
        self.unread = tuple(value.name for value in given if value.is_output)
        self._last: dict[str, Top] = {}
        for layer in self._running:
            for number, value in enumerate(layer.tops):
                self._last[value.name] = Top(layer.name, number)
        self.outputs: dict[str, Top] = {}
        for layer in self._running:
            for number, value in enumerate(layer.tops):
                if value.is_output:
                    self.outputs[value.name] = Top(layer.name, number)

    def locate(self, place: Place) -> Top | str:
        """Return which top of which layer a place is, or the name of the input that it is.

        Raises:
            EngineError: there is no such blob or layer, or the layer has no such top.
        """
        if isinstance(place, str):
            if place in self._last:
                return self._last[place]
            if place in self.inputs:
                return place
            raise EngineError(f"no blob is named '{place}'")
        for layer in self.layers:
            if layer.name == place[0]:
                if 0 <= place[1] < len(layer.tops):
                    return Top(*place)
                raise EngineError(
                    f"layer '{layer.name}' has no top {place[1]}, it has {len(layer.tops)}"
                )
        raise EngineError(f"no layer is named '{place[0]}'")

    def text(self, *, ends: dict[str, str] | None = None, first: int | None = None) -> str:
        """Return the prototxt without the layers that do not run.

        Args:
            ends: blobs that nobody reads, each with the name of a layer to add that reads it.
            first: how many of the layers to keep, from the first; None for all.
        """
        document, net = _read(self.path)
        running = [layer for layer in net.layers if not layer.kind.is_input]
        for layer in [*net.outside, *([] if first is None else running[first:])]:
            document.remove(layer.field)
        is_v1 = any(layer.is_v1 for layer in running)
        for blob, name in (ends or {}).items():
            _add_reader(document, blob, name, is_v1)
        return document.render()


def missing_weights(weights: Path, layers: Sequence[str]) -> list[str]:
    """Return those of the layers for which a weights file has no blobs.

    Raises:
        EngineError: it is no weights file.
    """
    try:
        with open_weights(weights) as file:
            records = [(name, file.get(name)) for name in layers]
            return [name for name, record in records if record is None or not record.blobs]
    except (CaffemodelError, OSError) as error:
        raise EngineError(str(error)) from None


def check_file(path: Path, engine: str) -> None:
    """Raise EngineError unless a file is there and can be read."""
    try:
        check_regular(path)
        with path.open("rb"):
            pass
    except OSError as error:
        raise EngineError(
            f"cannot read it: {error.strerror}", engine=engine, subject=str(path)
        ) from None


def _read(path: Path) -> tuple[Document, Net]:
    try:
        document = load(path)
        return document, build(document, Phase.TEST)
    except (PrototxtError, OSError) as error:
        raise EngineError(str(error)) from None


def _inputs(root: Message, net: Net) -> dict[str, ArrayShape]:
    """The inputs that the file declares, in its old way and as Input layers.

    Source: BVLC caffe, src/caffe/proto/caffe.proto, `NetParameter` and `InputParameter`.
    """
    shapes = [_dims(field) for field in root.all("input_shape")]
    dims = [field.integer() for field in root.all("input_dim")]
    shapes = shapes or [tuple(dims[i : i + 4]) for i in range(0, len(dims), 4)]
    inputs = _pair([value.name for value in net.inputs], shapes)
    for layer in net.layers:
        if layer.kind.is_input:
            param = layer.text.get("input_param")
            found = [_dims(field) for field in param.message().all("shape")] if param else []
            inputs.update(_pair([value.name for value in layer.tops], found))
    return inputs


def _check_sizes(path: Path, inputs: dict[str, ArrayShape]) -> None:
    for name, shape in inputs.items():
        if min(shape, default=1) < 0 or prod(shape) > _MOST_VALUES:
            sides = "x".join(map(str, shape))
            raise EngineError(
                f"its input '{name}' cannot be {sides}",
                subject=str(path),
                advice="write the size that is used",
            )


def _pair(names: list[str], shapes: list[ArrayShape]) -> dict[str, ArrayShape]:
    if len(shapes) == 1:
        shapes = shapes * len(names)
    return {name: shapes[i] if i < len(shapes) else () for i, name in enumerate(names)}


def _dims(field: Field) -> ArrayShape:
    return tuple(dim.integer() for dim in field.message().all("dim"))


def _add_reader(document: Document, blob: str, name: str, is_v1: bool) -> None:
    """Add a layer that copies `blob`; a Dropout does nothing else in TEST phase."""
    kind = Ident("DROPOUT") if is_v1 else "Dropout"
    fields = [("name", name), ("type", kind), ("bottom", blob), ("top", name)]
    document.add(document.root, "layers" if is_v1 else "layer", fields)
