"""Which layers can be taken at their word, and which may mean anything.

A type that nobody knows, a field of a fork in a layer, or a layer with a phase of its own may mean
anything, and so may a layer that works in place and must not. Whoever changes a network asks
`untrusted` first, and leaves alone what it names: what one rewrite must not look through, none may.
What is known of each type stands in layer_types/.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from bnfold.caffemodel import schema
from bnfold.graph.layer_type import LayerType, words
from bnfold.graph.layer_types import LAYER_TYPES
from bnfold.graph.net import ForkFields, Layer
from bnfold.graph.phase import Phase, own_phase
from bnfold.prototxt import Field, Message, PrototxtError

FUSED = words(
    "relu fuse_relu fused_relu with_relu combine_relu negative_slope activation fusion_type"
)
"""Fields by which forks let a layer apply an activation to what it computed (intel/caffe: relu)."""

ANY_LAYER = words(
    "name type bottom top loss_weight param blobs include exclude phase propagate_down blobs_lr "
    "weight_decay blob_share_mode forward_type backward_type forward_math backward_math"
)
"""Fields of a layer that do not say what it computes, or that are looked at elsewhere.

The last four are NVIDIA's types to compute in, which change the rounding.
"""

_OTHER_PARAMS = words(
    "accuracy_param contrastive_loss_param data_param dummy_data_param hdf5_data_param "
    "hdf5_output_param hinge_loss_param image_data_param infogain_loss_param loss_param "
    "memory_data_param parameter_param python_param recurrent_param spp_param transform_param "
    "window_data_param"
)
"""Messages that Caffe knows and that no type of the table reads."""

ELSEWHERE = ANY_LAYER.union(_OTHER_PARAMS, *(known.params for known in LAYER_TYPES.values()))
"""These, and all messages whose owner is known: every other layer passes over them."""


def untrusted(layer: Layer, phase: Phase) -> str | None:
    """Why it is not known what a layer computes, as the beginning of a sentence; None if it is.

    Args:
        layer: the layer, as the file has it.
        phase: the phase that the network runs in.

    Raises:
        PrototxtError: its `phase` has a bad value, or one of its messages is none.
    """
    known = layer.kind
    if not known.is_understood:
        return f"{layer} is in the way: it is of a type that bnfold does not know"
    foreign = foreign_fields(layer)
    if foreign:
        fused = FUSED.issuperset(foreign)
        what = "so it does more than its type says" if fused else "which may mean anything"
        return f"{layer} has {', '.join(foreign)}, {what}"
    if known.is_spoilt(layer):
        return f"{layer} works in place, where it writes over what it has yet to read"
    own = own_phase(layer.text, phase)
    if own is Phase.TRAIN and known.training:
        return f"{layer} {known.training} in phase TRAIN"
    if own is not phase and not known.reads_phase:
        return f"{layer} has a phase of its own, {own.value}, in which it may do something else"
    return None


def foreign_fields(layer: Layer) -> tuple[str, ...]:
    """The fields of a layer and its parameters that bnfold does not know, sorted.

    Args:
        layer: the layer, as the file has it.

    Raises:
        PrototxtError: one of its messages is none.
    """
    return _of_forks(layer)[0]


def window_fields(layer: Layer) -> tuple[str, ...]:
    """The fields of forks that say where a layer's window lies, sorted.

    Raises:
        PrototxtError: one of its messages is none.
    """
    return _of_forks(layer)[1]


def _of_forks(layer: Layer) -> ForkFields:
    """What of a layer's fields may mean anything, and what only says where its window lies."""
    known = layer.kind
    if not known.is_understood:
        return (), ()
    if layer.fork_fields is None or layer.fork_fields[0] is not known:
        layer.fork_fields = known, _sorted_out(layer, known)
    return layer.fork_fields[1]


def _sorted_out(layer: Layer, known: LayerType) -> ForkFields:
    foreign: set[str] = set()
    windows: set[str] = set()
    for one in layer.text.fields:
        if one.name in layer.cleared:
            continue
        if one.name not in known.params:
            if one.name not in ELSEWHERE:
                foreign.add(one.name)
            continue
        fields = known.params[one.name]
        if fields is not None:
            inner = one.message().fields
            names = {field.name for field in inner} - fields
            windows |= names & known.window_fields
            foreign |= names - known.window_fields
            foreign.update(_foreign_values(one.name, inner))
    unknown = sorted(name for name in foreign if not is_harmless(name))
    return tuple(unknown), tuple(sorted(windows))


def _foreign_values(message: str, fields: Sequence[Field]) -> Iterator[str]:
    """What stands in a field for a choice that Caffe does not offer, as "operation: DIFF"."""
    for field in fields:
        choices = _choices(message, field.name)
        if choices and not isinstance(field.value, Message) and not is_harmless(field.name):
            try:
                field.enum(choices)
            except PrototxtError:
                yield f"{field.name}: {field.value.text}"


@cache
def _choices(message: str, field: str) -> Mapping[str, int]:
    """The values of a field that is an enum in the schema; none for any other."""
    layer: Any = schema.message("LayerParameter").DESCRIPTOR
    holder = layer.fields_by_name.get(message)
    found = None if holder is None else holder.message_type.fields_by_name.get(field)
    if found is None or found.enum_type is None:
        return {}
    return {value.name: value.number for value in found.enum_type.values}


def is_harmless(name: str) -> bool:
    """Whether a field says who computes a layer, or what its weights were before training."""
    return name == "engine" or name == "filler" or name.endswith("_filler")
