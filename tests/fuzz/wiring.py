"""A random network as a list of layers, from which both files are written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bnfold.caffemodel import schema

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Node:
    """A layer of a network that is being drawn or made smaller.

    Attributes:
        name, type, bottoms, tops: as in the prototxt.
        holder: the name of its parameter message, "" for none.
        words: the fields of that message, one text each.
        outer: more fields of the layer, one text each.
        blobs: its weights.
        storage: how the weights are stored: "float", "double" or "legacy" (four sizes).
    """

    name: str
    type: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    holder: str = ""
    words: tuple[str, ...] = ()
    outer: tuple[str, ...] = ()
    blobs: tuple[Array, ...] = ()
    storage: str = "float"

    @property
    def text(self) -> str:
        """The layer as it stands in the prototxt."""
        lines = [f'name: "{self.name}"', f'type: "{self.type}"']
        lines += [f'bottom: "{bottom}"' for bottom in self.bottoms]
        lines += [f'top: "{top}"' for top in self.tops]
        lines += self.outer
        if self.holder and self.words:
            lines.append(f"{self.holder} {{ {' '.join(self.words)} }}")
        return "layer {\n" + "".join(f"  {line}\n" for line in lines) + "}\n"


@dataclass(frozen=True)
class Case:
    """A network, and what bnfold is asked to do with it.

    Attributes:
        nodes: its layers, in file order.
        command: "merge" or "prune".
        options: the keyword arguments of that function.
        seed: decides the values that are fed.
    """

    nodes: tuple[Node, ...]
    command: str = "merge"
    options: dict[str, Any] = field(default_factory=dict)
    seed: int = 0

    @property
    def text(self) -> str:
        """The prototxt."""
        return 'name: "drawn"\n' + "".join(node.text for node in self.nodes)

    def save(self, folder: Path) -> tuple[Path, Path]:
        """Write both files, and what is asked for; gives the paths of the files."""
        model, weights = folder / "net.prototxt", folder / "net.caffemodel"
        model.write_text(self.text)
        net = schema.message("NetParameter")(name="drawn")
        for node in self.nodes:
            if node.blobs:
                record = net.layer.add(name=node.name, type=node.type)
                record.blobs.extend(_blob(blob, node.storage) for blob in node.blobs)
        weights.write_bytes(net.SerializeToString())
        asked = {"command": self.command, "options": self.options, "feeds": self.seed}
        (folder / "asked.json").write_text(json.dumps(asked) + "\n")
        return model, weights


def layer_input(name: str, shape: Sequence[int]) -> Node:
    """An Input layer."""
    dims = " ".join(f"dim: {size}" for size in shape)
    return Node(name, "Input", (), (name,), "input_param", (f"shape {{ {dims} }}",))


def _blob(values: Array, storage: str) -> Any:
    proto = schema.message("BlobProto")()
    if storage == "legacy" and values.ndim <= 4:
        sizes = (1,) * (4 - values.ndim) + values.shape
        proto.num, proto.channels, proto.height, proto.width = sizes
    elif values.ndim:  # Caffe writes no shape for a blob without axes.
        proto.shape.dim.extend(values.shape)
    if storage == "double":
        proto.double_data.extend(values.astype(np.float64).ravel().tolist())
    else:
        proto.data.extend(values.astype(np.float32).ravel().tolist())
    return proto
