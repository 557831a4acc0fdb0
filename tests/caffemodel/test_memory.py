"""Memory does not grow with the file."""

import sys

import pytest

from .build import dims, layer, sub, varint
from .memory import kilobytes

BLOB_BYTES = 240 << 20
LIMIT_KB = 24 << 10

CHILD = """
before = peak()
with open_weights(sys.argv[1]) as weights, open("/dev/null", "wb") as out:
    weights.write(out, {"fc": LayerEdit(blobs=tuple(map(Twice, weights.get("fc").blobs)))})
    weights.write(out, {"fc": LayerEdit(type="Other")})
    assert not weights.get("fc").blobs[0].read(5, 10).any()
print(peak() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_large_blob_is_streamed(tmp_path):
    shape = dims(BLOB_BYTES // 4)
    # A sparse file: lengths are written, the values are a hole.
    head = b"\x2a" + varint(BLOB_BYTES)
    blob_size = len(shape) + len(head) + BLOB_BYTES
    blob = b"\x3a" + varint(blob_size) + shape + head
    name = sub(1, "fc")
    path = tmp_path / "large.caffemodel"
    with path.open("wb") as out:
        out.write(sub(1, "net") + layer("first"))
        out.write(varint(100 << 3 | 2) + varint(len(name) + len(blob) + BLOB_BYTES) + name + blob)
        out.seek(BLOB_BYTES, 1)
        out.write(layer("last"))
    assert kilobytes(CHILD, path) < LIMIT_KB
