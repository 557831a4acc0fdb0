#!/usr/bin/env python3
"""Measure `bnfold merge` against copying the file, on networks of the size people ship.

python benchmarks/merge.py        (or `make bench`)

Two networks are generated in a temporary folder: ResNet-50 (100 MB) and VGG16 with batch
normalisation (550 MB, most of it in three inner products). Then, with a warm cache:

- merge: the wall time of the whole command, over that of `cp` of the weights plus a bare Python
  start that imports numpy and protobuf. bnfold waits until its output is on the disk and `cp`
  does not, so the ratio to `cp` and `sync` of the file stands beside it;
- memory: the largest resident size of the command, mapped pages included;
- `bnfold --version`, over a bare Python start that imports click;
- `bnfold inspect` of the ResNet-50 prototxt alone, in seconds.

What is compared is run in turns, and each ratio is the median over the rounds of the ratio within
a round, so that other work on the machine meets both sides. Nothing is asserted: the targets are
printed beside the figures.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from statistics import median
from typing import BinaryIO

ROUNDS = 9
QUICK_ROUNDS = 21
MB = 1_000_000

BOTH_LIBRARIES = [sys.executable, "-c", "import numpy, google.protobuf.message"]
CLICK = [sys.executable, "-c", "import click"]


def main() -> int:
    bnfold = Path(sys.executable).with_name("bnfold")
    if not bnfold.exists():
        print(f"{bnfold}: not there; install bnfold into this Python, or use `make bench`")
        return 2
    with tempfile.TemporaryDirectory(prefix="bnfold-bench-") as name:
        folder = Path(name)
        bench = Bench(str(bnfold), folder, environment(folder))
        print(f"{'':38}{'measured':>10}{'target':>10}   medians behind it")
        for title, network in (("ResNet-50", resnet50()), ("VGG16-BN", vgg16())):
            model, weights = network.save(folder, title)
            bench.merge(title, model, weights)
            if title == "ResNet-50":
                bench.inspect(title, model)
            # Else the next network's files push this one's out of a small machine's cache.
            weights.unlink()
        bench.version()
    return 0


def environment(folder: Path) -> dict[str, str]:
    """The environment of all commands, in which Python keeps the modules it has compiled.

    An ordinary installation has them compiled; a checkout installed in place may not, where
    PYTHONDONTWRITEBYTECODE is set. A first run, which is not counted, fills the folder.
    """
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return env | {"PYTHONPYCACHEPREFIX": str(folder / "pycache")}


@dataclass(frozen=True)
class Run:
    """What one run of a command took: seconds, and bytes of its largest resident size."""

    seconds: float
    memory: int


@dataclass(frozen=True)
class Bench:
    """Runs commands in turns and prints what they took.

    Attributes:
        bnfold: the installed command.
        folder: where outputs go.
        env: the environment of the commands.
    """

    bnfold: str
    folder: Path
    env: Mapping[str, str]

    def merge(self, title: str, model: Path, weights: Path) -> None:
        """Print time and memory of a merge, against copies of the weights."""
        copy, merged = self.folder / "copy", self.folder / "merged"
        outputs = [copy, merged, self.folder / "merged.prototxt"]
        command = [self.bnfold, "merge", "--model", str(model), "--weights", str(weights)]
        command += ["--output-model", str(outputs[2]), "--output-weights", str(merged)]
        cp, sync = ["cp", str(weights), str(copy)], ["sync", str(copy)]

        def clean() -> None:
            # A file that is gone is not written to the disk while the next command is timed.
            for path in outputs:
                path.unlink(missing_ok=True)

        def copy_and_sync() -> Run:
            return Run(self.run(cp).seconds + self.run(sync).seconds, 0)

        runs = in_turns(
            ROUNDS,
            {
                "start": lambda: self.run(BOTH_LIBRARIES),
                "cp": lambda: self.run(cp),
                "merge": lambda: self.run(command),
                "synced": copy_and_sync,
            },
            clean,
        )
        size = f"{weights.stat().st_size / MB:.0f} MB"
        middle = {name: median(run.seconds for run in each) for name, each in runs.items()}
        behind = f"{middle['merge']:.2f} s, cp {{:.2f}} s, Python start {middle['start']:.2f} s"
        for what, name, target in (("cp", "cp", "<= 2"), ("cp and sync", "synced", "")):
            ratio = median(
                merge.seconds / (copied.seconds + start.seconds)
                for merge, copied, start in zip(
                    runs["merge"], runs[name], runs["start"], strict=True
                )
            )
            row(f"{title} ({size}) to {what}", f"{ratio:.2f}", target, behind.format(middle[name]))
        memory = max(run.memory for run in runs["merge"])
        row(f"{title} ({size}) memory", f"{memory / MB:.0f} MB", "<= 150 MB", "largest of all runs")

    def inspect(self, title: str, model: Path) -> None:
        """Print the time that a look at a prototxt takes."""
        command = [self.bnfold, "inspect", "--model", str(model)]
        runs = in_turns(ROUNDS, {"inspect": lambda: self.run(command)})
        row(f"inspect, {title} prototxt", f"{median_seconds(runs['inspect']):.2f} s", "", "")

    def version(self) -> None:
        """Print the time that the command takes to answer at all, against a Python start."""
        command = [self.bnfold, "--version"]
        runs = in_turns(
            QUICK_ROUNDS,
            {"version": lambda: self.run(command), "click": lambda: self.run(CLICK)},
        )
        ratio = median(
            version.seconds / click.seconds
            for version, click in zip(runs["version"], runs["click"], strict=True)
        )
        version, click = (median_seconds(runs[name]) for name in ("version", "click"))
        behind = f"{version:.3f} s, Python start with click {click:.3f} s"
        row("--version", f"{ratio:.2f}", "<= 1.5", behind)

    def run(self, command: Sequence[str]) -> Run:
        """Run a command to its end. Raises CalledProcessError if it fails."""
        begin = time.perf_counter()
        # Linux counts what the parent had resident at the start of the child towards the child's
        # largest size. This file imports no numpy and builds no large objects for that reason.
        with subprocess.Popen(command, env=self.env, stdout=subprocess.DEVNULL) as process:
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - begin
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)
        # In bytes on macOS, in kibibytes elsewhere.
        return Run(seconds, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024))


def in_turns(
    rounds: int,
    sides: Mapping[str, Callable[[], Run]],
    clean: Callable[[], None] = lambda: None,
) -> dict[str, list[Run]]:
    """Run each of `sides` once a round, after one round that is not counted; clean after each."""
    runs: dict[str, list[Run]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, side in sides.items():
            run = side()
            clean()
            if number:
                runs[name].append(run)
    return runs


def median_seconds(runs: Sequence[Run]) -> float:
    return median(run.seconds for run in runs)


def row(what: str, measured: str, target: str, behind: str) -> None:
    print(f"{what:38}{measured:>10}{target:>10}   {behind}".rstrip(), flush=True)


@dataclass
class Network:
    """A network under construction: the words of its prototxt, and its blobs' shapes by layer."""

    texts: list[str]
    channels: int = 3
    bottom: str = "data"
    blobs: dict[str, list[tuple[int, ...]]] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str) -> Network:
        """A network with an image as its input."""
        shape = "shape: { dim: 1 dim: 3 dim: 224 dim: 224 }"
        return cls([f'name: "{name}"\n', *_block("data", "Input", "", "data", "input", shape)])

    def layer(self, name: str, kind: str, top: str, param: str = "", words: str = "") -> None:
        """Add a layer behind the last one, without blobs; in place if `top` is its bottom."""
        self.texts += _block(name, kind, f'  bottom: "{self.bottom}"\n', top, param, words)
        self.bottom = top

    def conv(
        self, name: str, outputs: int, kernel: int, words: str = "", *, bias: bool = True
    ) -> None:
        """Add a convolution."""
        words += "" if bias else " bias_term: false"
        words = f"num_output: {outputs} kernel_size: {kernel} {words}"
        self.layer(name, "Convolution", name, "convolution", words)
        weight = (outputs, self.channels, kernel, kernel)
        self.blobs[name] = [weight, (outputs,)] if bias else [weight]
        self.channels = outputs

    def norm(self, name: str, *, relu: bool = True) -> None:
        """Add batch normalisation, in place, named after `name`."""
        here = self.bottom
        self.layer(f"bn{name}", "BatchNorm", here, "batch_norm", "use_global_stats: true")
        self.layer(f"scale{name}", "Scale", here, "scale", "bias_term: true")
        self.blobs[f"bn{name}"] = [(self.channels,), (self.channels,), (1,)]
        self.blobs[f"scale{name}"] = [(self.channels,), (self.channels,)]
        if relu:
            self.layer(f"relu{name}", "ReLU", here)

    def inner_product(self, name: str, outputs: int, inputs: int) -> None:
        """Add a plain inner product."""
        self.layer(name, "InnerProduct", name, "inner_product", f"num_output: {outputs}")
        self.blobs[name] = [(outputs, inputs), (outputs,)]

    def save(self, folder: Path, stem: str) -> tuple[Path, Path]:
        """Write both files and wait until they are on the disk; return their paths."""
        model, weights = folder / f"{stem}.prototxt", folder / f"{stem}.caffemodel"
        model.write_text("".join(self.texts))
        pool = random_floats()
        with weights.open("wb") as file:
            for layer, shapes in self.blobs.items():
                _write_record(file, layer, shapes, pool)
            file.flush()
            os.fsync(file.fileno())
        return model, weights


def resnet50() -> Network:
    """ResNet-50 as its authors published it for Caffe (KaimingHe/deep-residual-networks)."""
    net = Network.of("ResNet-50")
    net.conv("conv1", 64, 7, "pad: 3 stride: 2")
    net.norm("_conv1")
    net.layer("pool1", "Pooling", "pool1", "pooling", "kernel_size: 3 stride: 2 pool: MAX")
    for stage, (width, units) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3)), 2):
        for unit in range(units):
            _residual(net, f"{stage}{chr(ord('a') + unit)}", width, stage, unit)
    net.layer("pool5", "Pooling", "pool5", "pooling", "kernel_size: 7 stride: 1 pool: AVE")
    net.inner_product("fc1000", 1000, 2048)
    net.layer("prob", "Softmax", "prob")
    return net


def _residual(net: Network, unit: str, width: int, stage: int, number: int) -> None:
    """Add three convolutions, and what goes past them."""
    bottom, channels = net.bottom, net.channels
    stride = 2 if number == 0 and stage > 2 else 1
    past = bottom
    if number == 0:
        past = f"res{unit}_branch1"
        net.conv(past, 4 * width, 1, f"pad: 0 stride: {stride}", bias=False)
        net.norm(f"{unit}_branch1", relu=False)
        net.bottom, net.channels = bottom, channels
    for name, outputs, kernel, step in (
        ("2a", width, 1, stride),
        ("2b", width, 3, 1),
        ("2c", 4 * width, 1, 1),
    ):
        words = f"pad: {kernel // 2} stride: {step}"
        net.conv(f"res{unit}_branch{name}", outputs, kernel, words, bias=False)
        net.norm(f"{unit}_branch{name}", relu=name != "2c")
    net.texts.append(
        f'layer {{\n  name: "res{unit}"\n  type: "Eltwise"\n  bottom: "{past}"\n'
        f'  bottom: "{net.bottom}"\n  top: "res{unit}"\n}}\n'
    )
    net.bottom = f"res{unit}"
    net.layer(f"res{unit}_relu", "ReLU", net.bottom)


def vgg16() -> Network:
    """VGG16 with batch normalisation behind each convolution."""
    net = Network.of("VGG16-BN")
    for stage, (width, convs) in enumerate(((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)), 1):
        for number in range(1, convs + 1):
            net.conv(f"conv{stage}_{number}", width, 3, "pad: 1")
            net.norm(f"{stage}_{number}")
        name = f"pool{stage}"
        net.layer(name, "Pooling", name, "pooling", "pool: MAX kernel_size: 2 stride: 2")
    for name, outputs, inputs in (("fc6", 4096, 25088), ("fc7", 4096, 4096), ("fc8", 1000, 4096)):
        net.inner_product(name, outputs, inputs)
        if name != "fc8":
            net.layer(f"relu_{name}", "ReLU", name)
            net.layer(f"drop_{name}", "Dropout", name, "dropout", "dropout_ratio: 0.5")
    net.layer("prob", "Softmax", "prob")
    return net


def _block(name: str, kind: str, bottom: str, top: str, param: str, words: str) -> Iterator[str]:
    """Yield the lines of a layer in a prototxt."""
    yield f'layer {{\n  name: "{name}"\n  type: "{kind}"\n{bottom}  top: "{top}"\n'
    if param:
        inner = words.replace("} ", "}\n    ")
        yield f"  {param}_param {{\n    {inner}\n  }}\n"
    yield "}\n"


def random_floats() -> bytes:
    """A pool of positive values, which make a valid variance; blobs of any size repeat it."""
    rng = random.Random(0)
    return array("f", (rng.uniform(0.01, 1) for _ in range(1 << 16))).tobytes()


def _write_record(
    file: BinaryIO, layer: str, shapes: Sequence[tuple[int, ...]], pool: bytes
) -> None:
    """Write a layer of a caffemodel, which holds name and blobs; the rest is in the prototxt.

    Field numbers are those of Caffe's schema: layer 100; name 1, blobs 7; data 5, shape 7, dim 1.
    """
    name = _head(1, len(layer)) + layer.encode()
    blobs: list[tuple[bytes, int]] = []
    for shape in shapes:
        dims = b"".join(map(_varint, shape))
        dims = _head(1, len(dims)) + dims
        size = 4 * prod(shape)
        head = _head(7, len(dims)) + dims + _head(5, size)
        blobs.append((_head(7, len(head) + size) + head, size))
    file.write(_head(100, len(name) + sum(len(head) + size for head, size in blobs)) + name)
    for head, size in blobs:
        file.write(head)
        for _ in range(size // len(pool)):
            file.write(pool)
        file.write(pool[: size % len(pool)])


def _head(number: int, length: int) -> bytes:
    """Tag and length of a field with bytes in it, as protobuf writes them."""
    return _varint(number << 3 | 2) + _varint(length)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


if __name__ == "__main__":
    sys.exit(main())
