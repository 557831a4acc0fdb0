"""Pruning equals the same network with the removed channels' gammas at zero."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import bnfold

from .nets import Net, largest_difference, outputs_of, prune, start

CLOSE = 2e-5

ACTS = [
    "ReLU",
    "ReLU relu_param { negative_slope: 0.1 }",
    "PReLU",
    "Sigmoid",
    "TanH",
    "ELU elu_param { alpha: 0.5 }",
    "BNLL",
    "",
]


def plain(act: str = "ReLU", words: str = "") -> Net:
    return (
        start().block("c1", "data", 6, act=act).block("c2", "c1", 5, words=words).conv("o", "c2", 3)
    )


@pytest.mark.parametrize("act", ACTS)
def test_a_chain(act, tmp_path, pycaffe):
    done = prune(tmp_path, plain(act), channels={"c1": [0, 3, 5], "c2": [1]})
    assert largest_difference(pycaffe, done.zeroed, done.after) < CLOSE
    assert not done.report.borders


@pytest.mark.parametrize("act", ACTS)
def test_a_chain_that_is_folded_as_well(act, tmp_path, pycaffe):
    done = prune(tmp_path, plain(act), channels={"c1": [0, 3, 5], "c2": [1]}, merge=True)
    assert "BatchNorm" not in done.text
    assert largest_difference(pycaffe, done.zeroed, done.after) < CLOSE


def test_the_batch_norm_behind_the_reader_takes_what_was_removed(tmp_path):
    done = prune(tmp_path, plain("Sigmoid"), channels={"c1": [2], "c2": [1]})
    assert done.report.absorbed == {"c2": "c2/bn", "o": "o"}
    assert [blob.shape for blob in done.blobs("c2")] == [(4, 5, 3, 3)]
    assert [blob.shape for blob in done.blobs("c2/bn")] == [(4,), (4,), (1,)]
    assert done.text.count("BatchNorm") == 2
    assert done.text.count("bias_term: false") == 2


def test_a_bias_is_made_where_no_batch_norm_and_no_bias_is(tmp_path, pycaffe):
    net = start().block("c1", "data", 6, act="Sigmoid").conv("o", "c1", 3, bias=False)
    done = prune(tmp_path, net, channels={"c1": [1, 2]})
    assert len(done.blobs("o")) == 2
    assert largest_difference(pycaffe, done.zeroed, done.after) < CLOSE


def test_a_factor_of_zero_leaves_the_mean_alone(tmp_path, pycaffe):
    net = start().block("c1", "data", 6, act="Sigmoid").conv("c2", "c1", 3, bias=False)
    net.batch_norm("b", "c2", factor=0.0, words="eps: 0.5").scale("s", "c2").conv("o", "c2", 2)
    done = prune(tmp_path, net, channels={"c1": [1, 2]})
    assert done.report.absorbed == {"c2": "c2"}
    assert largest_difference(pycaffe, done.zeroed, done.after) < CLOSE


def residual(act: str = "Sigmoid") -> Net:
    net = start().block("c0", "data", 6, act=act).block("c1", "c0", 6, 1, act=act)
    net.block("c2", "c1", 6, 1, act="").join("sum", "Eltwise", "c0", "c2").act("r", "sum", "ReLU")
    return net.conv("o", "sum", 3)


def test_a_residual_block_goes_together(tmp_path, pycaffe):
    done = prune(tmp_path, residual(), channels={"sum": [1, 4], "c1": [0]})
    removed = {one.layer: one.removed for one in done.report.layers}
    assert removed == {"c0": (1, 4), "c1": (0,), "c2": (1, 4), "o": ()}
    assert largest_difference(pycaffe, done.zeroed, done.after) < CLOSE


def depthwise(words: str = "") -> Net:
    net = start().block("c1", "data", 6, act="Sigmoid")
    net.block("dw", "c1", 6, group=6, act="Sigmoid", words=words)
    return net.block("pw", "dw", 4, 1).conv("o", "pw", 3)


def test_a_depthwise_layer_goes_with_what_it_reads(tmp_path, pycaffe):
    done = prune(tmp_path, depthwise("pad: 1"), channels={"c1": [0, 2]})
    removed = {one.layer: one.removed for one in done.report.layers}
    assert removed == {"c1": (0, 2), "dw": (0, 2), "pw": (), "o": ()}
    assert "group: 4" in done.text
    assert not done.report.borders
    assert largest_difference(pycaffe, done.zeroed, done.after) < CLOSE


def test_a_concat(tmp_path, pycaffe):
    net = start().block("a", "data", 4, act="TanH").block("b", "data", 3, act="Sigmoid")
    net.join("cat", "Concat", "a", "b").block("c", "cat", 5).conv("o", "c", 2)
    done = prune(tmp_path, net, channels={"cat": [1, 4, 6]})
    removed = {one.layer: one.removed for one in done.report.layers}
    assert removed == {"a": (1,), "b": (0, 2), "c": (), "o": ()}
    assert largest_difference(pycaffe, done.zeroed, done.after) < CLOSE


def test_a_batch_norm_behind_a_concat(tmp_path, pycaffe):
    net = start().conv("a", "data", 4).conv("b", "data", 3).join("cat", "Concat", "a", "b")
    net.batch_norm("bn", "cat", "n").scale("s", "n").act("r", "n", "Sigmoid").conv("o", "n", 2)
    done = prune(tmp_path, net, {"s": [1, 4]}, channels={"s": [1, 4]})
    assert largest_difference(pycaffe, done.zeroed, done.after) < CLOSE


@pytest.mark.parametrize("flatten", [True, False])
def test_an_inner_product_over_a_map(flatten, tmp_path, pycaffe):
    net = start().block("c1", "data", 4, act="Sigmoid")
    if flatten:
        net.layer('name: "f" type: "Flatten" bottom: "c1" top: "f"')
        net.channels["f"] = 140
    net.inner_product("ip", "f" if flatten else "c1", 6, 140).normalised("ip")
    net.inner_product("o", "ip", 3, 6)
    done = prune(tmp_path, net, channels={"c1": [0, 3], "ip": [5]})
    assert largest_difference(pycaffe, done.zeroed, done.after) < CLOSE


def test_groups_lose_as_many_each(tmp_path, pycaffe):
    net = start().block("c1", "data", 8, act="Sigmoid")
    net.block("g", "c1", 6, group=2, act="Sigmoid").conv("o", "g", 2)
    done = prune(tmp_path, net, ratio=0.4)
    removed = {one.layer: one.removed for one in done.report.layers}
    for name, each in (("c1", 4), ("g", 3)):
        first = [channel for channel in removed[name] if channel < each]
        assert len(removed[name]) == 2 * len(first) > 0
    assert largest_difference(pycaffe, done.zeroed, done.after) < CLOSE


class TestBorders:
    """A padded layer is exact inside, and off by no more than the printed bound at its border."""

    def differences(self, tmp_path, pycaffe, net, **options):
        done = prune(tmp_path, net, **options)
        (border,) = done.report.borders
        old, new = (outputs_of(pycaffe, files)["o"] for files in (done.zeroed, done.after))
        return np.abs(old - new), np.abs(old).max(), border

    @pytest.mark.parametrize("act", ["Sigmoid", "TanH", "PReLU"])
    def test_a_padded_convolution(self, act, tmp_path, pycaffe):
        net = start().block("c1", "data", 6, act=act).conv("o", "c1", 3, words="pad: 1")
        off, size, border = self.differences(tmp_path, pycaffe, net, channels={"c1": [0, 3, 5]})
        assert border.layer == "o"
        assert off[:, :, 1:-1, 1:-1].max() < CLOSE * size
        edge = off.max()
        assert CLOSE * size < edge <= border.bound * 1.0001
        assert border.bound < 8 * edge, "a bound that says nothing"

    def test_a_dilated_convolution_of_another_shape(self, tmp_path, pycaffe):
        words = "kernel_h: 3 kernel_w: 1 pad_h: 2 pad_w: 0 dilation: 2"
        net = start(shape=(2, 4, 12, 7)).block("c1", "data", 6, act="Sigmoid")
        net.conv("o", "c1", 3, words, spatial=(3, 1))
        off, size, border = self.differences(tmp_path, pycaffe, net, channels={"c1": [1, 2]})
        assert off[:, :, 2:-2].max() < CLOSE * size
        assert CLOSE * size < off.max() <= border.bound * 1.0001

    def test_a_padded_depthwise_layer_without_a_batch_norm(self, tmp_path, pycaffe):
        net = (
            start()
            .block("c1", "data", 6, act="Sigmoid")
            .conv("d", "c1", 6, group=6, words="pad: 1")
        )
        net.act("da", "d", "TanH").conv("o", "d", 3, 1)
        off, size, border = self.differences(tmp_path, pycaffe, net, channels={"c1": [1, 2]})
        assert border.layer == "o"
        assert off[:, :, 1:-1, 1:-1].max() < CLOSE * size
        assert CLOSE * size < off.max() <= border.bound * 1.0001

    def test_an_average_over_padding(self, tmp_path, pycaffe):
        net = start().block("c1", "data", 6, act="Sigmoid")
        net.pool("p", "c1", "pool: AVE kernel_size: 3 pad: 1 stride: 1").conv("o", "p", 3, 1)
        off, size, border = self.differences(tmp_path, pycaffe, net, channels={"c1": [1, 2]})
        assert off[:, :, 1:-1, 1:-1].max() < CLOSE * size
        assert CLOSE * size < off.max() <= border.bound * 1.0001

    def test_a_relu_that_makes_it_zero_leaves_no_border(self, tmp_path, pycaffe):
        net = start().block("c1", "data", 6).conv("o", "c1", 3, words="pad: 1")
        net.store("c1/s", -np.abs(net.blob_of("c1/s", 1)), 1)
        done = prune(tmp_path, net, channels={"c1": [0, 3, 5]})
        assert not done.report.borders
        assert largest_difference(pycaffe, done.zeroed, done.after) < CLOSE


@st.composite
def networks(draw):
    """Random networks of blocks, none of which pads, and what share of them to remove."""
    net = start(draw(st.integers(0, 1 << 16)), (2, 3, 14, 13))
    blob = "data"
    for depth in range(draw(st.integers(1, 3))):
        act = draw(st.sampled_from(ACTS[:4]))
        name = f"c{depth}"
        match draw(st.sampled_from(["chain", "sum", "concat", "depthwise", "groups", "residual"])):
            case "chain":
                net.block(name, blob, 6, act=act)
            case "depthwise":
                net.block(f"{name}in", blob, 4, act=act)
                net.block(name, f"{name}in", 4, group=4, act=act)
            case "groups":
                net.block(f"{name}in", blob, 4, 1, act=act)
                net.block(name, f"{name}in", 6, group=2, act=act)
            case "residual":
                net.block(f"{name}a", blob, 5, 1, act=act).block(
                    f"{name}b", f"{name}a", 5, 1, act=act
                )
                net.join(name, "Eltwise", f"{name}a", f"{name}b")
            case kind:
                net.block(f"{name}a", blob, 4, act=act).block(f"{name}b", blob, 4, act=act)
                net.join(name, "Eltwise" if kind == "sum" else "Concat", f"{name}a", f"{name}b")
        blob = name
    return net.conv("o", blob, 3, 1), draw(st.floats(0, 0.9))


@settings(
    max_examples=30,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(drawn=networks(), merge=st.booleans())
def test_random_networks_equal_those_with_gammas_of_zero(drawn, merge, pycaffe):
    net, ratio = drawn
    with tempfile.TemporaryDirectory() as folder:
        done = prune(Path(folder), net, ratio=ratio, merge=merge)
        assert not done.report.borders
        assert largest_difference(pycaffe, done.zeroed, done.after) < 2e-4


@st.composite
def windows(draw) -> tuple[int, int, int, int]:
    """A kernel, a stride, a padding and a dilation that fit 12 values."""
    kernel, stride = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    return kernel, stride, draw(st.integers(0, 3)), draw(st.integers(1, 2))


def inside(length: int, window: tuple[int, int, int, int]) -> np.ndarray:
    """Which outputs of a convolution over so many values see no padding."""
    kernel, stride, pad, dilation = window
    reach = dilation * (kernel - 1) + 1
    first = np.arange((length + 2 * pad - reach) // stride + 1) * stride - pad
    return (first >= 0) & (first + reach <= length)


@settings(
    max_examples=40,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    rows=windows(),
    columns=windows(),
    act=st.sampled_from(ACTS),
    gone=st.sets(st.integers(0, 5), min_size=1, max_size=5),
    seed=st.integers(0, 1 << 16),
)
def test_random_windows_are_exact_inside_and_within_the_bound_at_borders(
    rows, columns, act, gone, seed, pycaffe
):
    (kh, sh, ph, dh), (kw, sw, pw, dw) = rows, columns
    words = f"kernel_h: {kh} kernel_w: {kw} stride_h: {sh} stride_w: {sw} pad_h: {ph} pad_w: {pw}"
    net = start(seed, (2, 3, 14, 13)).block("c1", "data", 6, act=act)
    net.conv("o", "c1", 3, f"{words} dilation: [{dh}, {dw}]", spatial=(kh, kw))
    with tempfile.TemporaryDirectory() as folder:
        done = prune(Path(folder), net, channels={"c1": sorted(gone)})
        old, new = (outputs_of(pycaffe, files)["o"] for files in (done.zeroed, done.after))
    bound = max((border.bound for border in done.report.borders), default=0.0)
    off, noise = np.abs(old - new), CLOSE * max(1.0, float(np.abs(old).max()))
    assert off.max() <= bound + noise
    assert off[:, :, inside(12, rows)][..., inside(11, columns)].max(initial=0.0) <= noise


class TestChoice:
    """Which channels go."""

    def gamma_net(self) -> Net:
        net = start().block("c1", "data", 8).block("c2", "c1", 8).conv("o", "c2", 3)
        net.store("c1/s", [0.9, -0.1, 0.8, 0.7, 0.6, -0.5, 0.4, 0.3])
        return net.store("c2/s", [0.05, 2, 2, 2, 2, 2, -0.15, 0.2])

    def removed(self, folder, **options) -> dict[str, tuple[int, ...]]:
        report = prune(folder, self.gamma_net(), **options).report
        return {one.layer: one.removed for one in report.layers if one.removed}

    def test_a_ratio_takes_the_lowest_of_the_whole_network(self, tmp_path):
        assert self.removed(tmp_path, ratio=0.25) == {"c1": (1,), "c2": (0, 6, 7)}

    def test_a_ratio_is_never_exceeded(self, tmp_path):
        assert self.removed(tmp_path, ratio=0.24) == {"c1": (1,), "c2": (0, 6)}

    def test_a_threshold_includes_itself(self, tmp_path):
        assert self.removed(tmp_path, threshold=0.15) == {"c1": (1,), "c2": (0, 6)}

    def test_rounding_gives_back_the_strongest(self, tmp_path):
        assert self.removed(tmp_path, threshold=0.45, round_to=4) == {}
        assert self.removed(tmp_path, threshold=0.5, round_to=4, force=True) == {"c1": (1, 5, 6, 7)}

    def test_a_layer_keeps_its_least(self, tmp_path):
        assert self.removed(tmp_path, threshold=0.75, min_channels=6) == {
            "c1": (1, 7),
            "c2": (0, 6),
        }

    def test_a_layer_keeps_one_whatever_is_asked(self, tmp_path):
        removed = self.removed(tmp_path, threshold=100.0)
        assert {name: len(gone) for name, gone in removed.items()} == {"c1": 7, "c2": 7}

    def test_excluded_layers_stay(self, tmp_path):
        assert self.removed(tmp_path, threshold=0.15, exclude=["c2*"]) == {"c1": (1,)}

    def test_tied_channels_are_ranked_by_the_largest(self, tmp_path):
        net = residual()
        net.store("c0/s", [0.1, 0.1, 3, 3, 3, 3]).store("c2/s", [0.1, 2, 0.1, 3, 3, 3])
        report = prune(tmp_path, net, threshold=0.2).report
        removed = {one.layer: one.removed for one in report.layers}
        assert removed["c0"] == removed["c2"] == (0,)

    def test_pruning_twice_is_pruning_once(self, tmp_path):
        done = prune(tmp_path, self.gamma_net(), threshold=0.45)
        folder = tmp_path / "again"
        folder.mkdir()
        paths = folder / "a.prototxt", folder / "a.caffemodel"
        outputs = {"output_model": paths[0], "output_weights": paths[1]}
        bnfold.prune(*done.after, threshold=0.45, round_to=1, **outputs)
        for one, other in zip(done.after, paths, strict=True):
            assert one.read_bytes() == other.read_bytes()
