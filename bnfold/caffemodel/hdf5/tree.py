"""The groups under /data and /diff: which layer has which datasets."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..errors import problem

# A layer's name has a group for each part between slashes.
_MAX_DEPTH = 100
# Recurrent layers have some twenty blobs. A place far beyond is damage, and holes take memory.
_MAX_BLOBS = 1000
_NOT_CAFFE = "give a .caffemodel.h5 file that Caffe saved"


class Node(NamedTuple):
    """One layer's group: the layer's name, the h5py.Group, its datasets by their places."""

    name: str
    group: Any
    datasets: dict[int, Any]


def read_tree(h5py: Any, path: str, root: Any) -> list[Node]:
    """Return the layers' groups under the group `root`, each before those nested in it.

    Raises CaffemodelError for what Caffe does not write, and what h5py raises for damage.
    """
    nodes: list[Node] = []
    _walk(h5py, path, root, "", nodes, {_address(h5py, root)})
    return nodes


def to_bytes(name: str) -> bytes:
    """Return a layer's name as it is in the file, where Caffe does not care for its encoding."""
    return name.encode("utf-8", "surrogateescape")


def _walk(
    h5py: Any, path: str, group: Any, name: str, nodes: list[Node], seen: set[tuple[int, int]]
) -> None:
    datasets: dict[int, Any] = {}
    if name:
        nodes.append(Node(name, group, datasets))
    inner: list[tuple[str, Any]] = []
    for key in group.id:
        word = key.decode("utf-8", "surrogateescape")
        whole = f"{name}/{word}" if name else word
        if group.id.links.get_info(key).type == h5py.h5l.TYPE_EXTERNAL:
            raise problem(path, f"{group.name}/{word} leads to another file", do=_NOT_CAFFE)
        item = group[key]
        if isinstance(item, h5py.Group):
            # Also keeps this from going round in circles.
            if _address(h5py, item) in seen:
                raise problem(path, f"{group.name}/{word} is a group twice", do=_NOT_CAFFE)
            seen.add(_address(h5py, item))
            inner.append((whole, item))
        elif isinstance(item, h5py.Dataset) and name:
            datasets[_place(path, name, word)] = item
        else:
            raise problem(path, f"{group.name}/{word} is no layer's group", do=_NOT_CAFFE)
    if inner and name.count("/") >= _MAX_DEPTH:
        raise problem(path, f"groups are nested more than {_MAX_DEPTH} deep", do=_NOT_CAFFE)
    for whole, item in inner:
        _walk(h5py, path, item, whole, nodes, seen)


def _place(path: str, layer: str, word: str) -> int:
    if not (word.isascii() and word.isdigit() and str(int(word[:9])) == word):
        raise problem(
            path, f"has {word!r} where blobs are numbered 0, 1, ...", layer=layer, do=_NOT_CAFFE
        )
    if int(word) >= _MAX_BLOBS:
        raise problem(path, f"has a blob of number {word}", layer=layer, do=_NOT_CAFFE)
    return int(word)


def _address(h5py: Any, item: Any) -> tuple[int, int]:
    info = h5py.h5o.get_info(item.id)
    return info.fileno, info.addr
