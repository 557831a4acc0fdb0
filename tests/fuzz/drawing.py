"""Draw a network: every way to write the layers that bnfold reads, next to each other.

A value is read by its name; `shapes` holds what can be read, the newest last. Shapes follow BVLC
caffe's own rules. What Caffe refuses all the same is not judged, so a rule that is a little too
wide costs time and nothing else.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from .wiring import Array, Case, Node, layer_input

Shape = tuple[int, ...]
MOST_VALUES = 6000

POINTWISE: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("ReLU", "", ()),
    ("ReLU", "relu_param", ("negative_slope: 0.2",)),
    ("ReLU", "relu_param", ("negative_slope: -0.5",)),
    ("ReLU", "", ()),
    ("ReLU6", "", ()),
    ("Sigmoid", "", ()),
    ("TanH", "", ()),
    ("AbsVal", "", ()),
    ("BNLL", "", ()),
    ("ELU", "elu_param", ("alpha: 0.7",)),
    ("Exp", "exp_param", ("scale: 0.3",)),
    ("HardSigmoid", "", ()),
    ("HardSwish", "", ()),
    ("Dropout", "", ()),
    ("Dropout", "dropout_param", ("dropout_ratio: 0.4",)),
    ("Power", "power_param", ("scale: 0.5", "shift: 1")),
    ("Power", "power_param", ("scale: -2",)),
    ("Power", "power_param", ("shift: -0.3",)),
    ("Power", "power_param", ("power: 2", "scale: 0.5")),
    ("Power", "power_param", ("scale: 0", "shift: 0.5")),
    ("Power", "", ()),
    ("Power", "", ()),
)

STRANGE: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("Dropout", "dropout_param", ("scale_train: false", "dropout_ratio: 0.25")),
    ("Power", "power_param", ("zz_mode: 1", "scale: 0.5")),
    ("ReLU", "relu_param", ("zz_mode: 1",)),
    ("TanH", "tanh_param", ("zz_mode: 1",)),
    ("Mystery", "", ()),
    ("MysteryMix", "", ()),
)
"""What this Caffe does not know; translate.py says what it computes."""


class Drawing:
    """A network that grows by random layers.

    Args:
        seed: decides everything.
    """

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.numbers = np.random.default_rng(seed)
        self.seed = seed
        self.nodes: list[Node] = []
        self.shapes: dict[str, Shape] = {}
        self.read: set[str] = set()
        self.last = ""
        self.odds_of_dead = self.random.choice([0.0, 0.2, 0.6])
        self.odds_of_in_place = self.random.choice([0.1, 0.5, 0.8])
        self.odds_of_chain = self.random.choice([0.3, 0.6, 0.9])
        self.odds_of_strange = self.random.choice([0.0, 0.0, 0.1])

    # ------------------------------------------------------------ pieces

    def chance(self, odds: float) -> bool:
        return self.random.random() < odds

    def name(self, kind: str) -> str:
        return f"{kind.lower()}{len(self.nodes)}"

    def pick(self, fits: Callable[[Shape], bool] = lambda shape: True) -> str | None:
        """A value: the newest most often."""
        newest = self.shapes.get(self.last)
        if newest is not None and fits(newest) and self.chance(self.odds_of_chain):
            return self.last
        names = [name for name, shape in self.shapes.items() if fits(shape)]
        return self.random.choice(names[-6:]) if names else None

    def top(self, bottom: str, name: str) -> str:
        """In place or not; what already has a reader cannot be worked on in place."""
        if bottom not in self.read and self.chance(self.odds_of_in_place):
            del self.shapes[bottom]
            return bottom
        self.read.add(bottom)
        return name

    def put(self, node: Node, *shapes: Shape | None) -> None:
        """Add a layer; what it writes can be read unless its shape is None."""
        self.nodes.append(node)
        for top, shape in zip(node.tops, shapes, strict=True):
            self.read.discard(top)
            self.shapes.pop(top, None)
            if shape is not None and 0 < math.prod(shape) <= MOST_VALUES:
                self.shapes[top] = shape
                self.last = top

    def storage(self, axes: int = 4) -> str:
        """How weights are stored; Caffes that wrote the legacy form had four axes only."""
        found = self.random.choice(["float"] * 6 + ["double", "legacy", "legacy"])
        return "float" if found == "legacy" and axes != 4 else found

    def signed(self, axis: int, rank: int) -> int:
        """The same axis, counted from either end."""
        return axis - rank if self.chance(0.3) else axis

    def weights(self, shape: Shape, channel_axis: int, group: int = 1) -> Array:
        """Weights of a layer that multiplies, of which some filters may be zero."""
        fan = max(1, math.prod(shape) // max(1, shape[channel_axis]))
        drawn = self.numbers.normal(0, 1 / math.sqrt(fan), shape)
        if self.chance(self.odds_of_dead):
            dead = self.numbers.random(shape[channel_axis]) < self.random.choice([0.3, 0.7, 1])
            drawn[(slice(None),) * channel_axis + (dead,)] = 0
        if self.chance(self.odds_of_dead / 3):
            unread = self.numbers.random(shape[1 - channel_axis]) < 0.4
            drawn[(slice(None),) * (1 - channel_axis) + (unread,)] = 0
        return drawn

    def factors(self, shape: Shape) -> Array:
        """Numbers to multiply with, of either sign, of which some may be zero."""
        drawn = self.numbers.uniform(0.5, 1.5, shape)
        if self.chance(0.5):
            drawn = drawn * self.numbers.choice([1, 1, -1], shape)
        if self.chance(self.odds_of_dead):
            drawn = drawn * (self.numbers.random(shape) < 0.6)
        return np.asarray(drawn)

    def shifts(self, shape: Shape) -> Array:
        drawn = self.numbers.normal(0, 0.5, shape)
        if self.chance(0.2):
            drawn = drawn * 0
        if self.chance(0.2):
            drawn = drawn * (self.numbers.random(shape) < 0.5)
        return np.asarray(drawn)

    # ------------------------------------------------------------ per-channel layers

    def pointwise(self, table: tuple[tuple[str, str, tuple[str, ...]], ...] = POINTWISE) -> None:
        kind, holder, words = self.random.choice(table)
        bottom = self.pick()
        assert bottom is not None
        shape, name = self.shapes[bottom], self.name(kind)
        outer = ("phase: TRAIN",) if kind == "Dropout" and self.chance(0.1) else ()
        # Caffe's AbsVal does not work in place.
        top = name if kind == "AbsVal" else self.top(bottom, name)
        if top == name:
            self.read.add(bottom)
        self.put(Node(name, kind, (bottom,), (top,), holder, words, outer), shape)

    def strange(self) -> None:
        self.pointwise(STRANGE)

    def batch_norm(self) -> None:
        bottom = self.pick()
        assert bottom is not None
        shape, name = self.shapes[bottom], self.name("bn")
        channels = shape[1] if len(shape) > 1 else 1
        words = []
        if self.chance(0.3):
            words.append(f"eps: {self.random.choice(['0.1', '1e-3', '2e-5'])}")
        if self.chance(0.3):
            words.append(f"use_global_stats: {self.random.choice(['true', 'true', 'false'])}")
        if self.chance(0.1):
            words.append("moving_average_fraction: 0.9")
        factor = self.random.choice([1.0, 999.982, 1.0, 0.0 if self.chance(0.2) else 2.0])
        mean = self.shifts((channels,)) * (factor or 1)
        variance = self.numbers.uniform(0.05, 1.5, channels) * (factor or 1)
        blobs = [mean, variance, np.array([factor])]
        if self.odds_of_strange and self.chance(0.2) and "use_global_stats: false" not in words:
            blobs += [self.factors((channels,)), self.shifts((channels,))]
        self.put(
            Node(
                name,
                "BatchNorm",
                (bottom,),
                (self.top(bottom, name),),
                "batch_norm_param",
                tuple(words),
                (),
                tuple(blobs),
                self.storage(),
            ),
            shape,
        )

    def old_batch_norm(self) -> None:
        """The `BN` of PSPNet or, with its statistics baked in, of SegNet."""
        bottom = self.pick(lambda shape: len(shape) > 1)
        if bottom is None or not self.odds_of_strange:
            return
        shape, name = self.shapes[bottom], self.name("bn")
        channels, words = shape[1], ()
        blobs = [self.factors((1, channels, 1, 1)), self.shifts((1, channels, 1, 1))]
        if self.chance(0.5):
            words = ("bn_mode: INFERENCE",)
        else:
            spread = self.numbers.uniform(0.05, 1.5, (1, channels, 1, 1))
            blobs += [self.shifts((1, channels, 1, 1)), spread]
        top = self.top(bottom, name)
        self.put(
            Node(name, "BN", (bottom,), (top,), "bn_param", words, (), tuple(blobs)),
            shape,
        )

    def scale(self, kind: str = "Scale") -> None:
        bottom = self.pick()
        assert bottom is not None
        shape, name = self.shapes[bottom], self.name(kind)
        rank, axis, count = len(shape), 1, 1
        if rank == 1:
            axis, count = 0, self.random.choice([1, 0, -1])
        elif self.chance(0.35):
            axis = self.random.randrange(rank)
            count = self.random.choice([-1, 0, 0, *range(1, rank - axis + 1)])
        words = []
        if axis != 1 or self.chance(0.2):
            words.append(f"axis: {self.signed(axis, rank)}")
        if count != 1 or self.chance(0.1):
            words.append(f"num_axes: {count}")
        size = shape[axis:] if count == -1 else shape[axis : axis + count]
        blobs = [self.factors(size) if kind == "Scale" else self.shifts(size)]
        if kind == "Scale" and self.chance(0.6):
            words.append("bias_term: true")
            blobs.append(self.shifts(size))
        if self.odds_of_strange and self.chance(0.1):
            words.append("zz_mode: 1")
        self.put(
            Node(
                name,
                kind,
                (bottom,),
                (self.top(bottom, name),),
                f"{kind.lower()}_param",
                tuple(words),
                (),
                tuple(blobs),
                self.storage(),
            ),
            shape,
        )

    def bias(self) -> None:
        self.scale("Bias")

    def scale_by_value(self) -> None:
        """A Scale or Bias whose numbers are a second bottom."""
        bottom = self.pick()
        assert bottom is not None
        shape = self.shapes[bottom]

        def fits(other: Shape) -> bool:
            return any(shape[at : at + len(other)] == other for at in range(len(shape)))

        mate = self.pick(fits)
        if mate is None or mate == bottom:
            return
        other, kind = self.shapes[mate], self.random.choice(["Scale", "Bias"])
        axes = [at for at in range(len(shape)) if shape[at : at + len(other)] == other]
        name = self.name(kind)
        words, blobs = [f"axis: {self.random.choice(axes)}"], []
        if kind == "Scale" and self.chance(0.4):
            words.append("bias_term: true")
            blobs.append(self.shifts(other))
        self.read.add(mate)
        self.put(
            Node(
                name,
                kind,
                (bottom, mate),
                (self.top(bottom, name),),
                f"{kind.lower()}_param",
                tuple(words),
                (),
                tuple(blobs),
            ),
            shape,
        )

    def prelu(self) -> None:
        bottom = self.pick(lambda shape: 1 < len(shape) < 5)
        if bottom is None:
            return
        shape, name = self.shapes[bottom], self.name("prelu")
        shared = self.chance(0.3)
        blob = self.numbers.uniform(-0.5, 1.2, () if shared else (shape[1],))
        words = ("channel_shared: true",) if shared else ()
        top = self.top(bottom, name)
        node = Node(
            name, "PReLU", (bottom,), (top,), "prelu_param", words, (), (blob,), self.storage()
        )
        self.put(node, shape)

    # ------------------------------------------------------------ layers that multiply

    def windows(self, sizes: Shape) -> tuple[list[str], Shape, Shape]:
        """Words of a kernel that fits, its sizes, and what it leaves of `sizes`."""
        many = len(sizes)
        kernel = [self.random.randint(1, min(3, n)) for n in sizes]
        if self.chance(0.4):
            kernel = [1] * many
        pad = [self.random.choice([0, 0, 1]) if k > 1 else 0 for k in kernel]
        stride = [self.random.choice([1, 1, 2]) for _ in sizes]
        dilation = [
            2 if 2 * k - 1 <= n and self.chance(0.2) else 1
            for k, n in zip(kernel, sizes, strict=True)
        ]
        words = []
        for field, numbers, usual in (
            ("kernel_size", kernel, None),
            ("pad", pad, 0),
            ("stride", stride, 1),
            ("dilation", dilation, 1),
        ):
            if all(number == usual for number in numbers) and self.chance(0.8):
                continue
            if len(set(numbers)) == 1 and self.chance(0.7):
                words.append(f"{field}: {numbers[0]}")
            else:
                words += [f"{field}: {number}" for number in numbers]
        left = tuple(
            (n + 2 * p - (d * (k - 1) + 1)) // s + 1
            for n, k, p, s, d in zip(sizes, kernel, pad, stride, dilation, strict=True)
        )
        return words, tuple(kernel), left

    def convolution(self) -> None:
        bottom = self.pick(lambda shape: 2 <= len(shape) <= 5)
        if bottom is None:
            return
        shape, name = self.shapes[bottom], self.name("conv")
        rank, axis = len(shape), 1
        if rank > 2 and self.chance(0.15):
            axis = self.random.randrange(1, rank)
        words, kernel, left = self.windows(shape[axis + 1 :])
        channels = shape[axis]
        group = self.random.choice([g for g in (1, 1, 1, 2, channels) if channels % g == 0])
        outputs = group * self.random.randint(1, 3) if group > 1 else self.random.randint(1, 6)
        kind = "Convolution"
        if self.odds_of_strange and group == channels and self.chance(0.5):
            kind = self.random.choice(["DepthwiseConvolution", "ConvolutionDepthwise"])
        elif self.odds_of_strange and self.chance(0.2):
            kind = "MyConvolution"
        size = (outputs, channels // group, *kernel)
        if group == 1 or kind != "Convolution":
            kind = kind if kind != "Convolution" or self.chance(0.85) else "Deconvolution"
        if kind == "Deconvolution":
            size = (channels, outputs // group, *kernel)
            left = self.spread(words, shape[axis + 1 :], kernel)
        words.insert(0, f"num_output: {outputs}")
        if group > 1:
            words.append(f"group: {group}")
        if axis != 1 or self.chance(0.1):
            words.append(f"axis: {self.signed(axis, rank)}")
        blobs = [self.weights(size, 1 if kind == "Deconvolution" else 0)]
        if self.chance(0.6):
            blobs.append(self.shifts((outputs,)))
        else:
            words.append("bias_term: false")
        if self.odds_of_strange and kind == "Convolution" and self.chance(0.3):
            words.append("relu: true")
        self.read.add(bottom)
        node = Node(
            name,
            kind,
            (bottom,),
            (name,),
            "convolution_param",
            tuple(words),
            self.outer(name, len(blobs)),
            tuple(blobs),
            self.storage(rank),
        )
        self.put(node, (*shape[:axis], outputs, *left))

    def spread(self, words: list[str], sizes: Shape, kernel: Shape) -> Shape:
        """What a Deconvolution of these words makes of `sizes`."""

        def each(field: str, usual: int) -> list[int]:
            found = [int(word.split()[1]) for word in words if word.startswith(f"{field}:")]
            return (found or [usual]) * (len(sizes) if len(found) < 2 else 1)

        many = zip(
            sizes, kernel, each("stride", 1), each("pad", 0), each("dilation", 1), strict=True
        )
        return tuple(s * (n - 1) + d * (k - 1) + 1 - 2 * p for n, k, s, p, d in many)

    def outer(self, name: str, blobs: int) -> tuple[str, ...]:
        """Sometimes learning rates, as training files have them."""
        if not self.chance(0.1):
            return ()
        return ("param { lr_mult: 1 }",) * self.random.randint(1, blobs)

    def inner_product(self) -> None:
        bottom = self.pick(lambda shape: len(shape) > 1)
        if bottom is None:
            return
        shape, name = self.shapes[bottom], self.name("ip")
        axis = 1 if self.chance(0.75) else self.random.randrange(1, len(shape))
        inputs, outputs = math.prod(shape[axis:]), self.random.randint(1, 5)
        words = [f"num_output: {outputs}"]
        weight = self.weights((outputs, inputs), 0)
        if self.chance(0.2):
            words.append("transpose: true")
            weight = weight.T
        if axis != 1 or self.chance(0.2):
            words.append(f"axis: {self.signed(axis, len(shape))}")
        blobs = [weight]
        if self.chance(0.6):
            blobs.append(self.shifts((outputs,)))
        else:
            words.append("bias_term: false")
        self.read.add(bottom)
        node = Node(
            name,
            "InnerProduct",
            (bottom,),
            (name,),
            "inner_product_param",
            tuple(words),
            self.outer(name, len(blobs)),
            tuple(blobs),
            self.storage(),
        )
        self.put(node, (*shape[:axis], outputs))

    def siamese(self) -> None:
        """Two layers with one weight, and perhaps the same batch norm behind each."""
        first = self.random.choice(self.nodes)
        made = self.shapes.get(first.tops[0]) if first.tops else None
        if first.type not in ("Convolution", "InnerProduct") or first.outer or made is None:
            return
        read = self.shapes.get(first.bottoms[0])
        mate = self.pick(lambda shape: shape == read)
        if mate is None:
            return
        shared = tuple(f'param {{ name: "{first.name}.{i}" }}' for i in range(len(first.blobs)))
        at = self.nodes.index(first)
        self.nodes[at] = replace(first, outer=shared)
        behind = [node for node in self.nodes[at + 1 :] if node.bottoms == node.tops == first.tops]
        name = self.name("twin")
        self.read.add(mate)
        self.put(replace(self.nodes[at], name=name, bottoms=(mate,), tops=(name,)), made)
        for node in behind:
            if self.chance(0.8):
                again = replace(node, name=self.name("twin"), bottoms=(name,), tops=(name,))
                self.put(again, made)

    def aliases(self) -> None:
        """Other names for one memory, and layers on either side that write over it or read it."""
        if self.chance(0.5):
            self.convolution()
        bottom = self.pick()
        assert bottom is not None
        share = [self.split, self.flatten, self.reshape, self.permute, self.concat, self.slice]
        work = [self.pointwise, self.idle, self.idle, self.scale, self.bias, self.batch_norm]
        odds, self.odds_of_chain = self.odds_of_chain, 1.0
        for _ in range(self.random.randint(1, 3)):
            self.last = bottom
            self.random.choice(share)()
            for _ in range(self.random.randint(0, 3)):
                if self.last in self.shapes:
                    self.random.choice(work)()
        self.last = bottom
        if bottom in self.shapes and self.chance(0.6):
            self.random.choice([self.convolution, self.convolution, self.concat, self.along])()
        self.odds_of_chain = odds

    def idle(self) -> None:
        """A layer that changes nothing, but may be a copy."""
        self.pointwise((("Power", "", ()), ("Dropout", "", ()), ("Power", "power_param", ())))

    def branches(self) -> None:
        """Parallel convolutions of one value, each with a batch norm, that an Eltwise adds."""
        bottom = self.pick(lambda shape: len(shape) == 4)
        if bottom is None:
            return
        shape, ends = self.shapes[bottom], []
        outputs = self.random.randint(1, 5)
        for _ in range(self.random.randint(2, 3)):
            kernel = self.random.choice([1, 1, 3])
            name = self.name("branch")
            words = [f"num_output: {outputs}", f"kernel_size: {kernel}", f"pad: {kernel // 2}"]
            weight = self.weights((outputs, shape[1], kernel, kernel), 0)
            blobs: tuple[Array, ...] = (weight, self.shifts((outputs,)))
            self.read.add(bottom)
            node = Node(name, "Convolution", (bottom,), (name,), "convolution_param", tuple(words))
            self.put(replace(node, blobs=blobs), (shape[0], outputs, *shape[2:]))
            if self.chance(0.7):
                self.random.choice([self.batch_norm, self.scale, self.pointwise])()
            ends.append(self.last)
        if len({self.shapes.get(end) for end in ends}) == 1 and None not in map(
            self.shapes.get, ends
        ):
            self.join(ends)

    # ------------------------------------------------------------ several values

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

    # ------------------------------------------------------------ other shapes

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

    def outside(self) -> None:
        """A layer of phase TRAIN that reads, and may have the name of another one."""
        bottom = self.pick()
        assert bottom is not None
        if bottom in self.read or self.chance(0.5):
            name = self.name("train")
            rule = self.random.choice(["include { phase: TRAIN }", "exclude { phase: TEST }"])
            self.put(Node(name, "ReLU", (bottom,), (name,), "", (), (rule,)), None)

    # ------------------------------------------------------------ the whole

    def draw(self) -> Case:
        """A whole network and what to do with it."""
        for number in range(self.random.choice([1, 1, 1, 2])):
            rank = self.random.choice([2, 3, 4, 4, 4, 4, 5])
            sizes = [self.random.randint(1, 2), self.random.randint(1, 5)]
            sizes += [self.random.randint(1, 6) for _ in range(rank - 2)]
            name = f"data{number}"
            self.put(layer_input(name, sizes), tuple(sizes))
        # Each network has much of some kinds and nothing of others, so that all pairs come up (A.
        # Groce and others, "Swarm Testing", ISSTA 2012).
        weights = [weight * self.random.choice([0.01, 1, 1, 1, 5]) for _, weight in KINDS]
        methods = [method for method, _ in KINDS]
        self.convolution()
        for _ in range(self.random.choice([3, 5, 8, 12, 18])):
            if not self.shapes:
                break
            if self.odds_of_strange and self.chance(0.15):
                self.strange()
            else:
                getattr(self, self.random.choices(methods, weights)[0])()
        return self.asked()

    def asked(self) -> Case:
        kinds = {node.type for node in self.nodes}
        treat_as = {"MyConvolution": "Convolution"} if "MyConvolution" in kinds else {}
        options: dict[str, object] = {"treat_as": treat_as} if treat_as else {}
        if self.chance(0.1):
            options.update(threshold=0.0, multiple=1, merge=self.chance(0.5))
            return Case(tuple(self.nodes), "prune", options, self.seed)
        for option, usual, odds in (
            ("branches", True, 0.1),
            ("concat_branches", False, 0.3),
            ("dead_channels", True, 0.15),
            ("collapse", True, 0.15),
            ("engine_caffe", True, 0.2),
            ("keep_dtype", False, 0.15),
        ):
            if self.chance(odds):
                options[option] = not usual
        if self.chance(0.1):
            chosen = self.random.choice(self.nodes).name
            options[self.random.choice(["keep", "only"])] = [chosen]
        return Case(tuple(self.nodes), "merge", options, self.seed)


KINDS = (
    ("pointwise", 9),
    ("batch_norm", 7),
    ("old_batch_norm", 1),
    ("scale", 6),
    ("bias", 3),
    ("scale_by_value", 1),
    ("prelu", 2),
    ("convolution", 8),
    ("inner_product", 2),
    ("siamese", 1),
    ("aliases", 2),
    ("branches", 1),
    ("eltwise", 3),
    ("concat", 4),
    ("slice", 2),
    ("split", 3),
    ("flatten", 2),
    ("reshape", 2),
    ("permute", 2),
    ("pooling", 3),
    ("along", 1),
    ("tile", 1),
    ("crop", 1),
    ("ending", 1),
    ("outside", 1),
)
"""The methods that add something, and how often."""
