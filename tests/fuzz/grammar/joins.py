"""Layers that join values or part them."""

from __future__ import annotations

from ..wiring import Node
from .pieces import Pieces, Shape


class Joins(Pieces):
    """Eltwise, Concat, Slice and Split."""

    def join(self, bottoms: list[str]) -> None:
        if self.chance(0.6):
            self.eltwise(bottoms)
        else:
            self.concat(bottoms)

    def eltwise(self, bottoms: list[str] | None = None) -> None:
        if bottoms is None:
            first = self.pick()
            assert first is not None
            bottoms = [first, self.pick(lambda shape: shape == self.shapes[first]) or first]
            if self.chance(0.2):
                bottoms.append(self.random.choice(bottoms))
        words: tuple[str, ...] = self.random.choice(
            [(), (), ("operation: MAX",), ("operation: PROD",)]
        )
        if not words and self.chance(0.4):
            words = tuple(f"coeff: {self.random.choice([0, 1, -1, 0.5, 2])}" for _ in bottoms)
        if self.odds_of_strange and self.chance(0.2):
            words = (*words, "zz_mode: 1")
        name = self.name("eltwise")
        shape = self.shapes[bottoms[0]]
        top = name
        if len(set(bottoms)) == len(bottoms) and self.chance(0.1):
            top = self.top(bottoms[0], name)
        self.read.update(set(bottoms) - {top})
        self.put(Node(name, "Eltwise", tuple(bottoms), (top,), "eltwise_param", words), shape)

    def concat(self, bottoms: list[str] | None = None) -> None:
        first = bottoms[0] if bottoms else self.pick()
        assert first is not None
        shape = self.shapes[first]
        axis = self.random.randrange(len(shape)) if self.chance(0.3) else min(1, len(shape) - 1)

        def fits(other: Shape) -> bool:
            return len(other) == len(shape) and all(
                a == b for i, (a, b) in enumerate(zip(shape, other, strict=True)) if i != axis
            )

        if bottoms is None:
            bottoms = [first]
            for _ in range(self.random.choice([0, 0, 1, 1, 2])):
                bottoms.append(self.pick(fits) or first)
        words: tuple[str, ...] = ()
        if axis != 1 or self.chance(0.1):
            words = (f"axis: {self.signed(axis, len(shape))}",)
            if self.chance(0.1):
                words = (f"concat_dim: {axis}",)
        joined = list(shape)
        joined[axis] = sum(self.shapes[bottom][axis] for bottom in bottoms)
        name = self.name("concat")
        self.read.update(bottoms)
        node = Node(name, "Concat", tuple(bottoms), (name,), "concat_param", words)
        self.put(node, tuple(joined))

    def slice(self) -> None:
        bottom = self.pick()
        assert bottom is not None
        shape, name = self.shapes[bottom], self.name("slice")
        axis = self.random.randrange(len(shape)) if self.chance(0.3) else min(1, len(shape) - 1)
        size = shape[axis]
        stops = sorted(self.random.sample(range(1, size), min(size - 1, self.random.randint(0, 2))))
        words = [f"slice_point: {stop}" for stop in stops]
        if axis != 1 or self.chance(0.1):
            words.append(f"axis: {self.signed(axis, len(shape))}")
        parts = [b - a for a, b in zip([0, *stops], [*stops, size], strict=True)]
        tops = tuple(f"{name}/{i}" for i in range(len(parts)))
        self.read.add(bottom)
        node = Node(name, "Slice", (bottom,), tops, "slice_param", tuple(words))
        self.put(node, *[(*shape[:axis], part, *shape[axis + 1 :]) for part in parts])

    def split(self) -> None:
        bottom = self.pick()
        assert bottom is not None
        name = self.name("split")
        tops = tuple(f"{name}/{i}" for i in range(self.random.randint(1, 3)))
        self.read.add(bottom)
        self.put(Node(name, "Split", (bottom,), tops), *[self.shapes[bottom]] * len(tops))
