"""Proof that what values and layers of a network say of each other is true.

Rewrites change a network only through the verbs of `Net`, and whoever adds a verb or a rewrite lets
its tests ask `broken_links` after every step. It takes no part in a merge.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from bnfold.graph.memory import Memory
from bnfold.graph.net import Layer, Net, Value


def broken_links(net: Net) -> list[str]:
    """Every link of a network that does not hold, a sentence for each.

    1. A value lists each of its readers as often as that reads it, and nobody else.
    2. A value's producer makes it, and runs.
    3. A name means, where a layer stands, the value that the layer reads by it; and it still means
       something where a layer outside the phase reads it.
    4. What the network gives out has the names that it has in the file.
    5. Layers that share a blob by name know of each other.
    6. Values lie where a fresh look at the network tells, and are written and read when it does.
    """
    broken = [*_readers(net), *_places(net), *_outputs(net), *_shared_names(net)]
    # Memory can be told of a network only whose links hold.
    return broken or net.memory.differences(Memory(list(net.layers), net.inputs))


def _readers(net: Net) -> Iterator[str]:
    read: dict[Value, Counter[Layer]] = {value: Counter() for value in net.inputs}
    for layer in net.layers:
        read.update((value, Counter()) for value in layer.tops)
    for layer in net.layers:
        for value in layer.bottoms:
            if value in read:
                read[value][layer] += 1
            else:
                yield f"{layer} reads '{value.name}', which nobody makes"
    for value, readers in read.items():
        if Counter(value.readers) != readers:
            yield f"'{value.name}' is read by {dict(readers)} and lists {value.readers}"


def _places(net: Net) -> Iterator[str]:
    """What names mean from layer to layer, in the file (`before`) and now."""
    before = {value.name for value in net.inputs}
    now = {value.name: value for value in net.inputs}
    for layer in sorted((*net.all_layers, *net.outside), key=lambda layer: layer.index):
        if not net.runs(layer):
            names = {field.string() for field in layer.text.all("bottom")}
            for name in sorted((names & before) - now.keys()):
                yield f"{layer}, outside the phase, reads '{name}', which is no more"
            continue
        if layer.behind is None:
            before |= {field.string() for field in layer.text.all("top")}
        if layer.removed:
            continue
        for value in layer.bottoms:
            if now.get(value.name) is not value:
                yield f"'{value.name}' does not mean what {layer} reads where it stands"
        for value in layer.tops:
            if value.producer is not layer:
                yield f"{layer} makes '{value.name}', which names {value.producer} for it"
            now[value.name] = value


def _outputs(net: Net) -> Iterator[str]:
    unread = {value.name for value in net.inputs}
    for layer in net.all_layers:
        if layer.behind is not None:
            continue
        unread -= {field.string() for field in layer.text.all("bottom")}
        unread |= {field.string() for field in layer.text.all("top")}
    values = [*net.inputs, *(top for layer in net.layers for top in layer.tops)]
    given = {value.name for value in values if value.is_output}
    if given != unread:
        yield f"the network gives out {sorted(given)}, in the file {sorted(unread)}"


def _shared_names(net: Net) -> Iterator[str]:
    carriers: dict[str, list[Layer]] = {}
    for layer in net.layers:
        for name in set(filter(None, layer.blob_names)):
            carriers.setdefault(name, []).append(layer)
    for name, layers in carriers.items():
        if net.sharing(name) != layers:
            yield f"blob '{name}' is shared by {layers}, not by {net.sharing(name)}"
