"""Layers with a weight: convolutions and inner products, and which value is of which channel.

They can take an affine in, at their output or at their input, and lose channels on either side.

For y = W x + b:

    scale * y + shift  =  (scale * W) x + (scale * b + shift)        at the output
    W (scale * x + shift) + b  =  (W * scale) x + (b + W shift)      at the input

Source of the layouts: BVLC caffe, src/caffe/layers/{base_conv,deconv,inner_product}_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bnfold.caffemodel import BlobSource
from bnfold.errors import BnfoldError
from bnfold.fold.affines.affine import Affine
from bnfold.fold.blobs import checked_blobs, size_of, vector
from bnfold.fold.plan import Code, Reason
from bnfold.fold.weights import ChannelMap, Dense, Scaled
from bnfold.graph import Layer, Layout
from bnfold.graph.axes import is_channels
from bnfold.graph.trust import window_fields
from bnfold.graph.windows import Windows, convolution_windows, own_spatial_axes


@dataclass(frozen=True)
class WeightedLayer:
    """A convolution, deconvolution or inner product, as it is now.

    What it says follows the layer through every rewrite, since nothing of it is kept here.

    Attributes:
        layer: the layer itself.
        layout: how its weight is laid out.
        rank: how many axes the value has that it reads; None where that cannot be told.
        keep_dtype: whether changed blobs keep the type they are stored in, else float32.
        untrusted: why it is not known what it computes (graph/trust.py), if so.
    """

    layer: Layer
    layout: Layout
    rank: int | None
    keep_dtype: bool
    untrusted: str | None

    @classmethod
    def of(
        cls,
        layer: Layer,
        rank: int | None = None,
        *,
        keep_dtype: bool = False,
        untrusted: str | None = None,
    ) -> WeightedLayer:
        """Read a layer whose type has a weight.

        Args:
            layer: the layer.
            rank: how many axes the value has that it reads, where that is known.
            keep_dtype: whether changed blobs keep the type they are stored in.
            untrusted: why it is not known what it computes, if so.

        Raises:
            PrototxtError: a parameter has a bad value.
            BnfoldError: `num_output` is missing.
        """
        layout = layer.kind.layout
        assert layout is not None
        found = cls(layer, layout, rank, keep_dtype, untrusted)
        if not found.outputs and not layer.kind.is_depthwise:
            raise BnfoldError(f"{layer} (line {layer.line}) has no num_output; add it")
        return found

    # ------------------------------------------------------------------ what it is

    @property
    def message(self) -> str:
        """The name of the message that describes it."""
        return self.layer.kind.message

    @property
    def outputs(self) -> int:
        """How many channels it makes; 0 where that cannot be told."""
        written = int(self.layer.param(self.message).num_output)
        if not written and self.layer.kind.is_depthwise and self.layer.blobs:
            # These keep their channels, and may leave num_output out.
            return next(iter(self.layer.blobs[0].shape), 0)
        return written

    @property
    def groups(self) -> int:
        """How many groups its channels are in; one for each in a depthwise type of a fork."""
        if self.layout is Layout.INNER_PRODUCT:
            return 1
        written = max(1, int(self.layer.param(self.message).group))
        # These have a group for each channel whether their text says so or not.
        return self.outputs or 1 if self.layer.kind.is_depthwise and written == 1 else written

    @property
    def is_biased(self) -> bool:
        """Whether it has a bias, its own or a folded one."""
        return bool(self.layer.param(self.message).bias_term)

    @property
    def is_transposed(self) -> bool:
        """Whether it is an inner product whose weight has a row for each input."""
        inner = self.layout is Layout.INNER_PRODUCT
        return inner and bool(self.layer.param(self.message).transpose)

    @property
    def rows_are_outputs(self) -> bool:
        """Whether its weight has a row for each output, else for each input."""
        return self.layout is not Layout.DECONVOLUTION and not self.is_transposed

    @property
    def axis(self) -> int:
        """The axis of the channels, as the parameters have it; may be negative."""
        return int(self.layer.param(self.message).axis)

    @property
    def weight(self) -> BlobSource:
        """Its weight, which need not fit its parameters: `blobs` checks that."""
        return self.layer.blobs[0]

    @property
    def window_fields(self) -> tuple[str, ...]:
        """What its parameters say of its window that Caffe has no field for."""
        return window_fields(self.layer)

    @property
    def inputs(self) -> int:
        """How many inputs its weight has: channels, for an inner product values.

        Raises:
            BnfoldError: its blobs do not fit the parameters.
        """
        weight = self.blobs()[0]
        shape = weight.shape
        if self.layout is Layout.INNER_PRODUCT:
            return size_of(weight) // self.outputs
        if self.layout is Layout.DECONVOLUTION:
            return shape[0]
        return shape[1] * self.groups

    def reads(self, channels: int) -> bool:
        """Whether its weight is for so many input channels.

        Raises:
            BnfoldError: its blobs do not fit the parameters.
        """
        if self.layout is Layout.INNER_PRODUCT:
            return self.inputs % channels == 0
        return self.inputs == channels

    def has_layout_of(self, other: WeightedLayer) -> bool:
        """Whether each value of its weight belongs to the same channel as in another layer."""
        mine, its = (
            (one.layout, one.outputs, one.is_biased, one.groups, one.is_transposed)
            for one in (self, other)
        )
        return mine == its

    # ------------------------------------------------------------------ what it can take in

    def output_refusal(self, affine: Affine) -> Reason | None:
        """The reason this layer cannot absorb the affine at its output, or None.

        Raises:
            BnfoldError: their numbers differ, so that the files cannot belong together.
        """
        refusal = self._off_channels("its outputs are not the channels that are normalised")
        if refusal:
            return refusal
        if self.outputs and affine.channels not in (1, self.outputs):
            raise BnfoldError(
                f"{self.layer} (line {self.layer.line}) has num_output {self.outputs}, but what "
                f"follows it has numbers for {affine.channels} channels; do the two files belong "
                "together?"
            )
        return None

    def input_refusal(self, affine: Affine) -> Reason | None:
        """The reason this layer cannot absorb the affine at its input, or None."""
        if len(self.layer.bottoms) != 1:
            why = f"{self.layer} has {len(self.layer.bottoms)} bottoms with the same weights"
            return Reason(Code.SHARED_WEIGHTS, why)
        refusal = self._off_channels("its inputs are not the channels")
        if refusal:
            return refusal
        if self.layout is not Layout.INNER_PRODUCT and not affine.is_shiftless:
            refusal = self._meets_padding()
            if refusal and affine.shift is None:
                why = f"whether it fits {self.layer} depends on its shift, and there are no weights"
                return Reason(Code.NEEDS_WEIGHTS, why, "give the weights with --weights")
            return refusal
        return None

    def _off_channels(self, why: str) -> Reason | None:
        """Why nothing per channel can go in or out: it is not trusted, or its `axis` is not 1."""
        if self.untrusted:
            return Reason(Code.NO_HOST, self.untrusted)
        acts = is_channels(self.axis, self.rank)
        if acts is None:
            return Reason(
                Code.UNKNOWN_SHAPE,
                f"{self.layer} has axis: {self.axis}, and how many axes it reads cannot be told",
                "write `axis: 1` if it acts on channels",
            )
        if not acts:
            return Reason(Code.NOT_PER_CHANNEL, f"{self.layer} has axis: {self.axis}, so {why}")
        return None

    def _meets_padding(self) -> Reason | None:
        windows = conv_windows(self.layer)
        if self.layout is Layout.DECONVOLUTION:
            if windows == Windows((1,) * len(windows.kernel), *_plain(len(windows.kernel))):
                return None
            why = f"{self.layer} spreads its input, so the shift would differ from place to place"
            return Reason(Code.PADDING, why)
        if self.window_fields:
            unknown = ", ".join(self.window_fields)
            why = f"{self.layer} has {unknown}, which may pad, and the shift "
            return Reason(Code.PADDING, f"{why}is not zero")
        if not any(windows.pad):
            return None
        same = len(set(windows.pad)) == 1
        pad = str(windows.pad[0]) if same else "x".join(str(size) for size in windows.pad)
        return Reason(
            Code.PADDING,
            f"{self.layer} pads by {pad} and the shift is not zero, so the padded zeros would no "
            "longer be what they were",
            "with `pad: 0` it would fold",
        )

    # ------------------------------------------------------------------ its blobs

    def blobs(self) -> Sequence[BlobSource]:
        """The weight, and the bias where the layer has one, checked against the parameters.

        Raises:
            BnfoldError: they are missing, or their count or shapes do not fit.
        """
        count, what = (2, "weight and bias") if self.is_biased else (1, "weight, without a bias")
        blobs = checked_blobs(self.layer, {count: what})
        self._check_weight(blobs[0])
        if self.is_biased and size_of(blobs[1]) != self.outputs:
            raise self._belongs(f"its bias has {size_of(blobs[1])} values", f"{self.outputs}")
        return blobs

    def _check_weight(self, weight: BlobSource) -> None:
        shape, size = weight.shape, size_of(weight)
        if self.layout is Layout.INNER_PRODUCT:
            # V1 files store the matrix as 1 x 1 x N x K (BVLC caffe, Blob::ShapeEquals).
            rows, columns = (1, 1, *shape)[-2:]
            outputs = columns if self.is_transposed else rows
            fits = outputs == self.outputs and size == rows * columns > 0
            expected = f"{self.outputs} outputs on axis {int(self.is_transposed)}"
        else:
            spatial = tuple(shape[2:])
            windows = convolution_windows(self.layer, len(spatial))
            kernel = windows.kernel if windows else None
            first, second = (*shape, 0, 0)[:2]
            outputs = second * self.groups if self.layout is Layout.DECONVOLUTION else first
            fits = len(shape) > 1 and size > 0 and outputs == self.outputs
            fits &= first % self.groups == 0 and spatial == kernel
            taps = "x".join(map(str, kernel)) if kernel else "of another number of axes"
            expected = f"num_output {self.outputs}, group {self.groups}, kernel {taps}"
        if not fits:
            raise self._belongs(f"its weight has shape {'x'.join(map(str, shape))}", expected)

    def _belongs(self, found: str, expected: str) -> BnfoldError:
        return BnfoldError(
            f"{self.layer} (line {self.layer.line}): {found} in the weights file, but the "
            f"prototxt says {expected}; do the two files belong together?"
        )

    def absorb_output(self, affine: Affine) -> None:
        """Put an affine behind this layer's output into its weights, as lazy blobs.

        Raises:
            BnfoldError: the stored blobs do not fit the prototxt, or its bias is not finite.
        """
        weight, bias = self.lazy()
        affine = affine.over(self.outputs)
        assert affine.scale is not None
        assert affine.shift is not None
        scale, shift = affine.scale, affine.shift
        scaled = weight.times(scale, self.output_map(weight.shape))
        if affine.is_shiftless and not self.is_biased:
            self._set(scaled, None)
        else:
            self._set(scaled, bias.mapped(lambda values: scale * values + shift))

    def absorb_input(self, affine: Affine) -> None:
        """Put an affine in front of this layer's input into its weights, as lazy blobs.

        Raises:
            BnfoldError: as for `absorb_output`, or the channels are not those of the input.
        """
        weight, bias = self.lazy()
        inputs = self.input_map(weight.shape, affine.channels)
        outputs = self.output_map(weight.shape)
        affine = affine.over(int(inputs.table.max()) + 1)
        assert affine.scale is not None
        assert affine.shift is not None
        shift, channels = affine.shift, self.outputs
        scaled = weight.times(affine.scale, inputs)
        if not affine.is_shiftless:
            bias = bias.mapped(
                lambda values: values + weight.weighted_sums(shift, inputs, outputs, channels)
            )
        self._set(scaled, bias if self.is_biased or not affine.is_shiftless else None)

    def lazy(self) -> tuple[Scaled, Dense]:
        """Weight and bias as blobs that are computed, so that more can be folded into them.

        A layer without a bias has one of zeros here.

        Raises:
            BnfoldError: the blobs do not fit the parameters, or the bias is not finite.
        """
        blobs = self.blobs()
        types = [blob.dtype if self.keep_dtype else np.dtype(np.float32) for blob in blobs]
        weight = blobs[0]
        if not isinstance(weight, Scaled):
            weight = Scaled(weight, (), types[0], str(self.layer))
        if not self.is_biased:
            return weight, self._no_bias(weight)
        bias = blobs[1]
        if not isinstance(bias, Dense):
            values = vector(self.layer, bias, self.outputs, "bias")
            bias = Dense.of(values, types[1], f"bias of {self.layer}")
        return weight, bias

    def _no_bias(self, weight: Scaled) -> Dense:
        return Dense.of(np.zeros(self.outputs), weight.dtype, f"bias of {self.layer}")

    def _set(self, weight: Scaled, bias: Dense | None) -> None:
        self.layer.give(*([weight] if bias is None else [weight, bias]))

    def output_map(self, shape: tuple[int, ...]) -> ChannelMap:
        """Which output channel each value of a weight of this shape belongs to."""
        size = int(np.prod(shape))
        if self.layout is Layout.INNER_PRODUCT:
            period = 1 if self.is_transposed else size // self.outputs
            return ChannelMap(np.arange(self.outputs), period)
        if self.layout is Layout.CONVOLUTION:
            return ChannelMap(np.arange(self.outputs), size // self.outputs)
        # Row (c, j) of a deconvolution's weight makes output j of the group that c is in.
        each = self.outputs // self.groups
        inputs = np.arange(shape[0])[:, None] // (shape[0] // self.groups)
        table = (inputs * each + np.arange(each)).ravel()
        return ChannelMap(table, size // table.size)

    def input_map(self, shape: tuple[int, ...], channels: int) -> ChannelMap:
        """Which input channel each value of a weight of this shape belongs to.

        Raises:
            BnfoldError: the input has another number of channels.
        """
        size = int(np.prod(shape))
        if self.layout is Layout.INNER_PRODUCT:
            inputs = size // self.outputs
            if inputs % channels:
                raise self._belongs(f"its weight takes {inputs} inputs", f"{channels} channels")
            columns = np.arange(channels), inputs // channels
            return ChannelMap(columns[0], columns[1] * (self.outputs if self.is_transposed else 1))
        if self.layout is Layout.DECONVOLUTION:
            table, period = np.arange(shape[0]), size // shape[0]
        else:
            # Row (o, c) of a grouped weight reads input c of the group that o is in. A fork's
            # depthwise type has as many groups as outputs, whether its text says so or not.
            first = np.arange(shape[0])[:, None] // (shape[0] // self.groups) * shape[1]
            table = (first + np.arange(shape[1])).ravel()
            period = size // table.size
        expected = int(table.max()) + 1
        if channels not in (1, expected):
            raise self._belongs(f"its weight takes {expected} channels", f"{channels}")
        return ChannelMap(table, period)


def conv_windows(layer: Layer) -> Windows:
    """The window of a layer that has a convolution_param, over two axes if nothing tells.

    Raises:
        BnfoldError: no kernel is written, or kernel, stride and pad do not agree.
    """
    windows = convolution_windows(layer, own_spatial_axes(layer))
    if windows is None:
        raise BnfoldError(
            f"{layer} (line {layer.line}): its kernel, stride, pad or dilation is missing or "
            "written for another number of axes"
        )
    return windows


def _plain(axes: int) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Stride 1, no padding, no dilation."""
    return (1,) * axes, (0,) * axes, (1,) * axes
