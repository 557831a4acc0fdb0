"""Fields and types of a prototxt that look like slips of the pen.

Caffe refuses a field that it does not know; bnfold lets those of forks ride along, and would let a
misspelt one do so, too. A field is taken for a slip if it is one away from a field that may stand
there, and does not differ from it in an axis alone: a fork's `pad_d` stands beside `pad_h`. A
layer's parameters are one only of those of its own type: SELU has a `selu_param`, not a misspelt
`relu_param`. A type is a slip if it differs from a known one in case alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from bnfold.caffemodel import schema, v1_type
from bnfold.graph import LAYER_TYPES, Net
from bnfold.prototxt import Message
from bnfold.spelling import distance

_AXIS = re.compile(r"(?<=_)[a-z]$")
_SHORTEST = 3


def slips(net: Net, treat_as: frozenset[str]) -> list[str]:
    """A warning for each field and type of the network that looks misspelt, in file order.

    Args:
        net: the network as it was read.
        treat_as: types that the user has explained.
    """
    found = []
    seen: set[tuple[str, str]] = set()
    for line, what, word, meant in sorted(_slips(net, treat_as)):
        # One line for each slip: a script repeats its own in every layer.
        if (what, word) not in seen:
            seen.add((what, word))
            found.append(
                f"{net.document.path}:{line}: {what} '{word}' is not known, and '{meant}' is; "
                "check the spelling"
            )
    return found


def _slips(net: Net, treat_as: frozenset[str]) -> Iterator[tuple[int, str, str, str]]:
    old = map(v1_type, schema.enum("V1LayerParameter.LayerType").values())
    types = sorted({*old, *LAYER_TYPES})
    cases, known = {kind.lower(): kind for kind in types}, {*types, *treat_as}
    for layer in (*net.layers, *net.outside):
        meant = cases.get(layer.type.lower())
        if meant is not None and layer.type not in known:
            yield layer.line, "layer type", layer.type, meant
    root: Any = schema.message("NetParameter").DESCRIPTOR
    yield from _fields(net.document.root, root)


def _fields(message: Message, descriptor: Any) -> Iterator[tuple[int, str, str, str]]:
    known = descriptor.fields_by_name
    for field in message.fields:
        mine = known.get(field.name)
        if mine is None:
            meant = _meant(field.name, known, message)
            if meant is not None:
                yield field.line, "field", field.name, meant
        elif mine.message_type is not None and isinstance(field.value, Message):
            yield from _fields(field.value, mine.message_type)


def _meant(name: str, known: Iterable[str], message: Message) -> str | None:
    for other in known:
        near = abs(len(other) - len(name)) <= 1 and len(other) >= _SHORTEST
        if not near or _AXIS.sub("", name) == _AXIS.sub("", other) or distance(name, other) != 1:
            continue
        if not other.endswith("_param") or other.replace("_", "") == f"{_type(message)}param":
            return other
    return None


def _type(layer: Message) -> str:
    kind = layer.get("type")
    if kind is None or isinstance(kind.value, Message):
        return ""
    return kind.value.text.strip("'\"").lower()
