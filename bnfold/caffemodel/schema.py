"""Caffe's messages and enums, as bnfold knows them (proto/caffe_subset.proto).

They live in a descriptor pool of their own. pycaffe registers its `caffe.proto` in protobuf's
default pool; keeping out of that one lets both be imported into one process, in either order.
protobuf itself is imported at the first question asked, not with this module.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from google.protobuf.descriptor_pool import DescriptorPool
    from google.protobuf.message import Message

PACKAGE = "bnfold.caffe"


@functools.cache
def _pool() -> DescriptorPool:
    from google.protobuf import descriptor_pool

    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(Path(__file__).with_name("schema.binpb").read_bytes())
    return pool


@functools.cache
def message(name: str) -> type[Message]:
    """Return the class of the message `name`, as in `message("ConvolutionParameter")`.

    Raises KeyError if the schema has no such message.
    """
    from google.protobuf import message_factory

    descriptor = _pool().FindMessageTypeByName(f"{PACKAGE}.{name}")
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(descriptor)
    # protobuf before 4.22
    factory: Any = message_factory.MessageFactory(_pool())
    prototype: type[Message] = factory.GetPrototype(descriptor)
    return prototype


@functools.cache
def enum(name: str) -> Mapping[str, int]:
    """Return the values of the enum `name` by their names, as in `enum("Phase")["TEST"]`.

    A nested enum is named with its message: `enum("ConvolutionParameter.Engine")`.
    Raises KeyError if the schema has no such enum.
    """
    descriptor = _pool().FindEnumTypeByName(f"{PACKAGE}.{name}")
    return {value.name: value.number for value in descriptor.values}
