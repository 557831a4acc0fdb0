"""Layers that can take an affine in at their output: what their weights look like.

For y = W x + b followed by scale * y + shift:  W' = scale * W by output channel,
b' = scale * b + shift.
Source of the layouts: BVLC caffe, src/caffe/layers/{base_conv,inner_product}_layer.cpp.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bnfold.caffemodel import Blob
from bnfold.errors import BnfoldError
from bnfold.fold.affine import Affine
from bnfold.fold.dialects import stored_blobs, vector
from bnfold.fold.plan import Code, Reason
from bnfold.fold.weights import Dense, Scaled
from bnfold.graph import Layer

HOST_PARAMS = {"Convolution": "convolution_param", "InnerProduct": "inner_product_param"}
"""The layer types that take an affine in, with the message that describes them."""


@dataclass(frozen=True)
class Host:
    """A convolution or inner product, seen from its output.

    Attributes:
        layer: the layer itself.
        param: the name of its parameter message.
        channels: its output channels, `num_output`.
        ndim: the number of axes of its output.
        has_bias: `bias_term`, as the prototxt has it.
    """

    layer: Layer
    param: str
    channels: int
    ndim: int
    has_bias: bool

    @classmethod
    def of(cls, layer: Layer) -> Host:
        """Read a layer whose type is in HOST_PARAMS.

        Raises:
            PrototxtError: a parameter has a bad value.
            BnfoldError: `num_output` is missing.
        """
        param = HOST_PARAMS[layer.type]
        message = layer.param(param)
        if not message.num_output:
            raise BnfoldError(f"{layer} (line {layer.line}) has no num_output; add it")
        if layer.type == "InnerProduct":
            ndim = message.axis + 1 if message.axis >= 0 else 2
        else:
            ndim = 2 + _spatial_axes(layer)
        return cls(layer, param, message.num_output, ndim, message.bias_term)

    def obstacle(self) -> Reason | None:
        """Why the output channels of this layer are not axis 1 of its output, if so."""
        axis = self.layer.param(self.param).axis
        if axis == 1 or (self.layer.type == "Convolution" and axis == 1 - self.ndim):
            return None
        return Reason(
            Code.NOT_PER_CHANNEL,
            f"{self.layer} has axis: {axis}, so its outputs are not the channels (axis 1) that "
            "are normalised",
        )

    def blobs(self) -> tuple[Blob, ...]:
        """The stored weight, and bias where the layer has one, checked against the prototxt.

        Raises:
            BnfoldError: they are missing, or their count or shapes do not fit.
        """
        what = "weight and bias" if self.has_bias else "weight (bias_term is false)"
        blobs = stored_blobs(self.layer, 2 if self.has_bias else 1, what)
        self._check_weight(blobs[0])
        if self.has_bias and blobs[1].size != self.channels:
            raise self._belongs(f"its bias has {blobs[1].size} values", f"{self.channels}")
        return blobs

    def _check_weight(self, weight: Blob) -> None:
        shape = weight.shape
        if self.layer.type == "InnerProduct":
            # V1 files store the matrix as 1 x 1 x N x K (BVLC caffe, Blob::ShapeEquals).
            rows, columns = (1, *shape)[-2:]
            outputs = columns if self._transposed else rows
            fits = outputs == self.channels and weight.size == rows * columns > 0
            expected = f"{self.channels} outputs on axis {int(self._transposed)}"
        else:
            group = self.layer.param(self.param).group
            kernel = _kernel(self.layer)
            spatial = tuple(shape[2:])
            fits = shape[:1] == (self.channels,) and self.channels % max(group, 1) == 0
            fits &= len(spatial) > 0 and weight.size > 0
            if kernel:
                fits &= spatial == (kernel if len(kernel) > 1 else kernel * len(spatial))
            size = "x".join(str(k) for k in kernel) or "any"
            expected = f"num_output {self.channels}, group {group}, kernel {size}"
        if not fits:
            raise self._belongs(f"its weight has shape {'x'.join(map(str, shape))}", expected)

    def _belongs(self, found: str, expected: str) -> BnfoldError:
        return BnfoldError(
            f"{self.layer} (line {self.layer.line}): {found} in the weights file, but the "
            f"prototxt says {expected}; do the two files belong together?"
        )

    @property
    def _transposed(self) -> bool:
        return self.layer.type == "InnerProduct" and bool(self.layer.param(self.param).transpose)

    def absorb(self, affine: Affine, keep_dtype: bool) -> None:
        """Put an affine behind this layer's output into its weights, as lazy blobs.

        They are stored in float32, or in the type they had, with `keep_dtype`.

        Raises:
            BnfoldError: the stored blobs do not fit the prototxt, or its bias is not finite.
        """
        weight, bias = self._lazy(keep_dtype)
        shift = affine.scale * bias.values + affine.shift
        self.layer.blobs = (weight.times(affine.scale), Dense(shift, bias.dtype, bias.what))
        self.layer.settings[self.param, "bias_term"] = True

    def _lazy(self, keep_dtype: bool) -> tuple[Scaled, Dense]:
        """Weight and bias as they are so far: from an earlier fold, or as stored."""
        if self.layer.blobs is not None:
            weight, bias = self.layer.blobs
            assert isinstance(weight, Scaled)
            assert isinstance(bias, Dense)
            return weight, bias
        stored = self.blobs()
        values = np.zeros(self.channels)
        if self.has_bias:
            values = vector(self.layer, stored[1], self.channels, "bias")
        types = [blob.dtype if keep_dtype else np.dtype(np.float32) for blob in stored]
        ones = np.ones(self.channels)
        return (
            Scaled(stored[0], ones, self._period(stored[0]), types[0], str(self.layer)),
            Dense(values, types[-1], f"bias of {self.layer}"),
        )

    def _period(self, weight: Blob) -> int:
        return 1 if self._transposed else weight.size // self.channels


def _spatial_axes(layer: Layer) -> int:
    if layer.record is not None and layer.record.blobs:
        return len(layer.record.blobs[0].shape) - 2
    kernel = _kernel(layer)
    return len(kernel) if len(kernel) > 1 else 2


def _kernel(layer: Layer) -> tuple[int, ...]:
    """The kernel as written: one number for all axes, or one for each; () where unsaid."""
    param = layer.param("convolution_param")
    if param.kernel_size:
        return tuple(param.kernel_size)
    if param.HasField("kernel_h") or param.HasField("kernel_w"):
        return (param.kernel_h, param.kernel_w)
    return ()


def is_pointwise(layer: Layer) -> bool:
    """Whether a convolution's kernel is 1 in all axes, however it is written."""
    kernel = _kernel(layer)
    return bool(kernel) and all(size == 1 for size in kernel)
