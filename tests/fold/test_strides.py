"""`--strides`: what nobody reads is not computed, since strides move up."""

from __future__ import annotations

import json
import os
import tempfile
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from folding import merge_files, merge_model
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from models import Model

import bnfold
from bnfold.caffemodel import open_weights
from bnfold.fold import MergeOptions
from bnfold.fold.strides.move import MovedStride
from bnfold.fold.strides.unread import unread_shares
from bnfold.graph import build
from bnfold.prototxt import parse

from .networks import start
from .test_random_networks import assert_same_numbers

EXAMPLES = int(os.environ.get("BNFOLD_EXAMPLES", "25"))
STRIDE = "stride: 2"


def entries(merged) -> list[MovedStride]:
    return merged.report.plan.of_type(MovedStride)


@pytest.fixture
def moves(merger):
    """Merge twice with `strides`, and compare; gives where strides went to, by the convolution."""

    def move(net: Model, expected: dict[str, str], subsampled: str = "", **options):
        merged = merger(net, options.pop("fates", {}), strides=True, **options)
        found = {giver: " ".join(e.into) for e in entries(merged) for giver in e.givers}
        assert found == expected
        assert " ".join(name for e in entries(merged) for name in e.subsampled) == subsampled
        return merged

    return move


@pytest.fixture
def stays(merger):
    """Merge a network of which no stride moves, for a reason."""

    def stay(net: Model, layer: str, code: str, *words: str, engines=("pycaffe",), **options):
        merged = merger(net, options.pop("fates", {}), engines=engines, strides=True, **options)
        (entry,) = (entry for entry in entries(merged) if entry.layer == layer)
        assert not entry.done
        assert entry.reason.code is bnfold.Code(code)
        for word in words:
            assert word in entry.reason.text
        assert "every" not in merged.text
        return merged

    return stay


def size(words: str) -> str:
    return f"{words} engine: CAFFE"


def block(net: Model, bottom: str, channels: int = 4) -> Model:
    """A bottleneck of a ResNet, with its batch norms folded: the sum is `sum`."""
    net.conv("a", bottom, 2, 1).relu("ra", "a")
    net.conv("b", "a", 2, 3, words="pad: 1").relu("rb", "b")
    net.conv("c", "b", channels, 1).plain("Eltwise", "sum", f"{bottom} c").relu("rs", "sum")
    return net


def strided(net: Model, bottom: str = "sum") -> Model:
    """The beginning of the next stage."""
    net.conv("left", bottom, 3, 1, words=STRIDE).conv("right", bottom, 3, 1, words=STRIDE)
    return net.conv("next", "right", 3, 3, words="pad: 1").plain("Eltwise", "out", "left next")


# ------------------------------------------------------------------------- what moves


@pytest.mark.parametrize("shape", [(2, 4, 8, 6), (1, 4, 9, 7), (2, 4, 6, 9)])
def test_the_stride_of_a_stage_moves_into_the_convolution_before_it(shape, moves):
    net = start(shape).conv("stem", "data", 4, 1)
    net = strided(block(net, "stem"))
    merged = moves(net, {"left": "b", "right": "b"}, "stem")
    assert merged.text.count("stride") == 2
    assert 'bottom: "stem/every_2"' in merged.text
    (entry,) = entries(merged)
    assert set(entry.altered) == {"b", "rb", "c", "sum", "rs"}
    assert set(entry.altered) <= merged.report.plan.altered
    (record,) = (record for record in merged.net.layer if record.name == "stem/every_2")
    assert list(record.blobs[0].shape.dim) == [4, 1, 1, 1]
    assert list(record.blobs[0].data) == [1] * 4


def test_all_sizes_of_an_input_give_the_same(moves, runtime, tmp_path):
    net = strided(block(start((1, 4, 8, 8)).conv("stem", "data", 4, 1), "stem"))
    merged = moves(net, {"left": "b", "right": "b"}, "stem")
    for height, width in ((1, 1), (2, 3), (5, 8), (7, 4)):
        files = []
        for name, (model, weights) in (("old", merged.before), ("new", merged.after)):
            text = model.read_text().replace("dim: 8 dim: 8", f"dim: {height} dim: {width}")
            path = tmp_path / f"{name}{height}.prototxt"
            path.write_text(text)
            files.append((path, weights))
        feed = {"data": np.random.default_rng(1).normal(0, 1, (1, 4, height, width))}
        feed = {name: array.astype(np.float32) for name, array in feed.items()}
        old, new = ([*map(np.array, _run(runtime, one, feed).values())] for one in files)
        for one, other in zip(old, new, strict=True):
            assert one.shape == other.shape
            assert np.abs(one - other).max() < 1e-5


def _run(runtime, files, feed):
    with runtime.load(*files) as session:
        return session.run(feed)


PLACES = {
    "ReLU": "",
    "Sigmoid": "",
    "Dropout": "",
    "Power": "power_param { scale: 2 power: 2 }",
    "LRN": "lrn_param { local_size: 3 }",
}


@pytest.mark.parametrize("kind", PLACES)
def test_it_passes_what_computes_each_place_by_itself(kind, moves):
    net = start().conv("c", "data", 4).plain(kind, "p", "c", words=PLACES[kind])
    moves(net.conv("d", "p", 3, 1, words=STRIDE), {"d": "c"})


def test_it_passes_what_stays_of_a_batch_norm(moves):
    net = start().conv("c", "data", 4).plain("TanH", "t", "c").batch_norm("b", "t").scale("s", "t")
    net.relu("r", "t").conv("d", "t", 3, 1, words=STRIDE)
    moves(net, {"d": "c"}, fates={"b": "merged", "s": "scale"})


def test_it_passes_a_concat_and_the_strides_of_each_axis_are_their_own(moves):
    net = (
        start((2, 4, 9, 8))
        .conv("a", "data", 4, 3)
        .conv("b", "data", 2, 3, words="stride_h: 1 stride_w: 1")
    )
    net.concat("cat", "a b").relu("r", "cat")
    net.conv("d", "cat", 3, "kernel_h: 1 kernel_w: 3 stride_h: 2 stride_w: 1", spatial=(1, 3))
    merged = moves(net, {"d": "a b"})
    assert "stride_h: 2 stride_w: 1" in merged.text


def test_strides_go_up_through_1x1_convolutions_as_far_as_they_can(moves):
    net = start((1, 4, 13, 12)).conv("a", "data", 4, 3).conv("b", "a", 4, 1, words=STRIDE)
    net.conv("c", "b", 4, 1).conv("d", "c", 3, 1, words="stride: 3")
    merged = moves(net, {"b": "a", "d": "a"})
    assert merged.text.count("stride: 6") == 1


def test_values_read_at_every_second_and_at_every_fourth_place_share_a_stride_of_two(moves):
    net = start((1, 4, 16, 16)).conv("a", "data", 4, 3)
    net.conv("b", "a", 3, 1, words=STRIDE).conv("c", "a", 3, 1, words="stride: 4")
    merged = moves(net, {"b": "a", "c": "a"})
    assert merged.text.count(STRIDE) == 2


def test_channels_that_are_constant_go_from_what_subsamples(moves):
    net = start((1, 4, 8, 8)).conv("stem", "data", 4, 1)
    net = strided(block(net, "stem"))
    for record in net.net.layer:
        if record.name in ("stem", "c"):
            each = len(record.blobs[0].data) // 4
            record.blobs[0].data[each : 2 * each] = [0.0] * each
            record.blobs[1].data[1] = 0
    merged = moves(net, {"left": "b", "right": "b"}, "stem")
    (record,) = (record for record in merged.net.layer if record.name == "stem/every_2")
    assert list(record.blobs[0].data) == [1] * 3
    assert "num_output: 3 bias_term: false" in " ".join(merged.text.split())


def test_without_weights_it_is_planned(tmp_path):
    net = strided(block(start().conv("stem", "data", 4, 1), "stem"))
    model, _ = net.save(tmp_path)
    (entry,) = bnfold.inspect(model, strides=True).plan.of_type(MovedStride)
    assert entry.into == ("b",)
    assert entry.saved > 0


def test_it_is_off_unless_it_is_asked_for(merger):
    net = start().conv("c", "data", 4).conv("d", "c", 3, 1, words=size(STRIDE))
    assert merger(net, {}).text == net.text


# ------------------------------------------------------------------------- what stays


def test_a_stride_stays_where_another_layer_reads_every_place(stays):
    net = start().conv("c", "data", 4).conv("d", "c", 3, 1, words=STRIDE).conv("e", "c", 2)
    stays(net, "d", "other-reader", "'e' reads every place of 'c'")


def test_a_stride_stays_where_nothing_could_take_it(stays):
    net = start().conv("d", "data", 3, 1, words=STRIDE)
    stays(net, "d", "no-host", "'data' is made by Input")


def test_a_stride_stays_where_what_subsamples_would_run_in_another_phase(stays):
    net = start((1, 4, 8, 8)).conv("stem", "data", 4, 1)
    net = strided(block(net, "stem"))
    at = next(at for at, text in enumerate(net.texts) if 'name: "sum"' in text)
    net.texts[at] = net.texts[at].replace('type: "Eltwise"', 'type: "Eltwise" include {}')
    stays(net, "left", "no-host", "no bottom of Eltwise layer 'sum'")


def test_a_stride_stays_behind_a_pooling_which_rounds_up(stays):
    net = start().conv("c", "data", 4)
    net.plain("Pooling", "p", "c", words="pooling_param { kernel_size: 2 }")
    stays(net.conv("d", "p", 3, 1, words=STRIDE), "d", "no-host", "Pooling layer 'p'")


def test_a_stride_stays_where_padding_shifts_the_places(merger):
    net = start().conv("c", "data", 4).conv("d", "c", 3, 1, words="stride: 2 pad: 1")
    merged = merger(net, {}, strides=True)
    assert not entries(merged)
    assert merged.text.count("stride") == 1


def test_a_stride_stays_where_the_value_is_read_outside_the_phase(stays):
    net = start().conv("c", "data", 4).conv("d", "c", 3, 1, words=STRIDE)
    net.layer('name: "watch" type: "Silence" bottom: "c" include { phase: TRAIN }')
    stays(net, "d", "outside-reader", "'watch'")


def test_a_stride_stays_where_the_value_shows_under_another_name(stays):
    net = start().conv("c", "data", 4).plain("Split", "s", "c", "other")
    net.relu("r", "other").conv("d", "c", 3, 1, words=STRIDE)
    stays(net.plain("Eltwise", "sum", "other other"), "d", "other-reader")


def test_a_stride_stays_behind_statistics_of_the_batch(stays):
    net = start().conv("c", "data", 4)
    net.batch_norm("b", "c", words="use_global_stats: false")
    net.conv("d", "c", 3, 1, words=STRIDE)
    stays(net, "d", "no-host", "BatchNorm layer 'b'", fates={"b": "kept"})


def test_a_stride_stays_where_subsampling_takes_more_than_it_saves(stays):
    net = start((1, 64, 8, 8)).conv("a", "data", 64, 1, group=64, bias=False)
    for name in ("t1", "t2", "t3", "t4"):
        # Each is read by another layer, too, and would be subsampled.
        net.plain("TanH", name, "data").plain("Sigmoid", f"{name}/s", name)
        net.channels[name] = 64
    net.concat("all", "a t1 t2 t3 t4").conv("d", "all", 3, 1, words=STRIDE)
    stays(net, "d", "more-work", "operations")


def test_a_stride_stays_that_the_user_keeps(stays):
    net = start().conv("c", "data", 4).conv("d", "c", 3, 1, words=STRIDE)
    stays(net, "d", "chosen", keep=["c"])


def test_a_depthwise_convolution_does_no_more_than_subsample(merger):
    net = start().conv("c", "data", 4).conv("d", "c", 4, 1, group=4, words=STRIDE).conv("e", "c", 2)
    assert not entries(merger(net, {}, strides=True))


# ------------------------------------------------------------------------- any network


class Drawing:
    """A network of convolutions, sums and what passes places, with strides of 1x1 at random."""

    def __init__(self, draw) -> None:
        self.draw = draw
        self.net = Model(seed=draw(st.integers(0, 1 << 16)))
        height, width = draw(st.integers(5, 12)), draw(st.integers(5, 12))
        self.net.input("data", (1, 4, height, width)).conv("v0", "data", 4, 3, words="pad: 1")
        self.sizes = {"v0": (height, width)}
        self.count = 0

    def step(self, kind: str) -> None:
        self.count += 1
        name, names = f"v{self.count}", [*self.sizes]
        bottom = names[-1 - min(len(names) - 1, self.draw(st.sampled_from([0, 0, 0, 1, 2])))]
        length = self.sizes[bottom]
        if kind == "strided":
            step = self.draw(st.sampled_from([2, 2, 3]))
            self.net.conv(name, bottom, 4, 1, words=f"stride: {step}")
            self.sizes[name] = tuple((n - 1) // step + 1 for n in length)
            return
        if kind in ("Eltwise", "Concat"):
            like = [other for other in names if self.sizes[other] == length]
            other = self.draw(st.sampled_from(like))
            if kind == "Eltwise":
                self.net.plain("Eltwise", name, f"{bottom} {other}")
            else:
                self.net.concat(f"{name}c", f"{bottom} {other}")
                self.net.conv(name, f"{name}c", 4, 1)
        elif kind == "batch norm":
            self.net.plain("TanH", f"{name}t", bottom)
            self.net.channels[f"{name}t"] = 4
            self.net.batch_norm(name, f"{name}t", name)
        elif kind == "3x3":
            self.net.conv(name, bottom, 4, 3, words="pad: 1")
        elif kind == "1x1":
            self.net.conv(name, bottom, 4, 1)
        else:
            self.net.plain(kind, name, bottom)
        self.net.channels[name] = 4
        self.sizes[name] = length


KINDS = ("strided", "strided", "3x3", "3x3", "1x1", "Eltwise", "Eltwise", "Concat", "ReLU")


@st.composite
def networks(draw):
    drawing = Drawing(draw)
    for kind in draw(st.lists(st.sampled_from([*KINDS, "batch norm"]), min_size=4, max_size=16)):
        drawing.step(kind)
    return drawing.net


@settings(
    max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
@given(net=networks(), tidy=st.booleans())
def test_random_networks_keep_their_function_and_take_no_more_work(net, tidy, pycaffe):
    note(net.text)
    with tempfile.TemporaryDirectory() as folder:
        merged = merge_model(Path(folder), net, strides=True, tidy=tidy)
        note(merged.text)
        assert all(entry.saved > 0 for entry in entries(merged) if entry.done)
        assert_same_numbers(pycaffe, merged, tolerance=1e-5)
        again = merge_files(*merged.after, strides=True, tidy=tidy)
        for once, twice in zip(merged.after, again.after, strict=True):
            assert once.read_bytes() == twice.read_bytes()


# ------------------------------------------------------------------------- reports


def test_the_report_says_it_in_a_sentence_and_in_json(moves):
    net = strided(block(start((1, 4, 8, 8)).conv("stem", "data", 4, 1), "stem"))
    net.conv("late", "out", 2, 1, words=STRIDE).conv("all", "out", 2)
    merged = moves(net, {"left": "b", "right": "b"}, "stem")
    lines = merged.report.summary().splitlines()
    said = "moved the stride of left (Convolution), and that of right, into b, subsampling stem: "
    (line,) = (line for line in lines if line.startswith("moved"))
    assert line.startswith(said)
    assert line.endswith(" operations less")
    assert any(line.startswith("kept the stride of late (Convolution): ") for line in lines)
    assert any(line.startswith("2 strides moved up, ") for line in lines)
    found = json.loads(json.dumps(merged.report.to_json()))
    schema = resources.files("bnfold") / "schemas" / "report.schema.json"
    Draft202012Validator(json.loads(schema.read_text())).validate(found)
    first, second = found["strides"]
    assert (first["from"], first["into"], first["subsampled"]) == (
        ["left", "right"],
        ["b"],
        ["stem"],
    )
    assert (second["layer"], second["code"]) == ("late", "other-reader")


def test_what_nobody_reads_is_told_without_changing_anything(tmp_path):
    net = strided(block(start((1, 4, 8, 8)).conv("stem", "data", 4, 1), "stem"))
    model, weights = net.save(tmp_path)
    with open_weights(weights) as stored:
        found = unread_shares(build(parse(model.read_text()), MergeOptions().phase, stored))
    assert found == dict.fromkeys(("b", "rb", "c", "sum", "rs"), 0.75)


def test_values_of_other_ranks_that_a_file_joins_are_left_alone(tmp_path):
    net = start((1, 4, 8, 8)).conv("a", "data", 4, 3)
    net.input("flat", (1, 4, 6)).conv("b", "flat", 4, "kernel_size: 1", spatial=(1,))
    net.concat("cat", "a b").conv("d", "cat", 3, 1, words=STRIDE)
    merge_model(tmp_path, net, strides=True)
