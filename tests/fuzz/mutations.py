"""Mutations that know what they change: text format, weights records, and what else is read.

Each takes the bytes of a file and gives other bytes; all chance comes from the `Random` that it is
given, so that a seed makes the same files again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from random import Random
from typing import Any

from google.protobuf.message import DecodeError

from bnfold.caffemodel import schema

Mutation = Callable[[bytes, Random], bytes]

NUMBERS = (
    "0", "1", "2", "3", "4", "5", "7", "8", "64", "-1", "-2", "-3", "255", "256", "65536",
    "1000000", "2000000000", "2147483647", "-2147483648", "4294967295", "9223372036854775807",
    "18446744073709551616", "1" * 400, "0.5", "1e-5", "1e30", "-1e39", "1e400", "nan", "inf",
    "0x7fffffff", "017",
)  # fmt: skip
TYPES = (
    "Convolution", "Deconvolution", "InnerProduct", "DepthwiseConvolution", "BatchNorm", "BN",
    "Scale", "Bias", "Power", "ReLU", "PReLU", "ELU", "Sigmoid", "TanH", "Exp", "Log", "Swish",
    "Pooling", "Eltwise", "Concat", "Slice", "Split", "Silence", "Flatten", "Reshape", "Permute",
    "Dropout", "LRN", "Softmax", "Crop", "PriorBox", "Interp", "Upsample", "MVN", "Input",
    "DummyData", "Parameter", "Tile", "Reduction", "ArgMax", "SPP", "Unknown",
)  # fmt: skip
FIELDS = (
    "num_output: 4", "num_output: 2000000000", "num_output: 0", "group: 2", "group: 4294967295",
    "kernel_size: 3", "kernel_size: 0", "kernel_size: 1 kernel_size: 3", "kernel_h: 1 kernel_w: 3",
    "pad: 1", "pad: 4000000000", "stride: 2", "stride: 0", "dilation: 2", "axis: 0", "axis: -1",
    "axis: 2", "num_axes: 0", "num_axes: -1", "num_axes: 2", "bias_term: true", "bias_term: false",
    "transpose: true", "channel_shared: true", "eps: 1e-3", "use_global_stats: false",
    "operation: PROD", "operation: MAX", "coeff: 1 coeff: -2", "coeff: 0", "pool: AVE",
    "global_pooling: true", "shape { dim: 0 }", "shape { dim: 0 dim: -1 }",
    "shape { dim: 1 dim: 2147483647 dim: 1 dim: 1 }", "dim: 2147483647", "order: 0 order: 1",
    "slice_point: 1", "power: 2", "scale: 0", "shift: 1", "negative_slope: 0.1", "phase: TRAIN",
    'param { name: "w" }', "include { phase: TRAIN }", "exclude { stage: \"x\" }", "relu: true",
    "bn_mode: INFERENCE", "frozen: true", "engine: CAFFE", "concat_dim: 1", "end_axis: 2",
    "propagate_down: false", "reshape_param { shape { dim: 1 dim: 2147483647 dim: 1 dim: 1 } }",
    "reshape_param { shape { dim: 0 dim: -1 } }", "flatten_param { axis: 2 }",
)  # fmt: skip
_NAMES = ("", "\\n", "\\000", "\\033[2J", "data", "x" * 300, "\\377\\376", "a/b", "..")

_TOKEN = re.compile(rb'"(?:[^"\\\n]|\\.)*"|[-+.\w]+|\s+|.', re.DOTALL)
_LAYER = re.compile(rb"^layers?\s*:?\s*\{.*?^\}|^layer \{[^\n]*\}$", re.DOTALL | re.MULTILINE)
_FIELD = re.compile(rb"[a-z_0-9]+\s*:\s*(?:\"[^\"\n]*\"|[-+.\w]+)")
_BLOCK = re.compile(rb"[a-z_]+\s*:?\s*\{[^{}]*\}")


def any_bytes(data: bytes, rng: Random) -> bytes:
    """Flip, cut, repeat, move, insert and truncate, with no idea of what it is."""
    out = bytearray(data)
    at = rng.randrange(len(out) + 1)
    end = min(len(out), at + rng.choice((1, 1, 2, 4, 8, 40, 400)))
    match rng.randrange(7):
        case 0 if at < len(out):
            out[at] ^= 1 << rng.randrange(8)
        case 1:
            del out[at:end]
        case 2:
            out[at:at] = out[at:end] * rng.choice((1, 1, 3, 50))
        case 3:
            out[at:end] = rng.randbytes(end - at)
        case 4:
            piece = out[at:end]
            del out[at:end]
            to = rng.randrange(len(out) + 1)
            out[to:to] = piece
        case 5 if rng.random() < 0.3:
            del out[at:]
        case _:
            out[at : at + 8] = rng.choice(
                (0, 1, 0x7FFFFFFF, (1 << 63) - 1, (1 << 64) - 1)
            ).to_bytes(8, "little")
    return bytes(out)


def words(data: bytes, rng: Random) -> bytes:
    """Put a number, a name or a token of the file itself in the place of another token."""
    tokens: list[bytes] = _TOKEN.findall(data)
    solid = [i for i, token in enumerate(tokens) if not token.isspace()]
    if not solid:
        return data
    at = rng.choice(solid)
    kind = rng.randrange(6)
    if kind < 3:
        numbers = [i for i in solid if re.fullmatch(rb"[-+.\d]+(?:e-?\d+)?", tokens[i])]
        if numbers:
            tokens[rng.choice(numbers)] = rng.choice(NUMBERS).encode()
    elif kind == 3:
        strings = [i for i in solid if tokens[i][:1] == b'"']
        if strings:
            name = f'"{rng.choice(_NAMES)}"'.encode()
            other = tokens[rng.choice(strings)]
            tokens[rng.choice(strings)] = other if rng.random() < 0.8 else name
    elif kind == 4:
        tokens[at] = tokens[rng.choice(solid)]
    else:
        del tokens[at]
    return b"".join(tokens)


def prototxt(data: bytes, rng: Random) -> bytes:
    """Change a layer, a block, a field or a token of a network's text."""
    choice = rng.randrange(12)
    if choice < 4:
        return words(data, rng)
    if choice == 4:
        return any_bytes(data, rng)
    if choice == 5:
        return _edit(data, _FIELD, rng, lambda found: b"")
    if choice == 6:
        return _edit(data, _FIELD, rng, lambda found: found + b" " + found)
    if choice == 7:
        kind = rng.choice(TYPES).encode()
        return _edit(data, re.compile(rb'type\s*:\s*"[^"]*"'), rng, lambda _: b'type: "%s"' % kind)
    if choice == 8:
        field = rng.choice(FIELDS).encode()
        return _edit(data, re.compile(rb"_param\s*:?\s*\{"), rng, lambda found: found + field)
    if choice == 9:
        return _edit(data, _BLOCK, rng, lambda found: b"" if rng.random() < 0.6 else found + found)
    if choice == 10:
        return _insert_layer(data, rng)
    return _layers(data, rng)


def _edit(data: bytes, pattern: re.Pattern[bytes], rng: Random, new: Any) -> bytes:
    found = list(pattern.finditer(data))
    if not found:
        return data
    one = rng.choice(found)
    return data[: one.start()] + new(one[0]) + data[one.end() :]


def _layers(data: bytes, rng: Random) -> bytes:
    """Remove, repeat or swap whole layers."""
    found = list(_LAYER.finditer(data))
    if len(found) < 2:
        return data
    one, other = sorted(rng.sample(found, 2), key=lambda match: match.start())
    match rng.randrange(3):
        case 0:
            return data[: one.start()] + data[one.end() :]
        case 1:
            return data[: other.end()] + b"\n" + one[0] + data[other.end() :]
    between = data[one.end() : other.start()]
    return data[: one.start()] + other[0] + between + one[0] + data[other.end() :]


def _insert_layer(data: bytes, rng: Random) -> bytes:
    """Put a layer behind one that is there: in place, or in the way of those that read it."""
    found = list(_LAYER.finditer(data))
    if not found:
        return data
    one = rng.choice(found)
    tops = re.findall(rb'top\s*:\s*("[^"\n]*")', one[0])
    if not tops:
        return data
    bottom, name = rng.choice(tops), b'"new%d"' % rng.randrange(1000)
    top = bottom if rng.random() < 0.4 else name
    kind, holder = (
        rng.choice(TYPES),
        rng.choice(("convolution", "scale", "inner_product", "reshape")),
    )
    fields = " ".join(rng.choice(FIELDS) for _ in range(rng.randrange(3)))
    more = b"bottom: " + rng.choice(tops) if rng.random() < 0.15 else b""
    text = b'layer { name: %s type: "%s" bottom: %s %s top: %s %s_param { %s } }' % (
        name, kind.encode(), bottom, more, top, holder.encode(), fields.encode(),
    )  # fmt: skip
    rest = data[one.end() :]
    if top != bottom and rng.random() < 0.8:
        rest = rest.replace(b"bottom: " + bottom, b"bottom: " + top, rng.choice((1, 1, -1)))
    return data[: one.end()] + b"\n" + text + rest


def caffemodel(data: bytes, rng: Random) -> bytes:
    """Change the records, blobs, shapes and values of a weights file, or its bytes."""
    if rng.random() < 0.15:
        return any_bytes(data, rng)
    try:
        net: Any = schema.message("NetParameter").FromString(data)
    except DecodeError:
        return any_bytes(data, rng)
    records = net.layer or net.layers
    if not records:
        return any_bytes(data, rng)
    at = rng.randrange(len(records))
    record = records[at]
    match rng.randrange(10):
        case 0:
            del records[at]
        case 1:
            record.name = rng.choice(records).name
        case 2:
            records.add().CopyFrom(record)
        case 3 if record.blobs:
            del record.blobs[rng.randrange(len(record.blobs)) :]
        case 4:
            others = [blob for other in records for blob in other.blobs]
            if others:
                record.blobs.add().CopyFrom(rng.choice(others))
        case _ if record.blobs:
            _blob(rng.choice(record.blobs), rng)
    return bytes(net.SerializeToString())


def _blob(blob: Any, rng: Random) -> None:
    values, dims = list(blob.data), list(blob.shape.dim)
    match rng.randrange(11):
        case 0:
            blob.ClearField("shape")
        case 1 if dims:
            blob.shape.dim[rng.randrange(len(dims))] = rng.choice((0, 1, 2, -1, 1 << 31, 1 << 62))
        case 2:
            # As many values in other axes.
            new = [len(values)] + [1] * rng.randrange(5)
            rng.shuffle(new)
            blob.shape.dim[:] = new
        case 3:
            blob.shape.dim[:] = dims[::-1]
        case 4:
            _resize(blob, rng.randrange(0, 40))
        case 5:
            _resize(blob, max(1, len(values) * rng.choice((2, 3)) // rng.choice((1, 2, 4))))
        case 6 if values:
            blob.data[rng.randrange(len(values))] = rng.choice(
                (0.0, float("nan"), float("inf"), -1.0, 1e38, 1e-45)
            )
        case 7 | 8 if values:
            # Filters of zeros, and numbers that make whole channels constant.
            rows = dims[0] if dims and dims[0] > 0 and len(values) % dims[0] == 0 else 1
            each = len(values) // rows
            for row in range(rows):
                if rng.random() < 0.5:
                    blob.data[row * each : (row + 1) * each] = [0.0] * each
        case 9:
            blob.num, blob.channels, blob.height, blob.width = 1, 1, 1, len(values)
        case _:
            blob.ClearField("data")
            if rng.random() < 0.5:
                blob.double_data[:] = values
            elif rng.random() < 0.5:
                blob.raw_data_type, blob.raw_data = 2, bytes(2 * len(values))


def _resize(blob: Any, count: int) -> None:
    old = list(blob.data) or [0.5]
    blob.data[:] = [old[i % len(old)] for i in range(count)]
    blob.shape.dim[:] = [count]


def wire(kind: str) -> Mutation:
    """Change the fields of a message of the schema, or its bytes."""

    def change(data: bytes, rng: Random) -> bytes:
        message: Any = schema.message(kind)()
        try:
            message.ParseFromString(data)
        except DecodeError:
            return any_bytes(data, rng)
        if kind == "BlobProto" and rng.random() < 0.7:
            _blob(message, rng)
            return bytes(message.SerializeToString())
        return any_bytes(data, rng)

    return change


def npy(data: bytes, rng: Random) -> bytes:
    """Change what the header of an array claims, or any byte."""
    if rng.random() < 0.3 or b"\n" not in data[10:]:
        return any_bytes(data, rng)
    header = data[10 : data.index(b"\n", 10) + 1]
    new = words(header, rng)
    if rng.random() < 0.4:
        kinds = (b"<f8", b"|O", b"<U9", b">c16", b"|V0", b"|b1", b"<M8[s]", b"<f4" * 300)
        new = re.sub(rb"'descr': '[^']*'", b"'descr': '%s'" % rng.choice(kinds), header)
    return data[:8] + (len(new) & 0xFFFF).to_bytes(2, "little") + new + data[10 + len(header) :]


_DEEP = (b"[", b'{"a":', b"<a>", b"a=[", b"(", b"{ a", b"item {")
_STRANGE = ("1e400", "NaN", "-Infinity", "1" * 5000, "null", "[]", "{}", '""', "true", '"\\ud800"')


def structured(data: bytes, rng: Random) -> bytes:
    """Change a text of lines, quotes, tags or brackets: lists, TOML, XML, labelmaps."""
    match rng.randrange(8):
        case 0 | 1 | 2:
            return words(data, rng)
        case 3:
            return any_bytes(data, rng)
        case 4:
            lines = data.splitlines(keepends=True)
            if lines:
                rng.shuffle(lines)
                lines[0] = rng.choice(lines) * rng.choice((0, 2))
            return b"".join(lines)
        case 5:
            at = rng.randrange(len(data) + 1)
            return data[:at] + rng.choice(_DEEP) * rng.choice((3, 2000, 100000)) + data[at:]
        case 6:
            numbers = [b"1" * 5000, b"1e400", b"nan", b"-0", b"99999999999", b"0-200000000000"]
            return _edit(data, re.compile(rb"-?\d+"), rng, lambda _: rng.choice(numbers))
    at = rng.randrange(len(data) + 1)
    tag = (b"&x;", b"<!DOCTYPE a [<!ENTITY x 'xx'>]>", b"\0", b"\xff", b'"', b"#", b"\r", b"\n\n")
    return data[:at] + rng.choice(tag) + data[at:]


def as_json(data: bytes, rng: Random) -> bytes:
    """Change a value or a key somewhere in a JSON text."""
    if rng.random() < 0.3:
        return structured(data, rng)
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        return structured(data, rng)
    places = list(_places(tree))
    if not places:
        return structured(data, rng)
    holder, key = rng.choice(places)
    if rng.random() < 0.3:
        del holder[key]
    elif rng.random() < 0.2:
        other, its = rng.choice(places)
        if its in other if isinstance(other, dict) else its < len(other):
            holder[key] = json.loads(json.dumps(other[its]))
    else:
        holder[key] = "@@"
    return json.dumps(tree).encode().replace(b'"@@"', rng.choice(_STRANGE).encode())


def _places(tree: Any) -> Any:
    if isinstance(tree, dict | list):
        for key in list(tree) if isinstance(tree, dict) else range(len(tree)):
            yield tree, key
            yield from _places(tree[key])
