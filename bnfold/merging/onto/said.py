"""What a layer says it computes, in a form in which two layers can be compared.

Spellings are one here: a kernel that is written once or for each axis, an axis that is counted from
the end, a default that is written or not, a fork's depthwise type and a convolution in groups. Who
computes a layer and how its weights were made before training is left out.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bnfold.caffemodel import schema
from bnfold.fold.weighted import WeightedLayer
from bnfold.graph import AffineForm, Layer, Layout, Phase, Shape, own_phase
from bnfold.graph.axes import axis_index
from bnfold.graph.params import is_repeated
from bnfold.graph.trust import ANY_LAYER, foreign_fields, is_harmless, window_fields
from bnfold.graph.windows import convolution_windows, own_spatial_axes, rounds_up, spatial_axes
from bnfold.prototxt import Field, Message

_NO_MATTER = frozenset(
    ["moving_average_fraction", "stable_prod_grad", "force_nd_im2col", "scale_bias", "bias_term"]
)
"""Fields that do not change what is computed in phase TEST, or that the blobs say as well."""

_AXES = ("axis", "end_axis")


@dataclass(frozen=True)
class Said:
    """What a layer computes, but for its numbers and whether it adds a bias.

    Attributes:
        type: its type; a convolution's own where a fork has a name for some of them.
        params: its parameters, by their names, sorted.
    """

    type: str
    params: tuple[tuple[str, Hashable], ...]

    def differing(self, other: Said) -> str | None:
        """The first parameter on which two layers of one type do not agree."""
        mine, its = dict(self.params), dict(other.params)
        names = sorted(mine.keys() | its.keys())
        return next((name for name in names if mine.get(name) != its.get(name)), None)

    def spelt(self, name: str) -> str:
        """A parameter for people: "stride 2x2"."""
        return f"{name} {_spelt(dict(self.params).get(name))}"


def said(layer: Layer, shape: Shape | None, phase: Phase) -> Said:
    """What a layer says that it computes.

    Args:
        layer: the layer, as it is now.
        shape: the shape of its first bottom, as far as it is known.
        phase: the phase that the network runs in.

    Raises:
        PrototxtError, BnfoldError: a parameter has a bad value, or a needed one is missing.
    """
    kind = layer.kind
    foreign = foreign_fields(layer)
    if not kind.is_understood or any(":" in name for name in foreign):
        found = dict(_everything(layer))
        name = layer.type
    else:
        found = {**_parameters(layer, shape), **_some(layer, {*foreign, *window_fields(layer)})}
        name = "Convolution" if kind.is_depthwise else layer.type
    if own_phase(layer.text, phase) is not phase:
        found["phase"] = own_phase(layer.text, phase).value
    found["tops"] = len(layer.tops)
    return Said(name, tuple(sorted(found.items())))


def _parameters(layer: Layer, shape: Shape | None) -> dict[str, Hashable]:
    if layer.kind.layout is not None:
        return _matrix(layer, shape)
    found: dict[str, Hashable] = {}
    for message, names in layer.kind.params.items():
        found.update(_read(layer, message, names))
    if layer.kind.name == "Pooling":
        found = _pooling(layer, found)
    for legacy in ("concat_dim", "slice_dim"):
        # The old fields win where they are written (concat_layer.cpp, slice_layer.cpp).
        if found.pop(legacy, None) is not None:
            param = layer.param(layer.kind.message)
            found["axis"] = getattr(param, legacy if param.HasField(legacy) else "axis")
    if layer.kind.name == "Eltwise" and {*_numbers(found.get("coeff"))} <= {1.0}:
        found.pop("coeff", None)
    if layer.kind.name == "BatchNorm":
        stored = layer.param("batch_norm_param")
        found["use_global_stats"] = stored.use_global_stats or not stored.HasField(
            "use_global_stats"
        )
    if shape is not None and layer.kind.name != "Reshape":
        for name in _AXES:
            axis = found.get(name)
            if isinstance(axis, int):
                found[name] = axis_index(axis, len(shape)) if axis < 0 else axis
    return found


def _numbers(value: object) -> tuple[object, ...]:
    return value if isinstance(value, tuple) else ()


def _matrix(layer: Layer, shape: Shape | None) -> dict[str, Hashable]:
    """What a convolution, deconvolution or inner product says."""
    rank = None if shape is None else len(shape)
    weighted = WeightedLayer.of(layer, rank)
    axis = weighted.axis
    found: dict[str, Hashable] = {
        "num_output": weighted.outputs,
        "axis": axis % rank if rank and -rank <= axis < 0 else axis,
    }
    if weighted.layout is Layout.INNER_PRODUCT:
        return {**found, "transpose": weighted.is_transposed}
    channels = None if shape is None or len(shape) < 2 else shape[1]
    if not weighted.outputs and channels is not None:
        # A fork's depthwise type may leave out what it reads anyway.
        found["num_output"] = found["group"] = channels
    else:
        found["group"] = weighted.groups
    spatial = spatial_axes(layer, shape)
    windows = convolution_windows(layer, own_spatial_axes(layer) if spatial is None else spatial)
    if windows is not None:
        found.update(kernel=windows.kernel, stride=windows.stride)
        found.update(pad=windows.pad, dilation=windows.dilation)
    return found


def _pooling(layer: Layer, found: Mapping[str, Hashable]) -> dict[str, Hashable]:
    """The windows of a pooling in one spelling."""
    kept = {name: found[name] for name in ("pool", "global_pooling") if name in found}
    if not kept.get("global_pooling"):
        param = layer.param("pooling_param")
        for name, alone in (("kernel", "kernel_size"), ("stride", "stride"), ("pad", "pad")):
            # Pooling looks only at `_h` to choose between the two spellings.
            if param.HasField(f"{name}_h"):
                kept[name] = getattr(param, f"{name}_h"), getattr(param, f"{name}_w")
            else:
                kept[name] = (getattr(param, alone),) * 2
        kept["rounds up"] = rounds_up(layer)
    return kept


def _read(
    layer: Layer, message: str, names: frozenset[str] | None
) -> Iterator[tuple[str, Hashable]]:
    """The fields of a message that matter, with what they are where they are not written."""
    record: Any = schema.message("LayerParameter").DESCRIPTOR
    holder = record.fields_by_name.get(message)
    known = {} if holder is None else dict(holder.message_type.fields_by_name)
    for name, descriptor in known.items():
        if is_harmless(name) or name in _NO_MATTER or (names is not None and name not in names):
            continue
        yield name, _value(getattr(layer.param(message), name), layer.param(message), descriptor)
    written = layer.written(message)
    others = {} if written is None else _by_name(written.message())
    for name, value in others.items():
        if name not in known and not is_harmless(name) and (names is None or name in names):
            yield name, value


def _value(value: Any, holder: Any, descriptor: Any) -> Hashable:
    if descriptor.message_type is not None:
        values = value if is_repeated(descriptor) else [value]
        return tuple(each.SerializeToString(deterministic=True) for each in values)
    if is_repeated(descriptor):
        return tuple(value)
    if not descriptor.has_default_value and not holder.HasField(descriptor.name):
        return None
    if descriptor.enum_type is not None:
        return str(descriptor.enum_type.values_by_number[value].name)
    found: Hashable = value
    return found


def _everything(layer: Layer) -> Iterator[tuple[str, Hashable]]:
    """All that is written in a layer of a type that nobody knows, in its own words."""
    for name, value in _by_name(layer.text).items():
        if name not in ANY_LAYER and name not in layer.cleared and not is_harmless(name):
            yield name, value


def _some(layer: Layer, names: set[str]) -> dict[str, Hashable]:
    """Fields of some names, of the layer itself or of its parameters."""
    if not names:
        return {}
    found = {name: value for name, value in _by_name(layer.text).items() if name in names}
    for message in layer.kind.params:
        written = layer.written(message)
        inner = {} if written is None else _by_name(written.message())
        found.update({name: value for name, value in inner.items() if name in names})
    return found


def _by_name(text: Message) -> dict[str, Hashable]:
    """The values of each name in a message, in the order in which they stand."""
    found: dict[str, list[Hashable]] = {}
    for field in text.fields:
        found.setdefault(field.name, []).append(_as_written(field))
    return {name: tuple(values) for name, values in found.items()}


def _as_written(field: Field) -> Hashable:
    """A value without its spelling: 1, 1.0 and 1. are one number."""
    value = field.value
    if isinstance(value, Message):
        inner = _by_name(value).items()
        return tuple(sorted(pair for pair in inner if not is_harmless(pair[0])))
    if value.is_string:
        return field.string()
    try:
        return float(value.text)
    except ValueError:
        return {"True": "true", "t": "true", "False": "false", "f": "false"}.get(
            value.text, value.text
        )


def is_biased(layer: Layer) -> bool | None:
    """Whether a layer that may add a bias does; None for other layers."""
    if layer.kind.layout is None and layer.kind.affine is not AffineForm.SCALE:
        return None
    return bool(layer.param(layer.kind.message).bias_term)


def _spelt(value: Hashable) -> str:
    if value is None:
        return "not written"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple) and all(isinstance(each, (int, float)) for each in value):
        return "x".join(f"{each:g}" for each in value) or "not written"
    if isinstance(value, (int, float)):
        return f"{value:g}"
    return str(value) if isinstance(value, str) else "of other words"
