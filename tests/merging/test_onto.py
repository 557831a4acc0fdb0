"""`merge --onto`: a snapshot on a prototxt that somebody else wrote."""

from __future__ import annotations

import numpy as np
import pytest
from folding import Merged, assert_same_function, feeds_for, read_net
from models import Model

import bnfold
from merging.snapshots import SIZE, deploy, plain, trained, training


@pytest.fixture
def put(tmp_path):
    """Put one network onto another, twice; the second time must change no byte."""

    def put(net: Model, given: Model | str, **options) -> Merged:
        before = net.save(tmp_path, "trained")
        path = tmp_path / "given.prototxt"
        path.write_text(given if isinstance(given, str) else given.text)
        text = path.read_bytes()
        report = bnfold.merge(*before, onto=path, **options)
        assert path.read_bytes() == text
        assert report.output_model is None
        assert not (tmp_path / "trained.folded.prototxt").exists()
        merged = Merged(report, before, (path, report.output_weights))
        again = tmp_path / "again.caffemodel"
        bnfold.merge(*merged.after, onto=path, output_weights=again, **options)
        assert again.read_bytes() == report.output_weights.read_bytes()
        return merged

    return put


def same_function(runtime, merged: Merged, inputs: dict[str, str] | None = None) -> None:
    """Both networks give the same, fed the same, in whatever order and under whatever names."""
    with runtime.load(*merged.before) as before, runtime.load(*merged.after) as after:
        feeds = feeds_for(before.inputs)
        names = {name: name for name in feeds} | (inputs or {})
        old = before.run(feeds)
        new = after.run({names[name]: array for name, array in feeds.items()})
    for one, other in zip(old.values(), new.values(), strict=True):
        assert one.shape == other.shape
        assert np.abs(one).max() > 1e-3
        assert np.abs(one - other).max() <= 2e-5 * np.abs(one).max()


def names_in(path) -> list[str]:
    return [record.name for record in read_net(path).layer]


def test_given_file_computes_what_the_trained_network_does(put, runtime):
    merged = put(deploy(), plain(batch=2))
    assert_same_function(runtime, merged)
    assert merged.report.onto.renamed == []
    assert merged.fates == dict.fromkeys(["b1", "s1", "b2", "s2"], "folded")


def test_names_in_the_weights_are_those_of_the_given_file(put, runtime):
    merged = put(deploy(), plain("x_", batch=2, data="image"))
    same_function(runtime, merged, {"data": "image"})
    assert names_in(merged.after[1]) == ["x_c1", "x_c2", "x_left", "x_right", "x_fc"]
    renamed = dict(merged.report.onto.renamed)
    assert renamed["data"] == "image"
    assert renamed["c1"] == "x_c1"
    assert "prob" not in renamed


def test_branches_that_look_alike_are_told_apart_by_where_they_go(put, runtime):
    # The order of the layers in the file, and names that say the opposite, count for nothing.
    given = plain(batch=2).text
    left, right = (given.index(f'layer {{\n  name: "{name}"') for name in ("left", "right"))
    end = given.index('layer {\n  name: "both"')
    swapped = given[:left] + given[right:end] + given[left:right] + given[end:]
    put(deploy(), swapped)
    turned = swapped.replace('"left"', '"l"').replace('"right"', '"left"').replace('"l"', '"right"')
    merged = put(deploy(), turned, force=True)
    same_function(runtime, merged)
    assert dict(merged.report.onto.renamed) == {"left": "right", "right": "left"}


def test_order_in_a_sum_dropout_and_working_in_place_do_not_matter(put, runtime):
    given = plain(batch=2).text.replace('bottom: "c1" bottom: "c2"', 'bottom: "c2" bottom: "c1"')
    given = given.replace(
        'layer {\n  name: "fc"',
        'layer {\n  name: "drop" type: "Dropout" bottom: "both" top: "kept" }\n'
        'layer {\n  name: "fc"',
    ).replace('type: "InnerProduct" bottom: "both"', 'type: "InnerProduct" bottom: "kept"')
    given = given.replace(
        'name: "r2" type: "ReLU" bottom: "sum" top: "sum"',
        'name: "r2" type: "ReLU" bottom: "sum" top: "up"',
    )
    for name in ("left", "right"):
        given = given.replace(
            f'name: "{name}" type: "Convolution" bottom: "sum"',
            f'name: "{name}" type: "Convolution" bottom: "up"',
        )
    same_function(runtime, put(deploy(), given))


def test_other_spellings_of_the_same_parameters_are_the_same(put, runtime):
    given = plain(batch=2).text.replace(
        "kernel_size: 3 pad: 1",
        "kernel_h: 3 kernel_w: 3 pad_h: 1 pad_w: 1 stride: 1 axis: 1 bias_term: true "
        'engine: CAFFE weight_filler { type: "xavier" }',
    )
    given = given.replace(
        'name: "both" type: "Concat"', 'name: "both" type: "Concat" concat_param { axis: -3 }'
    )
    assert "kernel_h" in given
    same_function(runtime, put(deploy(), given))


def test_place_for_a_bias_that_there_is_not_gets_zeros(put, runtime):
    net = Model(seed=3).input("data", (2, 3, 5, 5)).conv("c", "data", 4, bias=False)
    given = Model().input("data", (2, 3, 5, 5)).conv("c", "data", 4)
    merged = put(net.relu("r", "c"), given.relu("r", "c"))
    assert_same_function(runtime, merged)
    assert [array.size for array in merged.blobs("c")] == [108, 4]
    assert not merged.blobs("c")[1].any()


def test_file_that_bnfold_wrote_gets_the_weights_that_bnfold_wrote(tmp_path):
    pair = deploy().save(tmp_path)
    merged = bnfold.merge(*pair)
    again = bnfold.merge(*pair, onto=merged.output_model, output_weights=tmp_path / "again")
    assert again.output_weights.read_bytes() == merged.output_weights.read_bytes()


@pytest.mark.parametrize("options", [{}, {"branches": False}])
def test_folds_with_and_without_other_rewrites_are_tried(put, runtime, options):
    # Two branches that a sum joins become one convolution by default; most scripts leave them.
    def branched(batch_norms: bool) -> Model:
        net = Model(seed=4).input("data", (2, 3, 5, 5))
        for name in ("one", "two"):
            net.conv(name, "data", 4, 1)
            if batch_norms:
                net.batch_norm(f"b_{name}", name)
        return net.plain("Eltwise", "sum", "one two").relu("r", "sum")

    assert_same_function(runtime, put(branched(True), branched(False), **options))


def test_layers_that_stay_in_both_keep_their_numbers(put, runtime):
    def kept(net: Model) -> Model:
        net.relu("r", "data", "pos").batch_norm("b", "pos").conv("c", "pos", 4, words="pad: 1")
        return net.plain("Sigmoid", "end", "c")

    net = kept(Model(seed=5).input("data", (2, 3, 5, 5)))
    given = Model().input("data", (2, 3, 5, 5)).relu("r", "data", "pos")
    given.scale("other", "pos", words="").conv("c", "pos", 4, words="pad: 1")
    merged = put(net, given.plain("Sigmoid", "end", "c"))
    assert merged.fates == {"b": "scale"}
    assert_same_function(runtime, merged)


def test_fork_word_for_a_convolution_in_groups_is_the_same(put):
    net = Model(seed=5).input("data", (2, 4, 5, 5)).conv("c", "data", 4, group=4, bias=False)
    given = Model().input("data", (2, 4, 5, 5))
    given.conv("d", "data", 4, group=4, kind="ConvolutionDepthwise")
    merged = put(net.batch_norm("b", "c"), given)
    assert names_in(merged.after[1]) == ["d"]
    assert [record.type for record in read_net(merged.after[1]).layer] == ["ConvolutionDepthwise"]


# ---------------------------------------------------------------- training definitions


def test_training_definition_is_read_as_it_runs_in_test(put, pycaffe):
    merged = put(training(), plain(batch=2))
    deployed = deploy().save(merged.after[0].parent, "deploy")
    # Both are drawn from one seed up to the second head, which is drawn last.
    assert_same_function(pycaffe, Merged(merged.report, deployed, merged.after))
    assert merged.report.onto.left_out == ("aux", "aux_loss", "loss", "accuracy")
    assert names_in(merged.after[1]) == ["c1", "c2", "left", "right", "fc"]


def test_batch_norm_that_is_written_for_each_phase_folds(put):
    # Nobody writes the definition, so what runs in training need not stay as it is.
    text = 'name: "b1" type: "BatchNorm" bottom: "c1" top: "c1"'
    net = training()
    at = next(place for place, words in enumerate(net.texts) if text in words)
    only = net.texts[at].replace(text, f"{text} include {{ phase: TEST }}")
    other = net.texts[at].replace(text, f"{text} include {{ phase: TRAIN }}")
    net.texts[at : at + 1] = [other.replace("{  }", "{ use_global_stats: false }"), only]
    assert put(net, plain()).fates["b1"] == "folded"


def test_definition_without_labels_or_scores_fits_a_file_that_ends_before_them(put):
    given = plain().text
    merged = put(training(), given[: given.index('layer {\n  name: "prob"')])
    assert merged.report.onto.outputs == {"fc": "fc"}


# ---------------------------------------------------------------- verification


@pytest.mark.parametrize("engine", ["pycaffe", "opencv"])
@pytest.mark.parametrize("definition", [deploy, training])
def test_verify_runs_the_definition_beside_the_given_file(put, request, engine, definition):
    request.getfixturevalue(engine)
    options = bnfold.VerifyOptions(runtime=engine)
    merged = put(definition(), plain("x_", data="image"), verify=options)
    found = merged.report.verification
    assert found.passed
    assert (found.model, found.folded_model) == (merged.before[0], merged.after[0])
    assert [compared.pair.name for compared in found.outputs] == ["prob"]
    assert [compared.pair.name for compared in found.scores] == ["x_fc"]


def test_verify_tells_a_wrong_layer_by_its_name_in_the_given_file(tmp_path, opencv, monkeypatch):
    pair = deploy().save(tmp_path)
    given = tmp_path / "given.prototxt"
    given.write_text(plain("x_").text)
    from bnfold.merging.onto import records

    right = records._renamed
    # The two branches change places.
    wrong = {"x_left": "x_right", "x_right": "x_left"}

    def renamed(edit, layer, partner):
        edit = right(edit, layer, partner)
        return edit._replace(name=wrong.get(edit.name, edit.name))

    monkeypatch.setattr(records, "_renamed", renamed)
    with pytest.raises(bnfold.CheckFailedError, match=r"given\.prototxt: not the same"):
        bnfold.merge(*pair, onto=given, verify=bnfold.VerifyOptions(runtime="opencv"))
    assert not (tmp_path / "net.folded.caffemodel").exists()


# ---------------------------------------------------------------- other formats


def test_hdf5_weights_get_the_given_names(tmp_path, opencv):
    h5py = pytest.importorskip("h5py")
    model, weights = deploy().save(tmp_path)
    stored = tmp_path / "net.caffemodel.h5"
    with h5py.File(stored, "w") as file:
        for record in read_net(weights).layer:
            group = file.create_group(f"data/{record.name}")
            for place, blob in enumerate(record.blobs):
                group[str(place)] = np.array(blob.data, "f4").reshape(blob.shape.dim)
    given = tmp_path / "given.prototxt"
    given.write_text(plain("x_").text)
    report = bnfold.merge(model, stored, onto=given)
    binary = bnfold.merge(model, weights, onto=given)
    with h5py.File(report.output_weights) as file:
        assert sorted(file["data"]) == sorted(names_in(binary.output_weights))
        for record in read_net(binary.output_weights).layer:
            for place, blob in enumerate(record.blobs):
                found = file[f"data/{record.name}/{place}"][:].ravel()
                assert np.array_equal(found, np.array(blob.data, "f4"))


def test_v1_definition_fits_a_modern_file(put, pycaffe):
    def small(v1: bool) -> Model:
        net = Model(seed=6, v1=v1, storage="legacy" if v1 else "float")
        net.input("data", (2, 3, SIZE, SIZE)).conv("c", "data", 4).relu("r", "c")
        return net.inner_product("fc", "c", 3, 4 * 6 * 6)

    assert_same_function(pycaffe, put(small(True), small(False)))


def test_trained_network_without_scores_is_the_one_that_was_folded(put, runtime):
    given = plain(batch=2).text
    merged = put(trained(), given[: given.index('layer {\n  name: "prob"')])
    assert_same_function(runtime, merged)
