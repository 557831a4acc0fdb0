"""A trained definition, and files without batch norms that somebody made of it."""

from __future__ import annotations

from models import Model

SIZE = 8


def trained(model: Model | None = None) -> Model:
    """Two convolutions with their batch norms, a sum, two alike branches, and scores."""
    net = model or Model(seed=3).input("data", (2, 3, SIZE, SIZE))
    net.conv("c1", "data", 6, words="pad: 1", bias=False)
    net.batch_norm("b1", "c1").scale("s1", "c1").relu("r1", "c1")
    net.conv("c2", "c1", 6, words="pad: 1").batch_norm("b2", "c2").scale("s2", "c2")
    net.plain("Eltwise", "sum", "c1 c2").relu("r2", "sum")
    for name in ("left", "right"):
        net.conv(name, "sum", 4, 1).relu(f"r_{name}", name)
    net.concat("both", "left right").plain("Dropout", "drop", "both", "both")
    net.inner_product("fc", "both", 5, 8 * SIZE * SIZE)
    return net


def deploy() -> Model:
    """The same network for use."""
    return trained().plain("Softmax", "prob", "fc")


def training(phases: str = "TRAIN TEST") -> Model:
    """The same network as it is trained: with data layers, losses and a second head."""
    net = Model(seed=3)
    for phase in phases.split():
        net.layer(
            'name: "db" type: "Data" top: "data" top: "label"\n'
            f"  include {{ phase: {phase} }} transform_param {{ crop_size: {SIZE} }}\n"
            '  data_param { source: "db" backend: LMDB batch_size: 64 }'
        )
    net.channels["data"] = 3
    trained(net)
    net.inner_product("aux", "c2", 5, 6 * SIZE * SIZE)
    net.plain("SoftmaxWithLoss", "aux_loss", "aux label", words="loss_weight: 0.3")
    net.plain("SoftmaxWithLoss", "loss", "fc label")
    return net.plain("Accuracy", "accuracy", "fc label")


def plain(prefix: str = "", batch: int = 1, data: str = "data") -> Model:
    """The folded network as somebody else writes it, with random weights nobody wants.

    Args:
        prefix: stands before the names of all layers and blobs but the input and the output.
        batch: how many images.
        data: the name of the input.
    """
    p = prefix
    net = Model(seed=9).input(data, (batch, 3, SIZE, SIZE))
    net.conv(f"{p}c1", data, 6, words="pad: 1").relu(f"{p}r1", f"{p}c1")
    net.conv(f"{p}c2", f"{p}c1", 6, words="pad: 1")
    net.plain("Eltwise", f"{p}sum", f"{p}c1 {p}c2").relu(f"{p}r2", f"{p}sum")
    for name in (f"{p}left", f"{p}right"):
        net.conv(name, f"{p}sum", 4, 1).relu(f"{p}r_{name}", name)
    net.concat(f"{p}both", f"{p}left {p}right")
    net.inner_product(f"{p}fc", f"{p}both", 5, 8 * SIZE * SIZE)
    return net.plain("Softmax", "prob", f"{p}fc")
