"""Whatever happens to a file, CaffemodelError is all that comes of it."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from bnfold.caffemodel import ArrayBlob, CaffemodelError, LayerEdit, open_weights

from .build import dims, floats, group, layer, legacy, num, sub, unpacked, v1_layer

WHOLE = b"".join(
    [
        sub(1, "net"),
        layer(
            "conv",
            sub(3, "x"),
            sub(6, sub(1, "w")),
            sub(7, dims(2, 2), sub(5, floats([1, 2, 3, 4])), sub(6, floats([1, 2, 3, 4]))),
            sub(7, dims(2), unpacked(5, [1, 2])),
            sub(106, num(1, 2), num(4, 3), num(2, 0)),
        ),
        v1_layer(
            "v", sub(6, legacy(1, 1, 1, 2), sub(8, floats([1, 2], "<f8"))), sub(10, num(1, 2))
        ),
        group(300, num(1, 1)),
        layer("half", sub(7, num(10, 2), sub(12, floats([1, 2], "<f2")), dims(2)), kind="BN"),
    ]
)
EDIT = LayerEdit(
    bottoms=("b",),
    blobs=(ArrayBlob([1, 2, 3], "<f4"),),
    params={("convolution_param", "bias_term"): True},
)


def use_all_of(data):
    """Open, read and rewrite a file of `data`; return the error in the way, or None."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "in"
        path.write_bytes(data)
        try:
            with open_weights(path) as weights:
                with (Path(folder) / "same").open("wb") as out:
                    weights.write(out, {})
                assert (Path(folder) / "same").read_bytes() == data
                with (Path(folder) / "out").open("wb") as out:
                    weights.write(out, {record.name: EDIT for record in weights.records})
                open_weights(Path(folder) / "out").close()
                for record in weights.records:
                    for blob in record.blobs:
                        blob.array()
                        list(blob.chunks(3))
        except CaffemodelError as error:
            return str(error)
    return None


def check(data):
    error = use_all_of(data)
    assert error is None or "\n" not in error


def test_the_whole_file_is_fine():
    assert use_all_of(WHOLE) is None


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=4))
def test_changed_bytes(changes):
    data = bytearray(WHOLE)
    for position, byte in changes:
        data[position] = byte
    check(bytes(data))


@settings(max_examples=150)
@given(st.integers(0, len(WHOLE)), st.integers(0, len(WHOLE)), st.binary(max_size=12))
def test_bytes_lost_and_put_in(start, stop, extra):
    check(WHOLE[:start] + extra + WHOLE[stop:])


@settings(max_examples=150)
@given(st.binary(max_size=60))
def test_any_bytes_at_all(body):
    check(body)
    check(layer("a", body))
    check(layer("a", sub(7, body)))
