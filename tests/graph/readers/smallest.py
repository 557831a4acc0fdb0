"""The smallest network of each layer type that bnfold knows, and real readers, asked about it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
from models import Model

from bnfold.graph.layer_types import LAYER_TYPES
from graph.test_layer_types import DRAWS, Drawn, start

IMAGE = (1, 2, 4, 4)
SCORES = (4, 3)
_WINDOW = "convolution_param { num_output: 2 kernel_size: 1 }"
_WEIGHTS = (np.ones((2, 1, 1, 1)), np.ones(2))
_DETECTION = {
    "num_classes": "num_classes: 2",
    "share_location": "share_location: true",
    "background_label_id": "background_label_id: 0",
    "code_type": "code_type: CORNER",
    "keep_top_k": "keep_top_k: 1",
    "nms_threshold": "nms_param { nms_threshold: 0.5 }",
}


def detection(without: str = "") -> Drawn:
    """A DetectionOutput with all fields that OpenCV asks for, or all but one."""
    words = " ".join(text for name, text in _DETECTION.items() if name != without)
    shapes = ((1, 4), (1, 2), (1, 2, 4))
    return Drawn("DetectionOutput", shapes, f"detection_output_param {{ {words} }}")


OTHERS: dict[str, Drawn] = {
    "AnnotatedData": Drawn("AnnotatedData", ()),
    "Axpy": Drawn("Axpy", ((1, 2, 1, 1), IMAGE, IMAGE)),
    "ContrastiveLoss": Drawn("ContrastiveLoss", (SCORES, SCORES, (4, 1))),
    "DetectionOutput": detection(),
    "DummyData": Drawn("DummyData", (), "dummy_data_param { shape { dim: 2 } }"),
    "InfogainLoss": Drawn("InfogainLoss", (SCORES, (4, 1), (1, 1, 3, 3))),
    "Input": Drawn("Input", (), "input_param { shape { dim: 2 } }"),
    "Interp": Drawn("Interp", (IMAGE,), "interp_param { height: 8 width: 8 }"),
    "MemoryData": Drawn(
        "MemoryData",
        (),
        "memory_data_param { batch_size: 1 channels: 1 height: 2 width: 2 }",
        tops=2,
    ),
    "Normalize": Drawn(
        "Normalize", (IMAGE,), "norm_param { across_spatial: false }", (np.ones(2),)
    ),
    "Parameter": Drawn("Parameter", (), "parameter_param { shape { dim: 2 } }"),
    "PriorBox": Drawn("PriorBox", (IMAGE, IMAGE), "prior_box_param { min_size: 1 variance: 0.1 }"),
    "ROIPooling": Drawn(
        "ROIPooling", (IMAGE, (1, 5)), "roi_pooling_param { pooled_h: 2 pooled_w: 2 }"
    ),
    "Silence": Drawn("Silence", (IMAGE,), tops=0),
    "Slice": Drawn("Slice", (IMAGE,), "slice_param { slice_point: 1 }", tops=2),
    **{
        name: Drawn(name, (IMAGE,), _WINDOW, _WEIGHTS)
        for name, known in LAYER_TYPES.items()
        if known.is_depthwise
    },
    "Deconvolution": Drawn("Deconvolution", (IMAGE,), _WINDOW, (np.ones((2, 2, 1, 1)), np.ones(2))),
}
"""Those that are not drawn at random, or that OpenCV reads in some forms only."""


def smallest(kind: str) -> Drawn:
    """The smallest layer of a type."""
    if kind in OTHERS:
        return OTHERS[kind]
    if kind in DRAWS:
        return DRAWS[kind](np.random.default_rng(1))
    data = kind.endswith("Data")
    return Drawn(kind, () if data else (IMAGE,))


def network(drawn: Drawn) -> Model:
    """A network of a layer and its inputs; what has no inputs is read by another layer."""
    net = drawn.add_to(start(drawn), drawn.bottoms, [f"y{i}" for i in range(drawn.tops)])
    return net if drawn.shapes else net.layer('name: "r" type: "ReLU" bottom: "y0" top: "z"')


_LOADER = """
import json, os, sys
import caffe
found = {}
for model in sys.argv[1:]:
    child = os.fork()
    if child == 0:
        try:
            caffe.Net(model, caffe.TEST)
        except BaseException:
            os._exit(1)
        os._exit(0)
    found[model] = os.waitpid(child, 0)[1] == 0
print(json.dumps(found))
"""


def caffe_loads(texts: dict[str, str], folder: Path) -> dict[str, bool]:
    """Which networks Caffe itself loads: each in a process of its own, since its way to say no is
    to abort."""
    paths = {}
    for number, (name, text) in enumerate(texts.items()):
        paths[str(folder / f"n{number}.prototxt")] = name
        (folder / f"n{number}.prototxt").write_text(text, encoding="utf-8")
    quiet = {**os.environ, "GLOG_minloglevel": "4", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", _LOADER, *paths], capture_output=True, text=True, env=quiet
    )
    assert done.returncode == 0, done.stderr
    return {paths[path]: loads for path, loads in json.loads(done.stdout.splitlines()[-1]).items()}


def opencv_says(net: Model, drawn: Drawn, folder: Path) -> str:
    """What OpenCV says of a network, "" if it reads and runs it."""
    model, weights = net.save(folder)
    try:
        read = cv2.dnn.readNetFromCaffe(str(model), str(weights))
        for name, shape in zip(drawn.bottoms, drawn.shapes, strict=True):
            read.setInput(np.zeros(shape, np.float32), name)
        if drawn.kind == "Input":
            read.setInput(np.zeros(2, np.float32), "y0")
        read.forward()
    except cv2.error as error:
        return str(error)
    return ""
