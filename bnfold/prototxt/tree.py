"""The tree of a parsed file: messages, fields and scalars, each knowing its span of the text.

Nodes describe the file as it was read and do not change; edits are kept by the document.
A span runs from `start` to `end`; `after` is where the separator that may follow a field ends.
"""

from collections.abc import Mapping

from . import scalars
from .errors import PrototxtError
from .source import Source

_SHOWN = 40


class Scalar:
    """A value that is not a message: where it starts and ends in the file."""

    __slots__ = ("end", "source", "start")

    def __init__(self, source: Source, start: int, end: int) -> None:
        self.source = source
        self.start = start
        self.end = end

    @property
    def text(self) -> str:
        """Its spelling in the file."""
        return self.source.text[self.start : self.end]

    @property
    def is_string(self) -> bool:
        """Whether the value is quoted."""
        return self.source.text[self.start] in "\"'"

    def __repr__(self) -> str:
        return f"Scalar({self.text!r})"


class Message:
    """The fields between two brackets, or those of the whole file.

    `start` and `end` enclose what is between the brackets. `items` are the fields as they are
    written, where a bracketed list is one item; `fields` has the elements of lists one by one.
    """

    __slots__ = ("end", "field", "fields", "items", "source", "start")

    fields: tuple["Field", ...]
    items: tuple["Field | FieldList", ...]

    def __init__(self, source: Source, field: "Field | None", start: int) -> None:
        self.source = source
        self.field = field
        self.start = start
        self.end = start
        self.fields = ()
        self.items = ()

    @property
    def line(self) -> int:
        """Line of the field that holds this message, from 1."""
        return self.source.locate(self._place)[0]

    @property
    def column(self) -> int:
        """Column of the field that holds this message, from 1."""
        return self.source.locate(self._place)[1]

    @property
    def _place(self) -> int:
        return self.start if self.field is None else self.field.start

    def all(self, name: str) -> "list[Field]":
        """Return the fields of a name in the order of the file."""
        return [field for field in self.fields if field.name == name]

    def get(self, name: str) -> "Field | None":
        """Return the field of a name, or None.

        Raises:
            PrototxtError: it is given more than once.
        """
        found: Field | None = None
        for field in self.fields:
            if field.name == name:
                if found is not None:
                    raise field.error(f"already given on line {found.line}; keep one of the two")
                found = field
        return found

    def __repr__(self) -> str:
        return f"Message({', '.join(field.name for field in self.fields)})"


class Field:
    """A name with its value.

    An element of a bracketed list is a field of its own: it has the name of the list and starts
    where the element does.
    """

    __slots__ = ("_value", "after", "end", "group", "name", "parent", "start")

    def __init__(self, name: str, parent: Message, start: int, group: "FieldList | None") -> None:
        self.name = name
        self.parent = parent
        self.start = start
        self.group = group
        self.end = start
        self.after = start
        # A scalar is made anew from where it starts: a large file has millions of them.
        self._value: Message | int = start

    @property
    def value(self) -> "Message | Scalar":
        """A message, or the scalar that stands in its place."""
        if isinstance(self._value, Message):
            return self._value
        return Scalar(self.parent.source, self._value, self.end)

    def hold(self, value: "Message | int") -> None:
        """Have this value: a message, or the scalar that starts at an offset and ends the field."""
        self._value = value

    @property
    def line(self) -> int:
        """Line of the name, from 1."""
        return self.parent.source.locate(self.start)[0]

    @property
    def column(self) -> int:
        """Column of the name, from 1."""
        return self.parent.source.locate(self.start)[1]

    def error(self, reason: str) -> PrototxtError:
        """Build, without raising it, an error about this field."""
        return self.parent.source.error(self.start, f"{self.name}: {reason}")

    def message(self) -> Message:
        """Return the value as a message.

        Raises:
            PrototxtError: it is a scalar.
        """
        if isinstance(self._value, Message):
            return self._value
        raise self._unexpected("expected a message { ... }")

    def string(self) -> str:
        """Return the value of a string field; bytes that are not UTF-8 become surrogates.

        Raises:
            PrototxtError: it is not quoted, or has an escape that does not exist.
        """
        value = self.value
        if not (isinstance(value, Scalar) and value.is_string):
            raise self._unexpected("expected a string in quotes")
        try:
            return scalars.read_string(value.text)
        except ValueError as error:
            raise self.error(str(error)) from None

    def boolean(self) -> bool:
        """Return the value of a bool field, spelt in any way protobuf takes.

        Raises:
            PrototxtError: it is neither true nor false.
        """
        text = self._bare("expected true or false")
        try:
            return scalars.read_boolean(text)
        except ValueError as error:
            raise self._unexpected(str(error)) from None

    def integer(self, *, signed: bool = True, bits: int = 32) -> int:
        """Return the value of an integer field: decimal, hexadecimal or octal.

        Args:
            signed: whether the field's type has negative values.
            bits: width of the field's type.

        Raises:
            PrototxtError: it is no integer, or out of range.
        """
        text = self._bare("expected an integer")
        try:
            return scalars.read_integer(text, signed=signed, bits=bits)
        except ValueError as error:
            raise self._unexpected(str(error)) from None

    def floating(self) -> float:
        """Return the value of a float or double field, as a double.

        Raises:
            PrototxtError: it is no number.
        """
        text = self._bare("expected a number")
        try:
            return scalars.read_float(text)
        except ValueError as error:
            raise self._unexpected(str(error)) from None

    def enum(self, values: Mapping[str, int]) -> int:
        """Return the number of an enum value given by name or by number.

        Args:
            values: the numbers of the names the enum has.

        Raises:
            PrototxtError: the enum has no such value.
        """
        expected = "expected " + _choice(values)
        text = self._bare(expected)
        if text in values:
            return values[text]
        try:
            number = scalars.read_integer(text)
        except ValueError:
            raise self._unexpected(expected) from None
        if number not in values.values():
            raise self._unexpected(expected)
        return number

    def _bare(self, expected: str) -> str:
        value = self.value
        if isinstance(value, Message) or value.is_string:
            raise self._unexpected(expected)
        return scalars.canonical(value.text)

    def _unexpected(self, expected: str) -> PrototxtError:
        if isinstance(self.value, Message):
            found = "a message"
        else:
            text = self.value.text
            shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
            found = shown if self.value.is_string and shown.isprintable() else repr(shown)
        return self.error(f"{expected}, found {found}")

    def __repr__(self) -> str:
        return f"Field({self.name!r}, {self.value!r})"


class FieldList:
    """Several values of one name, written ``name: [a, b]``."""

    __slots__ = ("after", "body", "close", "end", "fields", "name", "parent", "start")

    fields: tuple[Field, ...]

    def __init__(self, name: str, parent: Message, start: int, body: int) -> None:
        self.name = name
        self.parent = parent
        self.start = start
        # The elements stand between body and close.
        self.body = body
        self.close = body
        self.end = start
        self.after = start
        self.fields = ()


def _choice(values: Mapping[str, int]) -> str:
    names = list(values)
    if len(names) > 8:
        return ", ".join(names[:8]) + f" or one of {len(names) - 8} more"
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1]))) if names else "no value"
