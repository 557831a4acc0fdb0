"""Reading a prototxt: the layers that run in a phase, in their order, and what they say.

Source: BVLC caffe, src/caffe/net.cpp (FilterNet, StateMeetsRule) and
src/caffe/util/upgrade_proto.cpp (inputs that are no layers, the names of V1's types).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bnfold.caffemodel import schema, v1_type
from bnfold.errors import BnfoldError
from bnfold.prototxt import Document, Field, Message, load

PHASES = {"TRAIN": 0, "TEST": 1}


@dataclass(frozen=True)
class Words:
    """A message in its own words; `text` is None where a layer does not have it.

    The methods raise PrototxtError for a value of another kind, and for a field that stands twice
    where one is asked for.
    """

    text: Message | None

    @property
    def names(self) -> set[str]:
        """The names of the fields that are written."""
        return set() if self.text is None else {field.name for field in self.text.fields}

    def inner(self, name: str) -> Words:
        """A message within this one."""
        field = self._one(name)
        return Words(None if field is None else field.message())

    def integer(self, name: str, default: int) -> int:
        """An integer."""
        field = self._one(name)
        return default if field is None else field.integer(bits=64)

    def integers(self, name: str) -> list[int]:
        """All values of an integer field."""
        return [field.integer(bits=64) for field in self._all(name)]

    def number(self, name: str, default: float) -> float:
        """A number, rounded to the float32 that Caffe has of it."""
        field = self._one(name)
        return float(np.float32(default if field is None else field.floating()))

    def numbers(self, name: str) -> list[float]:
        """All values of a field of numbers, as float32 has them."""
        return [float(np.float32(field.floating())) for field in self._all(name)]

    def flag(self, name: str, default: bool) -> bool:
        """A boolean."""
        field = self._one(name)
        return default if field is None else field.boolean()

    def choice(self, name: str, *values: str) -> str:
        """An enum, whose values are given from number 0 on; the first is the default."""
        field = self._one(name)
        if field is None:
            return values[0]
        return values[field.enum({value: number for number, value in enumerate(values)})]

    def string(self, name: str, default: str) -> str:
        """A string."""
        field = self._one(name)
        return default if field is None else field.string()

    def shapes(self, name: str = "shape") -> list[tuple[int, ...]]:
        """The BlobShapes of a name."""
        return [tuple(Words(field.message()).integers("dim")) for field in self._all(name)]

    def _one(self, name: str) -> Field | None:
        return None if self.text is None else self.text.get(name)

    def _all(self, name: str) -> list[Field]:
        return [] if self.text is None else self.text.all(name)


@dataclass(frozen=True)
class Layer:
    """A layer that runs.

    Attributes:
        name, bottoms, tops: as in the file.
        type: as in the file; a V1 type by its modern name.
        kind: the type that it is taken for: the same, unless the user said otherwise.
        line: where it stands, from 1.
        words: all that it says.
        phase: the phase that it runs in.
    """

    name: str
    type: str
    kind: str
    line: int
    words: Words
    phase: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]

    def param(self, name: str) -> Words:
        """One of its messages, "convolution_param" say."""
        return self.words.inner(name)

    def __str__(self) -> str:
        return f"{self.name or 'a layer without a name'} ({self.type}, line {self.line})"


@dataclass(frozen=True)
class NetText:
    """What a prototxt says about a network in a phase.

    Attributes:
        path: the file.
        layers: those that run, in order; inputs that are no layers come first, as Input layers.
    """

    path: str
    layers: tuple[Layer, ...]


def read_net(
    path: str | os.PathLike[str], phase: str, treat_as: Mapping[str, str] | None = None
) -> NetText:
    """Read the layers that run in a phase, "TEST" or "TRAIN".

    Args:
        path: the prototxt.
        phase: the phase.
        treat_as: types, each with the one that it is taken for.

    Raises:
        OSError: the file cannot be read.
        PrototxtError, BnfoldError: it is no network.
    """
    document = load(path)
    fields = _layer_fields(document)
    state = document.root.get("state")
    rules = Words(None if state is None else state.message())
    layers = [_read(document, field, phase, treat_as or {}) for field in fields]
    running = [layer for layer in layers if _runs(layer.words, rules, phase)]
    names: dict[str, Layer] = {}
    for layer in running:
        if layer.name and names.setdefault(layer.name, layer) is not layer:
            raise BnfoldError(
                f"{document.path}: two layers are named '{layer.name}' (lines "
                f"{names[layer.name].line} and {layer.line}), and weights are matched by name; "
                "rename one"
            )
    return NetText(document.path, (*_declared(document, layers, phase), *running))


def _layer_fields(document: Document) -> list[Field]:
    modern, old = document.root.all("layer"), document.root.all("layers")
    if modern and old:
        raise document.error(old[0], "the file has `layer` and `layers` blocks; keep one kind")
    if not modern and not old:
        raise document.error(
            document.root, "no `layer { ... }` in the file; is it a network definition?"
        )
    return modern or old


def _read(document: Document, field: Field, phase: str, treat_as: Mapping[str, str]) -> Layer:
    text = field.message()
    kind = text.get("type")
    if text.all("layer"):
        raise document.error(field, "a V0 network; upgrade it with Caffe's tools")
    if kind is None:
        raise document.error(field, 'the layer has no type; add `type: "..."`')
    name = kind.string() if field.name == "layer" else _v1_name(kind)
    words = Words(text)
    return Layer(
        words.string("name", ""),
        name,
        treat_as.get(name, name),
        field.line,
        words,
        words.choice("phase", *PHASES) if "phase" in words.names else phase,
        tuple(each.string() for each in text.all("bottom")),
        tuple(each.string() for each in text.all("top")),
    )


def _v1_name(kind: Field) -> str:
    value = kind.value
    if isinstance(value, Message) or value.is_string:
        return kind.string()
    numbers = schema.enum("V1LayerParameter.LayerType")
    number = numbers.get(value.text, int(value.text) if value.text.isdecimal() else None)
    return value.text if number is None else v1_type(number)


def _runs(layer: Words, state: Words, phase: str) -> bool:
    """Whether a layer's rules of phase, level and stage let it run."""
    text = layer.text
    assert text is not None
    include = [Words(field.message()) for field in text.all("include")]
    exclude = [Words(field.message()) for field in text.all("exclude")]
    if include:
        return any(_meets(rule, state, phase) for rule in include)
    return not any(_meets(rule, state, phase) for rule in exclude)


def _meets(rule: Words, state: Words, phase: str) -> bool:
    level = state.integer("level", 0)
    stages = {field.string() for field in (state.text.all("stage") if state.text else [])}
    text = rule.text
    assert text is not None
    if "phase" in rule.names and rule.choice("phase", *PHASES) != phase:
        return False
    if not rule.integer("min_level", level) <= level <= rule.integer("max_level", level):
        return False
    return all(field.string() in stages for field in text.all("stage")) and not any(
        field.string() in stages for field in text.all("not_stage")
    )


def _declared(document: Document, layers: list[Layer], phase: str) -> list[Layer]:
    """The legacy `input:` fields as layers; their shape may stand in two ways, or nowhere."""
    root = Words(document.root)
    names = document.root.all("input")
    shapes = root.shapes("input_shape")
    dims = root.integers("input_dim")
    shapes = shapes or [tuple(dims[at : at + 4]) for at in range(0, len(dims) - 3, 4)]
    produced = set() if shapes else {top for layer in layers for top in layer.tops}
    found = []
    for place, field in enumerate(names):
        name = field.string()
        if name in produced:
            continue
        shape = shapes[place] if place < len(shapes) else None
        found.append(
            DeclaredInput(
                name, "Input", "Input", field.line, Words(None), phase, (), (name,), shape
            )
        )
    return list(found)


@dataclass(frozen=True)
class DeclaredInput(Layer):
    """An input that the file declares without a layer.

    Attributes:
        shape: its shape, if the file gives one.
    """

    shape: tuple[int, ...] | None = None
