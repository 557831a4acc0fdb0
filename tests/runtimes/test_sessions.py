"""What every engine computes and tells, against numpy's own computation."""

import numpy as np
import pytest
from models import Model

from bnfold.runtimes import EngineError, Top
from tests.runtimes.networks import (
    BRANCHES,
    CHAIN,
    CHAIN_BLOBS,
    PARTS,
    chain_values,
    images,
    save,
)


@pytest.fixture
def chain(runtime, tmp_path):
    with runtime.load(*save(tmp_path, CHAIN, CHAIN_BLOBS)) as session:
        yield session


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_the_outputs_are_what_numpy_computes(chain):
    x = images(1)
    (prob,) = chain.run({"data": x}).values()
    assert prob.dtype == np.float32
    close(prob, chain_values(x)["prob"])


def test_the_network_is_described_without_running_it(chain):
    assert chain.inputs == {"data": (1, 3, 6, 7)}
    assert chain.outputs == {"prob": (1, 5)}
    assert [(layer.name, layer.type, layer.tops) for layer in chain.layers] == [
        ("conv", "Convolution", ("conv",)),
        ("bn", "BatchNorm", ("conv",)),
        ("scale", "Scale", ("conv",)),
        ("relu", "ReLU", ("conv",)),
        ("ip", "InnerProduct", ("ip",)),
        ("prob", "Softmax", ("prob",)),
    ]
    assert list(chain.notes) == []


def test_a_value_is_read_before_in_place_layers_overwrite_it(chain):
    x = images(2)
    names = ["scale", "conv", "relu", "bn", "ip"]
    found = chain.run({"data": x}, [*map(Top, names), "conv", "data"])
    expected = chain_values(x)
    for name in names:
        close(found[Top(name)], expected[name])
    close(found["conv"], expected["relu"])
    np.testing.assert_array_equal(found["data"], x)


def test_a_plain_pair_addresses_a_top_too(chain):
    x = images(1)
    close(chain.run({"data": x}, [("bn", 0)])[("bn", 0)], chain_values(x)["bn"])


def test_batches_may_have_any_size_in_any_order(chain):
    for count in (3, 1, 5, 3):
        x = images(count, seed=count)
        close(chain.run({"data": x})["prob"], chain_values(x)["prob"])


def test_results_stay_the_callers_after_the_next_run(chain):
    first = chain.run({"data": images(2)}, ["prob", Top("bn")])
    kept = {place: array.copy() for place, array in first.items()}
    chain.run({"data": images(2, seed=9)}, ["prob", Top("bn")])
    for place, array in kept.items():
        np.testing.assert_array_equal(first[place], array)


def test_numbers_of_other_types_and_layouts_are_taken(chain):
    x = np.round(images(2) * 50)
    expected = chain.run({"data": x})["prob"]
    for other in (
        x.astype(np.float64),
        x.astype(np.int16),
        np.asfortranarray(x),
        np.repeat(x, 2, axis=0)[::2],
    ):
        np.testing.assert_array_equal(chain.run({"data": other})["prob"], expected)


def test_several_inputs_and_outputs(runtime, tmp_path):
    left, right = images(3, (4, 2, 2)), images(3, (2, 2, 2), 2)
    with runtime.load(*save(tmp_path, BRANCHES)) as session:
        assert session.inputs == {"left": (1, 4, 2, 2), "right": (1, 2, 2, 2)}
        assert session.outputs == {"second": (1, 2, 2, 2), "sum": (1, 2, 2, 2)}
        for _ in range(2):
            found = session.run({"right": right, "left": left})
            assert set(found) == {"second", "sum"}
            np.testing.assert_array_equal(found["second"], left[:, 2:])
            close(found["sum"], left[:, :2] + 2 * right + 1)


def test_layers_of_other_phases_do_not_run(runtime, tmp_path):
    with runtime.load(*save(tmp_path, BRANCHES)) as session:
        assert [layer.name for layer in session.layers] == ["twice", "cut", "sum"]


def test_every_top_of_a_layer_is_read_before_it_is_overwritten(runtime, tmp_path):
    x = images(2, (4, 2, 2))
    with runtime.load(*save(tmp_path, PARTS)) as session:
        places = [Top("cut"), Top("cut", 1), Top("more"), "second", "sum"]
        found = session.run({"data": x}, places)
    np.testing.assert_array_equal(found[Top("cut")], x[:, :2])
    np.testing.assert_array_equal(found[Top("cut", 1)], x[:, 2:])
    close(found[Top("more")], x[:, 2:] + 5)
    close(found["second"], x[:, 2:] + 5)
    close(found["sum"], x[:, :2] + x[:, 2:] + 5)


def test_an_input_that_nobody_reads_is_taken_and_is_no_output(runtime, tmp_path):
    text = 'input: "info"\ninput_shape { dim: 1 dim: 3 }\n' + PARTS
    x = images(1, (4, 2, 2))
    with runtime.load(*save(tmp_path, text)) as session:
        assert list(session.outputs) == ["sum"]
        found = session.run({"data": x, "info": np.zeros((1, 3))})
        close(found["sum"], x[:, :2] + x[:, 2:] + 5)


def test_inputs_without_an_image_s_four_axes(runtime, tmp_path):
    text = """input: "data" input_shape { dim: 2 dim: 3 dim: 4 }
    layer { name: "p" type: "Power" bottom: "data" top: "p" power_param { scale: 3 } }"""
    x = images(2, (3, 4))
    with runtime.load(*save(tmp_path, text)) as session:
        close(session.run({"data": x})["p"], 3 * x)


def test_two_sessions_take_turns(runtime, tmp_path):
    other = {**CHAIN_BLOBS, "ip": [-CHAIN_BLOBS["ip"][0], CHAIN_BLOBS["ip"][1]]}
    x = images(2)
    with (
        runtime.load(*save(tmp_path, CHAIN, CHAIN_BLOBS)) as one,
        runtime.load(*save(tmp_path, CHAIN, other, "other")) as two,
    ):
        for _ in range(3):
            close(one.run({"data": x})["prob"], chain_values(x)["prob"])
            assert not np.allclose(two.run({"data": x})["prob"], chain_values(x)["prob"])


def test_forward_is_timed_and_leaves_out_the_rest(chain):
    x = images(8)
    chain.feed({"data": x})
    assert all(0 < chain.forward() < 5 for _ in range(3))
    assert list(chain.profile()) == [layer.name for layer in chain.layers]
    assert all(seconds >= 0 for seconds in chain.profile().values())
    assert sum(chain.profile().values()) > 0


def test_two_sessions_are_timed_in_turns(runtime, tmp_path):
    files = save(tmp_path, CHAIN, CHAIN_BLOBS)
    with runtime.load(*files) as one, runtime.load(*files) as two:
        one.feed({"data": images(2)})
        two.feed({"data": images(4)})
        for _ in range(3):
            assert one.forward() > 0
            assert two.forward() > 0


def test_there_is_nothing_to_time_before_something_was_fed(chain):
    with pytest.raises(EngineError, match="nothing was fed"):
        chain.forward()
    chain.feed({"data": images(1)})
    chain.run({"data": images(1)})
    with pytest.raises(EngineError, match="nothing was fed"):
        chain.profile()


def test_peak_memory_is_that_of_the_process(chain):
    assert chain.peak_memory() is None or chain.peak_memory() > 1 << 20


@pytest.mark.parametrize(
    ("feeds", "words"),
    [
        ({}, "nothing was fed to the input 'data'"),
        ({"data": images(1), "date": images(1)}, "no input is named 'date'; there are: 'data'"),
        ({"data": images(0)}, r"empty array \(0, 3, 6, 7\)"),
        ({"data": np.array(["x"])}, "array of <U1"),
    ],
)
def test_feeds_that_do_not_fit_are_named(chain, feeds, words):
    with pytest.raises(EngineError, match=words):
        chain.run(feeds)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("nope", "no blob is named 'nope'"),
        (Top("nope"), "no layer is named 'nope'"),
        (Top("conv", 1), "layer 'conv' has no top 1"),
    ],
)
def test_places_that_do_not_exist_are_named(chain, place, words):
    with pytest.raises(EngineError, match=words):
        chain.run({"data": images(1)}, [place])


def test_a_batch_that_the_network_cannot_take_is_one_line_and_the_session_goes_on(chain):
    with pytest.raises(EngineError) as caught:
        chain.run({"data": images(2, (2, 6, 7))})
    assert "\n" not in str(caught.value)
    x = images(2)
    close(chain.run({"data": x})["prob"], chain_values(x)["prob"])


def test_a_closed_session_says_so(chain):
    chain.close()
    chain.close()
    with pytest.raises(EngineError, match="closed"):
        chain.run({"data": images(1)})


def test_a_convolution_with_a_top_of_another_name_is_read_and_timed_by_its_own(runtime, tmp_path):
    model = Model().input("data", (1, 2, 6, 6)).conv("c", "data", 3, top="c/out")
    model.relu("r", "c/out", "d")
    with runtime.load(*model.save(tmp_path)) as session:
        feeds = {"data": images(1)[:, :2, :6, :6]}
        values = session.run(feeds, [Top("c"), "c/out", Top("r")])
        session.feed(feeds)
        times = session.profile()
    np.testing.assert_array_equal(values[Top("c")], values["c/out"])
    np.testing.assert_array_equal(np.maximum(values[Top("c")], 0), values[Top("r")])
    assert values["c/out"].min() < 0
    assert set(times) == {"c", "r"}
    assert times["c"] > 0
