"""Shapes, as far as the text tells them; they decide a few questions, and only those.

Source: BVLC caffe, the Reshape of each layer in src/caffe/layers/.
"""

from __future__ import annotations

from collections.abc import Sequence

from bnfold.proof.layers import Layer, Words
from bnfold.proof.weighted import Layout, Weighted, Window

Lengths = tuple[int | None, ...]
"""The lengths of a value's axes, None for those that are not known."""


def windowed(weighted: Weighted, shape: Lengths | None) -> Lengths | None:
    """What a weighted layer makes of a shape."""
    if weighted.layout in (Layout.INNER, Layout.TRANSPOSED):
        return (None if shape is None else shape[0], weighted.outputs)
    window = weighted.window
    axes = len(window.kernel)
    if shape is None or len(shape) != axes + 2 or window.extra:
        return (None, weighted.outputs, *[None] * axes)
    each = zip(shape[2:], window.kernel, window.stride, window.pad, window.dilation, strict=True)
    lengths: list[int | None] = []
    for n, k, s, p, d in each:
        extent = d * (k - 1) + 1
        if n is None:
            lengths.append(None)
        elif weighted.layout is Layout.DECONVOLUTION:
            lengths.append(s * (n - 1) + extent - 2 * p)
        else:
            lengths.append((n + 2 * p - extent) // s + 1)
    return (shape[0], weighted.outputs, *lengths)


def pooling_window(param: Words) -> Window | None:
    """The window of a Pooling over two axes; None where it takes in all places."""
    if param.flag("global_pooling", False):
        return None
    found = []
    for name, short, default in (
        ("kernel_size", "kernel", 0), ("stride", "stride", 1), ("pad", "pad", 0)
    ):  # fmt: skip
        value = param.integer(name, default)
        found.append(tuple(param.integer(f"{short}_{axis}", value) for axis in "hw"))
    return Window(found[0], found[1], found[2], (1, 1))


def pooled(window: Window | None, rounds_up: bool, shape: Lengths | None) -> Lengths | None:
    """What a Pooling makes of a shape."""
    if shape is None or len(shape) != 4:
        return None
    if window is None:
        return (*shape[:2], 1, 1)
    lengths: list[int | None] = []
    for n, k, s, p in zip(shape[2:], window.kernel, window.stride, window.pad, strict=True):
        if n is None:
            lengths.append(None)
            continue
        room = n + 2 * p - k
        count = (-(-room // s) if rounds_up else room // s) + 1
        if any(window.pad) and (count - 1) * s >= n + p:
            count -= 1
        lengths.append(count)
    return (*shape[:2], *lengths)


def never_outside(window: Window | None, rounds_up: bool, shape: Lengths | None) -> bool:
    """Whether each window of a Pooling lies on at least one place of what it reads."""
    if window is None:
        return True
    if all(p < k for p, k in zip(window.pad, window.kernel, strict=True)) and all(
        s <= k for s, k in zip(window.stride, window.kernel, strict=True)
    ):
        return True
    after = pooled(window, rounds_up, shape)
    if after is None or shape is None:
        return False
    each = zip(after[2:], shape[2:], window.kernel, window.stride, window.pad, strict=True)
    return all(
        count is not None and n is not None and (count - 1) * s - p < n and p < k
        for count, n, k, s, p in each
    )


def product(lengths: Sequence[int | None]) -> int | None:
    """How many values there are; None if a length is not known."""
    total = 1
    for n in lengths:
        if n is None:
            return None
        total *= n
    return total


def agreed(shapes: Sequence[Lengths | None]) -> Lengths | None:
    """The shape that several values have in common, from what is known of each."""
    known = [shape for shape in shapes if shape is not None]
    if not known or len({len(shape) for shape in known}) > 1:
        return None
    return tuple(
        next((n for n in lengths if n is not None), None) for lengths in zip(*known, strict=True)
    )


def flattened(shape: Lengths | None, axis: int, end: int) -> Lengths | None:
    """What a Flatten makes of a shape."""
    if shape is None:
        return None
    count = len(shape)
    axis, end = (x + count if x < 0 else x for x in (axis, end))
    if not 0 <= axis <= end < count:
        return None
    return (*shape[:axis], product(shape[axis : end + 1]), *shape[end + 1 :])


def reshaped(shape: Lengths | None, param: Words) -> Lengths | None:
    """What a Reshape makes of a shape, as far as its words tell."""
    if param.integer("axis", 0) != 0 or param.integer("num_axes", -1) != -1:
        return None
    dims = param.inner("shape").integers("dim")
    out: list[int | None] = []
    for place, dim in enumerate(dims):
        if dim == 0:
            out.append(None if shape is None or place >= len(shape) else shape[place])
        else:
            out.append(dim if dim > 0 else None)
    if shape is not None and dims.count(-1) == 1:
        at = dims.index(-1)
        whole, rest = product(shape), product([n for i, n in enumerate(out) if i != at])
        out[at] = whole // rest if whole is not None and rest else None
    return tuple(out)


def opaque(layer: Layer, shapes: Sequence[Lengths | None]) -> Lengths | None:
    """The shape of what a layer computes of which nothing else is known."""
    shape = shapes[0] if shapes else None
    if shape is None:
        return None
    if layer.kind == "Permute":
        order = layer.param("permute_param").integers("order")
        order += [axis for axis in range(len(shape)) if axis not in order]
        return tuple(shape[axis] for axis in order) if max(order) < len(shape) else None
    if layer.kind == "InnerProduct":
        param = layer.param("inner_product_param")
        axis = param.integer("axis", 1) % len(shape)
        return (*shape[:axis], param.integer("num_output", 0))
    if "convolution_param" in layer.words.names:
        param = layer.param("convolution_param")
        rest = (None,) * (len(shape) - 2)
        if param.integer("axis", 1) != 1 or len(shape) < 2:
            return None
        return (shape[0], param.integer("num_output", 0) or None, *rest)
    if layer.kind == "Tile":
        param = layer.param("tile_param")
        axis, tiles = param.integer("axis", 1) % len(shape), param.integer("tiles", 0)
        length = shape[axis]
        return (*shape[:axis], None if length is None else length * tiles, *shape[axis + 1 :])
    if layer.kind == "Concat":
        param = layer.param("concat_param")
        axis = param.integer("axis", param.integer("concat_dim", 1)) % len(shape)
        known = agreed(shapes)
        lengths = [None if each is None or known is None else each[axis] for each in shapes]
        total = None if None in lengths else sum(n for n in lengths if n is not None)
        return None if known is None else (*known[:axis], total, *known[axis + 1 :])
    return None
