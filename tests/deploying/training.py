"""Small training definitions, and the same networks fed by inputs, as Caffe can run them here.

The second are written by hand: they have nothing of what makes deploy definitions.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from models import Model

import bnfold

TRANSFORM = "transform_param { mirror: true crop_size: 8 mean_value: [104, 117, 123] scale: 0.017 }"
SOURCE = 'data_param { source: "lmdb" batch_size: 32 backend: LMDB }'


def data_layer(phase: str = "", kind: str = "Data", words: str = f"{TRANSFORM} {SOURCE}") -> str:
    rule = f"include {{ phase: {phase} }}" if phase else ""
    return f'name: "data" type: "{kind}" top: "data" top: "label" {rule} {words}'


def fed(name: str, *shape: int) -> str:
    """An Input layer."""
    dims = " ".join(f"dim: {length}" for length in shape)
    return f'name: "{name}" type: "Input" top: "{name}" input_param {{ shape {{ {dims} }} }}'


def network(*sources: str, channels: int = 3) -> Model:
    """A network without layers but those that provide its data."""
    net = Model(seed=3)
    for source in sources:
        net.layer(source)
    net.channels["data"] = channels
    return net


def body(net: Model) -> Model:
    """Two convolutions, one with a batch norm."""
    net.conv("conv1", "data", 4, words='weight_filler { type: "xavier" } stride: 1')
    net.batch_norm("bn1", "conv1", outer="param { lr_mult: 0 } param { lr_mult: 0 }").scale(
        "sc1", "conv1"
    )
    return net.relu("relu1", "conv1").conv("conv2", "conv1", 5)


def classification(*sources: str) -> Model:
    """A loss, accuracies of both phases, and a dropout that only trains."""
    net = body(network(*sources or (data_layer("TRAIN"), data_layer("TEST"))))
    net.plain("Dropout", "drop", "conv2", "conv2", words="include { phase: TRAIN }")
    net.inner_product("fc", "conv2", 6, 80)
    net.layer(
        'name: "accuracy" type: "Accuracy" bottom: "fc" bottom: "label" top: "accuracy" '
        "include { phase: TEST }"
    )
    return net.layer(
        'name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" '
        "loss_weight: 1"
    )


def deployed(folder: Path, model: Model | str, weights: bool = True, **options):
    """Deploy a training definition; gives the report and the new text."""
    if isinstance(model, str):
        path, stored = folder / "net.prototxt", None
        path.write_text(model)
    else:
        path, stored = model.save(folder)
    report = bnfold.deploy(path, stored if weights else None, **options)
    return report, report.output_model.read_bytes().decode()


def softmax(values: np.ndarray) -> np.ndarray:
    """Along axis 1, in float64."""
    powers = np.exp(values.astype(np.float64) - values.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
