"""Preprocessing goes into the network: it takes raw pixels, and gives what it gave before."""

from __future__ import annotations

import numpy as np
import pytest
from folding import Merged, merge_files, merge_model
from models import Model

import bnfold

STEPS = {"input_mean": (104.0, 117.0, 123.0), "input_scale": 0.017, "input_swap": True}


def steps_of(options) -> bnfold.InputSteps:
    mean = options.get("input_mean", (0.0,))
    mean = mean if isinstance(mean, tuple) else (float(mean),)
    given = options.get("input_scale", 1.0), options.get("input_swap", False)
    return bnfold.InputSteps(mean, *given, options.get("input_blob"))


@pytest.fixture
def raw(tmp_path, runtime):
    """Merge with preprocessing, and hold the result to the original that gets it done outside."""

    def raw(net: Model, *, blob: str = "data", engines=("pycaffe", "opencv"), **options) -> Merged:
        merged = merge_model(tmp_path, net, **options)
        again = merge_files(*merged.after)
        for once, twice in zip(merged.after, again.after, strict=True):
            assert once.read_bytes() == twice.read_bytes()
        if runtime.name not in engines:
            return merged
        with runtime.load(*merged.before) as before, runtime.load(*merged.after) as after:
            rng = np.random.default_rng(5)
            feeds = {
                name: rng.uniform(0, 255, shape).astype(np.float32)
                for name, shape in before.inputs.items()
            }
            old = before.run({**feeds, blob: _by_hand(options, feeds[blob])})
            new = after.run(feeds)
        assert old
        assert old.keys() == new.keys()
        for name, array in old.items():
            assert np.abs(array).max() > 1e-3
            assert np.abs(array - new[name]).max() <= 1e-5 * np.abs(array).max()
        return merged

    return raw


def _by_hand(options, pixels):
    """Caffe's own preprocessing, written down once more."""
    if options.get("input_swap"):
        pixels = pixels[:, ::-1]
    means = np.reshape(options.get("input_mean", 0.0), (-1, 1, 1))
    return np.ascontiguousarray((pixels - means) * options.get("input_scale", 1), np.float32)


def start(v1: bool = False, shape=(2, 3, 8, 8)) -> Model:
    return Model(seed=3, v1=v1, storage="legacy" if v1 else "float").input("data", shape)


def entry(merged: Merged):
    (found,) = (one for one in merged.report.plan.entries if type(one).__name__ == "InputFold")
    return found


def layers(merged: Merged) -> list[str]:
    return [record.name for record in merged.net.layer]


# ---------------------------------------------------------------- where it goes


def test_everything_goes_into_a_convolution_that_does_not_pad(raw):
    merged = raw(start().conv("c", "data", 5).batch_norm("b", "c").relu("r", "c"), **STEPS)
    found = entry(merged)
    assert (found.order_into, found.scale_into, found.mean_into) == (("c",),) * 3
    assert found.stays is None
    assert layers(merged) == ["c"]


def test_mean_that_meets_padding_stays_as_a_scale_with_a_bias(raw):
    merged = raw(start().conv("c", "data", 5, words="pad: 1").batch_norm("b", "c"), **STEPS)
    found = entry(merged)
    assert (found.order_into, found.scale_into, found.mean_into) == (("c",), ("c",), ())
    assert found.stays == "data/raw"
    assert found.reason.code is bnfold.Code.PADDING
    # It holds the mean alone, in the order of the pixels; the scale is in the weights.
    assert [list(blob) for blob in merged.blobs("data/raw")] == [[1, 1, 1], [-123, -117, -104]]
    assert "takes raw pixels" in found.sentence()
    assert "Scale data/raw does the rest" in found.sentence()


@pytest.mark.parametrize(
    "options",
    [
        {"input_swap": True},
        {"input_scale": 0.5},
        {"input_swap": True, "input_scale": -0.5, "input_mean": 0.0},
    ],
)
def test_order_and_scale_go_into_the_weights_whatever_the_padding(raw, options):
    merged = raw(start().conv("c", "data", 5, words="pad: 1", bias=False), **options)
    assert entry(merged).stays is None
    assert layers(merged) == ["c"]
    assert len(merged.blobs("c")) == 1


def test_one_mean_is_for_all_channels(raw):
    merged = raw(start().conv("c", "data", 5, bias=False), input_mean=127.5)
    assert entry(merged).mean_into == ("c",)
    assert "bias_term" not in merged.text


def test_all_convolutions_that_read_the_input_take_it_in(raw):
    net = start().conv("c", "data", 5).conv("e", "data", 4, 1)
    assert entry(raw(net, **STEPS)).mean_into == ("c", "e")


def test_one_reader_that_pads_keeps_the_mean_out_of_all(raw):
    net = start().conv("c", "data", 5, words="pad: 1").conv("e", "data", 4, 1)
    found = entry(raw(net, **STEPS))
    assert found.scale_into == ("c", "e")
    assert found.stays == "data/raw"


@pytest.mark.parametrize("transpose", [False, True])
def test_inner_product_takes_everything_in(raw, transpose):
    net = start().inner_product("i", "data", 5, 192, transpose=transpose)
    engines = ("pycaffe",) if transpose else ("pycaffe", "opencv")
    assert entry(raw(net, engines=engines, **STEPS)).mean_into == ("i",)


def test_deconvolution_takes_order_and_scale_in(raw):
    found = entry(raw(start().conv("c", "data", 5, kind="Deconvolution"), **STEPS))
    assert (found.order_into, found.scale_into) == (("c",), ("c",))
    assert found.stays == "data/raw"


@pytest.mark.parametrize("words", ["", "pad: 1"])
def test_groups_change_places_and_so_does_what_reads_them(raw, words):
    net = start().conv("c", "data", 6, group=3, words=words).scale("s", "c").relu("r", "c")
    merged = raw(net.conv("e", "c", 4), **STEPS)
    found = entry(merged)
    assert found.order_into == ("c", "e")
    assert found.scale_into == ("c",)
    assert "c" in merged.report.plan.altered


@pytest.mark.parametrize("words", ["", "pad: 1"])
@pytest.mark.parametrize("top", ["data", "normal"])
def test_batch_norm_that_reads_the_input_takes_everything_in(raw, words, top):
    net = start().batch_norm("b", "data", top).conv("c", top, 5, words=words)
    merged = raw(net, **STEPS)
    found = entry(merged)
    assert found.order_into == ("c",)
    assert len(layers(merged)) == (2 if words else 1)
    assert (found.stays is None) == (not words)


def test_layer_that_keeps_channels_apart_hands_the_order_on(raw):
    net = start().relu("r", "data", "pos").conv("c", "pos", 5)
    found = entry(raw(net, **STEPS))
    assert found.order_into == ("c",)
    assert found.scale_into == ()
    assert found.stays == "data/raw"


def test_average_pooling_lets_everything_pass(raw):
    words = "pooling_param { pool: AVE kernel_size: 2 stride: 2 }"
    net = start().plain("Pooling", "p", "data", words=words).conv("c", "p", 5)
    assert entry(raw(net, **STEPS)).mean_into == ("c",)


def test_layer_that_looks_at_lengths_only_does_not_count(raw):
    net = start().conv("c", "data", 5)
    net.layer(
        'name: "boxes" type: "PriorBox" bottom: "c" bottom: "data" top: "boxes"\n'
        "  prior_box_param { min_size: 2 variance: 0.1 }"
    )
    assert entry(raw(net, **STEPS)).mean_into == ("c",)


def test_other_input_is_left_alone(raw):
    net = start().input("other", (2, 5, 8, 8))
    net.conv("c", "data", 4).conv("e", "other", 4).plain("Eltwise", "sum", "c e")
    assert entry(raw(net, **STEPS)).layer == "data"


def test_input_that_is_named_takes_the_pixels(raw):
    two = start().input("right", (2, 3, 8, 8))
    two.conv("c", "data", 4).conv("e", "right", 4).plain("Eltwise", "sum", "c e")
    assert entry(raw(two, blob="right", input_blob="right", **STEPS)).layer == "right"


@pytest.mark.parametrize("words", ["", "pad: 1"])
def test_input_of_the_old_form_takes_raw_pixels_too(raw, words):
    net = Model(seed=3)
    net.texts.append('input: "data"\ninput_dim: 2 input_dim: 3 input_dim: 8 input_dim: 8\n')
    net.channels["data"] = 3
    merged = raw(net.conv("c", "data", 5, words=words).relu("r", "c"), **STEPS)
    assert (entry(merged).stays is None) == (not words)


def test_v1_file_takes_in_what_needs_no_new_layer(raw):
    assert entry(raw(start(v1=True).conv("c", "data", 5), **STEPS)).mean_into == ("c",)


def test_neutral_steps_change_nothing(raw):
    merged = raw(start().conv("c", "data", 5), input_mean=0.0, input_scale=1.0)
    assert merged.before[1].read_bytes() == merged.after[1].read_bytes()
    assert entry(merged).sentence() == "input data takes raw pixels"


def test_structure_is_planned_without_weights(tmp_path):
    model, _ = start().conv("c", "data", 5, words="pad: 1").save(tmp_path)
    (found,) = bnfold.inspect(model, **STEPS).to_json()["inputs"]
    assert found["scale_into"] == ["c"]
    assert found["stays"] == "data/raw"


# ---------------------------------------------------------------- what is refused


def refusal(tmp_path, net: Model, **options) -> str:
    pair = net.save(tmp_path)
    with pytest.raises(bnfold.BnfoldError) as caught:
        bnfold.merge(*pair, **(options or STEPS))
    assert "\n" not in str(caught.value)
    assert len(list(tmp_path.iterdir())) == 2
    return str(caught.value)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"input_mean": (1.0, 2.0)}, "--input-mean has 2 values, and 'data' 3 channels"),
        ({"input_mean": (1.0, float("nan"), 2.0)}, "give finite numbers"),
        ({"input_mean": "1,2,x"}, "no list of numbers"),
        ({"input_mean": ()}, "give finite numbers"),
        ({"input_scale": float("inf")}, "--input-scale inf: give a finite number"),
        ({"input_scale": 0.0}, "that is not 0"),
        ({"input_blob": "data"}, "what is to be done to it?"),
        ({"input_scale": 2.0, "input_blob": "dta"}, "did you mean 'data'?"),
    ],
)
def test_numbers_and_names_that_do_not_fit(tmp_path, options, says):
    assert says in refusal(tmp_path, start().conv("c", "data", 5), **options)


def test_order_is_for_three_channels(tmp_path):
    net = start(shape=(1, 1, 8, 8)).conv("c", "data", 5)
    assert "order of 3 channels round, and 'data' has 1" in refusal(tmp_path, net, input_swap=True)


def test_of_several_images_one_must_be_named(tmp_path):
    net = start().input("right", (2, 3, 8, 8)).conv("c", "data", 4).conv("e", "right", 4)
    said = refusal(tmp_path, net.plain("Eltwise", "sum", "c e"))
    assert "cannot be told: there are 'data', 'right'; say it with --input-blob" in said


def test_network_that_reads_its_data_itself_has_no_such_input(tmp_path):
    net = Model(seed=3)
    net.layer('name: "data" type: "Data" top: "data" data_param { source: "x" batch_size: 2 }')
    net.channels["data"] = 3
    assert "no input that pixels could be fed to" in refusal(tmp_path, net.conv("c", "data", 5))


@pytest.mark.parametrize(
    ("reader", "says"),
    [
        (lambda net: net.plain("Eltwise", "e", "data data"), "reads 2 values at once"),
        (lambda net: net.plain("LRN", "e", "data"), "another order of channels cannot pass it"),
        (lambda net: net.plain("Mystery", "e", "data"), "a type that bnfold does not know"),
        (lambda net: net.relu("e", "data", "e"), "'e' is an output of the network"),
    ],
)
def test_order_that_cannot_pass_a_reader_is_refused(tmp_path, reader, says):
    net = reader(start())
    if says != "'e' is an output of the network":
        net.conv("c", "e", 4)
    net.conv("other", "data", 4)
    assert says in refusal(tmp_path, net, input_swap=True)


def test_shared_weights_keep_their_order(tmp_path):
    net = start().input("right", (2, 3, 8, 8))
    for name, bottom in (("c", "data"), ("e", "right")):
        net.conv(name, bottom, 4, outer='param { name: "w" } param { name: "b" }')
    net.net.layer[1].CopyFrom(net.net.layer[0])
    net.net.layer[1].name = "e"
    said = refusal(tmp_path, net, input_swap=True, input_blob="data")
    assert "are shared, by param name" in said


def test_reader_outside_the_phase_is_refused(tmp_path):
    net = start().conv("c", "data", 5)
    net.layer('name: "t" type: "AbsVal" bottom: "data" top: "t" include { phase: TRAIN }')
    assert "outside this phase" in refusal(tmp_path, net)


def test_input_that_nobody_reads_is_refused(tmp_path):
    net = start().input("right", (2, 3, 8, 8)).conv("c", "data", 5)
    said = refusal(tmp_path, net, input_scale=2.0, input_blob="right")
    assert "no layer reads the pixels of input 'right'" in said


def test_v1_file_has_no_scale_for_the_mean(tmp_path):
    net = start(v1=True).conv("c", "data", 5, words="pad: 1")
    assert "a V1 file has no Scale for the mean" in refusal(tmp_path, net)


def test_scale_that_stays_counts_for_require_complete(tmp_path):
    net = start().conv("c", "data", 5, words="pad: 1")
    with pytest.raises(bnfold.CheckFailedError, match="Scale layer 'data/raw'"):
        bnfold.merge(*net.save(tmp_path), require_complete=True, **STEPS)


# ---------------------------------------------------------------- verify


@pytest.mark.parametrize("words", ["", "pad: 1"])
def test_verify_feeds_the_original_what_is_preprocessed_and_the_result_pixels(
    tmp_path, runtime, words
):
    net = start().conv("c", "data", 6, group=3, words=words).scale("s", "c").relu("r", "c")
    pair = net.conv("e", "c", 4).batch_norm("b", "e").save(tmp_path)
    how = bnfold.VerifyOptions(runtime=runtime.name)
    found = bnfold.merge(*pair, verify=how, **STEPS).verification
    assert found.passed
    assert "the folded network gets raw 'data'" in found.inputs
    told = bnfold.VerifyOptions(runtime=runtime.name, layers=True, input_steps=steps_of(STEPS))
    assert bnfold.verify(*pair, options=told).passed
    assert not bnfold.verify(*pair, options=how).passed
    wrong = bnfold.InputSteps((104.0, 117.0, 120.0), 0.017, True)
    told = bnfold.VerifyOptions(runtime=runtime.name, input_steps=wrong)
    assert not bnfold.verify(*pair, options=told).passed
