"""Rewrite: `engine: CAFFE` on every convolution whose kernel is 1 in all axes.

Such a convolution is one matrix product, which Caffe's own engine does without unrolling
the image (BVLC caffe, base_conv_layer.cpp, `is_1x1_`); `engine: CAFFE` makes it skip cuDNN.
The layer computes the same function either way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bnfold.caffemodel import schema
from bnfold.fold.plan import Entry
from bnfold.fold.rewrite import Context, OptionalRewrite
from bnfold.graph import Layer
from bnfold.graph.windows import convolution_windows, own_spatial_axes
from bnfold.spelling import plural

_PARAM = "convolution_param"


@dataclass(frozen=True)
class EngineChange(Entry):
    """A 1x1 convolution that is set to `engine: CAFFE`.

    Attributes:
        replaced: the engine that the file asked for, or None where it said nothing.
    """

    key = "engines"
    beside_affines = True
    type = "Convolution"
    layer: str
    line: int
    replaced: str | None

    @property
    def done(self) -> bool:
        """Always."""
        return True

    def what(self) -> tuple[str, str]:
        """The engine, and what it was."""
        return "engine: CAFFE", f" (was {self.replaced})" if self.replaced else ""

    def sentence(self) -> str:
        """The engine of the layer, and what it was."""
        was = f" instead of {self.replaced}" if self.replaced else ""
        return f"engine {self.layer}: CAFFE{was}"

    def to_json(self) -> dict[str, Any]:
        """The object in the list `engines`."""
        return {"layer": self.layer, "line": self.line, "replaced": self.replaced}

    @classmethod
    def summary(cls, entries: Sequence[EngineChange]) -> str:
        """How many convolutions were set."""
        return f"engine CAFFE set on {plural(len(entries), 'convolution')}"


class EngineCaffe(OptionalRewrite):
    """Set the engine of 1x1 convolutions, folded or not."""

    help = "Set `engine: CAFFE` on convolutions whose kernel is 1 in all axes."
    on = True
    entry = EngineChange
    last = True

    def run(self, context: Context) -> bool:
        """Apply the rewrite to all convolutions of the phase."""
        hosts = {host for done in context.plan.outcomes for host in done.into}
        names = {n: name for name, n in schema.enum("ConvolutionParameter.Engine").items()}
        for layer in context.net.layers:
            if (
                layer.kind.name != "Convolution"
                or context.untrusted(layer)
                or not _is_pointwise(layer)
            ):
                continue
            if not context.choice.allows(layer) and not (
                layer.name in hosts and context.choice.only
            ):
                continue
            param = layer.param(_PARAM)
            engine = names[param.engine]
            if engine == "CAFFE":
                continue
            replaced = engine if param.HasField("engine") else None
            layer.set(_PARAM, "engine", "CAFFE")
            context.plan.entries.append(EngineChange(layer.name, layer.line, replaced))
        # No other rewrite asks which engine computes a layer.
        return False


def _is_pointwise(layer: Layer) -> bool:
    """Whether the kernel is 1 in all axes, however it is written."""
    windows = convolution_windows(layer, own_spatial_axes(layer))
    return windows is not None and all(size == 1 for size in windows.kernel)
