"""Train the digits network with Caffe, and write all that is generated in this folder.

Run it through train.sh, which prepares what it needs: pycaffe (tools/build_pycaffe.sh),
scikit-learn, h5py and OpenCV 4. None of these is a dependency of bnfold.

Writes digits.caffemodel as Caffe's solver saved it, images/*.png and val.txt, then measures the
accuracy of deploy.prototxt on those PNGs in Caffe and in OpenCV.
"""

from __future__ import annotations

import argparse
import os
import shutil
import struct
import tempfile
import zlib
from pathlib import Path

import caffe
import cv2
import h5py
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

HERE = Path(__file__).resolve().parent
HELD_OUT = 360
SPLIT_SEED = 2024
PIXEL_SCALE = 0.00390625  # 1/256, as the Power layer of train_val.prototxt


def digits() -> tuple[np.ndarray, ...]:
    """Return train pixels, held-out pixels (N x 8 x 8, uint8, 0..240) and the labels of both."""
    data = load_digits()
    pixels = (data.images * 15).astype(np.uint8)  # 0..16 in the data set
    return tuple(
        train_test_split(
            pixels,
            data.target,
            test_size=HELD_OUT,
            stratify=data.target,
            random_state=SPLIT_SEED,
        )
    )


def png(image: np.ndarray) -> bytes:
    """Encode an 8-bit gray image, stored uncompressed: the same bytes with any zlib."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    height, width = image.shape
    rows = b"".join(b"\0" + row.tobytes() for row in image)  # 0: no filter on this row
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 0)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def write_images(folder: Path, pixels: np.ndarray, labels: np.ndarray) -> None:
    """Write images/NNNN.png and val.txt, one `path label` a line, relative to val.txt."""
    shutil.rmtree(folder / "images", ignore_errors=True)
    (folder / "images").mkdir()
    lines = []
    for number, (image, label) in enumerate(zip(pixels, labels, strict=True), start=1):
        name = f"images/{number:04}.png"
        (folder / name).write_bytes(png(image))
        lines.append(f"{name} {label}\n")
    (folder / "val.txt").write_text("".join(lines))


def write_hdf5(path: Path, listing: Path, pixels: np.ndarray, labels: np.ndarray) -> None:
    """Write what an HDF5Data layer reads: the arrays, and a text file naming their file."""
    with h5py.File(path, "w") as file:
        file["raw"] = pixels[:, None].astype(np.float32)
        file["label"] = labels.astype(np.float32)
    listing.write_text(f"{path.name}\n")


def train(folder: Path) -> None:
    """Let Caffe's solver train, and copy the caffemodel that it saved."""
    train_pixels, val_pixels, train_labels, val_labels = digits()
    write_images(folder, val_pixels, val_labels)
    with tempfile.TemporaryDirectory() as scratch_name:
        scratch = Path(scratch_name)
        for name in ("solver.prototxt", "train_val.prototxt"):
            shutil.copy(HERE / name, scratch)
        write_hdf5(scratch / "train.h5", scratch / "train.txt", train_pixels, train_labels)
        write_hdf5(scratch / "val.h5", scratch / "val_hdf5.txt", val_pixels, val_labels)
        os.chdir(scratch)  # Caffe looks for all files of a solver from the working folder.
        caffe.get_solver("solver.prototxt").solve()  # Saves when it is through.
        os.chdir(folder)
        (saved,) = scratch.glob("digits_iter_*.caffemodel")
        shutil.copyfile(saved, folder / "digits.caffemodel")


def probabilities(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Run the held-out PNGs in Caffe and in OpenCV; return both outputs, and the labels."""
    prototxt, caffemodel = str(HERE / "deploy.prototxt"), str(folder / "digits.caffemodel")
    caffe_net = caffe.Net(prototxt, caffemodel, caffe.TEST)
    opencv_net = cv2.dnn.readNetFromCaffe(prototxt, caffemodel)
    opencv_net.enableFusion(False)  # Else OpenCV folds the batch norms itself.
    by_caffe, by_opencv, labels = [], [], []
    for line in (folder / "val.txt").read_text().splitlines():
        name, label = line.split()
        image = cv2.imread(str(folder / name), cv2.IMREAD_GRAYSCALE)
        blob = image[None, None].astype(np.float32) * np.float32(PIXEL_SCALE)
        caffe_net.blobs["data"].data[...] = blob
        by_caffe.append(caffe_net.forward()["prob"][0].copy())
        opencv_net.setInput(blob)
        by_opencv.append(opencv_net.forward()[0].copy())
        labels.append(int(label))
    return np.array(by_caffe), np.array(by_opencv), np.array(labels)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write to (this one)")
    parser.add_argument("--measure", action="store_true", help="only measure what is there")
    options = parser.parse_args()
    folder = options.out.resolve()
    folder.mkdir(parents=True, exist_ok=True)

    caffe.set_mode_cpu()
    if not options.measure:
        train(folder)
    by_caffe, by_opencv, labels = probabilities(folder)
    for engine, output in (("Caffe", by_caffe), ("OpenCV", by_opencv)):
        right = int((output.argmax(axis=1) == labels).sum())
        print(f"{engine}: {right} of {len(labels)} right, {100 * right / len(labels):.2f} %")
    print(f"largest difference of a probability: {np.abs(by_caffe - by_opencv).max():.1e}")


if __name__ == "__main__":
    main()
