"""Networks with batch norms, in which chosen channels are dead or have a gamma of zero."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from folding import feeds_for, merge_files
from models import Model

import bnfold
from bnfold.caffemodel import schema

IMAGE = (2, 4, 9, 7)


class Net(Model):
    """A model with blocks of a convolution, a batch norm with its Scale, and an activation."""

    def block(
        self, name: str, bottom: str, outputs: int, kernel: int = 3, act: str = "ReLU", **words
    ) -> Net:
        """The layers `name`, `name/bn`, `name/s` and `name/act`, in place."""
        self.conv(name, bottom, outputs, kernel, bias=words.pop("bias", False), **words)
        return self.normalised(name, act)

    def normalised(self, name: str, act: str = "ReLU") -> Net:
        self.batch_norm(f"{name}/bn", name).scale(f"{name}/s", name)
        return self.act(f"{name}/act", name, act)

    def act(self, name: str, bottom: str, act: str, top: str | None = None) -> Net:
        """An activation by its type, with words of its own behind a space; "" for none."""
        if not act:
            return self
        kind, _, words = act.partition(" ")
        top = top or bottom
        self.channels[top] = self.channels[bottom]
        slopes = [self.rng.uniform(0.1, 0.5, self.channels[bottom])] if kind == "PReLU" else []
        text = f'name: "{name}" type: "{kind}" bottom: "{bottom}" top: "{top}" {words}'
        self.layer(text, name, slopes)
        return self

    def join(self, name: str, kind: str, *bottoms: str, words: str = "") -> Net:
        """An Eltwise or Concat."""
        reads = " ".join(f'bottom: "{bottom}"' for bottom in bottoms)
        self.layer(f'name: "{name}" type: "{kind}" {reads} top: "{name}" {words}')
        counts = [self.channels[bottom] for bottom in bottoms]
        self.channels[name] = sum(counts) if kind == "Concat" else counts[0]
        return self

    def pool(self, name: str, bottom: str, words: str) -> Net:
        text = f'name: "{name}" type: "Pooling" bottom: "{bottom}" top: "{name}"'
        self.layer(f"{text} pooling_param {{ {words} }}")
        self.channels[name] = self.channels[bottom]
        return self

    def blob_of(self, name: str, index: int = 0) -> np.ndarray:
        proto = self._proto(name, index)
        return np.array(proto.data, np.float32).reshape(tuple(proto.shape.dim))

    def set_zero(self, name: str, channels: Sequence[int], index: int = 0) -> Net:
        """Set rows of a stored blob to zero: filters of a convolution, gammas of a Scale."""
        values = self.blob_of(name, index)
        values[list(channels)] = 0
        return self.store(name, values, index)

    def store(self, name: str, values: np.ndarray, index: int = 0) -> Net:
        self._proto(name, index).data[:] = np.asarray(values, np.float32).ravel().tolist()
        return self

    def _proto(self, name: str, index: int):
        (record,) = (r for r in self.net.layer if r.name == name)
        return record.blobs[index]


def start(seed: int = 3, shape: Sequence[int] = IMAGE) -> Net:
    net = Net(seed=seed)
    net.input("data", shape)
    return net


@dataclass(frozen=True)
class Pruned:
    """A pruning that was done, beside the same network with the gammas at zero."""

    report: bnfold.PruneReport
    zeroed: tuple[Path, Path]
    after: tuple[Path, Path]

    @property
    def text(self) -> str:
        return self.after[0].read_text()

    def net(self):
        return schema.message("NetParameter").FromString(self.after[1].read_bytes())

    def blobs(self, name: str) -> list[np.ndarray]:
        (record,) = (r for r in self.net().layer if r.name == name)
        return [np.array(b.data, np.float32).reshape(tuple(b.shape.dim)) for b in record.blobs]


def prune(
    folder: Path, net: Net, gammas: Mapping[str, Sequence[int]] | None = None, **options
) -> Pruned:
    """Prune a network; `gammas` are the zeros that it must then equal, by Scale layer.

    Without them they are told from the report, by the naming of `Net.block`.
    """
    model, weights = net.save(folder)
    report = bnfold.prune(model, weights, **{"round_to": 1, **options})
    if gammas is None:
        names = {record.name for record in net.net.layer}
        removed = {f"{one.layer}/s": one.removed for one in report.layers}
        gammas = {name: gone for name, gone in removed.items() if name in names}
    for name, gone in gammas.items():
        net.set_zero(name, gone)
    zeroed = net.save(folder, "zeroed")
    return Pruned(report, zeroed, (report.output_model, report.output_weights))


def outputs_of(runtime, files: tuple[Path, Path], seed: int = 7) -> dict[str, np.ndarray]:
    with runtime.load(*files) as session:
        return session.run(feeds_for(session.inputs, seed=seed))


def largest_difference(runtime, one: tuple[Path, Path], other: tuple[Path, Path]) -> float:
    """Over all outputs, as a share of the output's largest value."""
    old, new = outputs_of(runtime, one), outputs_of(runtime, other)
    assert set(old) == set(new)
    assert old
    worst = 0.0
    for name, values in old.items():
        assert values.shape == new[name].shape
        size = float(np.abs(values).max())
        assert size > 1e-4, "an output of zeros would hide a wrong cut"
        worst = max(worst, float(np.abs(values - new[name]).max()) / size)
    return worst


def merged_twice_is_merged_once(folder: Path, files: tuple[Path, Path]) -> bool:
    with tempfile.TemporaryDirectory(dir=folder) as name:
        model, weights = Path(name, "a.prototxt"), Path(name, "a.caffemodel")
        again = merge_files(*files, output_model=model, output_weights=weights)
        return all(
            one.read_bytes() == other.read_bytes()
            for one, other in zip(files, again.after, strict=True)
        )
