"""What a reader of prototxt files knows by name: messages, their fields, and kinds of values.

A schema is written as lines of the form `message: kind names, kind names`. A kind is `int`, `long`,
`uint`, `float`, `double`, `bool` or `string`, the name of another message, or the values of an
enum, as `MAX|AVE` (numbered from 0) or `SUM=1|ASUM=2`; with a star it may stand several times.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from bnfold.prototxt import Field, Message, PrototxtError


@dataclass(frozen=True)
class Kind:
    """What may stand in a field.

    Attributes:
        name: "int", "long", "uint", "float", "double", "bool", "string", "enum", or the name of a
            message.
        repeated: whether the field may stand several times.
        values: the numbers of an enum's values, by their names.
    """

    name: str
    repeated: bool
    values: Mapping[str, int]

    @classmethod
    def parse(cls, word: str) -> Kind:
        """The kind that a word of the notation stands for."""
        repeated, word = word.endswith("*"), word.removesuffix("*")
        if not word[0].isupper():
            return cls(word, repeated, {})
        values = {}
        for number, value in enumerate(word.split("|")):
            name, _, own = value.partition("=")
            values[name] = int(own) if own else number
        return cls("enum", repeated, values)

    def read(self, field: Field) -> object:
        """What stands in a field.

        Raises:
            PrototxtError: it is not of this kind.
        """
        match self.name:
            case "bool":
                return field.boolean()
            case "int" | "long" | "uint":
                return field.integer(
                    signed=self.name != "uint", bits=64 if self.name == "long" else 32
                )
            case "float" | "double":
                return field.floating()
            case "string":
                return field.string()
            case "enum":
                return field.enum(self.values)
        return field.message()

    def fault(self, field: Field) -> str | None:
        """What is wrong with a value, as "expected an integer, found 1.5"; None for a good one."""
        try:
            self.read(field)
        except PrototxtError as error:
            return error.reason.removeprefix(f"{field.name}: ")
        return None

    def plain(self, text: str) -> object:
        """What a value of a table stands for."""
        match self.name:
            case "bool":
                return text == "true"
            case "enum":
                return self.values[text]
        return float(text)

    @property
    def is_message(self) -> bool:
        """Whether fields stand in it."""
        return self.name not in _SCALARS


_SCALARS = frozenset(("int", "long", "uint", "float", "double", "bool", "string", "enum"))

FieldKinds: TypeAlias = Mapping[str, Kind]


@dataclass(frozen=True)
class Schema:
    """The messages that a reader knows.

    Attributes:
        messages: the fields of each message, by its name in the notation; "net", "layer" and
            "layers" are the file, a layer and a layer of before 2014.
    """

    messages: Mapping[str, FieldKinds]

    @classmethod
    def parse(cls, text: str) -> Schema:
        """The schema that lines of the notation describe; a name may stand on several lines."""
        messages: dict[str, dict[str, Kind]] = {}
        for line in filter(None, map(str.strip, text.splitlines())):
            name, _, rest = line.partition(":")
            fields = messages.setdefault(name, {})
            for part in filter(None, map(str.strip, rest.split(","))):
                kind, *names = part.split()
                fields.update(dict.fromkeys(names, Kind.parse(kind)))
        return cls(messages)

    def changed(self, text: str, without: Mapping[str, str] | None = None) -> Schema:
        """This schema with other fields besides or in place of its own.

        Args:
            text: lines of the notation.
            without: names of fields that are not there, by the names of their messages.
        """
        messages = {name: dict(fields) for name, fields in self.messages.items()}
        for name, fields in Schema.parse(text).messages.items():
            messages.setdefault(name, {}).update(fields)
        for name, gone in (without or {}).items():
            for field in gone.split():
                del messages[name][field]
        return Schema(messages)

    def kind(self, message: str, field: str) -> Kind | None:
        """What may stand in a field of a message; None if there is no such field."""
        return self.messages[message].get(field)


def twice(text: Message, fields: FieldKinds) -> list[Field]:
    """The fields of a message that stand again although they may stand once."""
    seen: set[str] = set()
    again = []
    for field in text.fields:
        kind = fields.get(field.name)
        if kind is not None and not kind.repeated and field.name in seen:
            again.append(field)
        seen.add(field.name)
    return again
