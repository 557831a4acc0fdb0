"""The weights file for the given network: the folded one's records, under the given names.

Checked beforehand, in words: that each layer with numbers has some, that they are as many and of
such shapes as the given file calls for, and that layers which share a blob there can.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bnfold.caffemodel import LayerEdit, NewLayer, Weights
from bnfold.errors import BnfoldError
from bnfold.fold import weight_edits
from bnfold.fold.weighted import WeightedLayer
from bnfold.fold.weights import Dense
from bnfold.graph import AffineForm, Layer, Layout, Net, Shape, Value
from bnfold.graph.axes import item_count
from bnfold.merging.naming import naming
from bnfold.merging.onto.said import is_biased

Pairs = Mapping[Layer, Layer]


def give_biases(pairs: Pairs) -> None:
    """Give a bias of zeros to layers of the folded network whose partners have a place for one."""
    for layer, partner in pairs.items():
        if not is_biased(layer) or is_biased(partner) or not partner.blobs:
            continue
        dtype = np.dtype("<f4")
        outputs = partner.blobs[0].shape[0] if partner.blobs[0].shape else 1
        if partner.kind.layout is not None:
            outputs = WeightedLayer.of(partner).outputs
        zeros = Dense.of(np.zeros(outputs), dtype, f"bias of {partner}")
        partner.set(partner.kind.message, "bias_term", True)
        partner.give(*partner.blobs, zeros)


def check_numbers(
    pairs: Pairs,
    given: Path,
    model: Path,
    stored: Weights,
    shapes: Mapping[Value, Shape | None],
) -> None:
    """Hold the numbers that layers are to get against what the given file calls for.

    Args:
        pairs: each layer of the given network, with its partner in the folded one.
        given, model: the files of the two.
        stored: the weights file.
        shapes: the shapes of the given network's values, as far as they are known.

    Raises:
        BnfoldError: a layer has none, or they do not fit.
    """
    for layer, partner in pairs.items():
        if not _has_numbers(partner):
            continue
        if not partner.blobs:
            raise BnfoldError(
                f"{stored.path}: it has no weights for {partner.type} layer '{partner.name}' "
                f"({model}, line {partner.line}), which is '{layer.name}' in {given} (line "
                f"{layer.line}); do the files belong together?"
            )
        _check_count(layer, partner, given, stored)
        if partner.kind.layout is not None:
            with naming(model):
                WeightedLayer.of(partner).blobs()
            _check_inputs(layer, partner, given, shapes)
    _check_shared(pairs, given, model)


def _has_numbers(layer: Layer) -> bool:
    kind = layer.kind
    affine = kind.affine not in (None, AffineForm.POWER) and len(layer.bottoms) == 1
    return kind.layout is not None or kind.has_slopes or affine


def _check_count(layer: Layer, partner: Layer, given: Path, stored: Weights) -> None:
    """See that a batch norm that stays has blobs of the kind that the given file calls for."""
    if layer.kind.affine is not AffineForm.BATCH_NORM:
        return
    holder = layer.text.get("batch_norm_param")
    names = set() if holder is None else {field.name for field in holder.message().fields}
    own = bool(layer.param("batch_norm_param").scale_bias)
    scales = own or not names.isdisjoint({"scale_filler", "bias_filler"})
    if scales != (len(partner.blobs) > 3):
        expected = (
            "5 blobs are expected for it, with a scale and a bias"
            if scales
            else "3 are expected for it, without scale and bias"
        )
        raise BnfoldError(
            f"{given}: {layer} (line {layer.line}): {expected}, and {stored.path} has "
            f"{len(partner.blobs)} for '{partner.name}'; NVIDIA's Caffe has 5 and BVLC's has 3"
        )


def _check_inputs(
    layer: Layer, partner: Layer, given: Path, shapes: Mapping[Value, Shape | None]
) -> None:
    """See that a weight is for as many inputs as the layer is given."""
    weighted = WeightedLayer.of(partner)
    shape = shapes.get(layer.bottoms[0])
    if shape is None or len(shape) < 2:
        return
    if weighted.layout is Layout.INNER_PRODUCT:
        axis = weighted.axis
        count, what = item_count(shape[axis if axis >= 0 else len(shape) + axis :]), "values"
    else:
        count, what = shape[weighted.axis % len(shape)], "channels"
    if count is not None and count != weighted.inputs:
        sides = "x".join("?" if length is None else str(length) for length in shape)
        raise BnfoldError(
            f"{given}: {layer} (line {layer.line}) reads {count} {what} of '"
            f"{layer.bottoms[0].name}' ({sides}), and its weights are for {weighted.inputs}; is "
            "the input of another size?"
        )


def _check_shared(pairs: Pairs, given: Path, model: Path) -> None:
    """See that layers which share a blob in the given file share it in the folded network."""
    first: dict[str, tuple[Layer, object]] = {}
    for layer, partner in pairs.items():
        for place, name in enumerate(layer.blob_names[: len(partner.blobs)]):
            if not name:
                continue
            theirs = partner.blob_names[place] if place < len(partner.blob_names) else ""
            blob: object = theirs or partner.blobs[place]
            other, known = first.setdefault(name, (layer, blob))
            if known is not blob and known != blob:
                raise BnfoldError(
                    f"{given}: {layer} (line {layer.line}) shares blob '{name}' with '{other.name}'"
                    f" (line {other.line}), and '{partner.name}' in {model} (line {partner.line}) "
                    "has numbers of its own; take out that param name"
                )


def renamed_records(
    net: Net, stored: Weights, pairs: Pairs
) -> tuple[dict[str, LayerEdit], list[NewLayer]]:
    """What becomes of the records of the weights file, and what is new in it.

    Args:
        net: the folded network.
        stored: the weights file.
        pairs: each layer of the given network, with its partner.
    """
    edits = weight_edits(net)
    partners = {partner: layer for layer, partner in pairs.items()}
    owners = {one.name: partners.get(one) for one in net.all_layers if one.record is not None}
    found = {}
    for record in stored.records:
        layer = owners.get(record.name)
        if layer is None:
            found[record.name] = LayerEdit(remove=True)
            continue
        edit = _renamed(edits.get(record.name, LayerEdit()), layer, pairs[layer])
        if edit != LayerEdit():
            found[record.name] = edit
    added = [
        NewLayer(layer.name, layer.type, *_ends(layer), partner.given_blobs)
        for layer, partner in pairs.items()
        if partner.record is None and partner.given_blobs is not None
    ]
    return found, added


def _renamed(edit: LayerEdit, layer: Layer, partner: Layer) -> LayerEdit:
    bottoms, tops = _ends(layer)
    was = [tuple(field.string() for field in partner.text.all(end)) for end in ("bottom", "top")]
    return edit._replace(
        name=layer.name if layer.name != partner.name else None,
        type=layer.type if layer.type != partner.written_type else None,
        bottoms=bottoms if bottoms != was[0] else None,
        tops=tops if tops != was[1] else None,
    )


def _ends(layer: Layer) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(v.name for v in layer.bottoms), tuple(v.name for v in layer.tops)
