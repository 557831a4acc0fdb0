"""Networks with parallel branches, written in code."""

from __future__ import annotations

from collections.abc import Sequence

from models import Model

IMAGE = (2, 8, 9, 7)


def start(shape: Sequence[int] = IMAGE, seed: int = 5) -> Model:
    """An input and a layer behind it: its top 'x' is what the branches read."""
    net = Model(seed=seed).input("data", shape)
    net.layer('name: "x" type: "ReLU" bottom: "data" top: "x"')
    net.channels["x"] = shape[1]
    return net


def add(net: Model, *bottoms: str, top: str = "sum", words: str = "") -> Model:
    """An Eltwise; `words` are those of its parameters."""
    names = " ".join(f'bottom: "{name}"' for name in bottoms)
    param = f"\n  eltwise_param {{ {words} }}" if words else ""
    net.layer(f'name: "{top}" type: "Eltwise" {names} top: "{top}"{param}')
    net.channels[top] = net.channels[bottoms[0]]
    return net


def conv(net: Model, name: str, kernel: tuple[int, int] = (3, 3), **options) -> str:
    """A convolution of 'x' that keeps height and width, unless `words` say otherwise."""
    height, width = kernel
    size = f"kernel_size: {height}"
    if height != width:
        size = f"kernel_h: {height} kernel_w: {width}"
    pad = f"pad: {height // 2}"
    if height != width:
        pad = f"pad_h: {height // 2} pad_w: {width // 2}"
    words = options.pop("words", pad)
    bottom = options.pop("bottom", "x")
    outputs = options.pop("outputs", net.channels[bottom])
    net.conv(name, bottom, outputs, size, spatial=kernel, words=words, **options)
    return name


def rep_vgg_block(
    net: Model,
    name: str,
    bottom: str,
    outputs: int,
    *,
    stride: int = 1,
    group: int = 1,
    identity: bool | None = None,
) -> str:
    """A block of RepVGG in training form; gives the blob behind its ReLU.

    3x3 and 1x1 convolution, each with its batch norm and scale, and a batch norm of the input
    itself where stride and channels allow, added up. The activation is in place.
    """
    if identity is None:
        identity = stride == 1 and net.channels[bottom] == outputs
    step = f"stride: {stride}" if stride > 1 else ""
    tops = []
    for kernel, pad in ((3, "pad: 1"), (1, "")):
        top = f"{name}/{kernel}x{kernel}"
        words = f"{pad} {step}".strip()
        net.conv(top, bottom, outputs, kernel, bias=False, group=group, words=words)
        tops.append(top)
    if identity:
        tops.append(f"{name}/id")
        net.batch_norm(f"{name}/id_bn", bottom, f"{name}/id")
    for top in tops:
        if not top.endswith("/id"):
            net.batch_norm(f"{top}_bn", top)
        net.scale(f"{top}_scale", top)
    add(net, *tops, top=f"{name}/sum")
    net.relu(f"{name}/relu", f"{name}/sum")
    return f"{name}/sum"


def small_rep_vgg() -> Model:
    """Seven blocks: strided, plain and grouped ones, then pooling and a classifier."""
    net = Model(seed=11).input("data", (2, 3, 32, 32))
    blob = rep_vgg_block(net, "stage0", "data", 8, stride=2)
    blob = rep_vgg_block(net, "stage1/0", blob, 16, stride=2)
    blob = rep_vgg_block(net, "stage1/1", blob, 16)
    blob = rep_vgg_block(net, "stage1/2", blob, 16, group=4)
    blob = rep_vgg_block(net, "stage2/0", blob, 24, stride=2)
    blob = rep_vgg_block(net, "stage2/1", blob, 24, group=2)
    blob = rep_vgg_block(net, "stage2/2", blob, 24)
    net.layer(
        f'name: "pool" type: "Pooling" bottom: "{blob}" top: "pool"\n'
        "  pooling_param { pool: AVE global_pooling: true }"
    )
    net.channels["pool"] = 24
    return net.inner_product("classes", "pool", 10, 24)
