"""Networks that hypothesis draws, in which many values share memory, keep their function in Caffe.

Layers hand memory on, work in place there, and read what lies there late, under any name. Many of
the layers change nothing, and some channels are dead, so that much may go.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
from folding import merge_files, merge_model
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from models import Model

from .test_random_networks import assert_same_numbers

EXAMPLES = int(os.environ.get("BNFOLD_EXAMPLES", "40"))
CHANNELS, SIDE = 4, 2

HAND_ON = {
    "Split": "",
    "Concat": "",
    "Slice": "",
    "Flatten": "",
    "Permute": "",
    "Reshape": f"reshape_param {{ shape {{ dim: 0 dim: {CHANNELS} dim: {SIDE} dim: {SIDE} }} }}",
}
"""Types that hand their bottom's memory on, with words that let each follow any other."""

LRN = "LRN lrn_param { local_size: 3 alpha: 0.5 }"
"""In place it computes something else, since it reads what it has written already."""

AFFINES = ("BatchNorm", "Scale", "Bias", "Power", "ones", "identity", "identity", "identity")
POINTWISE = ("ReLU", "PReLU", "Dropout", "TanH", "Power power_param { shift: 0.25 }", LRN)
MIXING = ("conv", "conv", "inner", "Eltwise", "Eltwise", "Concat two", "Pooling")
STEPS = st.sampled_from([*HAND_ON, *HAND_ON, *AFFINES, *AFFINES, *POINTWISE, *MIXING])


class Drawing:
    """A network that grows by drawn layers; `flat` says of each value whether it has two axes."""

    def __init__(self, draw) -> None:
        self.draw = draw
        self.net = Model(seed=draw(st.integers(0, 1 << 16)))
        self.net.input("data", (2, CHANNELS, SIDE, SIDE)).conv("first", "data", CHANNELS, 1)
        self.flat = {"data": False, "first": False}
        self.read = {"data"}
        self.count = 0

    def step(self, kind: str) -> None:
        """Add a layer of a kind, if there is something that it can read."""
        self.count += 1
        name, bottom = f"v{self.count}", self.pick()
        if kind in HAND_ON:
            self.hand_on(kind, name, bottom)
        elif kind in AFFINES or kind in POINTWISE:
            self.alike(kind, name, bottom)
        else:
            self.mix(kind, name, bottom)

    def pick(self, flat: bool | None = None) -> str:
        """A value, one of the newest most often."""
        names = [name for name, is_flat in self.flat.items() if flat in (None, is_flat)]
        return names[-1 - min(len(names) - 1, self.draw(st.sampled_from([0, 0, 0, 1, 1, 2, 4, 7])))]

    def put(self, name: str, flat: bool, *bottoms: str) -> None:
        self.read |= set(bottoms)
        self.flat[name] = flat
        self.net.channels[name] = self.channels(flat)

    def channels(self, flat: bool) -> int:
        return CHANNELS * SIDE * SIDE if flat else CHANNELS

    def hand_on(self, kind: str, name: str, bottom: str) -> None:
        flat = kind == "Flatten" or (self.flat[bottom] and kind != "Reshape")
        tops = [name]
        if kind == "Split":
            tops = [name, f"{name}/b", f"{name}/c"][: self.draw(st.integers(1, 3))]
        made = " ".join(f'top: "{top}"' for top in tops)
        text = f'name: "{name}" type: "{kind}" bottom: "{bottom}" {made} {HAND_ON[kind]}'
        self.net.layer(text)
        for top in tops:
            self.put(top, flat, bottom)

    def alike(self, kind: str, name: str, bottom: str) -> None:
        """A layer whose top has the shape of its bottom, in place or not."""
        top, flat = name, self.flat[bottom]
        if bottom not in self.read and self.draw(st.booleans()):
            top = bottom
            del self.flat[bottom]
        self.put(top, flat, *({bottom} - {top}))
        net, count = self.net, self.channels(flat)
        net.channels[bottom] = count
        if kind == "identity":
            kind = self.draw(st.sampled_from(["Power", "ones", "norm"]))
        elif kind == LRN and flat:
            kind = "TanH"
        word, _, words = kind.partition(" ")
        if kind == "BatchNorm":
            net.batch_norm(name, bottom, top)
        elif kind == "Scale":
            net.scale(name, bottom, top, positive=self.draw(st.booleans()), bias=False)
        elif kind == "norm":
            blobs = [np.zeros(count), np.ones(count), np.ones(1)]
            self.plain("BatchNorm", name, bottom, top, "batch_norm_param { eps: 0 }", blobs)
        elif kind == "ones":
            self.plain("Scale", name, bottom, top, "", [np.ones(count)])
        elif kind in ("Bias", "PReLU"):
            self.plain(kind, name, bottom, top, "", [net.rng.uniform(0.2, 0.9, count)])
        else:
            self.plain(word, name, bottom, top, words)

    def plain(self, kind, name, bottom, top, words="", blobs=()) -> None:
        text = f'name: "{name}" type: "{kind}" bottom: "{bottom}" top: "{top}" {words}'
        self.net.layer(text, name, blobs)

    def mix(self, kind: str, name: str, bottom: str) -> None:
        """A layer that makes something of its own, in a memory of its own."""
        net, flat = self.net, self.flat[bottom]
        if kind in ("Eltwise", "Concat two"):
            other = self.pick(flat)
            words = "concat_param { axis: 0 }" if kind == "Concat two" else ""
            net.plain(kind.split()[0], name, f"{bottom} {other}", words=words)
            if kind == "Eltwise":
                self.put(name, flat, bottom, other)
            self.read |= {bottom, other}
        elif kind == "inner" or flat:
            net.inner_product(name, bottom, CHANNELS * SIDE * SIDE, CHANNELS * SIDE * SIDE)
            self.put(name, True, bottom)
        elif kind == "Pooling":
            words = "pooling_param { pool: MAX kernel_size: 1 }"
            net.plain("Pooling", name, bottom, words=words)
            self.put(name, False, bottom)
        else:
            net.conv(name, bottom, CHANNELS, 1)
            if self.draw(st.booleans()):
                record = net.net.layer[-1]
                record.blobs[0].data[:CHANNELS] = [0.0] * CHANNELS
            self.put(name, False, bottom)


@st.composite
def networks(draw):
    drawing = Drawing(draw)
    for kind in draw(st.lists(STEPS, min_size=4, max_size=18)):
        drawing.step(kind)
    return drawing.net


@settings(
    max_examples=EXAMPLES,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(net=networks(), tidy=st.booleans())
def test_whatever_shares_memory_keeps_its_function(net, tidy, pycaffe):
    note(net.text)
    with tempfile.TemporaryDirectory() as folder:
        merged = merge_model(Path(folder), net, tidy=tidy)
        note(merged.text)
        assert_same_numbers(pycaffe, merged)
        assert_same_numbers(pycaffe, merge_files(*merged.after, tidy=tidy))
