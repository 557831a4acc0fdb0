"""Sets of branches that hypothesis draws: whatever merges, Caffe computes the same."""

from __future__ import annotations

import tempfile
from math import gcd
from pathlib import Path

from folding import assert_same_function, merge_files, merge_model
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

import bnfold

from .branching import add, start

HEIGHT, WIDTH = 9, 8


@st.composite
def windows(draw, length: int, stride: int, same: bool):
    """Kernels, paddings and dilations that all make as many outputs of so long an input."""
    dilations = draw(st.sampled_from([(1,), (1,), (2,), (1, 2)]))
    found: dict[int, list[tuple[int, int, int]]] = {}
    for kernel in range(1, 5):
        for pad in range(4):
            for dilation in dilations:
                room = length + 2 * pad - dilation * (kernel - 1) - 1
                if room >= 0:
                    found.setdefault(room // stride + 1, []).append((kernel, pad, dilation))
    return found[length] if same else draw(st.sampled_from([*found.values()]))


def conv(draw, net, name, outputs, stride, group, fits):
    """A convolution with one of the windows that fit, perhaps with affine layers behind it."""
    tall, wide = (draw(st.sampled_from(fit)) for fit in fits)
    words = f"pad_h: {tall[1]} pad_w: {wide[1]} dilation: [{tall[2]}, {wide[2]}]"
    net.conv(
        name,
        "x",
        outputs,
        f"kernel_h: {tall[0]} kernel_w: {wide[0]}",
        spatial=(tall[0], wide[0]),
        words=f"{words} stride: {stride}",
        group=group,
        bias=draw(st.booleans()),
    )
    if draw(st.booleans()):
        net.batch_norm(f"{name}_bn", name).scale(f"{name}_scale", name)


@st.composite
def networks(draw):
    """A value, branches of it that fit an Eltwise, and layers that make some of them unfit."""
    channels = draw(st.sampled_from([4, 6, 12]))
    net = start((2, channels, HEIGHT, WIDTH), seed=draw(st.integers(0, 1 << 16)))
    stride = draw(st.sampled_from([1, 1, 1, 2, 3]))
    same = stride == 1 and draw(st.integers(0, 3)) > 0
    fits = draw(windows(HEIGHT, stride, same)), draw(windows(WIDTH, stride, same))
    outputs = channels if same else draw(st.sampled_from([channels, 2 * channels]))
    can_be_itself = same and outputs == channels
    groups = [g for g in range(1, channels + 1) if channels % g == 0]
    few = draw(st.lists(st.sampled_from(groups), min_size=1, max_size=2))
    inputs = []
    for index in range(draw(st.integers(2, 5))):
        name = f"b{index}"
        kinds = ["conv"] * 5 + (
            ["itself", "scale", "batch norm"] if can_be_itself and index else []
        )
        kind = draw(st.sampled_from(kinds))
        if kind == "itself":
            inputs.append("x")
            continue
        if kind == "scale":
            net.scale(name, "x", name, bias=draw(st.booleans()))
        elif kind == "batch norm":
            net.batch_norm(name, "x", name)
        else:
            group = draw(st.sampled_from(few))
            assert gcd(group, channels) == group
            conv(draw, net, name, outputs, stride, group, fits)
        trouble = draw(st.integers(0, 19))
        if trouble == 0:
            net.relu(f"{name}_relu", name)
        elif trouble == 1:
            net.relu(f"{name}_side", name, f"{name}_side")
        inputs.append(name)
    words = ""
    if draw(st.booleans()):
        words = " ".join(f"coeff: {draw(st.sampled_from([1, -1, 0.5, 2]))}" for _ in inputs)
    add(net, *inputs, words=words)
    if draw(st.booleans()):
        net.batch_norm("last_bn", "sum").scale("last_scale", "sum")
    return net


@settings(
    max_examples=60,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(net=networks())
def test_random_branches_keep_their_function(net, pycaffe):
    with tempfile.TemporaryDirectory() as folder:
        merged = merge_model(Path(folder), net)
        for found in merged.report.plan.of_type(bnfold.Branches):
            event(found.reason.code.value if found.reason else "merged")
        assert_same_function(pycaffe, merged, tolerance=1e-4)
        again = merge_files(*merged.after)
        assert again.after[0].read_bytes() == merged.after[0].read_bytes()
        assert again.after[1].read_bytes() == merged.after[1].read_bytes()
