"""Networks small enough for numpy to compute them on its own."""

import numpy as np

from bnfold.caffemodel import schema

rng = np.random.default_rng(7)
KERNEL = rng.normal(0, 0.3, (4, 3, 3, 3)).astype(np.float32)
BIAS = rng.normal(size=4).astype(np.float32)
MEAN = rng.normal(size=4).astype(np.float32)
VARIANCE = rng.uniform(0.5, 2, 4).astype(np.float32)
GAMMA = np.array([1.5, -0.7, 0.3, 1.1], np.float32)
BETA = rng.normal(size=4).astype(np.float32)
MATRIX = rng.normal(0, 0.1, (5, 4 * 6 * 7)).astype(np.float32)
OFFSET = rng.normal(size=5).astype(np.float32)

CHAIN = """
layer { name: "data" type: "Input" top: "data"
  input_param { shape { dim: 1 dim: 3 dim: 6 dim: 7 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 pad: 1 } }
layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "conv" }
layer { name: "scale" type: "Scale" bottom: "conv" top: "conv" scale_param { bias_term: true } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "ip" type: "InnerProduct" bottom: "conv" top: "ip"
  inner_product_param { num_output: 5 } }
layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }
"""
CHAIN_BLOBS = {
    "conv": [KERNEL, BIAS],
    "bn": [MEAN * 2, VARIANCE * 2, np.array([2.0])],
    "scale": [GAMMA, BETA],
    "ip": [MATRIX, OFFSET],
}

# Two inputs, one of them changed in place; several outputs, one of them half a Slice.
BRANCHES = """
input: "left"
input_shape { dim: 1 dim: 4 dim: 2 dim: 2 }
input: "right"
input_shape { dim: 1 dim: 2 dim: 2 dim: 2 }
layer { name: "twice" type: "Power" bottom: "right" top: "right" power_param { scale: 2 shift: 1 } }
layer { name: "cut" type: "Slice" bottom: "left" top: "first" top: "second" }
layer { name: "sum" type: "Eltwise" bottom: "first" bottom: "right" top: "sum" }
layer { name: "only in training" type: "ReLU" bottom: "sum" top: "trained"
  include { phase: TRAIN } }
"""

# A later layer works in place on the second top of another.
PARTS = """
input: "data"
input_shape { dim: 1 dim: 4 dim: 2 dim: 2 }
layer { name: "cut" type: "Slice" bottom: "data" top: "first" top: "second" }
layer { name: "more" type: "Power" bottom: "second" top: "second" power_param { shift: 5 } }
layer { name: "sum" type: "Eltwise" bottom: "first" bottom: "second" top: "sum" }
"""


def weights_bytes(blobs):
    net = schema.message("NetParameter")(name="test")
    for name, arrays in blobs.items():
        layer = net.layer.add(name=name)
        for array in arrays:
            blob = layer.blobs.add()
            blob.shape.dim.extend(array.shape)
            blob.data.extend(np.asarray(array, np.float32).ravel().tolist())
    return net.SerializeToString()


def save(folder, text, blobs=None, stem="net"):
    """Write a network's two files; gives their paths."""
    model, weights = folder / f"{stem}.prototxt", folder / f"{stem}.caffemodel"
    model.write_text(text)
    data = blobs if isinstance(blobs, bytes) else weights_bytes(blobs or {"nothing": [np.ones(1)]})
    weights.write_bytes(data)
    return model, weights


def images(count, shape=(3, 6, 7), seed=1):
    return np.random.default_rng(seed).normal(size=(count, *shape)).astype(np.float32)


def chain_values(x):
    """Every value of CHAIN, computed in float64."""
    x = x.astype(np.float64)
    height, width = x.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    conv = np.zeros((len(x), 4, height, width)) + BIAS[:, None, None]
    for i in range(3):
        for j in range(3):
            window = padded[:, :, i : i + height, j : j + width]
            conv += np.einsum("nchw,oc->nohw", window, KERNEL[:, :, i, j])
    column = (slice(None), None, None)
    bn = (conv - MEAN[column]) / np.sqrt(VARIANCE[column] + 1e-5)
    scale = bn * GAMMA[column] + BETA[column]
    relu = np.maximum(scale, 0)
    ip = relu.reshape(len(x), -1) @ MATRIX.T.astype(np.float64) + OFFSET
    prob = np.exp(ip - ip.max(1, keepdims=True))
    prob /= prob.sum(1, keepdims=True)
    return {"conv": conv, "bn": bn, "scale": scale, "relu": relu, "ip": ip, "prob": prob}
