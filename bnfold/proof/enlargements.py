"""Making maps larger by whole factors: Lemma 2 of docs/proof.md.

    repeated by s     y[s i + j] = x[i], 0 <= j < s
    linear by s       y[s i + j] = x[i] + (j / s) (x[i + 1] - x[i]), up to the last place

Upsample of forks does the first, Interp the second, and a depthwise Deconvolution either of them:
of stride s, with a kernel of s ones; or with the kernel 1 - |k - (s - 1)| / s of 2 s - 1 places,
and padding that cuts off what lies before the first place. In both, the weights that meet at a
place add up to 1, so that a constant stays what it is.

Sources: eric612/MobileNet-YOLO, upsample_layer.cpp; hszhao/PSPNet, interp_layer.cpp; BVLC caffe,
deconv_layer.cpp.
"""

from __future__ import annotations

import functools

import numpy as np

from bnfold.aliases import Vector
from bnfold.proof.layers import Layer
from bnfold.proof.roots import Enlargement
from bnfold.proof.shapes import Lengths
from bnfold.proof.stored import unit
from bnfold.proof.weighted import Layout, Weighted

_MOST_VALUES = 1 << 24
_IDLE = {"shrink_factor": 1, "pad_beg": 0, "pad_end": 0}


def of_layer(layer: Layer, shape: Lengths | None) -> Enlargement | None:
    """How an Upsample or Interp makes maps larger; None if it does it in no such way."""
    if layer.kind == "Upsample":
        param = layer.param("upsample_param")
        factor = param.integer("scale", 0)
        return (("repeated", factor),) * 2 if param.names == {"scale"} and factor > 0 else None
    param = layer.param("interp_param")
    if any(param.integer(name, usual) != usual for name, usual in _IDLE.items()):
        return None
    if param.names - {"zoom_factor", "height", "width", *_IDLE}:
        return None
    factor = param.integer("zoom_factor", 1 if "shrink_factor" in param.names else 0)
    if factor > 0:
        return (("linear", factor),) * 2
    if factor or shape is None or len(shape) != 4:
        return None
    ways = [
        _linear(length, param.integer(name, 0))
        for length, name in zip(shape[2:], ("height", "width"), strict=True)
    ]
    known = tuple(way for way in ways if way is not None)
    return known if len(known) == 2 else None


def _linear(length: int | None, size: int) -> tuple[str, int] | None:
    if length == 1 and size >= 1:
        return "repeated", size
    if length is None or length < 2 or size < length or (size - 1) % (length - 1):
        return None
    return "linear", (size - 1) // (length - 1)


def of_weights(weighted: Weighted, shape: Lengths | None) -> tuple[Enlargement, Vector] | None:
    """How a Deconvolution makes maps larger, and by what it multiplies each channel; or None."""
    window, channels = weighted.window, weighted.outputs
    if weighted.layout is not Layout.DECONVOLUTION or window.extra or not window.kernel:
        return None
    if not weighted.group == weighted.inputs == channels or weighted.weight.size > _MOST_VALUES:
        return None
    lengths = shape[2:] if shape is not None else (None,) * len(window.kernel)
    if len(lengths) != len(window.kernel) or any(step != 1 for step in window.dilation):
        return None
    each = zip(window.kernel, window.stride, window.pad, lengths, strict=True)
    ways = [_way(*axis) for axis in each]
    known = tuple(way for way in ways if way is not None)
    if len(known) < len(ways):
        return None
    kernel = functools.reduce(np.multiply.outer, [_taps(way) for way in known]).ravel()
    weights = weighted.weight.read().astype(np.float64).reshape(channels, -1)
    scale: Vector = weights[:, int(kernel.argmax())]
    off = np.abs(weights - scale[:, None] * kernel)
    return (known, scale) if np.all(off <= unit(weights, weighted.weight.dtype)) else None


def _way(kernel: int, stride: int, pad: int, length: int | None) -> tuple[str, int] | None:
    if pad == 0 and (kernel == stride or (stride == 1 and length == 1)):
        return "repeated", kernel
    if stride > 1 and kernel == 2 * stride - 1 and pad == stride - 1:
        return "linear", stride
    return None


def _taps(way: tuple[str, int]) -> Vector:
    name, factor = way
    if name == "repeated":
        return np.ones(factor)
    taps: Vector = 1 - np.abs(np.arange(2 * factor - 1) - (factor - 1)) / factor
    return taps


def made(way: Enlargement, shape: Lengths | None) -> Lengths | None:
    """The shape of a value that was made larger."""
    if shape is None or len(shape) != len(way) + 2:
        return None
    lengths = [
        None if n is None else factor * n if name == "repeated" else factor * (n - 1) + 1
        for n, (name, factor) in zip(shape[2:], way, strict=True)
    ]
    return (*shape[:2], *lengths)
