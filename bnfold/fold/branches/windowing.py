"""Writing another window into a convolution, in the spelling that its text has."""

from __future__ import annotations

from bnfold.graph import Layer
from bnfold.graph.windows import Windows

_PARAM = "convolution_param"


def set_windows(layer: Layer, old: Windows, new: Windows) -> None:
    """Set kernel, padding and dilation of a convolution where they change.

    Args:
        layer: the convolution.
        old: its window so far.
        new: its new window, of the same stride.
    """
    if new.kernel != old.kernel:
        _set(layer, "kernel_size", "kernel", new.kernel)
    if new.pad != old.pad:
        _set(layer, "pad", "pad", new.pad)
    # Along an axis with one tap the dilation says nothing, so whatever is written may stay.
    each = zip(new.kernel, old.dilation, new.dilation, strict=True)
    dilation = tuple(was if size == 1 else now for size, was, now in each)
    if dilation != old.dilation:
        _set(layer, "dilation", "", dilation)


def _set(layer: Layer, name: str, prefix: str, numbers: tuple[int, ...]) -> None:
    """Write `name` once or for each axis, or `prefix`_h and `prefix`_w, as the text has it."""
    param = layer.param(_PARAM)
    if prefix and (param.HasField(f"{prefix}_h") or param.HasField(f"{prefix}_w")):
        for axis, number in zip("hw", numbers, strict=True):
            layer.set(_PARAM, f"{prefix}_{axis}", number)
        return
    written = len(getattr(param, name))
    once = written <= 1 and len(set(numbers)) == 1
    layer.set(_PARAM, name, numbers[:1] if once else numbers)
