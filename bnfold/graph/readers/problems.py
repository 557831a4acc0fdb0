"""Hold a prototxt against the table of a reader: what of it the reader does not load, or loses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any, TypeAlias

from bnfold.caffemodel import Blob, BlobSource, Weights
from bnfold.graph.build import layer_fields, type_of
from bnfold.graph.phase import Phase, State
from bnfold.graph.readers.reader import Reader
from bnfold.graph.readers.schema import FieldKinds, Kind, twice
from bnfold.prototxt import Document, Field, Message, Scalar

Blobs: TypeAlias = "Callable[[str], Sequence[BlobSource]]"
"""Gives the blobs of a layer by its name."""


class ProblemKind(str, Enum):
    """What a reader stumbles over."""

    TYPE = "type"
    """It has no such layer type."""
    FIELD = "field"
    """It knows no such field."""
    VALUE = "value"
    """The field is known, and what stands in it is not."""
    RULE = "rule"
    """It runs a layer that the phase leaves out."""
    OLD = "old"
    """It does not read this way to write a network."""
    BLOBS = "blobs"
    """The weights are stored in a way that it does not read."""


class Effect(str, Enum):
    """What comes of it."""

    REFUSED = "refused"
    """The reader does not load the network."""
    IGNORED = "ignored"
    """It loads another network than Caffe, and says nothing."""


@dataclass(frozen=True)
class Problem:
    """One thing that a reader does not load, or loses.

    Attributes:
        line: where it stands in the prototxt.
        layer: the name of the layer; None for the network itself.
        type: the type of that layer, as written.
        field: the field, as "convolution_param.engine"; None where it is no field.
        kind: what it is.
        effect: what comes of it.
        text: what it is and what comes of it, as the end of a sentence that names the layer.
    """

    line: int
    layer: str | None
    type: str | None
    field: str | None
    kind: ProblemKind
    effect: Effect
    text: str

    def sentence(self) -> str:
        """The layer, and what is the matter with it."""
        whose = "the network" if self.layer is None else f"{self.type} layer '{self.layer}'"
        return f"{whose}: {self.text} [{self.kind.value}, {self.effect.value}]"

    def to_json(self) -> dict[str, Any]:
        """The same as a JSON object."""
        return asdict(self)


def problems(
    document: Document, reader: Reader, phase: Phase = Phase.TEST, blobs: Blobs | None = None
) -> list[Problem]:
    """List what a reader does not load of a network, or loses, in the order of the file.

    Args:
        document: the prototxt.
        reader: the table of the reader.
        phase: the phase that the network is for.
        blobs: gives the blobs of a layer by its name, if these are to be looked at, too.

    Raises:
        PrototxtError: the file is no network, or a rule in it is malformed.
    """
    state = State.of(document.root, phase)
    found = list(_network(document.root, reader))
    for field in layer_fields(document):
        kind = type_of(document, field)
        one = _Layer(field, kind, reader, state.runs(field.message()))
        found += one.problems()
        found += one.blob_problems(blobs)
    return sorted(found, key=lambda one: one.line)


def stored_blobs(weights: Weights) -> Blobs:
    """The blobs that a weights file has for layers."""

    def stored(name: str) -> Sequence[BlobSource]:
        record = weights.get(name)
        return () if record is None else record.blobs

    return stored


def file_problems(weights: Weights, reader: Reader) -> list[Problem]:
    """What a reader does not load of a weights file as such."""
    if not weights.is_hdf5 or reader.reads_hdf5:
        return []
    text = "its weights are in HDF5, which the reader does not know"
    return [_of_network(1, None, ProblemKind.BLOBS, text)]


def _of_network(line: int, field: str | None, kind: ProblemKind, text: str) -> Problem:
    return Problem(line, None, None, field, kind, Effect.REFUSED, text)


def _network(root: Message, reader: Reader) -> Iterator[Problem]:
    for fault in _faults(root, "net", "", reader):
        yield _of_network(fault.line, fault.path, fault.kind, fault.text)
    for field in root.fields:
        if field.name == "input" and not reader.reads_inputs:
            text = "`input` is not read; an Input layer in its place is"
            yield _of_network(field.line, "input", ProblemKind.OLD, text)
    old = next((field for field in root.fields if field.name == "layers"), None)
    if old is not None and not reader.reads_v1:
        text = "`layers` are not read; Caffe's upgrade_net_proto_text makes them `layer`"
        yield _of_network(old.line, "layers", ProblemKind.OLD, text)


@dataclass(frozen=True)
class _Fault:
    line: int
    path: str
    kind: ProblemKind
    text: str


_NESTED_LAYERS = ("layer", "layers")


def _faults(text: Message, message: str, path: str, reader: Reader) -> Iterator[_Fault]:
    """What of the fields of a message, and of those in it, a reader does not take."""
    fields: FieldKinds = reader.schema.messages[message]
    again = set(map(id, twice(text, fields)))
    for field in text.fields:
        where = f"{path}{field.name}"
        kind = fields.get(field.name)
        if kind is None:
            if not reader.skips_unknown:
                yield _Fault(field.line, where, ProblemKind.FIELD, f"{where}: no such field")
            elif _is_parameter(message, path) and _has_string(field):
                what = f"{where}: no such field, and one with a string cannot be skipped"
                yield _Fault(field.line, where, ProblemKind.FIELD, what)
        elif id(field) in again:
            yield _Fault(field.line, where, ProblemKind.VALUE, f"{where}: it may stand only once")
        else:
            yield from _value_faults(field, kind, message, where, reader)


def _value_faults(
    field: Field, kind: Kind, message: str, where: str, reader: Reader
) -> Iterator[_Fault]:
    fault = kind.fault(field)
    if fault is not None:
        yield _Fault(field.line, where, ProblemKind.VALUE, f"{where}: {fault}")
    elif kind.is_message and not (message == "net" and kind.name in _NESTED_LAYERS):
        yield from _faults(field.message(), kind.name, f"{where}.", reader)


def _is_parameter(message: str, path: str) -> bool:
    """Whether a field stands in a layer, or in one of its parameter messages."""
    return path.partition(".")[0].endswith("_param") if path else message in _NESTED_LAYERS


def _has_string(field: Field) -> bool:
    """Whether there is a string in a field, or in a message of it."""
    value = field.value
    if isinstance(value, Message):
        return any(_has_string(inner) for inner in value.fields)
    return value.is_string


class _Layer:
    """A layer of the file, as a reader sees it."""

    def __init__(self, field: Field, kind: str, reader: Reader, runs: bool) -> None:
        self.text = field.message()
        self.line = field.line
        self.message = field.name
        self.type = kind
        self.name = _name(self.text)
        self.reader = reader
        self.runs = runs

    def problems(self) -> Iterator[Problem]:
        """What the prototxt alone tells."""
        if self.message == "layers" and not self.reader.reads_v1:
            return
        yield from self._rule()
        yield from self._type()
        for fault in _faults(self.text, self.message, "", self.reader):
            if not self._is_type_fault(fault):
                yield self._problem(fault.line, fault.path, fault.kind, fault.text)
        yield from self._missing()
        yield from self._ignored()
        yield from self._windows()

    def _is_type_fault(self, fault: _Fault) -> bool:
        """Whether it is a V1 type that the enum lacks: then the type was named already."""
        return fault.path == "type" and self.message == "layers"

    def _rule(self) -> Iterator[Problem]:
        if not self.runs and not self.reader.reads_rules:
            text = "it runs in every phase, whatever `include` and `exclude` say"
            yield self._problem(self.line, None, ProblemKind.RULE, text, Effect.IGNORED)

    def _type(self) -> Iterator[Problem]:
        if self.type in self.reader.types or not (self.runs or not self.reader.reads_rules):
            return
        text = f"no such layer type; {self.reader.unknown_type}"
        field = self.text.get("type")
        line = self.line if field is None else field.line
        yield self._problem(line, "type", ProblemKind.TYPE, text)

    def _missing(self) -> Iterator[Problem]:
        for path in self.reader.needs.get(self.type, ()):
            if not _is_written(self.text, path.split(".")):
                text = f"{path}: it must be written, also where it is the default"
                yield self._problem(self.line, path, ProblemKind.FIELD, text)

    def _ignored(self) -> Iterator[Problem]:
        for path, plain in self.reader.ignored.get(self.type, {}).items():
            message, _, name = path.partition(".")
            kind = self.reader.schema.messages[message][name]
            for param in self.text.all(message):
                for field in param.value.all(name) if isinstance(param.value, Message) else ():
                    # A value of another kind is listed already.
                    if kind.fault(field):
                        continue
                    if plain == "*" or kind.read(field) != kind.plain(plain):
                        text = f"{path}: {_shown(field)} is passed over without a word"
                        yield self._lost(field.line, path, text)

    def _windows(self) -> Iterator[Problem]:
        several = self.reader.several_windows
        param = self.text.get("convolution_param") if several else None
        if param is None or not isinstance(param.value, Message):
            return
        for name in ("kernel_size", "stride", "pad", "dilation"):
            fields = param.value.all(name)
            if len({_shown(field) for field in fields}) > 1:
                path = f"convolution_param.{name}"
                text = f"{path} has several values, and {several}"
                yield self._lost(fields[1].line, path, text)

    def blob_problems(self, stored: Blobs | None) -> Iterator[Problem]:
        """What the weights tell."""
        if stored is None or not (self.runs or not self.reader.reads_rules):
            return
        blobs, most = stored(self.name), self.reader.most_blobs.get(self.type)
        if most is not None and len(blobs) > most:
            refused = self.reader.refuses_blobs
            what = "refuses the layer" if refused else "passes over the others without a word"
            effect = Effect.REFUSED if refused else Effect.IGNORED
            text = f"{len(blobs)} blobs, of which the reader takes {most}; it {what}"
            yield self._problem(self.line, None, ProblemKind.BLOBS, text, effect)
        if not self.reader.reads_raw and any(map(_is_raw, blobs)):
            text = "its weights are in raw_data, which the reader does not know"
            yield self._problem(self.line, None, ProblemKind.BLOBS, text)

    def _lost(self, line: int, path: str, text: str) -> Problem:
        return self._problem(line, path, ProblemKind.VALUE, text, Effect.IGNORED)

    def _problem(
        self,
        line: int,
        path: str | None,
        kind: ProblemKind,
        text: str,
        effect: Effect = Effect.REFUSED,
    ) -> Problem:
        return Problem(line, self.name, self.type, path, kind, effect, text)


def _is_raw(blob: BlobSource) -> bool:
    """Whether a blob is stored in raw_data, the only place for half floats."""
    return blob.is_raw if isinstance(blob, Blob) else blob.dtype == "<f2"


def _is_written(text: Message, path: list[str]) -> bool:
    """Whether a field stands in a message, or in a message of it."""
    found = text.all(path[0])
    if len(path) == 1:
        return bool(found)
    inner = (field.value for field in found)
    return any(isinstance(value, Message) and _is_written(value, path[1:]) for value in inner)


def _name(text: Message) -> str:
    field = text.get("name")
    return "" if field is None else field.string()


def _shown(field: Field) -> str:
    value = field.value
    return value.text if isinstance(value, Scalar) else "{ ... }"
