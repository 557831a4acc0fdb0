"""Networks that hypothesis draws: whatever folds, Caffe computes the same before and after."""

from __future__ import annotations

import tempfile
from pathlib import Path

from folding import assert_same_function, merge_model
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from models import Model


@st.composite
def networks(draw):
    """A few hosts in a row, each with a run of affine layers that may have other readers."""
    net = Model(seed=draw(st.integers(0, 1 << 16))).input("data", (2, 4, 11, 9))
    blob, count, size = "data", 0, (11, 9)

    def name(kind):
        nonlocal count
        count += 1
        return f"{kind}{count}"

    for _ in range(draw(st.integers(1, 3))):
        host, bias = name("conv"), draw(st.booleans())
        top = draw(st.sampled_from([host, name("blob")]))
        group = draw(st.sampled_from([1, 1, 2, net.channels[blob]]))
        kernel = draw(st.sampled_from([(1, 1), (2, 1), (3, 3)]))
        if min(size) < 4:
            kernel = (1, 1)
        words = f"kernel_h: {kernel[0]} kernel_w: {kernel[1]}"
        outputs = net.channels[blob] * draw(st.integers(1, 2)) if group > 1 else 4
        net.conv(host, blob, outputs, words, spatial=kernel, top=top, bias=bias, group=group)
        size = (size[0] - kernel[0] + 1, size[1] - kernel[1] + 1)
        blob = top
        for _ in range(draw(st.integers(0, 4))):
            side = draw(st.integers(0, 5)) == 0
            # A second reader makes Caffe split the blob, which an in-place layer does not survive.
            top = name("blob") if side or draw(st.booleans()) else blob
            if side:
                net.relu(name("side"), blob, name("out"))
            if draw(st.booleans()):
                factor = draw(st.sampled_from([1.0, 999.982, 0.37]))
                net.batch_norm(
                    name("bn"),
                    blob,
                    top,
                    eps=draw(st.sampled_from([None, 1e-3, 0.1])),
                    factor=factor,
                )
            else:
                net.scale(name("scale"), blob, top, bias=draw(st.booleans()))
            blob = top
        if draw(st.booleans()):
            net.relu(name("relu"), blob)
    if draw(st.booleans()):
        host = name("ip")
        inputs = net.channels[blob] * size[0] * size[1]
        transpose = draw(st.booleans())
        net.inner_product(host, blob, 5, inputs, transpose=transpose, bias=draw(st.booleans()))
        net.batch_norm(name("bn"), host).scale(name("scale"), host)
    return net


@settings(
    max_examples=25,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(net=networks())
def test_random_networks_keep_their_function(net, pycaffe):
    with tempfile.TemporaryDirectory() as folder:
        merged = merge_model(Path(folder), net)
        affine = net.text.count('type: "BatchNorm"') + net.text.count('type: "Scale"')
        assert len(merged.fates) == affine
        assert_same_function(pycaffe, merged, tolerance=1e-4)
