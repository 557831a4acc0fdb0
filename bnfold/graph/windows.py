"""Windows that slide over a value: kernels, strides and paddings in all their spellings.

Sources: BVLC caffe, src/caffe/layers/{base_conv,conv,deconv,pooling}_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from bnfold.graph.axes import Shape
from bnfold.graph.net import Layer
from bnfold.graph.words import Words


class Windows(NamedTuple):
    """A window, one number for each spatial axis."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    pad: tuple[int, ...]
    dilation: tuple[int, ...]

    @property
    def extent(self) -> tuple[int, ...]:
        """How far the kernel reaches with its gaps: dilation * (kernel - 1) + 1."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    def convolved(self, lengths: Shape) -> Shape:
        """The lengths after a convolution: (length + 2 pad - extent) / stride + 1."""
        each = zip(lengths, self.extent, self.stride, self.pad, strict=True)
        return tuple(
            None if n is None else _quotient(n + 2 * pad - extent, stride) + 1
            for n, extent, stride, pad in each
        )

    def deconvolved(self, lengths: Shape) -> Shape:
        """The lengths after a deconvolution: stride (length - 1) + extent - 2 pad."""
        each = zip(lengths, self.extent, self.stride, self.pad, strict=True)
        return tuple(
            None if n is None else stride * (n - 1) + extent - 2 * pad
            for n, extent, stride, pad in each
        )

    def pooled(self, lengths: Shape, ceil: bool) -> Shape:
        """The lengths after a pooling, which rounds up unless a fork's field says otherwise.

        With any padding, a last window that would begin in the padding is left out.
        """
        found: list[int | None] = []
        for n, kernel, stride, pad in zip(lengths, self.kernel, self.stride, self.pad, strict=True):
            if n is None:
                found.append(None)
                continue
            room = n + 2 * pad - kernel
            length = (-(-room // stride) if ceil else room // stride) + 1
            if any(self.pad) and (length - 1) * stride >= n + pad:
                length -= 1
            found.append(length)
        return tuple(found)


def spatial_axes(layer: Layer, bottom: Shape | None) -> int | None:
    """Return how many spatial axes a convolution's value has, None if nothing tells.

    Told by the bottom; by a kernel that is written axis by axis; or by the stored weight.
    """
    param = layer.param("convolution_param")
    if bottom is not None:
        axis = param.axis if param.axis >= 0 else len(bottom) + param.axis
        return len(bottom) - axis - 1 if 0 <= axis < len(bottom) else None
    if param.HasField("kernel_h") or param.HasField("kernel_w"):
        return 2
    if len(param.kernel_size) > 1:
        return len(param.kernel_size)
    if layer.blobs:
        return max(len(layer.blobs[0].shape) - 2, 0)
    return None


def own_spatial_axes(layer: Layer) -> int:
    """How many spatial axes a convolution has as far as it tells itself; two if nothing tells."""
    found = spatial_axes(layer, None)
    return 2 if found is None else found


def convolution_windows(layer: Layer, spatial: int) -> Windows | None:
    """Return the window of a convolution or deconvolution, None if Caffe would refuse it.

    A value without spatial axes needs no kernel: the layer then is a matrix for each group.

    Args:
        layer: a layer with a `convolution_param`.
        spatial: how many spatial axes its value has.

    Raises:
        PrototxtError: a parameter has a bad value.
    """
    param = layer.param("convolution_param")
    kernel = _numbers(param, "kernel_size", "kernel", spatial, None)
    stride = _numbers(param, "stride", "stride", spatial, 1)
    pad = _numbers(param, "pad", "pad", spatial, 0)
    dilation = _spread(param.dilation, spatial, 1)
    if kernel is None or stride is None or pad is None or dilation is None:
        return None
    return Windows(kernel, stride, pad, dilation) if all(kernel) and all(stride) else None


def pooling_windows(layer: Layer, lengths: Shape) -> Windows | None:
    """Return the window of a Pooling layer over two axes; None if Caffe would refuse it.

    Args:
        layer: a layer with a `pooling_param`.
        lengths: height and width of its bottom; with `global_pooling` they are the kernel.

    Raises:
        PrototxtError: a parameter has a bad value.
    """
    param = layer.param("pooling_param")
    if param.global_pooling:
        height, width = lengths
        if height is None or width is None:
            return None
        return Windows((height, width), (1, 1), (0, 0), (1, 1))
    kernel = _pair(param, "kernel_size", "kernel")
    stride, pad = _pair(param, "stride", "stride"), _pair(param, "pad", "pad")
    if not all(kernel) or not all(stride):
        return None
    return Windows(kernel, stride, pad, (1, 1))


def may_miss(layer: Layer, bottom: Shape | None) -> bool:
    """Whether a Pooling layer may have a window with no value in it.

    The last one may begin behind the end where the number of windows is rounded up and the gaps
    between them are longer than the kernel. MAX pooling then gives the lowest float there is, and
    AVE pooling divides by zero. With padding, Caffe leaves such a window out.

    Args:
        layer: a layer with a `pooling_param`.
        bottom: the shape of what it reads, as far as it is known.

    Raises:
        PrototxtError: a parameter has a bad value.
    """
    lengths = (None, None) if bottom is None or len(bottom) != 4 else bottom[2:]
    windows = pooling_windows(layer, lengths)
    if windows is None:
        return not layer.param("pooling_param").global_pooling
    if any(windows.pad) or not rounds_up(layer):
        return False
    counts = windows.pooled(lengths, ceil=True)
    each = zip(lengths, counts, windows.kernel, windows.stride, strict=True)
    return any(
        kernel < stride and (n is None or count is None or (count - 1) * stride >= n)
        for n, count, kernel, stride in each
    )


ROUNDING = frozenset(("ceil_mode", "round_mode"))
"""The fields by which forks let a Pooling round down."""


def rounds_up(layer: Layer) -> bool:
    """Whether a Pooling layer rounds up, as BVLC Caffe 1.0 always does.

    Its master has `round_mode: FLOOR`; forks, among them those with SSD's layers, `ceil_mode`.
    """
    if layer.struck & ROUNDING:
        return True
    words = Words.of(layer, "pooling_param")
    if "ceil_mode" in words.names:
        return words.boolean("ceil_mode", True)
    return words.choice("round_mode", ("CEIL", "FLOOR")) == "CEIL"


def rounded(layer: Layer, bottom: Shape | None) -> tuple[Shape, Shape] | None:
    """The lengths of a Pooling layer's top where it rounds up, and where it rounds down.

    Returns:
        None where its bottom's lengths are not known, or Caffe would refuse it.

    Raises:
        PrototxtError: a parameter has a bad value.
    """
    if bottom is None or len(bottom) != 4 or not all(bottom[2:]):
        return None
    windows = pooling_windows(layer, bottom[2:])
    if windows is None:
        return None
    return windows.pooled(bottom[2:], ceil=True), windows.pooled(bottom[2:], ceil=False)


def _numbers(
    param: Any, name: str, prefix: str, spatial: int, default: int | None
) -> tuple[int, ...] | None:
    """A number for each spatial axis: `name` once or for each, or `prefix`_h and `prefix`_w."""
    if param.HasField(f"{prefix}_h") or param.HasField(f"{prefix}_w"):
        pair = (getattr(param, f"{prefix}_h"), getattr(param, f"{prefix}_w"))
        return pair if spatial == 2 and not getattr(param, name) else None
    return _spread(getattr(param, name), spatial, default)


def _spread(values: Sequence[int], spatial: int, default: int | None) -> tuple[int, ...] | None:
    given = tuple(values)
    if not given and default is not None:
        given = (default,)
    if len(given) == 1:
        return given * spatial
    return given if len(given) == spatial else None


def _pair(param: Any, name: str, prefix: str) -> tuple[int, int]:
    # Pooling looks only at `_h` to choose between the two spellings.
    if param.HasField(f"{prefix}_h"):
        return getattr(param, f"{prefix}_h"), getattr(param, f"{prefix}_w")
    value = getattr(param, name)
    return value, value


def _quotient(dividend: int, divisor: int) -> int:
    """Division that rounds towards zero, as in C++."""
    return dividend // divisor if dividend >= 0 else -(-dividend // divisor)
