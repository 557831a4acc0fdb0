"""Typed access to what a layer says of itself, checked against the schema in proto/."""

from __future__ import annotations

from typing import Any

from bnfold.caffemodel import schema
from bnfold.prototxt import Field, Message


def read_message(text: Message, type_name: str) -> Any:
    """Read the fields of a text message that the schema knows into a protobuf message.

    Fields that the schema does not know are passed over: they ride along in the text.
    Defaults are the schema's, so `message.eps` is 1e-5 (as a float32) where it is not written.

    Args:
        text: the message as parsed, `convolution_param { ... }` for example.
        type_name: the schema's name for it, "ConvolutionParameter" for example.

    Raises:
        PrototxtError: a known field has a value that its type does not allow, or a field
            that may stand once stands twice; the message names file and line.
    """
    message = schema.message(type_name)()
    known = message.DESCRIPTOR.fields_by_name
    for name in dict.fromkeys(field.name for field in text.fields):
        if name not in known:
            continue
        descriptor, fields = known[name], text.all(name)
        if is_repeated(descriptor):
            target = getattr(message, name)
            for field in fields:
                if descriptor.message_type is not None:
                    target.add().CopyFrom(
                        read_message(field.message(), descriptor.message_type.name)
                    )
                else:
                    target.append(_scalar(field, descriptor))
            continue
        field = _only(text, name)
        if descriptor.message_type is not None:
            inner = read_message(field.message(), descriptor.message_type.name)
            getattr(message, name).CopyFrom(inner)
        else:
            setattr(message, name, _scalar(field, descriptor))
    return message


def _only(text: Message, name: str) -> Field:
    field = text.get(name)
    assert field is not None  # the caller saw it among the fields
    return field


def is_repeated(descriptor: Any) -> bool:
    """Whether a field of the schema may stand more than once."""
    # `label` is deprecated in new protobuf releases and `is_repeated` absent from old ones.
    repeated = getattr(descriptor, "is_repeated", None)
    return descriptor.label == descriptor.LABEL_REPEATED if repeated is None else bool(repeated)


def _scalar(field: Field, descriptor: Any) -> Any:
    kind = descriptor.type
    if kind == descriptor.TYPE_BOOL:
        return field.boolean()
    if kind == descriptor.TYPE_ENUM:
        values = {value.name: value.number for value in descriptor.enum_type.values}
        return field.enum(values)
    if kind in (descriptor.TYPE_FLOAT, descriptor.TYPE_DOUBLE):
        return field.floating()
    if kind in (descriptor.TYPE_STRING, descriptor.TYPE_BYTES):
        return field.string()
    unsigned = kind in (descriptor.TYPE_UINT32, descriptor.TYPE_UINT64)
    wide = kind in (descriptor.TYPE_INT64, descriptor.TYPE_UINT64)
    return field.integer(signed=not unsigned, bits=64 if wide else 32)
