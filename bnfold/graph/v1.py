"""Layer types of files from before 2014, which are words of an enum."""

from __future__ import annotations

from bnfold.caffemodel import schema, v1_type
from bnfold.prototxt import Field, Message

_ENUM = "V1LayerParameter.LayerType"


def modern_type(kind: Field) -> str:
    """Caffe's current name of the type that a V1 layer's text gives; a fork's own word stays.

    Raises:
        PrototxtError: it is a message, or a string that is none.
    """
    if isinstance(kind.value, Message) or kind.value.is_string:
        return kind.string()
    numbers = schema.enum(_ENUM)
    word = kind.value.text
    number = numbers.get(word, int(word) if word.isdecimal() else None)
    return word if number is None else v1_type(number)


def v1_word(name: str) -> str | None:
    """The V1 word of a type, "SOFTMAX_LOSS" of "SoftmaxWithLoss"; None for a type that has none."""
    words = (word for word, number in schema.enum(_ENUM).items() if v1_type(number) == name)
    return next(words, None)
