"""Parameters that the schema does not know: those of forks, and of layers no fold looks into.

They are read from the text as written, because forks give one name different field numbers and
different meanings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bnfold.graph.net import Layer
from bnfold.prototxt import Message


class Words(NamedTuple):
    """A parameter message in its own words; `text` is None where the layer has none.

    The methods raise PrototxtError for a value that is no integer or boolean, and for a field
    that stands twice where one is asked for.
    """

    text: Message | None

    @classmethod
    def of(cls, layer: Layer, name: str) -> Words:
        """Return the message `name` of a layer, "permute_param" for example."""
        field = layer.written(name)
        return cls(None if field is None else field.message())

    def inner(self, name: str) -> Words:
        """Return a message within this one."""
        field = None if self.text is None else self.text.get(name)
        return Words(None if field is None else field.message())

    @property
    def names(self) -> set[str]:
        """The names of the fields that are written."""
        return set() if self.text is None else {field.name for field in self.text.fields}

    def integers(self, name: str) -> list[int]:
        """Return all values of a repeated integer field."""
        fields = [] if self.text is None else self.text.all(name)
        return [field.integer(bits=64) for field in fields]

    def integer(self, name: str, default: int | None = None) -> int | None:
        """Return an integer field, or `default` where it is not written."""
        field = None if self.text is None else self.text.get(name)
        return default if field is None else field.integer(bits=64)

    def length(self, name: str) -> int | None:
        """Return a field that counts pixels or images; None where it is not written, or 0."""
        field = None if self.text is None else self.text.get(name)
        return None if field is None else field.integer(signed=False) or None

    def number(self, name: str, default: float) -> float:
        """Return a float field, or `default` where it is not written."""
        field = None if self.text is None else self.text.get(name)
        return default if field is None else field.floating()

    def boolean(self, name: str, default: bool) -> bool:
        """Return a boolean field, or `default` where it is not written."""
        field = None if self.text is None else self.text.get(name)
        return default if field is None else field.boolean()

    def choice(self, name: str, values: Sequence[str]) -> str:
        """Return an enum field; `values` are its names from number 0, the first its default."""
        field = None if self.text is None else self.text.get(name)
        if field is None:
            return values[0]
        return values[field.enum({value: number for number, value in enumerate(values)})]

    def shapes(self, name: str = "shape") -> list[tuple[int, ...]]:
        """Return the BlobShape messages of a name."""
        fields = [] if self.text is None else self.text.all(name)
        return [tuple(Words(field.message()).integers("dim")) for field in fields]
