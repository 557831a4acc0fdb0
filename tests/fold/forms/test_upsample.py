"""`--upsample-as deconvolution`: maps made larger by whole factors, as every Caffe can.

This Caffe has an Upsample of its own, and OpenCV an Interp.
"""

from __future__ import annotations

import numpy as np
import pytest
from folding import feeds_for
from models import Model

import bnfold

from ..networks import start

SHAPE = (2, 4, 5, 3)


@pytest.fixture
def upsampling(former):
    return former(upsample_as="deconvolution")


def upsample(words: str = "scale: 2", net: Model | None = None) -> Model:
    net = net or start(SHAPE).conv("c", "data", 4, 1, words="engine: CAFFE")
    return net.plain("Upsample", "u", "c", words=f"upsample_param {{ {words} }}")


def interp(words: str, shape=SHAPE) -> Model:
    net = start(shape).conv("c", "data", 4, 1, words="engine: CAFFE")
    return net.plain("Interp", "u", "c", words=f"interp_param {{ {words} }}")


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_upsample_repeats_each_value(scale, upsampling):
    merged = upsampling(
        upsample(f"scale: {scale}"), {"u": "Deconvolution"}, engines=("pycaffe",), tolerance=0
    )
    assert "upsample_param" not in merged.text
    (weight,) = merged.blobs("u")
    assert weight.tolist() == [1.0] * (4 * scale**2)


def test_its_weights_are_the_same_in_opencv(upsampling, tmp_path, opencv):
    merged = upsampling(upsample("scale: 3"), {"u": "Deconvolution"}, engines=())
    net = start(SHAPE).conv("c", "data", 4, 1, words="engine: CAFFE")
    feeds = feeds_for({"data": SHAPE})
    with opencv.load(*net.save(tmp_path, "small")) as session:
        expected = session.run(feeds)["c"].repeat(3, 2).repeat(3, 3)
    with opencv.load(*merged.after) as session:
        assert np.abs(session.run(feeds)["u"] - expected).max() < 1e-5


@pytest.mark.parametrize(
    "words",
    [
        "zoom_factor: 1",
        "zoom_factor: 2",
        "zoom_factor: 5 shrink_factor: 1 pad_beg: 0 pad_end: 0",
        "height: 9 width: 7",
        "height: 5 width: 9",
        # The factor counts where both are written.
        "zoom_factor: 3 height: 60 width: 60",
    ],
)
def test_interp_by_a_whole_factor_becomes_one(words, upsampling):
    upsampling(interp(words), {"u": "Deconvolution"}, engines=("opencv",))


def test_interp_of_one_place_spreads_it(upsampling):
    net = (
        start((2, 4, 6, 6))
        .plain("Pooling", "p", "data", words="pooling_param { pool: AVE global_pooling: true }")
        .conv("c", "p", 4, 1, words="engine: CAFFE")
    )
    net.plain("Interp", "u", "c", words="interp_param { height: 6 width: 4 }")
    upsampling(net, {"u": "Deconvolution"}, engines=("opencv",))


def test_a_written_size_is_said_to_hold_for_the_input_of_the_file(upsampling):
    merged = upsampling(interp("height: 9 width: 7"), {"u": "Deconvolution"}, engines=())
    (warning,) = merged.report.plan.warnings
    assert "Interp of a fixed size ('u') became Deconvolution" in warning
    assert (
        upsampling(
            interp("zoom_factor: 2"), {"u": "Deconvolution"}, engines=(), force=True
        ).report.plan.warnings
        == []
    )


def test_a_size_that_another_one_tells_is_known(upsampling):
    net = interp("zoom_factor: 2")
    net.plain("Interp", "v", "u", words="interp_param { height: 17 width: 9 }")
    forms = {"u": "Deconvolution", "v": "Deconvolution"}
    upsampling(net, forms, engines=("opencv",))


def test_what_follows_folds_into_it(upsampling):
    merged = upsampling(
        upsample().batch_norm("b", "u"),
        {"u": "Deconvolution"},
        {"b": "folded"},
        engines=("pycaffe",),
    )
    assert merged.outcome("b").into == ("u",)


def test_what_its_layer_had_besides_is_gone(upsampling):
    net = start(SHAPE).conv("c", "data", 4, 1, words="engine: CAFFE")
    net.layer(
        'name: "u" type: "Upsample" bottom: "c" top: "u" param { lr_mult: 0 } '
        "upsample_param { scale: 2 }"
    )
    net.channels["u"] = 4
    assert "lr_mult" not in upsampling(net, {"u": "Deconvolution"}, engines=()).text


def test_without_weights_it_is_planned(tmp_path):
    model, _ = upsample().save(tmp_path)
    report = bnfold.inspect(model, upsample_as="deconvolution")
    assert "rewritten u (Upsample) as Deconvolution" in report.summary()


# ------------------------------------------------------------------------- what stays


def test_upsample_by_the_mask_of_a_pooling_stays(upsampling):
    net = start(SHAPE)
    net.layer(
        'name: "p" type: "Pooling" bottom: "data" top: "p" top: "mask" '
        "pooling_param { kernel_size: 2 stride: 2 }"
    )
    net.channels["p"] = 4
    net.plain("Upsample", "u", "p mask", words="upsample_param { scale: 2 }").conv("c", "u", 3)
    upsampling.refuses(net, "u", "no-equal", "'mask'")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("upsample_h: 10 upsample_w: 6", "upsample_h, upsample_w"),
        ("height: 10 width: 6", "height, width"),
        ("scale: 2 pad_out_h: true", "pad_out_h"),
        ("", "nothing"),
        ("scale: 0", "scale"),
    ],
)
def test_upsample_that_forks_read_differently_stays(words, named, upsampling):
    upsampling.refuses(upsample(words), "u", "no-equal", named)


def test_upsample_with_a_field_that_nobody_knows_stays(upsampling):
    upsampling.refuses(upsample("scale: 2 dims_num: 4"), "u", "unknown-layer", "dims_num")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("height: 10 width: 7", "5 into 10"),
        ("height: 9 width: 2", "3 into 2"),
        ("height: 9", "height and width"),
        ("shrink_factor: 2", "shrink_factor"),
        ("zoom_factor: 2 shrink_factor: 2", "shrink_factor"),
        ("zoom_factor: 2 pad_beg: -1", "pad_beg"),
        ("zoom_factor: 0", "zoom_factor"),
        ("zoom_factor: 2 intepolation_type: 1", "intepolation_type"),
    ],
)
def test_interp_that_is_no_deconvolution_stays(words, named, upsampling):
    upsampling.refuses(interp(words), "u", "no-equal", named)


def test_a_weight_without_measure_is_not_made(upsampling):
    upsampling.refuses(upsample("scale: 100000"), "u", "no-equal", "40,000,000,000 values")


def test_a_map_of_three_axes_stays(upsampling):
    net = start((2, 4, 5)).plain("TanH", "c", "data")
    upsampling.refuses(
        upsample(net=net.conv("x", "data", 2, "kernel_size: 2", spatial=(2,))),
        "u",
        "no-equal",
        "3 axes",
    )


def test_channels_that_nothing_tells_stay_unknown(upsampling):
    net = Model(seed=3)
    net.texts.append('input: "c"\n')
    net.channels["c"] = 4
    upsampling.refuses(upsample(net=net).conv("d", "u", 3), "u", "unknown-shape")


def test_one_of_a_v1_file_stays(upsampling):
    net = Model(seed=3, v1=True).input("data", SHAPE).conv("c", "data", 4)
    net.layer('name: "u" type: Upsample bottom: "c" top: "u" upsample_param { scale: 2 }')
    upsampling.refuses(net, "u", "no-scale-type")


def test_one_in_place_stays(upsampling):
    net = start(SHAPE).conv("c", "data", 4)
    net.layer('name: "u" type: "Upsample" bottom: "c" top: "c" upsample_param { scale: 2 }')
    upsampling.refuses(net, "u", "no-equal", "in place")
