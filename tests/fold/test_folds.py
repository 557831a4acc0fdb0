"""What is folded, on a network for each point, in every engine that can run it."""

from __future__ import annotations

import numpy as np
import pytest
from caffemodel.build import dims, layer, sub, unpacked
from folding import assert_same_function, merge_files, merge_model
from models import Model, blob

import bnfold
from bnfold.caffemodel import open_weights

from .networks import BUILDERS, FOLDS, ONLY_PYCAFFE, start


@pytest.mark.parametrize("name", BUILDERS)
def test_every_affine_layer_of_the_network_folds(name, tmp_path):
    merged = merge_model(tmp_path, BUILDERS[name]())
    assert len(merged.folded) == FOLDS[name]
    assert not merged.reasons
    assert "BatchNorm" not in merged.text
    assert "Scale" not in merged.text
    names = {record.name for record in merged.net.layer}
    assert names.isdisjoint(merged.folded)


@pytest.mark.parametrize("name", BUILDERS)
def test_the_function_stays_the_same(name, tmp_path, runtime):
    if name in ONLY_PYCAFFE and runtime.name != "pycaffe":
        pytest.skip("a shape of network that this engine cannot run")
    assert_same_function(runtime, merge_model(tmp_path, BUILDERS[name]()))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", ["Convolution", "InnerProduct"])
def test_host_gains_a_bias_and_loses_a_bias_term_that_lies(kind, bias, tmp_path):
    net = start()
    if kind == "Convolution":
        net.conv("host", "data", 5, bias=bias)
    else:
        net.inner_product("host", "data", 5, 252, bias=bias)
    merged = merge_model(tmp_path, net.batch_norm("b", "host").scale("s", "host"))
    assert "bias_term: false" not in merged.text
    assert len(merged.blobs("host")) == 2
    assert merged.folded == ["b", "s"]
    assert merged.outcome("b").gains_bias == (() if bias else ("host",))


def test_bias_term_false_leaves_its_line_and_takes_nothing_else_along(tmp_path):
    net = start().layer(
        'name: "c" type: "Convolution" bottom: "data" top: "c"\n'
        "  convolution_param { num_output: 2, bias_term: false; kernel_size: 3 } # three by three",
        "c",
        [np.ones((2, 4, 3, 3))],
    )
    net.channels["c"] = 2
    merged = merge_model(tmp_path, net.batch_norm("b", "c"))
    assert "convolution_param { num_output: 2, kernel_size: 3 } # three by three" in merged.text


def test_bias_term_true_that_is_written_already_stays_as_it_is(tmp_path):
    net = start().conv("c", "data", 5, words="bias_term: true").batch_norm("b", "c")
    merged = merge_model(tmp_path, net)
    assert "bias_term: true" in merged.text


def test_last_name_of_a_chain_survives(tmp_path):
    net = start().conv("c", "data", 5).batch_norm("b", "c", "b").scale("s", "b", "end")
    net.relu("r1", "end", "r1").relu("r2", "end", "r2")
    text = merge_model(tmp_path, net).text
    assert 'bottom: "data" top: "end"' in text
    assert text.count('bottom: "end"') == 2
    assert '"b"' not in text


def test_factor_zero_folds_with_a_warning_that_names_the_layer(tmp_path):
    net = start().conv("c", "data", 5).batch_norm("untrained", "c", factor=0.0)
    (warning,) = merge_model(tmp_path, net).report.plan.warnings
    assert "'untrained'" in warning
    assert "factor is 0" in warning


def test_record_without_a_name_belongs_to_the_first_layer_without_one(tmp_path):
    net = start((1, 4)).inner_product("", "data", 4, 4, top="f", bias=False)
    # Both would fit the one record, and folding it into itself would lose it.
    net.layer('name: "" type: "Scale" bottom: "f" top: "f"')
    with pytest.raises(bnfold.BnfoldError, match="has no weights"):
        merge_model(tmp_path, net)


def folded_by_hand(weight, bias, mean, variance, factor, eps, scale, shift):
    """The formula, written out once more and without the code under test."""
    a = scale / np.sqrt(variance / factor + np.float64(np.float32(eps)))
    shape = (-1,) + (1,) * (weight.ndim - 1)
    return weight * a.reshape(shape), a * bias + shift - a * mean / factor


def test_folded_values_are_the_exact_ones_rounded_once(tmp_path):
    net = start().conv("c", "data", 6, group=2).batch_norm("b", "c", eps=1e-3).scale("s", "c")
    stored = {record.name: record.blobs for record in net.net.layer}
    read = {
        name: [np.array(blob.data, np.float64).reshape(tuple(blob.shape.dim)) for blob in blobs]
        for name, blobs in stored.items()
    }
    weight, bias = read["c"]
    mean, variance, factor = read["b"]
    exact = folded_by_hand(weight, bias, mean, variance, factor[0], 1e-3, *read["s"])
    found = merge_model(tmp_path, net).blobs("c")
    for values, expected in zip(found, exact, strict=True):
        np.testing.assert_array_equal(
            values.astype(np.float32), expected.ravel().astype(np.float32)
        )


@pytest.mark.parametrize("eps", [0.0, 1e-5, 0.3])
def test_eps_option_overrides_what_every_layer_says(eps, tmp_path, runtime):
    chosen = start().conv("c", "data", 5).batch_norm("b", "c", eps=0.02).scale("s", "c")
    written = start().conv("c", "data", 5).batch_norm("b", "c", eps=eps).scale("s", "c")
    (tmp_path / "written").mkdir()
    by_option = merge_model(tmp_path, chosen, eps=eps)
    by_file = merge_model(tmp_path / "written", written)
    assert by_option.after[1].read_bytes() == by_file.after[1].read_bytes()
    assert_same_function(runtime, by_file)


def test_phase_train_folds_only_what_says_use_global_stats(tmp_path):
    net = start().conv("c", "data", 5).batch_norm("b", "c", words="use_global_stats: true")
    net.conv("d", "c", 5).batch_norm("e", "d")
    merged = merge_model(tmp_path, net, phase="TRAIN")
    assert merged.folded == ["b"]
    assert merged.reasons["e"].code == "batch-statistics"


# ---------------------------------------------------------------- forms of weights files


@pytest.mark.parametrize("storage", ["float", "double", "raw_float", "half", "legacy"])
def test_every_form_of_storage_folds_to_the_same_values(storage, tmp_path):
    def build(form):
        net = Model(seed=3, storage=form).input("data", (1, 4, 9, 7))
        net.conv("c", "data", 6, group=2, bias=False).batch_norm("b", "c").scale("s", "c")
        return net.inner_product("f", "c", 3, 210)

    (tmp_path / "plain").mkdir()
    plain = merge_model(tmp_path / "plain", build("float"))
    merged = merge_model(tmp_path, build(storage))
    tolerance = 2e-3 if storage == "half" else 2e-7
    for found, expected in zip(values_of(merged, "c"), plain.blobs("c"), strict=True):
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
    # What no fold touches is copied as it was.
    before, after = (record_bytes(path, "f") for path in (merged.before[1], merged.after[1]))
    assert before == after


def values_of(merged, name):
    (record,) = (record for record in merged.net.layer if record.name == name)
    assert not any(blob.raw_data for blob in record.blobs)
    return [np.array(blob.data) for blob in record.blobs]


def record_bytes(path, name):
    with open_weights(path) as weights:
        record = weights.get(name)
        return path.read_bytes()[record.offset : record.end]


@pytest.mark.parametrize("storage", ["float", "double", "legacy"])
def test_caffe_reads_what_was_written_in_every_form_it_knows(storage, tmp_path, runtime):
    if storage == "double" and runtime.name == "opencv":
        pytest.skip("OpenCV does not read double_data")
    net = Model(seed=3, storage=storage).input("data", (1, 4, 9, 7))
    net.conv("c", "data", 6, group=2, bias=False).batch_norm("b", "c").scale("s", "c")
    net.inner_product("f", "c", 3, 210, bias=False).scale("t", "f")
    assert_same_function(runtime, merge_model(tmp_path, net))


def test_floats_with_a_tag_each_fold_and_stay_that_way(tmp_path, runtime):
    net = start().conv("c", "data", 5).batch_norm("b", "c")
    model, weights = net.save(tmp_path)
    # protobuf packs what it writes, so these records are put together by hand.
    weights.write_bytes(
        b"".join(
            layer(
                record.name,
                *(
                    sub(7, dims(*stored.shape.dim), unpacked(5, stored.data))
                    for stored in record.blobs
                ),
            )
            for record in net.net.layer
        )
    )
    merged = merge_files(model, weights)
    with open_weights(merged.after[1]) as stored:
        assert all(blob.unpacked for blob in stored.get("c").blobs)
    assert_same_function(runtime, merged)


@pytest.mark.parametrize("keep", [False, True])
def test_float16_becomes_plain_float32_where_it_changed_unless_kept(keep, tmp_path):
    net = Model(seed=3, storage="half").input("data", (1, 4, 9, 7))
    merged = merge_model(tmp_path, net.conv("c", "data", 5).batch_norm("b", "c"), keep_dtype=keep)
    (record,) = merged.net.layer
    for stored, count in zip(record.blobs, (5 * 4 * 9, 5), strict=True):
        assert stored.raw_data_type == (2 if keep else 0)
        assert len(stored.raw_data) == (2 * count if keep else 0)
        assert len(stored.data) == (0 if keep else count)


@pytest.mark.parametrize("keep", [False, True])
def test_double_becomes_float32_where_it_changed_unless_kept(keep, tmp_path):
    net = Model(seed=3, storage="double").input("data", (1, 4, 9, 7))
    merged = merge_model(tmp_path, net.conv("c", "data", 5).batch_norm("b", "c"), keep_dtype=keep)
    for stored in merged.net.layer[0].blobs:
        assert bool(stored.double_data) is keep
        assert bool(stored.data) is not keep


def test_gradients_of_a_changed_blob_are_dropped(tmp_path):
    net = start().conv("c", "data", 5).batch_norm("b", "c").conv("d", "c", 2)
    for record in net.net.layer:
        for stored in record.blobs:
            stored.diff.extend([1.0] * len(stored.data))
    merged = merge_model(tmp_path, net)
    has_diff = {r.name: any(stored.diff for stored in r.blobs) for r in merged.net.layer}
    assert has_diff == {"c": False, "d": True}


# ---------------------------------------------------------------- V1


def v1_network(kernel=1):
    net = Model(seed=3, v1=True).input("data", (1, 4, 9, 7))
    net.conv("c", "data", 5, kernel).relu("r", "c").conv("d", "c", 3, 3)
    return net.inner_product("f", "d", 2, 3 * 7 * 5 if kernel == 1 else 3 * 5 * 3)


def test_v1_file_gets_its_engine_line_and_keeps_everything_else(tmp_path, runtime):
    merged = merge_model(tmp_path, v1_network())
    assert [change.layer for change in merged.report.plan.of_type(bnfold.EngineChange)] == ["c"]
    assert merged.text.replace(" engine: CAFFE", "") == merged.before[0].read_text()
    assert merged.after[1].read_bytes() == merged.before[1].read_bytes()
    assert_same_function(runtime, merged)


def test_v1_file_of_a_fork_with_batch_norm_folds_in_its_own_form(tmp_path):
    net = v1_network()
    net.texts.insert(3, 'layers { name: "b" type: "BatchNorm" bottom: "c" top: "c" }\n')
    record = net.net.layers.add(name="b")
    record.blobs.extend(blob(b) for b in (np.ones(5), np.ones(5), np.ones(1)))
    merged = merge_model(tmp_path, net)
    assert merged.folded == ["b"]
    assert not merged.net.layer
    assert [r.name for r in merged.net.layers] == ["c", "d", "f"]
