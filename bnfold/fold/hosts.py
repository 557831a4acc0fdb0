"""Layers that can take an affine in, at their output or at their input.

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
from bnfold.fold.affine import Affine
from bnfold.fold.blobs import checked_blobs, size_of, vector
from bnfold.fold.plan import Code, Reason
from bnfold.fold.weights import Dense, Pattern, Scaled
from bnfold.graph import Layer, Layout
from bnfold.graph.axes import is_channels
from bnfold.graph.trust import window_fields
from bnfold.graph.windows import Windows, convolution_windows, own_spatial_axes


@dataclass(frozen=True)
class Host:
    """A convolution, deconvolution or inner product.

    Attributes:
        layer: the layer itself.
        layout: how its weight is laid out.
        channels: its output channels, `num_output`, after the rewrites so far.
        rank: how many axes the value has that it reads; None where that cannot be told.
        keep_dtype: whether changed blobs keep the type they are stored in, else float32.
        untrusted: why it is not known what it computes (graph/trust.py), if so.
    """

    layer: Layer
    layout: Layout
    channels: int
    rank: int | None
    keep_dtype: bool
    untrusted: str | None

    @classmethod
    def of(
        cls,
        layer: Layer,
        layout: Layout,
        rank: int | None,
        keep_dtype: bool,
        untrusted: str | None,
    ) -> Host:
        """Read a layer as a host.

        Args:
            layer: the layer.
            layout: how its weight is laid out, as its type says.
            rank: how many axes the value has that it reads, where that is known.
            keep_dtype: whether changed blobs keep the type they are stored in.
            untrusted: why it is not known what it computes, if so.

        Raises:
            PrototxtError: a parameter has a bad value.
            BnfoldError: `num_output` is missing.
        """
        message, depthwise = layer.kind.message, layer.kind.is_depthwise
        channels = layer.param(message).num_output
        if not channels and depthwise and layer.blobs:
            # A depthwise type may leave it out, since it keeps its channels.
            channels = next(iter(layer.blobs[0].shape), 0)
        if not channels and not depthwise:
            raise BnfoldError(f"{layer} (line {layer.line}) has no num_output; add it")
        return cls(layer, layout, channels, rank, keep_dtype, untrusted)

    @property
    def param(self) -> str:
        """The name of the message that describes it."""
        return self.layer.kind.message

    def has_layout_of(self, other: Host) -> bool:
        """Whether each value of its weight belongs to the same channel as in another host."""
        mine, its = (
            (host.layout, host.channels, host.is_biased, host._group, host._transposed)
            for host in (self, other)
        )
        return mine == its

    def misfit(self, affine: Affine) -> Reason | None:
        """Why the channels of this layer are not those of an affine behind it, if so.

        Raises:
            BnfoldError: their numbers differ, so that the files cannot belong together.
        """
        refusal = self._off_channels("its outputs are not the channels that are normalised")
        if refusal:
            return refusal
        if self.channels and affine.channels not in (1, self.channels):
            raise BnfoldError(
                f"{self.layer} (line {self.layer.line}) has num_output {self.channels}, but what "
                f"follows it has numbers for {affine.channels} channels; do the two files belong "
                "together?"
            )
        return None

    def input_misfit(self, affine: Affine) -> Reason | None:
        """Why an affine in front of this layer cannot go into its weights, if so."""
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

    @property
    def window_fields(self) -> tuple[str, ...]:
        """What its parameters say of its window that Caffe has no field for."""
        return window_fields(self.layer)

    def blobs(self) -> Sequence[BlobSource]:
        """The weight, and the bias where the layer has one, checked against the parameters.

        Raises:
            BnfoldError: they are missing, or their count or shapes do not fit.
        """
        count, what = (2, "weight and bias") if self.is_biased else (1, "weight, without a bias")
        blobs = checked_blobs(self.layer, {count: what})
        self._check_weight(blobs[0])
        if self.is_biased and size_of(blobs[1]) != self.channels:
            raise self._belongs(f"its bias has {size_of(blobs[1])} values", f"{self.channels}")
        return blobs

    def _check_weight(self, weight: BlobSource) -> None:
        shape, size = weight.shape, size_of(weight)
        if self.layout is Layout.INNER_PRODUCT:
            # V1 files store the matrix as 1 x 1 x N x K (BVLC caffe, Blob::ShapeEquals).
            rows, columns = (1, 1, *shape)[-2:]
            outputs = columns if self._transposed else rows
            fits = outputs == self.channels and size == rows * columns > 0
            expected = f"{self.channels} outputs on axis {int(self._transposed)}"
        else:
            spatial = tuple(shape[2:])
            windows = convolution_windows(self.layer, len(spatial))
            kernel = windows.kernel if windows else None
            first, second = (*shape, 0, 0)[:2]
            outputs = second * self._group if self.layout is Layout.DECONVOLUTION else first
            fits = len(shape) > 1 and size > 0 and outputs == self.channels
            fits &= first % self._group == 0 and spatial == kernel
            taps = "x".join(map(str, kernel)) if kernel else "of another number of axes"
            expected = f"num_output {self.channels}, group {self._group}, kernel {taps}"
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
        affine = affine.over(self.channels)
        assert affine.scale is not None
        assert affine.shift is not None
        scale, shift = affine.scale, affine.shift
        scaled = weight.times(scale, self._outputs(weight.shape))
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
        inputs = self._inputs(weight.shape, affine.channels)
        outputs = self._outputs(weight.shape)
        affine = affine.over(int(inputs.table.max()) + 1)
        assert affine.scale is not None
        assert affine.shift is not None
        shift, channels = affine.shift, self.channels
        scaled = weight.times(affine.scale, inputs)
        if not affine.is_shiftless:
            bias = bias.mapped(
                lambda values: values + weight.weighted_sums(shift, inputs, outputs, channels)
            )
        self._set(scaled, bias if self.is_biased or not affine.is_shiftless else None)

    @property
    def is_biased(self) -> bool:
        """Whether it has a bias, its own or a folded one."""
        return bool(self.layer.param(self.param).bias_term)

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
            values = vector(self.layer, bias, self.channels, "bias")
            bias = Dense.of(values, types[1], f"bias of {self.layer}")
        return weight, bias

    def _no_bias(self, weight: Scaled) -> Dense:
        return Dense.of(np.zeros(self.channels), weight.dtype, f"bias of {self.layer}")

    def _set(self, weight: Scaled, bias: Dense | None) -> None:
        self.layer.give(*([weight] if bias is None else [weight, bias]))

    @property
    def _transposed(self) -> bool:
        return self.layout is Layout.INNER_PRODUCT and bool(self.layer.param(self.param).transpose)

    @property
    def groups(self) -> int:
        """How many groups its channels are in; one for each in a depthwise type of a fork."""
        return self.channels if self.layer.kind.is_depthwise and self._group == 1 else self._group

    @property
    def _group(self) -> int:
        return (
            max(1, self.layer.param(self.param).group)
            if self.layout is not Layout.INNER_PRODUCT
            else 1
        )

    @property
    def _axis(self) -> int:
        return int(self.layer.param(self.param).axis)

    def _off_channels(self, why: str) -> Reason | None:
        """Why nothing per channel can go in or out: it is not trusted, or its `axis` is not 1."""
        if self.untrusted:
            return Reason(Code.NO_HOST, self.untrusted)
        acts = is_channels(self._axis, self.rank)
        if acts is None:
            return Reason(
                Code.UNKNOWN_SHAPE,
                f"{self.layer} has axis: {self._axis}, and how many axes it reads cannot be told",
                "write `axis: 1` if it acts on channels",
            )
        if not acts:
            return Reason(Code.NOT_PER_CHANNEL, f"{self.layer} has axis: {self._axis}, so {why}")
        return None

    def _outputs(self, shape: tuple[int, ...]) -> Pattern:
        """Which output channel each value of a weight of this shape belongs to."""
        size = int(np.prod(shape))
        if self.layout is Layout.INNER_PRODUCT:
            period = 1 if self._transposed else size // self.channels
            return Pattern(np.arange(self.channels), period)
        if self.layout is Layout.CONVOLUTION:
            return Pattern(np.arange(self.channels), size // self.channels)
        # Row (c, j) of a deconvolution's weight makes output j of the group that c is in.
        each = self.channels // self._group
        inputs = np.arange(shape[0])[:, None] // (shape[0] // self._group)
        table = (inputs * each + np.arange(each)).ravel()
        return Pattern(table, size // table.size)

    def _inputs(self, shape: tuple[int, ...], channels: int) -> Pattern:
        """Which input channel each value of a weight of this shape belongs to.

        Raises:
            BnfoldError: the input has another number of channels.
        """
        size = int(np.prod(shape))
        if self.layout is Layout.INNER_PRODUCT:
            inputs = size // self.channels
            if inputs % channels:
                raise self._belongs(f"its weight takes {inputs} inputs", f"{channels} channels")
            columns = np.arange(channels), inputs // channels
            return Pattern(columns[0], columns[1] * (self.channels if self._transposed else 1))
        if self.layout is Layout.DECONVOLUTION:
            table, period = np.arange(shape[0]), size // shape[0]
        else:
            # Row (o, c) of a grouped weight reads input c of the group that o is in. A fork's
            # depthwise type has as many groups as outputs, whether its text says so or not.
            group = self.groups
            first = np.arange(shape[0])[:, None] // (shape[0] // group) * shape[1]
            table = (first + np.arange(shape[1])).ravel()
            period = size // table.size
        expected = int(table.max()) + 1
        if channels not in (1, expected):
            raise self._belongs(f"its weight takes {expected} channels", f"{channels}")
        return Pattern(table, period)


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
