"""Bytes of weights files, put together without the code under test."""

import struct

import numpy as np

from bnfold.caffemodel import open_weights, schema

Net = schema.message("NetParameter")


def varint(value):
    value &= (1 << 64) - 1
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def num(number, value):
    return varint(number << 3) + varint(value)


def sub(number, *parts):
    payload = b"".join(part.encode() if isinstance(part, str) else part for part in parts)
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def group(number, *parts):
    return varint(number << 3 | 3) + b"".join(parts) + varint(number << 3 | 4)


def dims(*shape):
    return sub(7, sub(1, *map(varint, shape)) if shape else b"")


def legacy(*shape):
    return b"".join(num(i + 1, dim) for i, dim in enumerate(shape))


def floats(values, dtype="<f4"):
    return np.asarray(values, dtype).tobytes()


def unpacked(number, values, code="<f"):
    wire = 5 if code == "<f" else 1
    return b"".join(varint(number << 3 | wire) + struct.pack(code, value) for value in values)


def layer(name, *parts, kind="Convolution"):
    return sub(100, sub(1, name), sub(2, kind), *parts)


def v1_layer(name, *parts, kind=4):
    return sub(2, sub(4, name), num(5, kind), *parts)


def parse(data):
    return Net.FromString(data)


class Folder:
    """A place for weights files, with what the tests do to them."""

    def __init__(self, path):
        self.path = path

    def open(self, *parts):
        path = self.path / "in.caffemodel"
        path.write_bytes(b"".join(parts))
        return open_weights(path)

    def rewrite(self, weights, edits, **more):
        """Return the bytes that `weights` with `edits` becomes."""
        path = self.path / "out.caffemodel"
        with path.open("wb") as out:
            weights.write(out, edits, **more)
        return path.read_bytes()


class Counting:
    """A BlobSource that yields 0, 1, 2... in pieces no larger than asked, and notes the sizes."""

    def __init__(self, shape, dtype="<f4", step=None):
        self.shape, self.dtype, self.step, self.asked = shape, np.dtype(dtype), step, []

    def chunks(self, max_items):
        self.asked.append(max_items)
        step = min(self.step or max_items, max_items)
        size = int(np.prod(self.shape))
        for start in range(0, size, step):
            yield np.arange(start, min(start + step, size)).astype(self.dtype)
