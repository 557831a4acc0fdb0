"""Windows of parallel branches, laid over each other: which one holds them all, and where.

At place o of the output, tap t of branch b reads input  o * stride - pad_b + dilation_b * t.
One window with padding P and dilation D reads the same with its tap

    t'  =  (P - pad_b + dilation_b * t) / D

so P is the largest padding, D the dilation of the branches that have more than one tap, and
(P - pad_b) / D, a whole number, is where branch b begins. Where the branches' outputs are equally
long, so are those of the merged window: the branch with the largest padding bounds it from above,
and no tap reads further beyond the end than P. Windows of odd and of even length are the same here.

Source of the idea: Ding et al., "RepVGG" (arXiv 2101.03697) and "ACNet" (arXiv 1908.03930).
"""

from __future__ import annotations

from bnfold.graph.windows import Windows

Axis = tuple[int, int, int, int]
"""Kernel, stride, padding and dilation along one axis."""


def joined(one: Windows, other: Windows) -> Windows | str:
    """Return the smallest window that holds both, or in words why none does."""
    found = []
    for mine, its in zip(_axes(one), _axes(other), strict=True):
        axis = _joined(mine, its)
        if isinstance(axis, str):
            return axis
        found.append(axis)
    kernel, stride, pad, dilation = zip(*found, strict=True)
    return Windows(kernel, stride, pad, dilation)


def place(whole: Windows, part: Windows) -> tuple[int, ...]:
    """Return where in a joined window one of its parts begins, for each axis."""
    each = zip(whole.pad, part.pad, whole.dilation, strict=True)
    return tuple((pad - own) // dilation for pad, own, dilation in each)


def point(axes: int) -> Windows:
    """Return the window of a layer that looks at each place by itself."""
    return Windows((1,) * axes, (1,) * axes, (0,) * axes, (1,) * axes)


def _axes(windows: Windows) -> list[Axis]:
    parts = (windows.kernel, windows.stride, windows.pad, windows.dilation)
    return list(zip(*parts, strict=True))


def _joined(one: Axis, other: Axis) -> Axis | str:
    (kernel, stride, pad, dilation), (its_kernel, its_stride, its_pad, its_dilation) = one, other
    if stride != its_stride:
        return f"stride {stride} and stride {its_stride}"
    if kernel > 1 and its_kernel > 1 and dilation != its_dilation:
        return f"dilation {dilation} and dilation {its_dilation}"
    gap = dilation if kernel > 1 else its_dilation if its_kernel > 1 else 1
    reach, its_reach = ((k - 1) * gap - 2 * p for k, p in ((kernel, pad), (its_kernel, its_pad)))
    if (pad - its_pad) % gap or (stride == 1 and reach != its_reach):
        return f"kernel {kernel} with pad {pad} and kernel {its_kernel} with pad {its_pad}"
    outer = max(pad, its_pad)
    size = max(kernel + (outer - pad) // gap, its_kernel + (outer - its_pad) // gap)
    return size, stride, outer, gap
