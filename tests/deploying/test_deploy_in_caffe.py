"""What a deploy definition computes is what the training definition computes in phase TEST."""

from __future__ import annotations

import numpy as np
import pytest

from bnfold.graph.phase import Phase
from tests.deploying.training import (
    SOURCE,
    body,
    classification,
    data_layer,
    deployed,
    fed,
    network,
    softmax,
)


def outputs(runtime, pair, feeds):
    """What a network gives out, for those of the feeds that it takes."""
    with runtime.load(*pair) as session:
        return session.run({name: feeds[name] for name in session.inputs})


@pytest.fixture
def feeds():
    rng = np.random.default_rng(5)
    return {
        "data": rng.normal(0, 1, (1, 3, 8, 8)).astype(np.float32),
        "label": np.array([2], np.float32),
    }


@pytest.fixture
def run(pycaffe, tmp_path, feeds):
    """Run a network that is fed, and what was made of its training definition."""

    def run(train, same, **options):
        report, _ = deployed(tmp_path, train, **options)
        (tmp_path / "fed").mkdir()
        before = outputs(pycaffe, same.save(tmp_path / "fed"), feeds)
        after = outputs(pycaffe, (report.output_model, report.output_weights), feeds)
        return before, after

    return run


def close(one, other):
    np.testing.assert_allclose(one, other, atol=2e-6 * np.abs(one).max())


@pytest.mark.parametrize("options", [{}, {"strip": True}, {"merge": True, "strip": True}])
def test_a_classifier_gives_the_softmax_of_what_it_was_trained_to_give(run, options):
    same = classification(fed("data", 1, 3, 8, 8), fed("label", 1))
    # What the loss reads has to be looked at.
    same.plain("Power", "logits", "fc")
    before, after = run(classification(), same, **options)
    assert set(after) == {"prob"}
    np.testing.assert_allclose(after["prob"], softmax(before["logits"]), rtol=1e-4)
    np.testing.assert_allclose(before["loss"], -np.log(after["prob"][0, 2]), rtol=1e-4)


def test_what_losses_without_scores_compare_is_given_out(run):
    def regression(*sources):
        net = body(network(*sources)).inner_product("fc", "conv2", 1, 80)
        return net.layer(
            'name: "loss" type: "EuclideanLoss" bottom: "fc" bottom: "label" top: "loss"'
        )

    same = regression(fed("data", 1, 3, 8, 8), fed("label", 1, 1))
    same.plain("Power", "given", "fc")
    before, after = run(regression(data_layer()), same)
    assert set(after) == {"fc"}
    close(before["given"], after["fc"])


def test_a_sigmoid_takes_the_place_of_its_loss(run, feeds):
    def tagging(*sources):
        net = body(network(*sources)).inner_product("fc", "conv2", 1, 80)
        return net.layer(
            'name: "loss" type: "SigmoidCrossEntropyLoss" bottom: "fc" bottom: "label" top: "loss"'
        )

    feeds["label"] = np.array([[1]], np.float32)
    same = tagging(fed("data", 1, 3, 8, 8), fed("label", 1, 1)).plain("Sigmoid", "given", "fc")
    before, after = run(tagging(data_layer()), same)
    close(before["given"], after["prob"])
    np.testing.assert_allclose(before["loss"], -np.log(after["prob"][0, 0]), rtol=1e-4)


def test_a_segmentation_gives_a_softmax_at_each_place(run, feeds):
    def segmentation(*sources):
        net = body(network(*sources))
        return net.layer(
            'name: "loss" type: "SoftmaxWithLoss" bottom: "conv2" bottom: "label" top: "loss" '
            "loss_param { ignore_label: 255 normalize: true }"
        )

    feeds["label"] = np.zeros((1, 1, 4, 4), np.float32)
    same = segmentation(fed("data", 1, 3, 8, 8), fed("label", 1, 1, 4, 4))
    same.plain("Power", "given", "conv2")
    words = 'transform_param { crop_size: 8 } image_data_param { source: "list.txt" }'
    before, after = run(segmentation(data_layer(kind="ImageSegData", words=words)), same)
    np.testing.assert_allclose(after["prob"], softmax(before["given"]), rtol=1e-4)


def test_a_definition_for_training_alone_computes_with_stored_statistics(run):
    """Its batch norm said to use those of each batch."""

    def train_only(source, stored):
        net = network(source).conv("conv1", "data", 4)
        return net.batch_norm("bn", "conv1", "out", words=f"use_global_stats: {stored}")

    same = train_only(fed("data", 1, 3, 8, 8), "true")
    before, after = run(train_only(data_layer("TRAIN"), "false"), same)
    close(before["out"], after["out"])


def test_the_phase_that_is_read_is_chosen_by_the_user(run):
    def both(*sources):
        net = network(*sources).conv("conv1", "data", 4)
        return net.batch_norm("bn", "conv1", "out", words="use_global_stats: false")

    train, test = (data_layer(phase) for phase in ("TRAIN", "TEST"))
    same = both(fed("data", 1, 3, 8, 8))
    same.texts[-1] = same.texts[-1].replace("false", "true")
    before, after = run(both(train, test), same, phase=Phase.TRAIN)
    close(before["out"], after["out"])


def test_a_detector_gives_out_what_its_loss_compared(run):
    """As SSD's train files: for TRAIN alone, with a loss of locations, scores and prior boxes."""

    def detector(source, loss=""):
        net = network(source).conv("conv1", "data", 4).batch_norm("bn1", "conv1")
        net.conv("loc", "conv1", 4, 1).conv("conf", "conv1", 2, 1)
        net.plain("Flatten", "loc_flat", "loc").plain("Flatten", "conf_flat", "conf")
        net.plain("PriorBox", "prior", "conv1 data", words="prior_box_param { min_size: 4 }")
        return net.layer(loss) if loss else net

    loss = (
        'name: "loss" type: "MultiBoxLoss" bottom: "loc_flat" bottom: "conf_flat" bottom: "prior" '
        'bottom: "label" top: "loss" multibox_loss_param { num_classes: 2 } '
        "include { phase: TRAIN }"
    )
    resize = "resize_param { prob: 1 resize_mode: WARP height: 8 width: 8 }"
    words = f"transform_param {{ mean_value: [1, 2, 3] {resize} }} {SOURCE}"
    train = detector(data_layer("TRAIN", "AnnotatedData", words), loss)
    before, after = run(train, detector(fed("data", 1, 3, 8, 8)))
    assert set(after) == {"loc_flat", "conf_flat", "prior"}
    for name, array in after.items():
        close(before[name], array)
