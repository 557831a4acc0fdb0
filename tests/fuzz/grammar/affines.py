"""Layers that treat each value, or each channel, alike."""

from __future__ import annotations

import numpy as np

from ..wiring import Node
from .pieces import Pieces, Shape

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


class Affines(Pieces):
    """Activations, batch norms, scales and shifts."""

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
