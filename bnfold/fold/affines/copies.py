"""Whether layers that share a blob by name have the same numbers for it in the weights file.

Caffe loads every copy of a shared blob in turn, so that where they differ the last one holds.
"""

from __future__ import annotations

from bnfold.fold.blobs import same_values
from bnfold.graph import Layer, Net


class Copies:
    """The records of layers that share blobs, compared with those of the first that has them."""

    def __init__(self, net: Net) -> None:
        self._net = net
        self._odd: dict[str, dict[Layer, None]] = {}

    def differing(self, layer: Layer) -> Layer | None:
        """A layer that shares a blob with `layer` and has other numbers, if there is one.

        Raises:
            CaffemodelError: a blob cannot be read.
        """
        for name in filter(None, layer.blob_names):
            sharing = self._net.sharing(name)
            if len(sharing) == 1:
                continue
            if name not in self._odd:
                first, *others = sharing
                self._odd[name] = {other: None for other in others if not _alike(first, other)}
            odd = self._odd[name]
            if odd:
                return sharing[0] if layer in odd else next(iter(odd))
        return None


def _alike(one: Layer, other: Layer) -> bool:
    mine, its = (layer.blobs for layer in (one, other))
    return len(mine) == len(its) and all(map(same_values, mine, its))
