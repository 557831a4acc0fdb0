"""Values read from text format are the ones that protobuf itself reads."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from hypothesis import given, settings
from hypothesis import strategies as st

from bnfold.prototxt import Field, Message, PrototxtError, parse

COLORS = {"RED": 0, "GREEN": 5, "BLUE": -2}
KINDS = {
    "s": "STRING", "y": "BYTES", "i": "INT32", "u": "UINT32", "l": "INT64", "v": "UINT64",
    "f": "FLOAT", "d": "DOUBLE", "b": "BOOL", "e": "ENUM", "m": "MESSAGE",
}  # fmt: skip


def make_message_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="t.proto", package="t", syntax="proto2")
    color = file.enum_type.add(name="Color")
    for name, number in COLORS.items():
        color.value.add(name=name, number=number)
    node = file.message_type.add(name="Node")
    for number, (name, kind) in enumerate(KINDS.items(), 1):
        field = node.field.add(name=name, number=number)
        field.type = getattr(descriptor_pb2.FieldDescriptorProto, f"TYPE_{kind}")
        field.label = descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED
        if kind == "ENUM":
            field.type_name = ".t.Color"
        elif kind == "MESSAGE":
            field.type_name = ".t.Node"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.Node"))


Node = make_message_class()


def read(field: Field) -> Any:
    kind = KINDS[field.name]
    if kind == "STRING":
        return field.string()
    if kind == "BYTES":
        return field.string().encode("utf-8", "surrogateescape")
    if kind in ("INT32", "INT64"):
        return field.integer(bits=int(kind[-2:]))
    if kind in ("UINT32", "UINT64"):
        return field.integer(signed=False, bits=int(kind[-2:]))
    if kind == "FLOAT":
        return as_float32(field.floating())
    if kind == "DOUBLE":
        return number(field.floating())
    if kind == "BOOL":
        return field.boolean()
    if kind == "ENUM":
        return field.enum(COLORS)
    return tree(field.message())


def number(value: float) -> Any:
    return "nan" if math.isnan(value) else value


def as_float32(value: float) -> Any:
    try:
        return number(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


def tree(message: Message) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for field in message.fields:
        found.setdefault(field.name, []).append(read(field))
    return found


def protobuf_tree(message: Any) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for descriptor, values in message.ListFields():
        if descriptor.name == "m":
            found["m"] = [protobuf_tree(value) for value in values]
        else:
            floats = descriptor.name in "fd"
            found[descriptor.name] = [number(v) if floats else v for v in values]
    return found


VALUES = {
    "s": st.text(st.characters(exclude_categories=["Cs"])), "y": st.binary(),
    "i": st.integers(-(2**31), 2**31 - 1), "u": st.integers(0, 2**32 - 1),
    "l": st.integers(-(2**63), 2**63 - 1), "v": st.integers(0, 2**64 - 1),
    "f": st.floats(width=32), "d": st.floats(), "b": st.booleans(),
    "e": st.sampled_from(sorted(COLORS.values())),
}  # fmt: skip
NODES = st.recursive(
    st.fixed_dictionaries({}, optional={k: st.lists(v, max_size=3) for k, v in VALUES.items()}),
    lambda inner: st.fixed_dictionaries({"m": st.lists(inner, max_size=3)}),
    max_leaves=4,
)


@settings(max_examples=150)
@given(NODES, st.booleans(), st.booleans(), st.booleans(), st.booleans())
def test_what_protobuf_writes_reads_as_what_it_wrote(
    values: dict[str, Any], one_line: bool, pointy: bool, utf8: bool, short: bool
) -> None:
    message = Node(**values)
    text = text_format.MessageToString(
        message,
        as_one_line=one_line,
        pointy_brackets=pointy,
        as_utf8=utf8,
        use_short_repeated_primitives=short,
    )
    document = parse(text)
    assert tree(document.root) == protobuf_tree(message)
    assert document.render() == text


SPELLINGS = {
    "s": ['"a\\n\\t\\x41\\101\\u00e9\\U0001F600"', "'\\'\"'", '"a" \'b\'\n# c\n"d"', '"\\0011"',
          '"\\a\\b\\f\\v\\r\\\\"', '"#{"', '"\\x4g"', '""'],
    "y": ['"\\377\\xfe"', '"\\303\\251"'],
    "i": ["0", "-0", "0x1f", "-0X1F", "017", "2147483647", "-2147483648"],
    "u": ["4294967295", "0xffffffff"],
    "l": ["-9223372036854775808", "0x7fffffffffffffff"],
    "v": ["18446744073709551615", "01777777777777777777777"],
    "f": ["1.", ".5", "1e-5f", "1E+5F", "2f", "inf", "-inf", "infinity", "-Infinity", "nan", "0",
          "16777217", "1e-50"],
    "d": ["0.1", "1e308", "-.5e-3", "NaN", "INF", "12"],
    "b": ["true", "True", "t", "1", "false", "False", "f", "0"],
    "e": ["RED", "GREEN", "5", "-2", "BLUE", "0"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "spelling"), [(n, each) for n, spellings in SPELLINGS.items() for each in spellings]
)
def test_each_spelling_of_a_value_means_what_it_means_to_protobuf(name: str, spelling: str) -> None:
    text = f"{name}: {spelling}"
    expected = text_format.Parse(text, Node())
    assert tree(parse(text).root) == protobuf_tree(expected)


BAD_SPELLINGS = {
    "s": ["x", "1", '"\\x"', "{ }"],
    "i": ["2147483648", "-2147483649", "1.0", "1f", '"1"', "x", "08", "{ }"],
    "u": ["-1", "4294967296"],
    "l": ["9223372036854775808"],
    "v": ["18446744073709551616", "-1", "1" * 5000],
    "f": ["x", '"1"', "0x10", "017", "infx", "{ }"],
    "b": ["2", "yes", '"true"', "-1", "TRUE", "1.0", "{ }"],
    "e": ["PINK", "3", '"RED"', "red", "{ }"],
}


@pytest.mark.parametrize(
    ("name", "spelling"), [(n, each) for n, bad in BAD_SPELLINGS.items() for each in bad]
)
def test_a_value_that_protobuf_refuses_is_an_error(name: str, spelling: str) -> None:
    text = f"{name}: {spelling}"
    with pytest.raises((text_format.ParseError, ValueError)):
        text_format.Parse(text, Node())
    (field,) = parse(text).root.fields
    with pytest.raises(PrototxtError, match=rf"^<text>:1:1: {name}: "):
        read(field)


@pytest.mark.parametrize(
    "text",
    [
        "m { i: 1 }", "m: { i: 1 }", "m < i: 1 >", "m: <>", "m [ {i: 1}, <i: 2> ]", "m: []",
        "i: [1, 2]", "i: []", "i: 1, i: 2; i: 3,", "i: 1 i: 2", "m{i:1}m{i:2}", "m{};m{},",
        "# only\n", "", "i:#c\n1#d", "i: 1\r\n i: 2\r\n", "i\t:\v1\f", "i:[1,#c\n2]",
        "s: 'a'i:1", "m { m { m < m { } > } }",
    ],
)  # fmt: skip
def test_each_way_to_write_fields_means_what_it_means_to_protobuf(text: str) -> None:
    assert tree(parse(text).root) == protobuf_tree(text_format.Parse(text, Node()))


@pytest.mark.parametrize(
    ("spelling", "value"),
    [("- 1", -1), ("-\n#c\n7", -7), ("-\t0x10", -16)],
)
def test_blanks_after_a_minus_are_read_as_the_cpp_parser_reads_them(
    spelling: str, value: int
) -> None:
    # Caffe reads files with protobuf's C++ parser; the Python one refuses these.
    (field,) = parse(f"i: {spelling}").root.fields
    assert field.integer() == value
    assert field.floating() == value if "x" not in spelling else True


def test_escapes_are_those_of_the_cpp_parser() -> None:
    (field,) = parse(r's: "\?\ud83d\ude00\X41"').root.fields
    assert field.string() == "?\N{GRINNING FACE}A"
    (field,) = parse(r's: "C:\quux"').root.fields
    with pytest.raises(PrototxtError, match="unknown escape"):
        field.string()
