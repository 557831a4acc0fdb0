"""Steps that planning a network takes: as many for each layer however many there are."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType

import pytest

from bnfold.fold import MergeOptions, fold
from bnfold.graph import Net, build, infer_shapes
from bnfold.prototxt import parse


def layer(name: str, kind: str, bottoms: str, top: str, words: str = "") -> str:
    read = "".join(f'bottom: "{bottom}" ' for bottom in bottoms.split())
    return f'layer {{ name: "{name}" type: "{kind}" {read}top: "{top}" {words} }}\n'


CONV = "convolution_param { num_output: 4 kernel_size: 1 }"
DATA = 'input: "data" input_shape { dim: 1 dim: 4 dim: 8 dim: 8 }\n' + layer(
    "c", "Convolution", "data", "c", CONV
)


def run_of_scales(count: int) -> str:
    # Behind a TanH none of them goes into the convolution.
    return (
        DATA
        + layer("s", "TanH", "c", "s")
        + "".join(layer(f"s{i}", "Scale", f"s{i - 1}" if i else "s", f"s{i}") for i in range(count))
    )


def readers_of_one_blob(count: int) -> str:
    return DATA + "".join(layer(f"b{i}", "BatchNorm", "c", f"b{i}") for i in range(count))


def sharers_of_one_blob(count: int) -> str:
    words = CONV + ' param { name: "w" }'
    pairs = range(count // 2)
    return DATA + "".join(
        layer(f"c{i}", "Convolution", "c", f"c{i}", words)
        + layer(f"b{i}", "BatchNorm", f"c{i}", f"c{i}")
        for i in pairs
    )


def wide_sum(count: int) -> str:
    branches = "".join(layer(f"c{i}", "Convolution", "c", f"c{i}", CONV) for i in range(count))
    return DATA + branches + layer("sum", "Eltwise", " ".join(f"c{i}" for i in range(count)), "sum")


def residual_blocks(count: int) -> str:
    text, last = DATA, "c"
    for i in range(count // 4):
        text += layer(f"c{i}", "Convolution", last, f"c{i}", CONV)
        text += layer(f"b{i}", "BatchNorm", f"c{i}", f"c{i}")
        text += layer(f"r{i}", "ReLU", f"c{i}", f"c{i}")
        text += layer(f"e{i}", "Eltwise", f"{last} c{i}", f"e{i}")
        last = f"e{i}"
    return text


def layers_that_go(kind: str, tops: Callable[[int], str], count: int) -> str:
    # Behind each stands what works in place on what it hands on, and finds it elsewhere then.
    text, last = DATA, "c"
    for i in range(count // 2):
        text += layer(f"d{i}", kind, last, tops(i))
        last = tops(i)
        text += layer(f"r{i}", "TanH", last, last)
    return text


def dropouts(count: int) -> str:
    return layers_that_go("Dropout", lambda i: "c", count)


def splits(count: int) -> str:
    return layers_that_go("Split", lambda i: f"s{i}", count)


def runs_of_splits(count: int) -> str:
    tops = [f"s{i}" for i in range(count)]
    pairs = zip(["c", *tops], tops, strict=False)
    return DATA + "".join(layer(top, "Split", last, top) for last, top in pairs)


@pytest.fixture(autouse=True)
def only_planning(monkeypatch):
    """Count no step of the proof that the tests run after each rewrite: a merge does without."""
    monkeypatch.setattr(Net, "check", lambda net: None)


def steps(text: str, options: MergeOptions) -> int:
    """How many lines of Python run to plan a network; a loop on one line counts each time round."""
    document = parse(text)
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> object:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        net = build(document)
        fold(net, options, infer_shapes(net))
    finally:
        sys.settrace(before)
    return count


SHAPES = [run_of_scales, readers_of_one_blob, sharers_of_one_blob, wide_sum, residual_blocks]
TIDIED = [residual_blocks, dropouts, splits, runs_of_splits]


def assert_grows_with_the_layers(network: Callable[[int], str], options: MergeOptions) -> None:
    steps(network(8), options)  # what is done once
    assert steps(network(400), options) < 5 * steps(network(100), options)


@pytest.mark.parametrize("network", SHAPES)
def test_four_times_the_layers_take_four_times_the_steps(network: Callable[[int], str]):
    assert_grows_with_the_layers(network, MergeOptions())


@pytest.mark.parametrize("network", TIDIED)
def test_so_it_is_where_layers_that_do_nothing_go(network: Callable[[int], str]):
    assert_grows_with_the_layers(network, MergeOptions(tidy=True))
