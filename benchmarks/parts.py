#!/usr/bin/env python3
"""Measure where the time of `bnfold merge` goes, part by part, beside copying the file.

python benchmarks/parts.py [--svg FILE]        (or `make bench`)

A ResNet-50 (100 MB) is generated in a temporary folder and merged in a fresh Python, with a clock
read between the parts; then its weights are copied by `cp` and synced. Figures are medians, in
milliseconds. `--svg` draws them: docs/merge_time.svg is made so.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from merge import environment
from networks import resnet50

ROUNDS = 15

MERGE = """
import sys, time
names, marks = ["Python starts"], [float(sys.argv[1]), time.monotonic()]
def mark(name):
    names.append(name)
    marks.append(time.monotonic())
import click
mark("import of click")
from bnfold.cli.numpy_import import import_numpy
import_numpy()
mark("import of numpy")
import google.protobuf.message_factory
mark("import of protobuf")
import json, os
import bnfold.api, bnfold.cli.merge
from bnfold.caffemodel.binary import BinaryWeights
from bnfold.fold.channels.dead import RemoveDead
mark("import of bnfold")
spent = {}
def clocked(owner, name, part):
    real = getattr(owner, name)
    def instead(*arguments, **named):
        begin = time.monotonic()
        try:
            return real(*arguments, **named)
        finally:
            spent[part] = spent.get(part, 0) + time.monotonic() - begin
    setattr(owner, name, instead)
clocked(RemoveDead, "run", "look for zero filters")
clocked(BinaryWeights, "write", "compute and write weights")
clocked(os, "fsync", "wait for the disk")
bnfold.api.merge(*sys.argv[2:4], output_model=sys.argv[4], output_weights=sys.argv[5])
mark("read and plan")
parts = {name: end - begin for name, begin, end in zip(names, marks, marks[1:])}
parts["read and plan"] -= sum(spent.values())
print(json.dumps(parts | spent))
"""

GREYS = ("#6e7781", "#8c959f", "#afb8c1", "#d0d7de")
"""What any Python program of this kind waits for."""
COLOURS = (*GREYS, "#0969da", "#54aeff", "#8250df", "#2da44e", "#e16f24")

HEAD = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 330" width="760" height="330" role="img" \
aria-labelledby="title desc" \
font-family="system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif">
  <title id="title">Where the time of a merge goes, beside that of a copy</title>
  <desc id="desc">{merge} {copy}</desc>
  <style>
    .panel {{ fill: #ffffff; stroke: #d0d7de }}
    .text {{ fill: #1f2328; font-size: 14px }}
    @media (prefers-color-scheme: dark) {{
      .panel {{ fill: #0d1117; stroke: #3d444d }}
      .text {{ fill: #f0f6fc }}
    }}
  </style>
  <rect class="panel" x="1" y="1" width="758" height="328" rx="8"/>"""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--svg", type=Path, help="draw what was measured into this file")
    svg = parser.parse_args().svg
    with tempfile.TemporaryDirectory(prefix="bnfold-bench-") as name:
        merge, copy = measured(Path(name))
    print(f"{'':38}{'ms':>10}")
    for title, parts in (("merge", merge), ("copy", copy)):
        for part, seconds in parts.items():
            print(f"{title}: {part:<{36 - len(title)}}{seconds * 1000:>10.0f}")
        print(f"{title + ', all of it':38}{sum(parts.values()) * 1000:>10.0f}")
    if svg is not None:
        svg.write_text(drawn(merge, copy), encoding="utf-8")
    return 0


def measured(folder: Path) -> tuple[dict[str, float], dict[str, float]]:
    """The medians of the parts of a merge and of a copy, in seconds."""
    env = environment(folder)
    pair = resnet50().save(folder, "net")
    outputs = [folder / "merged.prototxt", folder / "merged.caffemodel"]
    copy = folder / "copy"
    merges, copies = [], []
    for _ in range(ROUNDS + 1):
        command = [sys.executable, "-c", MERGE, str(time.monotonic()), *map(str, (*pair, *outputs))]
        ran = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
        merges.append(json.loads(ran.stdout))
        start = "import numpy, google.protobuf.message"
        copies.append(
            {
                "Python, numpy, protobuf": seconds([sys.executable, "-c", start], env),
                "cp": seconds(["cp", str(pair[1]), str(copy)], env),
                "sync": seconds(["sync", str(copy)], env),
            }
        )
        for path in (*outputs, copy):
            path.unlink()
    # The first round is not counted: it compiles modules and warms the cache.
    return middle(merges[1:]), middle(copies[1:])


def seconds(command: Sequence[str], env: Mapping[str, str]) -> float:
    """How long a command takes."""
    begin = time.monotonic()
    subprocess.run(command, env=env, check=True)
    return time.monotonic() - begin


def middle(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {part: median(each[part] for each in rounds) for part in rounds[0]}


def drawn(merge: Mapping[str, float], copy: Mapping[str, float]) -> str:
    """Both as bars of one scale, the parts of the merge named below."""
    scale = 700 / max(sum(merge.values()), sum(copy.values()))
    colours = dict(zip(merge, COLOURS, strict=True))
    others = dict(zip(copy, (GREYS[1], COLOURS[-2], COLOURS[-1]), strict=True))
    lines = [
        HEAD.format(merge=described("A merge", merge), copy=described("A copy", copy)),
        *bar(30, "bnfold merge of a ResNet-50 (102 MB)", merge, colours, scale),
        *bar(100, "Python with numpy and protobuf, cp, sync", copy, others, scale),
    ]
    for index, (part, length) in enumerate([*merge.items(), *copy.items()]):
        x, y = 30 + index % 2 * 350, 182 + index // 2 * 24
        fill = colours[part] if part in merge else others[part]
        name = part if part in merge else f"copy: {part}"
        lines.append(f'  <rect x="{x}" y="{y}" width="14" height="14" fill="{fill}"/>')
        lines.append(
            f'  <text class="text" x="{x + 22}" y="{y + 12}">{name}: {length * 1000:.0f} ms</text>'
        )
    return "\n".join([*lines, "</svg>", ""])


def bar(
    y: int, title: str, parts: Mapping[str, float], colours: Mapping[str, str], scale: float
) -> list[str]:
    whole = sum(parts.values()) * 1000
    lines = [f'  <text class="text" x="30" y="{y}">{title}: {whole:.0f} ms</text>']
    x = 30.0
    for part, length in parts.items():
        width = length * scale
        lines.append(
            f'  <rect x="{x:.1f}" y="{y + 8}" width="{width:.1f}" height="30" '
            f'fill="{colours[part]}"/>'
        )
        x += width
    return lines


def described(what: str, parts: Mapping[str, float]) -> str:
    each = ", ".join(f"{part} {length * 1000:.0f}" for part, length in parts.items())
    return f"{what}, in milliseconds: {each}."


if __name__ == "__main__":
    sys.exit(main())
