"""Random damage to both files: the command ends with 0 or 2, and never with a traceback."""

from __future__ import annotations

import io
import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import Model

from bnfold.cli import app

from .conftest import snapshot


def network() -> Model:
    net = Model(seed=1).input("data", (1, 3, 6, 6))
    net.conv("c", "data", 4, 1, bias=False).batch_norm("b", "c", "b", eps=1e-3).scale("s", "b")
    net.relu("r", "b").conv("d", "b", 2, group=2).batch_norm("e", "d")
    net.inner_product("f", "d", 3, 32, transpose=True).scale("t", "f", words="axis: 1")
    for record in net.net.layer:
        record.type = "Stale"
        record.bottom.append("x")
        record.top.append("y")
    net.net.layer[0].convolution_param.bias_term = False
    return net


TEXT = network().text.encode()
WEIGHTS = network().net.SerializeToString()
TOKENS = [
    b"layer", b"layers", b"{", b"}", b"<", b">", b"[", b"]", b":", b",", b'"', b"'", b"#", b"\\",
    b"-1", b"0", b"1e-3", b"nan", b"99999999999", b"true", b"false", b"name", b"type", b"top",
    b"bottom", b'"Convolution"', b'"BatchNorm"', b'"Scale"', b'"InnerProduct"', b'"c"', b'"b"',
    b"bias_term", b"num_output", b"axis", b"eps", b"group", b"kernel_size",
    b"include { phase: TRAIN }", b'param { name: "w" }', b"phase: TRAIN", b"\x00", b"\xff",
    b"\r\n",
]  # fmt: skip


@st.composite
def damaged(draw, content: bytes, tokens=()):
    """`content` after a few flips, cuts, repeats and swaps of pieces."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.sampled_from([1, 1, 2, 8, 40])))
        kind = draw(st.sampled_from(["flip", "cut", "end", "repeat", "insert", "token", "move"]))
        if kind == "flip" and at < len(data):
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "cut":
            del data[at:end]
        elif kind == "end" and draw(st.booleans()):
            del data[at:]
        elif kind == "repeat":
            data[at:at] = data[at:end]
        elif kind == "insert":
            data[at:at] = draw(st.binary(max_size=6))
        elif kind == "token" and tokens:
            # In the place of a word, so that most of the file still makes sense.
            words = bytes(data).split(b" ")
            words[draw(st.integers(0, len(words) - 1))] = draw(st.sampled_from(tokens))
            data = bytearray(b" ".join(words))
        elif kind == "move":
            piece = data[at:end]
            del data[at:end]
            to = draw(st.integers(0, len(data)))
            data[to:to] = piece
    return bytes(data)


OPTIONS = [
    [],
    ["--dry-run"],
    ["--keep-dtype"],
    ["--eps", "0"],
    ["--phase", "TRAIN"],
    ["--json", "-"],
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("damaged")


def check(folder, text, weights, options):
    for path in folder.iterdir():
        path.unlink()
    model, stored = folder / "net.prototxt", folder / "net.caffemodel"
    model.write_bytes(text)
    stored.write_bytes(weights)
    before = snapshot(folder)
    arguments = ["merge", "--model", str(model), "--weights", str(stored), *options]
    # Over bytes and for any text, as `main` makes the real streams.
    out = io.TextIOWrapper(io.BytesIO(), "utf-8", errors="backslashreplace")
    err = io.StringIO()
    argv, sys.argv = sys.argv, ["bnfold", *arguments]
    try:
        # numpy's warnings would be lines on stderr that nobody asked for.
        with redirect_stdout(out), redirect_stderr(err), warnings.catch_warnings():
            warnings.simplefilter("error")
            code = app._run()
    finally:
        sys.argv = argv
    assert code in (0, 2)
    if code == 2:
        assert err.getvalue().startswith("bnfold: ")
        assert err.getvalue().count("\n") == 1
        assert snapshot(folder) == before
    elif "--dry-run" in options:
        assert snapshot(folder) == before


MANY = settings(max_examples=250, database=None)


@MANY
@given(text=damaged(TEXT, TOKENS), options=st.sampled_from(OPTIONS))
def test_damaged_prototxt(folder, text, options):
    check(folder, text, WEIGHTS, options)


@MANY
@given(weights=damaged(WEIGHTS), options=st.sampled_from(OPTIONS))
def test_damaged_caffemodel(folder, weights, options):
    check(folder, TEXT, weights, options)


@settings(MANY, max_examples=60)
@given(text=damaged(TEXT, TOKENS), weights=damaged(WEIGHTS))
def test_both_damaged(folder, text, weights):
    check(folder, text, weights, [])


@settings(MANY, max_examples=60)
@given(
    values=st.lists(st.floats(width=32), min_size=4, max_size=4),
    layer=st.sampled_from("cbs"),
    index=st.integers(0, 2),
    eps=st.sampled_from([[], ["--eps", "0"], ["--eps", "1e-30"]]),
)
def test_values_of_any_size(folder, values, layer, index, eps):
    net = network()
    record = next(record for record in net.net.layer if record.name == layer)
    data = record.blobs[min(index, len(record.blobs) - 1)].data
    data[: min(4, len(data))] = values[: len(data)]
    assert np.size(data)
    check(folder, TEXT, net.net.SerializeToString(), eps)
