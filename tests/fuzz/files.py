"""Random damage to every file that bnfold reads: nothing but a BnfoldError may come of it.

An input is a target (targets.py) and the files it is given: those of seeds.py, some of them changed
one to four times (mutations.py). It fails where another exception comes out, where it takes more
than 10 s or 1 GB, or where the process dies (worker.py). A failing input is made as small as a few
seconds allow and saved; of faults of one kind, by exception and function, the first alone.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

from . import mutations, seeds
from .mutations import Mutation
from .summary import Summary
from .worker import Worker

_SMALLER_SECONDS = 15.0
"""For making a failing input smaller."""

Files = dict[str, bytes]


@dataclass(frozen=True)
class Input:
    """Files for a target.

    Attributes:
        target: its name.
        files: what it is given.
        origin: the same before they were changed.
    """

    target: str
    files: Files
    origin: Files


def run(seconds: float, seed: int, save: Path) -> Summary:
    """Judge random inputs for so many seconds.

    Args:
        seconds: stop soon after so long.
        seed: the same seed gives the same inputs in the same order.
        save: gets a folder for each kind of failure, with the files that make it.
    """
    rng, summary, kinds = Random(seed), Summary(), Counter[str]()
    end = time.monotonic() + seconds
    with Worker() as worker:
        while time.monotonic() < end:
            case = draw(rng)
            verdict = worker.judge(case.target, case.files)
            summary.inputs += 1
            if verdict:
                kinds[verdict] += 1
                if kinds[verdict] == 1:
                    folder = _save(smaller(worker, case, verdict), save, len(kinds))
                    summary.failures.append(f"{verdict}; the input is in {folder}")
    return summary


def draw(rng: Random) -> Input:
    """One input."""
    target, origin, how = rng.choice(_KINDS)(rng)
    files = dict(origin)
    for _ in range(rng.choice((1, 1, 2, 2, 3, 4))):
        name = rng.choice([name for name in files if name in how])
        files[name] = how[name](files[name], rng)
    return Input(target, files, origin)


def smaller(worker: Worker, case: Input, verdict: str) -> Input:
    """An input that fails in the same way, with less of it changed and less in it."""
    end, files = time.monotonic() + _SMALLER_SECONDS, dict(case.files)

    def fails(name: str, data: bytes) -> bool:
        return worker.judge(case.target, {**files, name: data}) == verdict

    for name, data in case.origin.items():
        if files[name] != data and time.monotonic() < end and fails(name, data):
            files[name] = data
    for name in files:
        parts = files[name].splitlines(keepends=True)
        size = len(parts) // 2
        while size and time.monotonic() < end:
            start = 0
            while start < len(parts) and time.monotonic() < end:
                rest = parts[:start] + parts[start + size :]
                if fails(name, b"".join(rest)):
                    parts = rest
                else:
                    start += size
            size //= 2
        files[name] = b"".join(parts)
    return Input(case.target, files, case.origin)


def _save(case: Input, save: Path, number: int) -> Path:
    folder = save / f"files-{number}-{case.target}"
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in case.files.items():
        (folder / name).write_bytes(data)
    return folder


# ---------------------------------------------------------------- what to draw from

Kind = tuple[str, Files, Mapping[str, Mutation]]
_PAIR: Mapping[str, Mutation] = {
    "net.prototxt": mutations.prototxt,
    "net.caffemodel": mutations.caffemodel,
    "net.caffemodel.h5": mutations.any_bytes,
}


def _network(rng: Random) -> Files:
    text, weights = rng.choice(seeds.networks())
    return {"net.prototxt": text, "net.caffemodel": weights}


def _pair(rng: Random) -> Kind:
    return rng.choice(("merge", "merge_others", "inspect", "prune")), _network(rng), _PAIR


def _hdf5(rng: Random) -> Kind:
    found = seeds.hdf5()
    if found is None:
        return _pair(rng)
    files = {"net.prototxt": found[0], "net.caffemodel.h5": found[1]}
    return rng.choice(("merge", "inspect", "prune")), files, _PAIR


def _channels(rng: Random) -> Kind:
    text, weights = seeds.networks()[1]
    json = rng.random() < 0.4
    lines = seeds.CHANNELS_JSON if json else seeds.CHANNELS
    files = {"net.prototxt": text, "net.caffemodel": weights, "channels": lines}
    return (
        "prune_channels",
        files,
        {"channels": mutations.as_json if json else mutations.structured},
    )


def _verify(rng: Random) -> Kind:
    text, weights = rng.choice(seeds.networks())
    files = {"net.prototxt": text, "net.caffemodel": weights}
    files |= {"folded.prototxt": text, "folded.caffemodel": weights}
    how = {"folded.prototxt": mutations.prototxt, "folded.caffemodel": mutations.caffemodel}
    return "verify", files, how


def _mean(rng: Random) -> Kind:
    plain = rng.random() < 0.5
    files = {"list.txt": seeds.LIST, "a.png": seeds.IMAGE}
    if plain:
        return "accuracy", {**files, "mean": seeds.mean_npy()}, {"mean": mutations.npy}
    how = {"mean": mutations.wire("BlobProto")}
    return "accuracy", {**files, "mean": seeds.mean_blob()}, how


def _images(rng: Random) -> Kind:
    files = {"list.txt": seeds.LIST, "a.png": seeds.IMAGE}
    return "accuracy", files, {"list.txt": mutations.structured, "a.png": mutations.any_bytes}


def _toml(rng: Random) -> Kind:
    text = rng.choice((seeds.TOML, seeds.TOML_MEAN))
    files = {"list.txt": seeds.LIST, "a.png": seeds.IMAGE, "options.toml": text}
    return "accuracy", files, {"options.toml": mutations.structured}


def _lmdb(rng: Random) -> Kind:
    found = seeds.lmdb()
    if found is None:
        return _images(rng)
    return "accuracy", {"data.mdb": found}, {"data.mdb": mutations.any_bytes}


def _annotations(rng: Random) -> Kind:
    labelmap = rng.choice((seeds.LABELMAP, seeds.LABELS))
    how: dict[str, Mutation] = {"labelmap": mutations.structured}
    if rng.random() < 0.5:
        how["coco.json"] = mutations.as_json
        return "annotations", {"labelmap": labelmap, "coco.json": seeds.COCO}, how
    how["a.xml"] = mutations.structured
    return "annotations", {"labelmap": labelmap, "a.xml": seeds.XML}, how


_KINDS: tuple[Callable[[Random], Kind], ...] = (
    *[_pair] * 12,
    *[_hdf5] * 2,
    *[_channels] * 2,
    _verify,
    _mean,
    _images,
    _toml,
    _lmdb,
    *[_annotations] * 2,
)
