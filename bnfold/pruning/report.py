"""What a pruning did, as typed data and as the documented JSON object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bnfold.fold.blobs import size_of
from bnfold.fold.channels.slim import Border, Stays
from bnfold.fold.rewrite import Context
from bnfold.fold.weighted import WeightedLayer
from bnfold.graph import Layer, Shape, Value, layer_cost
from bnfold.merging.report import Counts, Report
from bnfold.merging.text import size_words
from bnfold.spelling import plural
from bnfold.summary import Summary

JSON_FORMAT = "bnfold.prune/1"
"""The name and version of the JSON object; the version rises when a key changes meaning."""


@dataclass(frozen=True)
class Size:
    """How large a layer is.

    Attributes:
        channels: how many it makes.
        parameters: values in its blobs.
        operations: floating-point operations of one forward pass, a multiplication with its
            addition as two; None where shapes are not known.
    """

    channels: int
    parameters: int
    operations: int | None


@dataclass(frozen=True)
class PrunedLayer:
    """A layer with weights, before and after.

    Attributes:
        layer, type, line: the layer, and where it stands in the prototxt.
        removed: its channels that were taken out, as the input counts them.
        before, after: its size.
    """

    layer: str
    type: str
    line: int
    removed: tuple[int, ...]
    before: Size
    after: Size


@dataclass(frozen=True, repr=False)
class PruneReport(Summary):
    """What was taken out, and what was written.

    Attributes:
        model, weights: the inputs.
        output_model, output_weights: the outputs; None where nothing was written.
        layers: each Convolution, Deconvolution and InnerProduct, in file order.
        absorbed: for each layer that read constants, the layer whose mean or bias took them.
        borders: where the result is not exact, and by how much at most.
        stays: channels with a gamma that could not go, and why.
        highest: the largest |gamma| that was removed; None if nothing was.
        warnings: what is legal but suspicious.
        before, after: the size of the network; after folding, where that was asked for.
        merged: what folding did, where that was asked for.
    """

    model: Path
    weights: Path
    output_model: Path | None
    output_weights: Path | None
    layers: tuple[PrunedLayer, ...]
    absorbed: Mapping[str, str]
    borders: tuple[Border, ...]
    stays: tuple[Stays, ...]
    highest: float | None
    warnings: tuple[str, ...]
    before: Counts
    after: Counts
    merged: Report | None = None

    @property
    def removed(self) -> int:
        """How many channels were taken out."""
        return sum(len(layer.removed) for layer in self.layers)

    @property
    def channels(self) -> int:
        """How many channels there were."""
        return sum(layer.before.channels for layer in self.layers)

    def lines(self) -> list[str]:
        """What became of each layer, and what came of it all."""
        return [*self.rows(), *self.remarks(), *self.closing()]

    def headline(self) -> str:
        """The model, and how many channels went."""
        return f"{self.model}: {self.closing()[0]}"

    def rows(self) -> list[str]:
        """A line for each layer with weights."""
        return [
            " ".join([_verb(layer), f"{layer.layer} ({layer.type}):", *_cells(layer)])
            for layer in self.layers
        ]

    def remarks(self) -> list[str]:
        """What could not go and why, and where the result is not exact."""
        lines = [
            f"stays {stays.layer}: {plural(stays.count, 'channel')}: {stays.reason.text} "
            f"[{stays.reason.code.value}]"
            for stays in self.stays
        ]
        lines += [
            f"border {border.layer}: where its window meets padding, outputs are off by up to "
            f"{border.bound:.3g}; elsewhere exact"
            for border in self.borders
        ]
        return lines

    def closing(self) -> list[str]:
        """The sums, and what was written."""
        before, after = self.before, self.after
        line = f"removed {self.removed:,} of {plural(self.channels, 'channel')}"
        if self.highest is not None:
            line += f", |gamma| up to {self.highest:.3g}"
        lines = [line]
        if before.parameters is not None and after.parameters is not None:
            line = f"parameters {before.parameters:,} -> {after.parameters:,}"
            line += (
                f", operations {before.operations / 1e6:,.1f} M -> {after.operations / 1e6:,.1f} M"
            )
            if before.weights_bytes is not None and after.weights_bytes is not None:
                was, now = size_words(before.weights_bytes), size_words(after.weights_bytes)
                line += f", weights {was} -> {now}"
            lines.append(line)
        if self.merged is not None:
            lines.append(f"folded: layers {before.layers} -> {after.layers}")
        lines += self._measured()
        if self.output_model is not None:
            lines.append(f"wrote {self.output_model} and {self.output_weights}")
        return lines

    def _measured(self) -> list[str]:
        """What was measured of both networks, in lines."""
        return []

    def to_json(self) -> dict[str, Any]:
        """The report as the JSON object that docs/json.md describes."""
        return {
            "format": JSON_FORMAT,
            "model": str(self.model),
            "weights": str(self.weights),
            "output_model": _text(self.output_model),
            "output_weights": _text(self.output_weights),
            "layers": [asdict(layer) | {"removed": list(layer.removed)} for layer in self.layers],
            "absorbed": dict(self.absorbed),
            "borders": [asdict(border) for border in self.borders],
            "stays": [_stays(stays) for stays in self.stays],
            "highest_gamma": self.highest,
            "warnings": list(self.warnings),
            "before": asdict(self.before),
            "after": asdict(self.after),
            "merged": None if self.merged is None else self.merged.to_json(),
        }


def _verb(layer: PrunedLayer) -> str:
    if layer.removed:
        return "pruned"
    return "narrowed" if layer.before != layer.after else "kept"


def _cells(layer: PrunedLayer) -> list[str]:
    """Channels, parameters and operations of a layer, each before and after."""
    before, after = layer.before, layer.after
    cells = [
        f"channels {change(before.channels, after.channels)}",
        f"parameters {change(before.parameters, after.parameters)}",
    ]
    if before.operations is not None and after.operations is not None:
        cells.append(f"operations {change(before.operations, after.operations)}")
    return cells


def change(before: int, after: int) -> str:
    """A number before and after, or once where it is the same."""
    return f"{before:,}" if before == after else f"{before:,} -> {after:,}"


def sizes(context: Context, shapes: Mapping[Value, Shape | None]) -> dict[Layer, Size]:
    """The size of each layer with weights, as it is after the rewrites so far."""
    found = {}
    for layer in context.net.layers:
        if layer.kind.layout is None:
            continue
        cost = layer_cost(layer, shapes)
        parameters = sum(map(size_of, layer.blobs))
        operations = None if cost is None else cost.operations
        found[layer] = Size(WeightedLayer.of(layer).outputs, parameters, operations)
    return found


def _stays(stays: Stays) -> dict[str, Any]:
    return {
        "layer": stays.layer,
        "line": stays.line,
        "channels": stays.count,
        "code": stays.reason.code.value,
        "reason": stays.reason.text,
    }


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
