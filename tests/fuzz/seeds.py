"""What mutations begin with: small networks and files of every kind that bnfold reads."""

from __future__ import annotations

import io
import json
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from tests.models import Model, blob

DIGITS = Path(__file__).parents[2] / "examples" / "digits"


def _block(
    net: Model, name: str, bottom: str, outputs: int, kernel: int = 3, **words: object
) -> None:
    net.conv(name, bottom, outputs, kernel, bias=False, **words)  # type: ignore[arg-type]
    net.batch_norm(f"{name}/bn", name).scale(f"{name}/s", name).relu(f"{name}/r", name)


def _zero(net: Model, name: str, rows: tuple[int, ...]) -> None:
    """Filters of zeros, so that channels are dead."""
    (record,) = (r for r in net.net.layer if r.name == name)
    weight = record.blobs[0]
    each = len(weight.data) // weight.shape.dim[0]
    for row in rows:
        weight.data[row * each : (row + 1) * each] = [0.0] * each


def _plain() -> Model:
    net = Model(seed=1).input("data", (1, 3, 8, 8))
    net.conv("c", "data", 4).batch_norm("b", "c").scale("s", "c").relu("r", "c")
    return net.inner_product("f", "c", 2, 144).batch_norm("fb", "f")


def _dead() -> Model:
    net = Model(seed=2).input("data", (1, 3, 8, 8))
    _block(net, "c1", "data", 6, words="pad: 1")
    _block(net, "c2", "c1", 6, words="pad: 1")
    net.plain("Eltwise", "sum", "c1 c2")
    _block(net, "dw", "sum", 6, group=6)
    net.plain("Pooling", "pool", "dw", words="pooling_param { pool: AVE global_pooling: true }")
    net.plain("Flatten", "flat", "pool")
    net.inner_product("f", "flat", 3, 6)
    for name in ("c1", "c2", "dw"):
        _zero(net, name, (1, 4))
    return net


def _branches() -> Model:
    net = Model(seed=3).input("data", (1, 4, 8, 8))
    for name, kernel, words in (("a", 3, "pad: 1"), ("b", 1, "")):
        net.conv(name, "data", 4, kernel, words=words).batch_norm(f"{name}/bn", name)
    net.batch_norm("i", "data", "i")
    net.plain("Eltwise", "sum", "a b i").relu("r", "sum")
    net.conv("g", "sum", 4, 3, group=2).conv("h", "g", 2, 1)
    _zero(net, "a", (0,))
    _zero(net, "b", (0,))
    _zero(net, "g", (0, 2))
    return net


def _mixed() -> Model:
    net = Model(seed=4).input("data", (2, 4, 6, 6))
    net.conv("d", "data", 4, 2, kind="Deconvolution").scale("ds", "d", "ds").scale("dt", "ds", "dt")
    slopes = [np.array([0.1, 0.2, 0.3, 0.4])]
    net.layer('name: "p" type: "PReLU" bottom: "dt" top: "dt"', "p", slopes)
    net.conv("e", "dt", 6, 1, top="e").plain("Power", "w", "e", words="power_param { shift: 1 }")
    net.concat("cat", "e w").layer('name: "q" type: "Silence" bottom: "w"')
    net.layer('name: "bi" type: "Bias" bottom: "cat" top: "bi"', "bi", [np.arange(12) / 9])
    net.channels["bi"] = 12
    net.plain("Dropout", "dr", "bi", "bi").plain("Split", "sp", "bi")
    net.layer('name: "bb" type: "BN" bottom: "sp" top: "sp"', "bb", [np.ones((1, 12, 1, 1))] * 4)
    net.inner_product("f", "sp", 5, 12 * 49, transpose=True).scale("fs", "f")
    _zero(net, "e", (0, 3))
    return net


def _depthwise() -> Model:
    net = Model(seed=5).input("data", (1, 3, 7, 7))
    _block(net, "c", "data", 4)
    net.conv("dw", "c", 4, 3, group=4, kind="DepthwiseConvolution").batch_norm("db", "dw")
    net.plain("Reshape", "re", "dw", words="reshape_param { shape { dim: 0 dim: -1 } }")
    net.inner_product("f", "re", 2, 36)
    _zero(net, "c", (2,))
    return net


def _v1() -> Model:
    net = Model(seed=6, v1=True).input("data", (1, 3, 6, 6))
    net.conv("c", "data", 4).relu("r", "c")
    return net.inner_product("f", "c", 2, 64)


@cache
def networks() -> tuple[tuple[bytes, bytes], ...]:
    """Pairs of a prototxt and its weights."""
    built = [_plain(), _dead(), _branches(), _mixed(), _depthwise(), _v1()]
    half = _dead()
    for record in half.net.layer:
        for one in record.blobs:
            values = np.array(one.data, np.float32).reshape(tuple(one.shape.dim))
            one.CopyFrom(blob(values, "half"))
    pairs = [(net.text.encode(), net.net.SerializeToString()) for net in [*built, half]]
    digits = DIGITS / "deploy.prototxt", DIGITS / "digits.caffemodel"
    return (*pairs, (digits[0].read_bytes(), digits[1].read_bytes()))


@cache
def hdf5() -> tuple[bytes, bytes] | None:
    """A prototxt and its weights as HDF5, where h5py is installed."""
    try:
        import h5py
    except ImportError:
        return None
    net = _dead()
    file = io.BytesIO()
    with h5py.File(file, "w") as root:
        for record in net.net.layer:
            group = root.create_group(f"data/{record.name}")
            for index, one in enumerate(record.blobs):
                group[str(index)] = np.array(one.data, np.float32).reshape(tuple(one.shape.dim))
    return net.text.encode(), file.getvalue()


@cache
def lmdb() -> bytes | None:
    """The data.mdb of a set of two digits, where lmdb is installed."""
    try:
        import lmdb
    except ImportError:
        return None
    from bnfold.caffemodel import schema

    with tempfile.TemporaryDirectory() as folder:
        with lmdb.open(folder, map_size=1 << 20) as store, store.begin(write=True) as transaction:
            for number in range(2):
                pixels = bytes(range(64))
                datum = schema.message("Datum")(
                    channels=1, height=8, width=8, data=pixels, label=number
                )
                transaction.put(b"%08d" % number, datum.SerializeToString())
        return Path(folder, "data.mdb").read_bytes()


IMAGE = (DIGITS / "images" / "0001.png").read_bytes()
LIST = b"a.png 2\na.png 9\n"
TOML = b'mean-value = [103.94]\nscale = 0.017\nresize = "8x8"\ncrop = 8\nchannel-order = "bgr"\n'
TOML_MEAN = b'mean-file = "mean"\nraw-scale = 255\n'
CHANNELS = b'c1: 1\n"c2" = [4, 1]  # and a comment\nsum: 0-2\n'
CHANNELS_JSON = json.dumps({"c1": [1, 4], "c2": [0]}).encode()
LABELMAP = (
    b'item { name: "none_of_the_above" label: 0 display_name: "background" }\n'
    b'item { name: "n02" label: 1 display_name: "cat" }\n'
)
LABELS = b"background\ncat\ndog\n"
XML = b"""<annotation><size><width>8</width><height>8</height><depth>3</depth></size>
<object><name>cat</name><difficult>0</difficult>
<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>5</xmax><ymax>6.5</ymax></bndbox></object></annotation>
"""
COCO = json.dumps(
    {
        "images": [{"id": 7, "file_name": "sub/a.png", "height": 8, "width": 8}],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [
            {"image_id": 7, "category_id": 1, "bbox": [1, 1, 3, 4], "area": 12.0, "iscrowd": 0}
        ],
    }
).encode()


def mean_npy() -> bytes:
    file = io.BytesIO()
    np.save(file, np.full((1, 8, 8), 3.5, np.float32))
    return file.getvalue()


def mean_blob() -> bytes:
    data: bytes = blob(np.full((1, 1, 8, 8), 3.5), "legacy").SerializeToString()
    return data
