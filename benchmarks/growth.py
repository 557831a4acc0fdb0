#!/usr/bin/env python3
"""Measure how `bnfold merge` grows with the number of layers: as the file does, or faster.

python benchmarks/growth.py [shape ...]        (or `make bench`)

Networks of few channels and many layers are generated in a temporary folder, a row for each shape
in which layers can hang together: long runs, many readers of one blob, shared weights, wide sums.
Each is merged with 1,000, 2,000 and 4,000 layers, and the processor's seconds and the largest
resident size of the whole command are printed. The exponent is that of the time from 1,000 to
4,000 layers, after the time of a network of one layer has been taken off: 1 is growth as the
file's, 2 is the square. A prototxt of 20 MB is looked at as well, for its memory.

Nothing is asserted: the targets are printed beside the figures.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from merge import MB, environment
from networks import Blob, Network

SIZES = (1_000, 2_000, 4_000)
ROUNDS = 2
CHANNELS = 4
BIG = 20 * MB


def main() -> int:
    wanted = sys.argv[1:] or [*SHAPES, "prototxt"]
    with tempfile.TemporaryDirectory(prefix="bnfold-growth-") as name:
        folder = Path(name)
        env = environment(folder)
        start = min(_merge(folder, env, scales(1))[0] for _ in range(ROUNDS + 1))
        print(f"a network of one layer: {start:.2f} s; targets: 4,000 layers in 5 s, exponent 1.2")
        print(f"{'':14}" + "".join(f"{f'{size:,}':>19}" for size in SIZES) + f"{'exponent':>10}")
        for shape in wanted:
            if shape == "prototxt":
                continue
            found = []
            for size in SIZES:
                net, more = SHAPES[shape](size), OPTIONS.get(shape, [])
                runs = [_merge(folder, env, net, more) for _ in range(ROUNDS)]
                found.append(min(runs))
            cells = "".join(f"{f'{t:.2f} s, {m / MB:.0f} MB':>19}" for t, m in found)
            ratio = (found[-1][0] - start) / max(found[0][0] - start, 0.01)
            exponent = math.log(max(ratio, 1)) / math.log(SIZES[-1] / SIZES[0])
            print(f"{shape:14}{cells}{exponent:10.2f}", flush=True)
        if "prototxt" in wanted:
            _prototxt(folder, env)
    return 0


def _prototxt(folder: Path, env: dict[str, str]) -> None:
    """Print the memory that a large prototxt takes, over its size."""
    net = plain(20_000)
    each = len("".join(net.texts)) / 20_000
    model, _ = plain(int(BIG / each)).save(folder, "big")
    size = model.stat().st_size
    seconds, memory = _run([_bnfold(), "inspect", "--model", str(model)], env)
    print(f"inspect of a prototxt of {size / MB:.0f} MB: {seconds:.1f} s, ", end="")
    print(f"{memory / MB:.0f} MB, {memory / size:.0f} times its size (target: 30)")


def plain(count: int) -> Network:
    """Convolutions with ReLUs in place: nothing to fold."""
    net = _start()
    for i in range(count // 2):
        net.conv(f"c{i}", CHANNELS, 1)
        net.layer(f"relu{i}", "ReLU", net.bottom)
    return net


def scales(count: int) -> Network:
    """A convolution and a run of Scales in place."""
    net = _start()
    for i in range(count):
        _scale(net, f"s{i}", net.bottom)
    return net


def scale_tops(count: int) -> Network:
    """A run of Scales, none of them in place, behind a pooling that none can pass."""
    net = _start()
    net.layer("tanh", "TanH", "tanh")
    for i in range(count):
        _scale(net, f"s{i}", f"s{i}")
    net.layer("end", "TanH", "end")
    return net


def readers(count: int) -> Network:
    """BatchNorms that all read one blob."""
    net = _start()
    here = net.bottom
    for i in range(count):
        net.bottom = here
        _batch_norm(net, f"bn{i}", f"bn{i}")
    return net


def shared(count: int) -> Network:
    """Convolutions that all have the same weights, each with a BatchNorm of its own."""
    return _sharing(count, lambda i: "w")


def pairs(count: int) -> Network:
    """Convolutions that share their weights two by two, each with a BatchNorm of its own."""
    return _sharing(count, lambda i: f"w{i // 2}")


def wide(count: int) -> Network:
    """One Eltwise that adds up convolutions of one blob, each with a BatchNorm."""
    net = _start()
    here, tops = net.bottom, []
    for i in range(count // 2):
        net.bottom = here
        net.conv(f"c{i}", CHANNELS, 1, bias=False)
        _batch_norm(net, f"bn{i}", net.bottom)
        tops.append(net.bottom)
    return _joined(net, "Eltwise", tops)


def concat(count: int) -> Network:
    """One BatchNorm behind a Concat of many convolutions."""
    net = _start()
    here, tops = net.bottom, []
    for i in range(count):
        net.bottom = here
        net.conv(f"c{i}", CHANNELS, 1, bias=False)
        tops.append(net.bottom)
    net = _joined(net, "Concat", tops)
    net.channels = CHANNELS * count
    _batch_norm(net, "bn", "bn")
    return net


def residual(count: int) -> Network:
    """Blocks of a convolution, batch normalisation and a ReLU, with a sum around each."""
    net = _start()
    for i in range(count // 5):
        here = net.bottom
        net.conv(f"c{i}", CHANNELS, 3, "pad: 1", bias=False)
        net.norm(str(i))
        _joined(net, "Eltwise", [here, net.bottom], f"sum{i}")
    return net


def dense(count: int) -> Network:
    """Batch normalisation in front of every convolution, and sums that nothing passes."""
    net = _start()
    for i in range(count // 4):
        here = net.bottom
        net.layer(f"pool{i}", "Pooling", f"pool{i}", "pooling", "kernel_size: 1")
        _batch_norm(net, f"bn{i}", f"bn{i}")
        net.conv(f"c{i}", CHANNELS, 1)
        _joined(net, "Eltwise", [here, net.bottom], f"sum{i}")
    return net


def dead(count: int) -> Network:
    """Convolutions with a channel each that is always zero, and ReLUs."""
    net = _start()
    for i in range(count // 2):
        name = f"c{i}"
        net.conv(name, CHANNELS, 3, "pad: 1")
        weight, bias = net.blobs[name]
        # Only the last one of a convolution's filters is zero.
        net.blobs[name] = [
            weight._replace(zeros=math.prod(weight.shape[1:])),
            bias._replace(zeros=1),
        ]
        net.layer(f"relu{i}", "ReLU", net.bottom)
    return net


def tidy_dropouts(count: int) -> Network:
    """Dropouts and TanHs in place, in turns: with `--tidy` the Dropouts go."""
    return _between(count, lambda net, i: net.layer(f"d{i}", _in_turns(i, "Dropout"), net.bottom))


def tidy_splits(count: int) -> Network:
    """Splits, each with a TanH in place on its top: with `--tidy` the Splits go."""
    return _between(count, lambda net, i: net.layer(f"d{i}", _in_turns(i, "Split"), f"d{i // 2}"))


def _in_turns(i: int, kind: str) -> str:
    return "TanH" if i % 2 else kind


def dropouts(count: int) -> Network:
    """Dropouts in place between a convolution and a BatchNorm."""
    return _between(count, lambda net, i: net.layer(f"d{i}", "Dropout", net.bottom))


def splits(count: int) -> Network:
    """Splits in a row between a convolution and a BatchNorm."""
    return _between(count, lambda net, i: net.layer(f"d{i}", "Split", f"d{i}"))


def mixed(count: int) -> Network:
    """Splits, Scales and ReLUs in turns in front of a BatchNorm."""

    def add(net: Network, i: int) -> None:
        if i % 3 == 1:
            _scale(net, f"d{i}", net.bottom)
        elif i % 3:
            net.layer(f"d{i}", "ReLU", net.bottom)
        else:
            net.layer(f"d{i}", "Split", f"d{i}")

    return _between(count, add)


SHAPES: dict[str, Callable[[int], Network]] = {
    "plain": plain,
    "scales": scales,
    "scale tops": scale_tops,
    "readers": readers,
    "shared": shared,
    "shared by two": pairs,
    "wide sum": wide,
    "wide Concat": concat,
    "residual": residual,
    "before": dense,
    "dead": dead,
    "Dropouts": dropouts,
    "Splits": splits,
    "mixed": mixed,
    "tidy Dropouts": tidy_dropouts,
    "tidy Splits": tidy_splits,
}

OPTIONS = {"tidy Dropouts": ["--tidy"], "tidy Splits": ["--tidy"]}
"""What a shape is merged with, besides what every merge has."""


def _start() -> Network:
    text = (
        'layer { name: "data" type: "Input" top: "data" input_param { '
        f"shape {{ dim: 1 dim: {CHANNELS} dim: 8 dim: 8 }} }} }}\n"
    )
    net = Network([text], CHANNELS)
    net.conv("first", CHANNELS, 1)
    return net


def _between(count: int, add: Callable[[Network, int], None]) -> Network:
    net = _start()
    for i in range(count):
        add(net, i)
    _batch_norm(net, "bn", "bn")
    net.layer("end", "TanH", "end")
    return net


def _sharing(count: int, name: Callable[[int], str]) -> Network:
    net = _start()
    for i in range(count // 2):
        net.conv(f"c{i}", CHANNELS, 1, bias=False)
        at = net.texts[-1].rindex("}")
        net.texts[-1] = f'{net.texts[-1][:at]}  param {{ name: "{name(i)}" }}\n}}\n'
        _batch_norm(net, f"bn{i}", net.bottom)
    return net


def _scale(net: Network, name: str, top: str) -> None:
    net.layer(name, "Scale", top, "scale", "bias_term: true")
    # Factors near 1, so that no product of thousands of them overflows.
    net.blobs[name] = [Blob((CHANNELS,), 0.999, 1.001), Blob((CHANNELS,))]


def _batch_norm(net: Network, name: str, top: str) -> None:
    net.layer(name, "BatchNorm", top)
    each = (net.channels,)
    net.blobs[name] = [Blob(each), Blob(each, 0.5, 1.5), Blob((1,), 1, 1)]


def _joined(net: Network, kind: str, bottoms: list[str], top: str = "joined") -> Network:
    lines = "".join(f'  bottom: "{bottom}"\n' for bottom in bottoms)
    net.texts.append(f'layer {{\n  name: "{top}"\n  type: "{kind}"\n{lines}  top: "{top}"\n}}\n')
    net.bottom = top
    return net


def _merge(
    folder: Path, env: dict[str, str], net: Network, more: Sequence[str] = ()
) -> tuple[float, int]:
    model, weights = net.save(folder, "net")
    command = [_bnfold(), "merge", "--model", str(model), "--weights", str(weights), "--force"]
    command += [*more, "--output-model", str(folder / "out.prototxt")]
    return _run([*command, "--output-weights", str(folder / "out.caffemodel")], env)


def _bnfold() -> str:
    return str(Path(sys.executable).with_name("bnfold"))


def _run(command: list[str], env: dict[str, str]) -> tuple[float, int]:
    """Seconds of the processor and largest resident size, in bytes, of a command."""
    process = subprocess.Popen(
        command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed: {said[-500:]}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


if __name__ == "__main__":
    raise SystemExit(main())
