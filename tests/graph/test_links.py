"""`Net.check` proves what layers and values say of each other, and finds what is not true."""

from __future__ import annotations

import pytest

from bnfold.graph import build
from bnfold.prototxt import parse

TEXT = """
layer { name: "data" type: "Input" top: "data" }
layer { name: "a" type: "Convolution" bottom: "data" top: "a" param { name: "w" } }
layer { name: "r" type: "ReLU" bottom: "a" top: "a" }
layer { name: "b" type: "Convolution" bottom: "a" top: "b" param { name: "w" } }
layer { name: "s" type: "Eltwise" bottom: "a" bottom: "b" bottom: "a" top: "s" }
layer { name: "k" type: "Scale" bottom: "s" top: "k" }
layer { name: "e" type: "TanH" bottom: "k" top: "e" }
layer { name: "t" type: "Silence" bottom: "s" include { phase: TRAIN } }
"""


@pytest.fixture
def net():
    return build(parse(TEXT))


def of(net, name):
    return next(layer for layer in net.all_layers if layer.name == name)


def test_links_of_a_network_that_was_read_hold(net):
    net.check()


def test_links_hold_behind_every_verb(net):
    net.disconnect(of(net, "s"), {1})
    net.remove_unread([of(net, "b")])
    net.check()
    assert [value.name for value in of(net, "s").bottoms] == ["a", "a"]
    assert of(net, "r").tops[0].readers == [of(net, "s")] * 2
    net.remove_into_producer(of(net, "r"))
    net.check()
    net.remove_into_readers(of(net, "k"))
    net.check()
    assert of(net, "s").tops[0].readers == [of(net, "e")]


def test_layers_that_are_read_are_not_removed_as_unread(net):
    with pytest.raises(AssertionError):
        net.remove_unread([of(net, "b")])


BREAKS = {
    "a reader that is not listed": (
        lambda net: of(net, "r").tops[0].readers.pop(), "'a' is read by"
    ),
    "a producer that is gone": (
        lambda net: setattr(of(net, "b"), "removed", True), "reads 'b', which nobody makes"
    ),
    "a producer of another value": (
        lambda net: setattr(of(net, "b").tops[0], "producer", of(net, "a")), "'b', which names"
    ),
    "a name that means something else": (
        lambda net: _read_instead(of(net, "b"), of(net, "a").tops[0]), "'a' does not mean"
    ),
    "an output that the file does not have": (
        lambda net: net.disconnect(of(net, "s"), {1}), "gives out ['b', 'e']"
    ),
    "a name that somebody outside the phase reads": (
        lambda net: net.remove_into_producer(of(net, "k")), "reads 's', which is no more"
    ),
    "a writing in memory": (
        lambda net: _remove_behind_its_back(net, of(net, "r")), "where 'a' lies is written and read"
    ),
    "a sharer of a blob": (
        lambda net: setattr(of(net, "b"), "blob_names", ("v",)), "blob 'v' is shared by"
    ),
}  # fmt: skip


def _read_instead(layer, value):
    layer.bottoms[0].readers.remove(layer)
    layer.bottoms = [value]
    value.readers.append(layer)


def _remove_behind_its_back(net, layer):
    net.memory.rename = lambda layer: None
    net.remove_into_producer(layer)


@pytest.mark.parametrize("broken", BREAKS)
def test_what_does_not_hold_is_found(net, broken):
    break_it, words = BREAKS[broken]
    break_it(net)
    with pytest.raises(AssertionError) as raised:
        net.check()
    assert words in str(raised.value)
