"""What reads the files: each target calls the library on a folder of them."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import bnfold
from bnfold.checks.accuracy.detection_truth import open_truth, read_labelmap
from bnfold.checks.images.preprocess_file import read_options
from bnfold.checks.images.sources import Sample
from bnfold.preprocess_options import PreprocessOptions

from .seeds import DIGITS, IMAGE, LABELS, LIST, XML, networks


def _pair(folder: Path) -> tuple[Path, Path]:
    weights = folder / "net.caffemodel"
    return folder / "net.prototxt", weights if weights.exists() else folder / "net.caffemodel.h5"


def merge(folder: Path) -> None:
    bnfold.merge(*_pair(folder)).to_json()


def merge_others(folder: Path) -> None:
    bnfold.merge(*_pair(folder), concat_branches=True, keep_dtype=True, dry_run=True)


def inspect(folder: Path) -> None:
    model, weights = _pair(folder)
    bnfold.inspect(model, weights).to_json()
    bnfold.inspect(model).to_json()


def prune(folder: Path) -> None:
    bnfold.prune(*_pair(folder), ratio=0.5, round_to=1, merge=True).to_json()


def prune_channels(folder: Path) -> None:
    model, weights = _pair(folder)
    bnfold.prune(model, weights, channels=folder / "channels", dry_run=True)


def verify(folder: Path) -> None:
    options = bnfold.VerifyOptions(random=1, runtime="opencv", threads=1, layers=True)
    folded = folder / "folded.prototxt", folder / "folded.caffemodel"
    bnfold.verify(*_pair(folder), folded_model=folded[0], folded_weights=folded[1], options=options)


def accuracy(folder: Path) -> None:
    digits = DIGITS / "deploy.prototxt", DIGITS / "digits.caffemodel"
    toml = folder / "options.toml"
    mean = folder / "mean"
    preprocess = PreprocessOptions(mean_file=mean) if mean.exists() else PreprocessOptions()
    if toml.exists():
        preprocess = read_options(toml)
    data = folder / "data.mdb"
    bnfold.accuracy(
        *digits,
        folded_model=digits[0],
        folded_weights=digits[1],
        images=data if data.exists() else folder / "list.txt",
        preprocess=preprocess,
        runtime="opencv",
        threads=1,
        workers=1,
        limit=4,
    )


def annotations(folder: Path) -> None:
    labelmap, coco = folder / "labelmap", folder / "coco.json"
    labels = read_labelmap(labelmap)
    given = coco if coco.exists() else folder
    truth = open_truth(given, labelmap)
    sample = Sample("sub/a.png", None, lambda channels: None)  # type: ignore[arg-type,return-value]
    truth.of(sample, (8, 8))
    for label in labels:
        truth.category(label.number)


TARGETS: dict[str, Callable[[Path], None]] = {
    target.__name__: target
    for target in (
        merge,
        merge_others,
        inspect,
        prune,
        prune_channels,
        verify,
        accuracy,
        annotations,
    )
}


def warm() -> None:
    """Import what a call imports, and leave nothing on the streams: call it once in a process."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for text, weights in networks()[:2]:
            files = {"net.prototxt": text, "net.caffemodel": weights, "channels": b"c1: 1"}
            files |= {"folded.prototxt": text, "folded.caffemodel": weights}
            files |= {"list.txt": LIST, "a.png": IMAGE, "labelmap": LABELS, "a.xml": XML}
            for path, data in files.items():
                (folder / path).write_bytes(data)
            for target in TARGETS.values():
                with contextlib.suppress(Exception):
                    target(folder)
