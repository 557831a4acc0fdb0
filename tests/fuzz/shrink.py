"""Make a failing network as small as it can be while it still fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from .wiring import Case, Node


def shrink(case: Case, fails: Callable[[Case], bool], seconds: float) -> Case:
    """The smallest case found that still fails.

    Args:
        case: a case that fails.
        fails: whether a case fails; one that Caffe cannot run does not.
        seconds: how long to search at most.
    """
    end = time.monotonic() + seconds
    smaller = True
    while smaller:
        smaller = False
        for simplify in (_fewer_layers, _fewer_words, _fewer_options, _plainer_weights):
            for candidate in simplify(case):
                if time.monotonic() > end:
                    return case
                if fails(candidate):
                    case, smaller = candidate, True
                    break
            if smaller:
                break
    return case


def without(nodes: tuple[Node, ...], gone: Node) -> tuple[Node, ...]:
    """The layers without one of them; who read what it wrote reads what it read."""
    gone = next(node for node in nodes if node.name == gone.name)
    renamed: dict[str, str] = {}
    if gone.bottoms:
        renamed = {top: gone.bottoms[0] for top in gone.tops if top not in gone.bottoms}
    found = []
    for node in nodes:
        if node.name == gone.name:
            continue
        bottoms = tuple(renamed.get(bottom, bottom) for bottom in node.bottoms)
        tops = tuple(renamed.get(top, top) if top in node.bottoms else top for top in node.tops)
        found.append(replace(node, bottoms=bottoms, tops=tops))
    return tuple(found)


def _fewer_layers(case: Case) -> Iterator[Case]:
    count = len(case.nodes)
    for last in (count // 2, 3 * count // 4, count - 2, count - 1):
        yield replace(case, nodes=case.nodes[:last])
    size = max(1, count // 4)
    while size:
        for end in range(count, 0, -size):
            nodes = case.nodes
            for gone in case.nodes[max(0, end - size) : end]:
                nodes = nodes if gone.type == "Input" else without(nodes, gone)
            if len(nodes) < count:
                yield replace(case, nodes=nodes)
        size //= 2
    for node in case.nodes:
        if node.type == "Input" and not any(node.name in other.bottoms for other in case.nodes):
            yield replace(case, nodes=without(case.nodes, node))
    for at, node in enumerate(case.nodes):
        if len(node.bottoms) > 1 and node.type in ("Concat", "Eltwise"):
            yield _with(case, at, replace(node, bottoms=node.bottoms[1:]))
            yield _with(case, at, replace(node, bottoms=node.bottoms[:-1]))


def _fewer_words(case: Case) -> Iterator[Case]:
    for at, node in enumerate(case.nodes):
        for field in ("words", "outer"):
            words = getattr(node, field)
            for gone in range(len(words)):
                yield _with(case, at, replace(node, **{field: words[:gone] + words[gone + 1 :]}))
        if len(node.blobs) == 2 and "bias_term: true" in node.words:
            words = tuple(word for word in node.words if word != "bias_term: true")
            yield _with(case, at, replace(node, words=words, blobs=node.blobs[:1]))
        if len(node.blobs) == 2 and "inner" in node.holder + node.holder.replace("conv", "inner"):
            words = (*node.words, "bias_term: false")
            yield _with(case, at, replace(node, words=words, blobs=node.blobs[:1]))


def _fewer_options(case: Case) -> Iterator[Case]:
    for name in case.options:
        if name not in ("threshold", "treat_as"):
            rest = {key: value for key, value in case.options.items() if key != name}
            yield replace(case, options=rest)


def _plainer_weights(case: Case) -> Iterator[Case]:
    for at, node in enumerate(case.nodes):
        if node.storage != "float":
            yield _with(case, at, replace(node, storage="float"))
        for index, blob in enumerate(node.blobs):
            plain = np.round(blob)
            if not np.array_equal(plain, blob) and plain.any():
                blobs = (*node.blobs[:index], plain, *node.blobs[index + 1 :])
                yield _with(case, at, replace(node, blobs=blobs))


def _with(case: Case, at: int, node: Node) -> Case:
    return replace(case, nodes=(*case.nodes[:at], node, *case.nodes[at + 1 :]))
