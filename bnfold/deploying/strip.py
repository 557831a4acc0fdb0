"""What a definition and its weights hold for training alone goes.

- Fillers, where the weights are there that they would make. Those of a BatchNorm or BN stay: forks
  tell by them which blobs such a layer has. So do a DummyData's, which are its data.
- `lr_mult` and `decay_mult`; a `param` that then says nothing goes, but for one that holds the
  place before a `param` with a name.
- `loss_weight`.
- In the weights file, gradients (`diff`), and records of layers that are gone.
"""

from __future__ import annotations

from collections.abc import Iterator

from bnfold.caffemodel import LayerEdit, Weights
from bnfold.graph import AffineForm, Layer, Net
from bnfold.prototxt import Document, Field, Message, Scalar

_RATES = frozenset({"lr_mult", "decay_mult"})
_OF_LAYER = ("loss_weight", "blobs_lr", "weight_decay")
_KEPT_FORMS = (AffineForm.BATCH_NORM, AffineForm.BN)


def strip_definition(net: Net) -> int:
    """Record on a network's document what goes; gives how many fields do.

    Raises:
        PrototxtError: a field that is looked at has a value of another kind.
    """
    document, count = net.document, 0
    for layer in net.layers:
        stale = [field for name in _OF_LAYER for field in layer.text.all(name)]
        for field in (*stale, *_fillers(layer, net.weights is not None)):
            document.remove(field)
            count += 1
        if not layer.is_v1:
            count += _strip_rates(document, layer)
    return count


def strip_weights(net: Net, stored: Weights) -> dict[str, LayerEdit]:
    """What goes from a weights file, by the names of its records.

    Args:
        net: the network that stays.
        stored: its weights file.
    """
    names = {layer.name for layer in net.layers}
    return {
        record.name: LayerEdit(remove=record.name not in names, drop_gradients=True)
        for record in stored.records
    }


def _fillers(layer: Layer, has_weights: bool) -> Iterator[Field]:
    """The fillers that nobody needs any more, or the messages that hold nothing else."""
    kind = layer.kind
    if kind.is_data or not kind.is_understood or kind.affine in _KEPT_FORMS:
        return
    for name in kind.params:
        holder = layer.text.get(name)
        if holder is None:
            continue
        message = holder.message()
        found = [field for field in message.fields if _is_needless(layer, field, has_weights)]
        if found and len(found) == len(message.fields):
            yield holder
        else:
            yield from found


def _is_needless(layer: Layer, field: Field, has_weights: bool) -> bool:
    """Whether a field is a filler of weights that are there.

    Where no weights file tells whether they are, a bilinear filler stays: networks for segmentation
    are trained with weights that it alone makes.
    """
    if not field.name.endswith("filler") or not isinstance(field.value, Message):
        return False
    if has_weights:
        return bool(layer.blobs)
    kinds = [kind.value for kind in field.value.all("type")]
    return not any(isinstance(kind, Scalar) and "bilinear" in kind.text for kind in kinds)


def _strip_rates(document: Document, layer: Layer) -> int:
    """Take the training rates out of a layer's `param`s."""
    params = layer.text.all("param")
    rates = [[one for one in param.message().fields if one.name in _RATES] for param in params]
    says = [
        len(found) < len(param.message().fields) for param, found in zip(params, rates, strict=True)
    ]
    for at, param in enumerate(params):
        if any(says[at:]):
            for field in rates[at]:
                document.remove(field)
        else:
            document.remove(param)
    return sum(map(len, rates))
