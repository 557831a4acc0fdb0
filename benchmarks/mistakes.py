#!/usr/bin/env python3
"""How many single mistakes in a folded network `prove` catches and places, and `verify` catches.

python benchmarks/mistakes.py [--count N] [--seed S] [--verify N] [MODEL WEIGHTS]...

Without a network it takes examples/digits. Each mistake is one change of the folded files: a weight
by 1 %, by 8 units in the last place, its sign; two output channels exchanged; a bias by 1 %; the
group of a convolution; another layer's numbers under a layer's name; another bottom; or a fold made
with another eps or another moving-average factor. `--verify N` runs the first N of them through an
engine as well.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import bnfold
from bnfold.caffemodel import ArrayBlob, LayerEdit, Weights, open_weights

EXAMPLE = Path(__file__).parent.parent / "examples" / "digits"
HOSTS = ("Convolution", "InnerProduct", "Deconvolution", "DepthwiseConvolution")


@dataclass(frozen=True)
class Mistake:
    """What was changed.

    Attributes:
        kind: which of KINDS.
        layer: the layer of the folded network that is wrong; "" for several.
    """

    kind: str
    layer: str


class Maker:
    """Makes mistakes in a folded network, one at a time, in a pair of files of its own."""

    def __init__(self, pair: tuple[Path, Path], folder: Path, seed: int) -> None:
        self.pair, self.folder = pair, folder
        self.rng = np.random.default_rng(seed)
        self.right = folder / "right.prototxt", folder / "right.caffemodel"
        self.wrong = folder / "wrong.prototxt", folder / "wrong.caffemodel"
        bnfold.merge(*pair, output_model=self.right[0], output_weights=self.right[1], force=True)
        self.text = self.right[0].read_text(errors="surrogateescape")
        self.weights = open_weights(self.right[1])
        self.names = [
            record.name
            for record in self.weights.records
            if record.blobs and record.blobs[0].size > 1 and f'"{record.name}"' in self.text
        ]

    def make(self, kind: str) -> Mistake | None:
        """Make a mistake of a kind; None where this network has no place for it."""
        self.wrong[0].write_text(self.text, errors="surrogateescape")
        return KINDS[kind](self)

    def write(self, edits: dict[str, LayerEdit]) -> None:
        """Write the weights with blobs changed."""
        with self.wrong[1].open("wb") as out:
            self.weights.write(out, edits)

    def blob(self, bias: bool) -> tuple[str, int, list[Any]] | None:
        """A layer, which of its blobs, and all of them."""
        known = {name: self.weights.get(name) for name in self.names}
        names = [n for n, r in known.items() if r and (len(r.blobs) > 1 or not bias)]
        if not names:
            return None
        name = str(self.rng.choice(names))
        record = known[name]
        assert record is not None
        return name, int(bias), [blob.array() for blob in record.blobs]


def number(kind: str, change: Callable[[np.float32], Any], bias: bool = False) -> Any:
    def make(maker: Maker) -> Mistake | None:
        found = maker.blob(bias)
        if found is None:
            return None
        name, index, arrays = found
        flat = arrays[index].reshape(-1)
        places = np.flatnonzero(flat)
        if not places.size:
            return None
        at = int(maker.rng.choice(places))
        flat[at] = change(flat[at])
        maker.write({name: LayerEdit(blobs=tuple(map(ArrayBlob, arrays)))})
        return Mistake(kind, name)

    return make


def swap(maker: Maker) -> Mistake | None:
    found = maker.blob(False)
    if found is None or found[2][0].shape[0] < 2:
        return None
    name, _, arrays = found
    one, two = maker.rng.choice(arrays[0].shape[0], 2, replace=False)
    if np.array_equal(arrays[0][one], arrays[0][two]):
        return None
    arrays[0][[one, two]] = arrays[0][[two, one]]
    maker.write({name: LayerEdit(blobs=tuple(map(ArrayBlob, arrays)))})
    return Mistake("two channels exchanged", name)


def stale(maker: Maker) -> Mistake | None:
    shapes: dict[tuple[Any, ...], list[str]] = {}
    for name in maker.names:
        record = maker.weights.get(name)
        assert record is not None
        shapes.setdefault(tuple(blob.shape for blob in record.blobs), []).append(name)
    groups = [names for names in shapes.values() if len(names) > 1]
    if not groups:
        return None
    one, two = maker.rng.choice(groups[int(maker.rng.integers(len(groups)))], 2, replace=False)
    record = maker.weights.get(str(two))
    assert record is not None
    maker.write({str(one): LayerEdit(blobs=record.blobs)})
    return Mistake("another layer's numbers", str(one))


def group(maker: Maker) -> Mistake | None:
    places = list(re.finditer(r"group: (\d+)", maker.text))
    places = [place for place in places if int(place[1]) > 1]
    if not places:
        return None
    place = places[int(maker.rng.integers(len(places)))]
    text = maker.text[: place.start()] + "group: 1" + maker.text[place.end() :]
    maker.wrong[0].write_text(text, errors="surrogateescape")
    maker.wrong[1].write_bytes(maker.right[1].read_bytes())
    return Mistake("a wrong group", "")


def bottom(maker: Maker) -> Mistake | None:
    places = list(re.finditer(r'bottom: "([^"]+)"', maker.text))
    place = places[int(maker.rng.integers(1, len(places)))]
    before = [other[1] for other in places if other.start() < place.start()]
    names = sorted(set(before) - {place[1]})
    if not names:
        return None
    text = maker.text[: place.start(1)] + str(maker.rng.choice(names)) + maker.text[place.end(1) :]
    maker.wrong[0].write_text(text, errors="surrogateescape")
    maker.wrong[1].write_bytes(maker.right[1].read_bytes())
    return Mistake("a bottom exchanged", "")


def eps(maker: Maker) -> Mistake | None:
    value = float(maker.rng.choice([2.2e-16, 1e-3, 2e-5]))
    outputs = {"output_model": maker.wrong[0], "output_weights": maker.wrong[1]}
    bnfold.merge(*maker.pair, **outputs, force=True, eps=value)
    return Mistake("another eps", "")


def factor(maker: Maker) -> Mistake | None:
    with open_weights(maker.pair[1]) as weights:
        names = [r.name for r in weights.records if r.type == "BatchNorm" and len(r.blobs) == 3]
        if not names:
            return None
        name = str(maker.rng.choice(names))
        other = maker.folder / "factor.caffemodel"
        _rewrite(weights, other, name)
    outputs = {"output_model": maker.wrong[0], "output_weights": maker.wrong[1]}
    bnfold.merge(maker.pair[0], other, **outputs, force=True)
    return Mistake("another moving-average factor", "")


def _rewrite(weights: Weights, path: Path, name: str) -> None:
    record = weights.get(name)
    assert record is not None
    blobs = (*record.blobs[:2], ArrayBlob(record.blobs[2].array() * np.float32(1.01)))
    with path.open("wb") as out:
        weights.write(out, {name: LayerEdit(blobs=blobs)})


KINDS: dict[str, Callable[[Maker], Mistake | None]] = {
    "a weight by 1 %": number("a weight by 1 %", lambda x: x * np.float32(1.01)),
    "a weight by 8 ulp": number("a weight by 8 ulp", lambda x: x + 8 * np.spacing(np.abs(x))),
    "a sign": number("a sign", lambda x: -x),
    "a bias by 1 %": number("a bias by 1 %", lambda x: x * np.float32(1.01), bias=True),
    "two channels exchanged": swap,
    "another layer's numbers": stale,
    "a wrong group": group,
    "a bottom exchanged": bottom,
    "another eps": eps,
    "another moving-average factor": factor,
}


def judge(maker: Maker, seen: dict[str, Counter[str]], kind: str, verify: bool) -> None:
    mistake = maker.make(kind)
    same = [x.read_bytes() == y.read_bytes() for x, y in zip(maker.wrong, maker.right, strict=True)]
    if mistake is None or all(same):
        return
    files = {"folded_model": maker.wrong[0], "folded_weights": maker.wrong[1]}
    count = seen.setdefault(kind, Counter())
    count["made"] += 1
    try:
        proof = bnfold.prove(*maker.pair, **files)
    except bnfold.BnfoldError:
        count["caught"] += 1
        count["placed"] += 1
    else:
        caught = not proof.proved
        count["caught"] += caught
        where = "" if proof.ends is None else proof.ends.layer
        count["placed"] += caught and mistake.layer in ("", where)
        if not caught or mistake.layer not in ("", where):
            print(f"  {mistake}: {proof.headline()}", file=sys.stderr)
    if verify:
        count["run"] += 1
        try:
            count["verified"] += not bnfold.verify(*maker.pair, **files).passed
        except bnfold.BnfoldError:
            count["verified"] += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--count", type=int, default=200, help="mistakes in each network")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--verify", type=int, default=0, help="how many go through an engine")
    options = parser.parse_args()
    files = options.files or [EXAMPLE / "deploy.prototxt", EXAMPLE / "digits.caffemodel"]
    total: dict[str, Counter[str]] = {}
    for pair in zip(files[::2], files[1::2], strict=True):
        with tempfile.TemporaryDirectory() as folder:
            maker = Maker(pair, Path(folder), options.seed)
            for index in range(options.count):
                kind = list(KINDS)[index % len(KINDS)]
                judge(maker, total, kind, index < options.verify)
    print("| mistake | made | caught by prove | in the right place | caught by verify |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for kind, count in total.items():
        run = f"{count['verified']} of {count['run']}" if count["run"] else ""
        print(f"| {kind} | {count['made']} | {count['caught']} | {count['placed']} | {run} |")


if __name__ == "__main__":
    main()
