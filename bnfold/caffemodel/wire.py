"""Protobuf's wire format: walk the fields of a message in a file, and write single fields.

A message is a sequence of fields, each a tag (field number and wire type) and a payload whose
length follows from the wire type (https://protobuf.dev/programming-guides/encoding/). Walking needs
no schema and skips payloads unread, so a file of any size is indexed by touching a few bytes of
each record.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from .file import WeightsFile

VARINT, FIXED64, BYTES, GROUP, END_GROUP, FIXED32 = range(6)

# A varint has at most 10 bytes, a tag at most 5: this much must be at hand to read a field's head.
_HEAD = 20
_WINDOW = 4096
_RUN_BYTES = 1 << 20
# What protobuf's own parsers allow.
_MAX_DEPTH = 100
_MAX_NUMBER = (1 << 29) - 1


class WireError(ValueError):
    """Bytes that are no protobuf message: `offset` says where in the file, `what` what is wrong."""

    def __init__(self, offset: int, what: str) -> None:
        super().__init__(what)
        self.offset = offset
        self.what = what


class Field(NamedTuple):
    """One field of a message, as positions in the file.

    number, wire: the field number and wire type.
    start, end: the field's bytes, tag included.
    payload: where the payload begins, behind tag and length; end is where it ends.
    value: the value of a varint, otherwise 0.
    times: how many fields this stands for. Consecutive fixed-size fields with equal tags, as an
        unpacked array of floats is, are given as one run of `times` fields of equal size.
    """

    number: int
    wire: int
    start: int
    payload: int
    end: int
    value: int = 0
    times: int = 1


def walk(  # noqa: PLR0915  one loop: it is what the index of a file costs
    file: WeightsFile, start: int, end: int
) -> Iterator[Field]:
    """Yield the fields of the message in the bytes [start, end) of `file`, in order.

    A group is yielded whole, as one field. Raises WireError at the first byte that cannot be.
    """
    buffer, base = b"", start
    position = start
    groups: list[tuple[int, int]] = []  # number and start of the groups that are open
    while position < end:
        if position - base + _HEAD > len(buffer) and base + len(buffer) < end:
            buffer, base = file.at(position, min(end - position, _WINDOW)), position
        begin = position
        at = begin - base
        # One-byte varints, nearly all there are, are read in place: this loop is the index's cost.
        head_byte = buffer[at]
        if head_byte < 0x80:
            wire, number, at = head_byte & 7, head_byte >> 3, at + 1
        else:
            tag, at = read_varint(buffer, at, base)
            wire, number = tag & 7, tag >> 3
        if not 1 <= number <= _MAX_NUMBER:
            raise WireError(begin, f"a field number {number} is not possible")
        value, count = 0, 1
        payload = base + at
        if wire == BYTES:
            length, at = read_varint(buffer, at, base)
            payload = base + at
            position = payload + length
        elif wire == VARINT:
            value, at = read_varint(buffer, at, base)
            position = base + at
        elif wire in (FIXED32, FIXED64):
            head, size = buffer[begin - base : at], 4 if wire == FIXED32 else 8
            position = payload + size
            # Peek before counting: a lone number, the usual case, then costs nothing.
            peek, enough = position - base, position + len(head) + size <= end
            if enough and head.startswith(buffer[peek : peek + len(head)]):
                count = _run_length(file, begin, end, head, size)
                position = begin + count * (len(head) + size)
        elif wire == GROUP:
            _open(groups, number, begin)
            position = payload
            continue
        elif wire == END_GROUP:
            position, wire = payload, GROUP
            begin = payload = _close(groups, number, begin)
        else:
            raise WireError(begin, f"wire type {wire} does not exist")
        if position > end:
            outer = "the file" if end == file.size else "what holds it"
            past = f"runs {position - end} bytes past the end of {outer}"
            raise WireError(begin, f"field {number} {past}")
        if not groups:
            yield Field(number, wire, begin, payload, position, value, count)
    if groups:
        raise WireError(groups[-1][1], f"group {groups[-1][0]} never ends")


def _open(groups: list[tuple[int, int]], number: int, start: int) -> None:
    """Note that a group begins. Raises WireError if it is nested too deep."""
    if len(groups) == _MAX_DEPTH:
        raise WireError(start, f"groups are nested more than {_MAX_DEPTH} deep")
    groups.append((number, start))


def _close(groups: list[tuple[int, int]], number: int, at: int) -> int:
    """Return where the group began that ends. Raises WireError if it is another than the last."""
    if not groups or groups[-1][0] != number:
        raise WireError(at, f"a group {number} ends that never began")
    return groups.pop()[1]


def read_varint(buffer: bytes, at: int, base: int = 0) -> tuple[int, int]:
    """Return the varint at index `at` of `buffer` and the index behind it.

    `base` is the buffer's position in the file, for errors. Raises WireError if the varint is cut
    off or has more than 64 bits.
    """
    if at < len(buffer) and buffer[at] < 0x80:
        return buffer[at], at + 1  # as nearly all are
    value = shift = 0
    start = at
    while at < len(buffer):
        byte = buffer[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >= 1 << 64:
                break
            return value, at
        shift += 7
        if shift > 63:
            break
    else:
        raise WireError(base + start, "a number is cut off")
    raise WireError(base + start, "a number has more than 64 bits")


def signed(value: int) -> int:
    """Return the int64 (or sign-extended int32) that a varint's 64 bits stand for."""
    return value - (1 << 64) if value >= 1 << 63 else value


def _run_length(file: WeightsFile, start: int, end: int, head: bytes, size: int) -> int:
    """Return how many fields of tag `head` and payload `size` follow each other from `start`."""
    stride = len(head) + size
    limit = (end - start) // stride
    tag = np.frombuffer(head, np.uint8)
    count = 0
    # Most runs are short: begin with a page, then take large steps.
    step = _WINDOW // stride
    while count < limit:
        step = min(step, limit - count)
        block = np.frombuffer(file.at(start + count * stride, step * stride), np.uint8)
        other = (block.reshape(step, stride)[:, : len(head)] != tag).any(axis=1)
        first = int(other.argmax())
        if other[first]:
            return count + first
        count += step
        step = _RUN_BYTES // stride
    return count


def varint(value: int) -> bytes:
    """Return `value`, from -2**63 up to 2**64 - 1, as a varint; negative ones take ten bytes."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def tag(number: int, wire: int) -> bytes:
    """Return the tag of field `number` with wire type `wire`."""
    return varint(number << 3 | wire)


def number_field(number: int, value: int) -> bytes:
    """Return field `number` holding the integer `value` as a varint."""
    return tag(number, VARINT) + varint(value)


def bytes_field(number: int, payload: bytes) -> bytes:
    """Return field `number` holding `payload`: a string, bytes or a message."""
    return bytes_head(number, len(payload)) + payload


def bytes_head(number: int, length: int) -> bytes:
    """Return tag and length of field `number`, for a payload of `length` bytes that follows."""
    return tag(number, BYTES) + varint(length)


def text_field(number: int, text: str) -> bytes:
    """Return field `number` holding `text`, undoing `decode`."""
    return bytes_field(number, text.encode("utf-8", "surrogateescape"))


def decode(data: bytes) -> str:
    """Return `data` as text. Bytes that are no UTF-8 become surrogates and write back as read."""
    return data.decode("utf-8", "surrogateescape")
