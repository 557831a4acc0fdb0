"""What a run did, as typed data and as the documented JSON object."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnfold.caffemodel import Blob, BlobSource, Rounding, Weights
from bnfold.errors import CheckFailedError
from bnfold.fold import Code, Fate, MergeOptions, Outcome, Plan
from bnfold.graph import LAYER_TYPES, Net, Phase, Value
from bnfold.graph.axes import Shape
from bnfold.graph.cost import network_cost
from bnfold.summary import Summary

if TYPE_CHECKING:
    from bnfold.graph.readers import Problem
    from bnfold.proving.report import Proof

JSON_FORMAT = "bnfold.report/1"
"""The name and version of the JSON object; the version rises when a key changes meaning."""


@dataclass(frozen=True)
class Counts:
    """How large a network is.

    Attributes:
        layers: layers that run in the phase.
        affine: those of them that are BatchNorm, BN, Scale or Bias.
        operations: floating-point operations of one forward pass at the file's batch size,
            over the layers whose cost is known.
        traffic: bytes of values and parameters that pass reads and writes, as float32.
        uncounted: layers whose cost is not known, and is in neither sum.
        parameters: values in the weights file; None where no weights were given.
        weights_bytes: size of the weights file; None where there is none (yet).
        raw_blobs: blobs in raw_data, which NVIDIA's Caffe and OpenCV read, and few others; None
            where no weights were given.
    """

    layers: int
    affine: int
    operations: int
    traffic: int
    uncounted: int
    parameters: int | None
    weights_bytes: int | None
    raw_blobs: int | None = None

    @classmethod
    def of(
        cls,
        net: Net,
        shapes: Mapping[Value, Shape | None],
        size: int | None,
        rounding: Rounding | None = None,
    ) -> Counts:
        """Count a network as it is after the rewrites so far.

        Args:
            net: the network, with its weights where there are some.
            shapes: the shapes of its values.
            size: the size of the file in bytes, where it is known.
            rounding: the type that all blobs are to be stored in, if it is one.
        """
        layers = list(net.layers)
        affine = sum(layer.kind.is_affine for layer in layers)
        cost = network_cost(net, shapes)
        parameters = raw = None
        if net.weights is not None:
            blobs = _blobs(net, net.weights)
            parameters = sum(math.prod(blob.shape) for blob in blobs)
            raw = raw_count(blobs, net.weights, rounding)
        work = cost.operations, cost.bytes, len(cost.unknown)
        return cls(len(layers), affine, *work, parameters, size, raw)


@dataclass(frozen=True)
class Onto:
    """What was found of a prototxt that somebody else wrote, and that weights were wanted for.

    Attributes:
        model: the file.
        layers, inputs, outputs: the name that each has in the definition, with the one in the file.
        ends: layers of the file that compute the first half of a loss of the definition, as a
            Softmax does of a SoftmaxWithLoss; with that.
        left_out: the layers of the definition that served training and that this file has not.
    """

    model: Path
    layers: Mapping[str, str]
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    ends: Mapping[str, str]
    left_out: tuple[str, ...]

    @property
    def renamed(self) -> list[tuple[str, str]]:
        """The names that are others in the file, with those."""
        pairs = [*self.inputs.items(), *self.layers.items(), *self.outputs.items()]
        return [(old, new) for old, new in dict.fromkeys(pairs) if old != new]

    def to_json(self) -> dict[str, Any]:
        """The object `onto` of the report."""
        return {
            "model": str(self.model),
            "renamed": [{"name": old, "becomes": new} for old, new in self.renamed],
            "left_out": list(self.left_out),
        }


@dataclass(frozen=True, repr=False)
class Report(Summary):
    """What was planned, and what was written.

    Attributes:
        model, weights: the inputs; `weights` is None where only the prototxt was read.
        output_model, output_weights: the outputs; None where nothing was written.
        phase: the phase whose function is preserved.
        plan: what is folded into what, what is kept and why, engines, warnings.
        before, after: the size of the network.
        onto: what was found of the prototxt that the weights are for, where one was given.
        unportable: what stock Caffe does not know of the new network, by the lines of the new
            prototxt; None where nobody asked.
        proof: whether the two networks were proved to be one function; None where nobody asked.
    """

    model: Path
    weights: Path | None
    output_model: Path | None
    output_weights: Path | None
    phase: Phase
    plan: Plan
    before: Counts
    after: Counts
    onto: Onto | None = field(default=None, kw_only=True)
    unportable: tuple[Problem, ...] | None = field(default=None, kw_only=True)
    proof: Proof | None = field(default=None, kw_only=True)

    @property
    def standing(self) -> tuple[Outcome, ...]:
        """The affine layers that are left in the phase, as they were or as one Scale."""
        return tuple(filter(_stands, self.plan.of(Fate.KEPT, Fate.SCALE)))

    def lines(self) -> list[str]:
        """What became of each layer, and what came of it all."""
        from bnfold.merging import text

        return [*text.rows(self), *text.closing(self)]

    def headline(self) -> str:
        """The model, and how much went where."""
        from bnfold.merging import text

        return f"{self.model}: {text.closing(self)[0]}"

    def to_json(self) -> dict[str, Any]:
        """The report as the JSON object that docs/json.md describes."""
        return {
            "format": JSON_FORMAT,
            "model": str(self.model),
            "weights": _text(self.weights),
            "output_model": _text(self.output_model),
            "output_weights": _text(self.output_weights),
            **({"onto": self.onto.to_json()} if self.onto else {}),
            "phase": self.phase.value,
            "layers": [outcome.to_json() for outcome in self.plan.outcomes],
            "altered": sorted(self.plan.altered),
            **{
                kind.key: [entry.to_json() for entry in self.plan.of_type(kind)]
                for kind, always in MergeOptions.entries().items()
                if always or self.plan.of_type(kind)
            },
            **({} if self.unportable is None else {"unportable": self._unportable_json()}),
            **({} if self.proof is None else {"proof": self.proof.to_json()}),
            "warnings": list(self.plan.warnings),
            "before": asdict(self.before),
            "after": asdict(self.after),
        }

    def _unportable_json(self) -> list[dict[str, Any]]:
        return [problem.to_json() for problem in self.unportable or ()]


def _stands(outcome: Outcome) -> bool:
    if outcome.fate is Fate.SCALE:
        return True
    kind, reason = LAYER_TYPES.get(outcome.type), outcome.reason
    runs = reason is None or reason.code is not Code.OUTSIDE_PHASE
    return kind is not None and kind.is_affine and runs


def check_complete(report: Report, wanted: bool = True) -> None:
    """Where all affine layers are to go, refuse a merge that leaves some.

    Raises:
        CheckFailedError: one stays; the error has the report, without outputs.
    """
    if not wanted or not report.standing:
        return
    first, count = report.standing[0], len(report.standing)
    more = f" and {count - 1} more" if count > 1 else ""
    stays = "stays" if count == 1 else "stay"
    why = f": {first.reason.text}" if first.reason else ""
    raise CheckFailedError(
        f"{report.model}: {first.type} layer '{first.layer}' (line {first.line}){more} {stays}"
        f"{why}; no network was written",
        replace(report, output_model=None, output_weights=None),
    )


def check_portable(report: Report, wanted: bool = True) -> None:
    """Where stock Caffe is to load the new network, refuse one that it does not.

    Raises:
        CheckFailedError: it does not; the error has the report, without outputs.
    """
    if not wanted or not report.unportable:
        return
    first, count = report.unportable[0], len(report.unportable)
    more = f", and {count - 1} more" if count > 1 else ""
    raise CheckFailedError(
        f"{report.model}: stock Caffe would not load the result: {first.sentence()}{more}; no "
        "network was written (--portable=warn writes it)",
        replace(report, output_model=None, output_weights=None),
    )


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _blobs(net: Net, stored: Weights) -> list[BlobSource]:
    """What the weights file will hold: the blobs of all layers, and of all records of none."""
    owners = {layer.name: layer for layer in net.all_layers if layer.record is not None}
    found: list[BlobSource] = []
    for record in stored.records:
        owner = owners.get(record.name)
        if owner is None:
            found += record.blobs
        elif not owner.removed:
            found += record.blobs if owner.given_blobs is None else owner.given_blobs
    for layer in net.layers:
        if layer.record is None:
            found += layer.blobs
    return found


def raw_count(
    blobs: Sequence[BlobSource], stored: Weights, rounding: Rounding | None = None
) -> int:
    """How many blobs are stored in raw_data, or will be.

    Args:
        blobs: the blobs.
        stored: the weights file that they are of, or for whose copy.
        rounding: the type that all are to be stored in, if it is one.
    """
    if rounding is None:
        return sum(_is_raw(blob, stored) for blob in blobs)
    # In a binary file, half floats have no other place than raw_data.
    return 0 if stored.is_hdf5 or rounding.dtype != "<f2" else len(blobs)


def _is_raw(blob: BlobSource, stored: Weights) -> bool:
    if isinstance(blob, Blob):
        return blob.is_raw
    return not stored.is_hdf5 and blob.dtype == "<f2"


def warn_of_raw(after: Counts, plan: Plan, options: MergeOptions) -> None:
    """Say what of the new weights few can read, unless the user asked for it.

    Args:
        after: the counts of what is written.
        plan: gets the warning.
        options: what the user chose.
    """
    if not after.raw_blobs or options.keep_dtype or options.float16:
        return
    stay = "1 blob stays" if after.raw_blobs == 1 else f"{after.raw_blobs} blobs stay"
    plan.warnings.append(
        f"{stay} in raw_data, where float16 is stored and which NVIDIA's Caffe and OpenCV "
        "read, but few others; --float32 stores all blobs as plain float32"
    )
