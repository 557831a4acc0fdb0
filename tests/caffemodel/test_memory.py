"""Memory does not grow with the file."""

import subprocess
import sys
from pathlib import Path

import pytest

from .build import dims, layer, sub, varint

ROOT = Path(__file__).resolve().parents[2]
BLOB_BYTES = 240 << 20
LIMIT_KB = 24 << 10

CHILD = """
import sys
import numpy as np
from bnfold.caffemodel import LayerEdit, open_weights

class Twice:
    def __init__(self, blob):
        self.blob, self.shape, self.dtype = blob, blob.shape, blob.dtype
    def chunks(self, max_items):
        for chunk in self.blob.chunks(max_items):
            yield chunk * np.float32(2)

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

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
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) < LIMIT_KB
