"""Rewrite: fields that stock Caffe does not know go, where they say nothing of what is computed.

Stock Caffe ends at a field, or a word in one, that its schema does not have. These go:

1. fields that say who computes a layer: `engine`, and NVIDIA's types to compute in;
2. what fillers and `param` say beyond stock Caffe's: that is for training. The filler of a layer
   that the weights file has no numbers for stays, since these are drawn by it then;
3. parameters of other layer types, which the layer's own type does not look at;
4. `ceil_mode` and `round_mode` where they say what is so anyway: where they are CEIL, or where as
   many windows fit whichever way it is rounded, for inputs of the size in the file;
5. all such fields of layers that do not run in the phase, but for their rules;
6. fields of the network that say how it is computed, by whom, or how it is trained.

Every other field stays, and is named as what stock Caffe does not know.

Sources: intel/caffe and NVIDIA/caffe, src/caffe/proto/caffe.proto, `NetParameter` and
`LayerParameter`; BVLC/caffe, as for the table in graph/readers/caffe.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bnfold.fold.plan import Entry
from bnfold.fold.rewrite import Context, OptionalRewrite
from bnfold.graph import Layer
from bnfold.graph.layer_type import words
from bnfold.graph.trust import ELSEWHERE, is_harmless
from bnfold.graph.windows import ROUNDING, rounded, rounds_up
from bnfold.prototxt import Field, Message
from bnfold.spelling import plural

if TYPE_CHECKING:
    from bnfold.graph.readers.schema import Schema

_OF_NETWORK = words(
    "engine bn_stats_batch_size compile_net_state default_forward_type default_backward_type "
    "default_forward_math default_backward_math global_grad_scale global_grad_scale_param "
    "default_conv_algos_override reduce_buckets default_cudnn_math_override eltwise_mem_share"
)
"""Fields of a network by which intel/caffe and NVIDIA/caffe say how it is computed and trained."""

_OF_LAYER = words(
    "engine forward_type backward_type forward_math backward_math cudnn_math_override"
)
_RULES = ("include", "exclude")


@dataclass(frozen=True)
class StaleField(Entry):
    """A field that was taken out.

    Attributes:
        layer, type: the layer that had it; both "" for a field of the network.
        field: the field, as "convolution_param.engine".
    """

    key = "stale_fields"
    layer: str
    type: str
    line: int
    field: str

    @property
    def done(self) -> bool:
        """It is gone."""
        return True

    def what(self) -> tuple[str, str]:
        """That the field is gone."""
        return "taken out", f": {self.field}, which stock Caffe does not know"

    def sentence(self) -> str:
        """The same, with whose it was."""
        whose = f"{self.layer} ({self.type})" if self.type else "the network"
        return f"took {self.field} out of {whose}"

    def to_json(self) -> dict[str, Any]:
        """The object in the list `stale_fields`."""
        return {"layer": self.layer, "type": self.type, "line": self.line, "field": self.field}

    @classmethod
    def summary(cls, entries: Sequence[StaleField]) -> str:
        """How many fields are gone."""
        count = len(entries)
        return f"{plural(count, 'field')} taken out that stock Caffe does not know" if count else ""


class RemoveStale(OptionalRewrite):
    """Take out fields that stock Caffe does not know and that compute nothing."""

    help = "Take out fields that stock Caffe does not know, where they compute nothing."
    on = False
    entry = StaleField
    last = True

    def run(self, context: Context) -> bool:
        """Apply the rewrite to all fields of the file."""
        net, sized = context.net, list[str]()
        before = set(net.struck)
        for field in net.document.root.fields:
            if field.name in _OF_NETWORK and field not in before:
                _strike(context, None, field, field.name)
        for layer in (*net.layers, *net.outside):
            if layer.behind is not None or not context.choice.allows(layer):
                continue
            for field, path in list(_stale(context, layer)):
                if field in before:
                    continue
                if field.name in ROUNDING and net.runs(layer) and _is_sized(layer):
                    sized.append(layer.name)
                _strike(context, layer, field, path)
        if sized:
            more = f" and {len(sized) - 1} more" if len(sized) > 1 else ""
            context.plan.warnings.append(
                f"Pooling '{sized[0]}'{more} rounded down, and now rounds up as stock Caffe does; "
                "that is the same for inputs of the size in the file only"
            )
        return len(net.struck) > len(before)


def _strike(context: Context, layer: Layer | None, field: Field, path: str) -> None:
    name, kind = ("", "") if layer is None else (layer.name, layer.written_type)
    context.net.strike(field, layer)
    context.plan.entries.append(StaleField(name, kind, field.line, path))


def _stale(context: Context, layer: Layer) -> Iterator[tuple[Field, str]]:
    """The fields of a layer that go, each with its path."""
    runs = context.net.runs(layer)
    for field in layer.text.fields:
        if field.name in layer.cleared:
            continue
        kind = _stock().kind(layer.field.name, field.name)
        if kind is None:
            elsewhere = (
                layer.kind.is_understood and field.name in ELSEWHERE - layer.kind.params.keys()
            )
            if not runs or field.name in _OF_LAYER or elsewhere:
                yield field, field.name
        elif kind.is_message and isinstance(field.value, Message) and field.name not in _RULES:
            idle = not runs or _is_of_another(layer, field.name)
            yield from _inner(context, layer, field.value, kind.name, f"{field.name}.", idle)


def _stock() -> Schema:
    """What stock Caffe knows. Few ask for that, and it takes 6 ms to import."""
    from bnfold.graph.readers import BVLC

    return BVLC.schema


def _is_of_another(layer: Layer, message: str) -> bool:
    """Whether a message is for layers of another type."""
    return (
        layer.kind.is_understood and message not in layer.kind.params and message.endswith("_param")
    )


def _inner(
    context: Context, layer: Layer, text: Message, message: str, path: str, idle: bool
) -> Iterator[tuple[Field, str]]:
    """The fields of a message that go.

    Args:
        context: the network.
        layer: the layer that the message is of.
        text: the message.
        message: its name in the schema.
        path: how its fields' paths begin.
        idle: whether nothing in it is looked at when the layer runs.
    """
    for field in text.fields:
        kind, where = _stock().kind(message, field.name), f"{path}{field.name}"
        quiet = idle or _is_idle(context, layer, field) or (message == "param" and kind is None)
        if kind is None or kind.fault(field):
            if quiet:
                yield field, where
        elif isinstance(field.value, Message):
            yield from _inner(context, layer, field.value, kind.name, f"{where}.", quiet)


def _is_idle(context: Context, layer: Layer, field: Field) -> bool:
    """Whether a field says nothing of what its layer computes."""
    if field.name == "engine":
        return True
    if is_harmless(field.name):
        return not context.has_weights or bool(layer.blobs)
    return field.name in ROUNDING and layer.kind.name == "Pooling" and _rounds_alike(context, layer)


def _is_sized(layer: Layer) -> bool:
    """Whether a Pooling is as stock Caffe has it for the size in the file alone."""
    return not rounds_up(layer) and not layer.param("pooling_param").global_pooling


def _rounds_alike(context: Context, layer: Layer) -> bool:
    """Whether a Pooling has as many windows as stock Caffe gives it, which rounds up."""
    if not _is_sized(layer):
        return True
    lengths = rounded(layer, context.shapes.get(layer.bottoms[0]))
    return lengths is not None and lengths[0] == lengths[1]
