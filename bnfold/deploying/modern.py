"""Files of before 2014 in the form of today, as Caffe itself upgrades them when it reads them.

Sources: BVLC caffe, src/caffe/util/upgrade_proto.cpp, `UpgradeNetInput` and
`UpgradeV1LayerParameter`. V0 is refused by whoever reads the network.
"""

from __future__ import annotations

from typing import Any

from bnfold.deploying.inputs import declared_shapes
from bnfold.graph import Layer, Net
from bnfold.graph.v1 import v1_word
from bnfold.prototxt import Document, Field, Ident

_LEGACY = ("input", "input_shape", "input_dim")
_PARAMS = {
    "param": "name",
    "blob_share_mode": "share_mode",
    "blobs_lr": "lr_mult",
    "weight_decay": "decay_mult",
}
"""Lists of a V1 layer, one element for each blob, and what they are in a modern `param`."""


def modernise(net: Net) -> int:
    """Record on a network's document what makes it modern; gives how many places change.

    Raises:
        PrototxtError: the shape of an input is missing, a V1 type has no modern name, or inputs
            cannot be layers where they stand.
    """
    count = _inputs_to_layers(net)
    for layer in net.layers:
        if layer.is_v1:
            _to_modern(net.document, layer)
            count += 1
    return count


def _inputs_to_layers(net: Net) -> int:
    document, root = net.document, net.document.root
    legacy = [field for name in _LEGACY for field in root.all(name)]
    if not legacy:
        return 0
    shapes = declared_shapes(net)
    names = {layer.name for layer in net.layers}
    place = _place(document, legacy)
    for field in legacy:
        document.remove(field)
    for value in net.inputs:
        shape = shapes.get(value.name)
        if not shape:
            raise root.all("input")[0].error(
                f"the input '{value.name}' has no shape; write it as input_shape"
            )
        name = value.name if value.name not in names else f"{value.name}/input"
        dims = [("dim", length) for length in shape]
        layer: list[tuple[str, Any]] = [
            ("name", name),
            ("type", "Input"),
            ("top", value.name),
            ("input_param", [("shape", dims)]),
        ]
        document.add(root, "layer", layer, after=place)
    return len(net.inputs)


def _place(document: Document, legacy: list[Field]) -> Field:
    """The field after which Input layers go: they come before all others."""
    first = next(field for field in document.root.fields if field.name in ("layer", "layers"))
    before = [field for field in document.root.fields if field.start < first.start]
    wanted = [field for field in before if field in legacy] or before
    if not wanted:
        raise legacy[0].error("it stands behind the layers; move it to the top of the file")
    return max(wanted, key=lambda field: field.start)


def _to_modern(document: Document, layer: Layer) -> None:
    document.rename(layer.field, "layer")
    kind = layer.text.all("type")[0]
    if v1_word(layer.type) is None:
        raise kind.error("Caffe has no V1 type of that name; write the layer as `layer { ... }`")
    document.replace(kind, layer.type)
    lists = {name: layer.text.all(name) for name in _PARAMS}
    fields = [field for found in lists.values() for field in found]
    if not fields:
        return
    for field in fields:
        document.remove(field)
    place = max(fields, key=lambda field: field.start)
    for blob in range(max(map(len, lists.values()))):
        document.add(layer.text, "param", _param(lists, blob), after=place)


def _param(lists: dict[str, list[Field]], blob: int) -> list[tuple[str, str | float]]:
    """What the lists say of one blob."""
    param: list[tuple[str, str | float]] = []
    for old, new in _PARAMS.items():
        if blob < len(lists[old]):
            field = lists[old][blob]
            if old == "param":
                param.append((new, field.string()))
            elif old == "blob_share_mode":
                strict = field.enum({"STRICT": 0, "PERMISSIVE": 1}) == 0
                param.append((new, Ident("STRICT" if strict else "PERMISSIVE")))
            else:
                param.append((new, field.floating()))
    return param
