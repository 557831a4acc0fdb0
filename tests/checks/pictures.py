"""Images, image sets and a network that says which of their channels is the brightest."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from bnfold.caffemodel import schema

BRIGHTEST = """
layer { name: "data" type: "Input" top: "data"
  input_param { shape { dim: 1 dim: 3 dim: 2 dim: 2 } } }
layer { name: "pool" type: "Pooling" bottom: "data" top: "pool"
  pooling_param { pool: AVE global_pooling: true } }
layer { name: "fc" type: "InnerProduct" bottom: "pool" top: "fc"
  inner_product_param { num_output: 3 bias_term: false } }
"""


def weights_file(path: Path, **blobs: np.ndarray) -> Path:
    """A caffemodel with one blob for each layer."""
    net = schema.message("NetParameter")()
    for name, array in blobs.items():
        blob = net.layer.add(name=name).blobs.add()
        blob.shape.dim.extend(array.shape)
        blob.data.extend(np.asarray(array, np.float32).ravel().tolist())
    path.write_bytes(net.SerializeToString())
    return path


def brightest(folder: Path, factors=(1, 1, 1), stem="net", text=BRIGHTEST) -> tuple[Path, Path]:
    """The network, with a factor for each channel's score."""
    model = folder / f"{stem}.prototxt"
    model.write_text(text)
    return model, weights_file(folder / f"{stem}.caffemodel", fc=np.diag(factors))


def flat(*bgr: int, side: int = 2) -> np.ndarray:
    """An image of one color."""
    return np.full((side, side, 3), bgr, np.uint8)


def png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()


def jpeg(image: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def photo(height: int = 40, width: int = 60, channels: int = 3, seed: int = 3) -> np.ndarray:
    """Something smooth, so that JPEG keeps it."""
    small = np.random.default_rng(seed).integers(0, 256, (5, 6, channels)).astype(np.uint8)
    return cv2.resize(small, (width, height)).reshape(height, width, channels)


def write_list(path: Path, entries) -> Path:
    """Images in the folder of a list; `entries` are name, bytes or image, label."""
    lines = []
    for name, content, label in entries:
        target = path.parent / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else png(content))
        lines.append(f"{name} {label}\n")
    path.write_text("".join(lines))
    return path


def datum(label: int, image: np.ndarray | None = None, **more):
    """A Datum: of raw bytes, or of what is given."""
    record = schema.message("Datum")(label=label, **more)
    if image is not None:
        record.height, record.width, record.channels = image.shape
        record.data = image.transpose(2, 0, 1).tobytes()
    return record


def write_lmdb(path: Path, records) -> Path:
    import lmdb

    store = lmdb.open(str(path), map_size=1 << 24)
    with store.begin(write=True) as transaction:
        for number, record in enumerate(records):
            value = record if isinstance(record, bytes) else record.SerializeToString()
            transaction.put(f"{number:08d}".encode(), value)
    store.close()
    return path
