"""Layers that give values another shape, or look along an axis."""

from __future__ import annotations

import math

from ..wiring import Node
from .pieces import Pieces, Shape


class Shapes(Pieces):
    """Flatten, Reshape, Permute, Pooling and the like."""

    def flatten(self) -> None:
        bottom = self.pick()
        assert bottom is not None
        shape, name, words = self.shapes[bottom], self.name("flatten"), []
        rank = len(shape)
        start, end = min(1, rank - 1), rank - 1
        if self.chance(0.4):
            start = self.random.randrange(rank)
            end = self.random.randrange(start, rank)
            words.append(f"axis: {self.signed(start, rank)}")
            words.append(f"end_axis: {self.signed(end, rank)}")
        flat = (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :])
        self.read.add(bottom)
        node = Node(name, "Flatten", (bottom,), (name,), "flatten_param", tuple(words))
        self.put(node, flat)

    def reshape(self) -> None:
        bottom = self.pick()
        assert bottom is not None
        shape, name = self.shapes[bottom], self.name("reshape")
        new, words = self.other_shape(shape)
        self.read.add(bottom)
        self.put(Node(name, "Reshape", (bottom,), (name,), "reshape_param", words), new)

    def other_shape(self, shape: Shape) -> tuple[Shape, tuple[str, ...]]:
        sizes = list(shape)
        kind = self.random.choice(["same", "merge", "grow", "split", "swap"])
        at = self.random.randrange(len(sizes))
        if kind == "merge" and at + 1 < len(sizes):
            sizes[at : at + 2] = [sizes[at] * sizes[at + 1]]
        elif kind == "grow" and len(sizes) < 5:
            sizes.insert(at + 1, 1)
        elif kind == "split" and len(sizes) < 5 and sizes[at] % 2 == 0:
            sizes[at : at + 1] = [2, sizes[at] // 2]
        elif kind == "swap" and at + 1 < len(sizes):
            sizes[at], sizes[at + 1] = sizes[at + 1], sizes[at]
        written: list[int] = list(sizes)
        for i, size in enumerate(sizes):
            if i < len(shape) and shape[i] == size and self.chance(0.7):
                written[i] = 0
        if self.chance(0.5):
            written[self.random.randrange(len(written))] = -1
        words = f"shape {{ {' '.join(f'dim: {size}' for size in written)} }}"
        return tuple(sizes), (words,)

    def permute(self) -> None:
        bottom = self.pick(lambda shape: 1 < len(shape) < 5)
        if bottom is None:
            return
        shape, name = self.shapes[bottom], self.name("permute")
        order = list(range(len(shape)))
        if self.chance(0.6):
            self.random.shuffle(order)
        if self.chance(0.5):
            order = [0] + [axis for axis in order if axis]
        given = order
        if order == sorted(order):
            given = order[: self.random.randint(1, len(order))]
        words = tuple(f"order: {axis}" for axis in given)
        self.read.add(bottom)
        node = Node(name, "Permute", (bottom,), (name,), "permute_param", words)
        self.put(node, tuple(shape[axis] for axis in order))

    def upsample(self) -> None:
        """Whole factors, as the forks have it that need no mask."""
        bottom = self.pick(lambda shape: len(shape) == 4)
        if bottom is None:
            return
        shape, name, scale = self.shapes[bottom], self.name("up"), self.random.randint(1, 3)
        self.read.add(bottom)
        node = Node(name, "Upsample", (bottom,), (name,), "upsample_param", (f"scale: {scale}",))
        self.put(node, (*shape[:2], *(length * scale for length in shape[2:])))

    def pooling(self) -> None:
        bottom = self.pick(lambda shape: len(shape) == 4)
        if bottom is None:
            return
        shape, name = self.shapes[bottom], self.name("pool")
        words = [f"pool: {self.random.choice(['MAX', 'AVE'])}"]
        left: list[int] = []
        if self.chance(0.2):
            words.append("global_pooling: true")
            left = [1, 1]
        else:
            kernel = self.random.randint(1, min(3, *shape[2:]))
            stride, pad = self.random.randint(1, 2), self.random.choice([0, 1]) * (kernel > 1)
            words += [f"kernel_size: {kernel}", f"stride: {stride}", f"pad: {pad}"]
            for size in shape[2:]:
                count = -(-(size + 2 * pad - kernel) // stride) + 1
                left.append(count - (pad > 0 and (count - 1) * stride >= size + pad))
        if self.odds_of_strange and "global_pooling: true" not in words and self.chance(0.3):
            self.read.add(bottom)
            words.append("pad_mode: 1")
            node = Node(name, "Pooling", (bottom,), (name,), "pooling_param", tuple(words))
            self.put(node, None)
            return
        self.read.add(bottom)
        tops, shapes = [name], [(*shape[:2], *left)]
        if "MAX" in words[0] and self.chance(0.05):
            tops.append(f"{name}/mask")
        node = Node(name, "Pooling", (bottom,), tuple(tops), "pooling_param", tuple(words))
        self.put(node, *shapes, *[None] * (len(tops) - 1))

    def along(self) -> None:
        """A layer that looks along an axis, and keeps the shape."""
        bottom = self.pick()
        assert bottom is not None
        shape = self.shapes[bottom]
        axis = self.random.randrange(len(shape))
        kind, holder, words = self.random.choice(
            [
                ("Softmax", "softmax_param", (f"axis: {self.signed(axis, len(shape))}",)),
                ("MVN", "mvn_param", ("normalize_variance: false",)),
                ("MVN", "mvn_param", ("normalize_variance: false", "across_channels: true")),
                ("LRN", "lrn_param", ("local_size: 3", "alpha: 0.5")),
                ("LRN", "lrn_param", ("local_size: 3", "norm_region: WITHIN_CHANNEL")),
            ]
        )
        if kind in ("MVN", "LRN") and len(shape) != 4:
            return
        name = self.name(kind)
        top = name if kind == "LRN" else self.top(bottom, name)
        if top == name:
            self.read.add(bottom)
        self.put(Node(name, kind, (bottom,), (top,), holder, words), shape)

    def tile(self) -> None:
        bottom = self.pick()
        assert bottom is not None
        shape, name = list(self.shapes[bottom]), self.name("tile")
        axis, tiles = self.random.randrange(len(shape)), self.random.randint(1, 2)
        words = (f"axis: {self.signed(axis, len(shape))}", f"tiles: {tiles}")
        shape[axis] *= tiles
        self.read.add(bottom)
        self.put(Node(name, "Tile", (bottom,), (name,), "tile_param", words), tuple(shape))

    def crop(self) -> None:
        bottom = self.pick(lambda shape: len(shape) == 4)
        if bottom is None:
            return
        shape = self.shapes[bottom]
        mate = self.pick(
            lambda other: (
                len(other) == 4
                and other[:2] == shape[:2]
                and all(a <= b for a, b in zip(other, shape, strict=True))
            )
        )
        if mate is None or mate == bottom:
            return
        name = self.name("crop")
        self.read.update({bottom, mate})
        self.put(Node(name, "Crop", (bottom, mate), (name,)), self.shapes[mate])

    def ending(self) -> None:
        """A layer that decides or sums up; nothing reads what it gives."""
        bottom = self.pick()
        assert bottom is not None
        shape = self.shapes[bottom]
        axis = self.random.randrange(len(shape))
        kind, holder, words = self.random.choice(
            [
                ("ArgMax", "argmax_param", ()),
                ("ArgMax", "argmax_param", (f"axis: {axis}",)),
                ("Threshold", "threshold_param", ("threshold: 0.1",)),
                ("Reduction", "reduction_param", (f"axis: {self.signed(axis, len(shape))}",)),
                ("Reduction", "reduction_param", ("operation: MEAN",)),
                ("Silence", "", ()),
            ]
        )
        name = self.name(kind)
        tops = () if kind == "Silence" else (name,)
        self.read.add(bottom)
        self.put(Node(name, kind, (bottom,), tops, holder, words), *[None] * len(tops))
