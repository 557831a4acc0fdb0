"""`verify` compares a training definition in phase TEST with what was made of it."""

from __future__ import annotations

import pytest

import bnfold
from bnfold import BnfoldError, VerifyOptions
from bnfold.caffemodel import schema
from tests.deploying.training import (
    body,
    classification,
    data_layer,
    deployed,
    network,
)


@pytest.fixture
def check(pycaffe):
    def check(report, **options):
        return bnfold.verify(
            report.model,
            report.weights,
            folded_model=report.output_model,
            folded_weights=report.output_weights,
            options=VerifyOptions(runtime="pycaffe", layers=True, random=2, **options),
        )

    return check


@pytest.mark.parametrize("merge", [False, True])
def test_a_deploy_definition_is_held_against_the_training_definition(tmp_path, check, merge):
    report, _ = deployed(tmp_path, classification(), merge=merge)
    found = check(report)
    assert found.passed
    assert [one.pair.name for one in found.outputs] == ["prob"]
    assert [one.pair.name for one in found.scores] == ["fc"]
    assert found.model == report.model
    (note,) = found.notes
    assert note.startswith(f"{report.model}: a training definition")


def test_the_deploy_definition_tells_how_large_the_inputs_are(tmp_path, check):
    model = body(network(data_layer(kind="Python", words="")))
    report, _ = deployed(tmp_path, model, inputs={"data": (2, 3, 9, 11)}, merge=True)
    assert check(report).passed


def test_a_definition_for_training_alone_is_held_against_what_test_means(tmp_path, check):
    net = network(data_layer("TRAIN")).conv("conv", "data", 4)
    net.batch_norm("bn", "conv", words="use_global_stats: false")
    report, _ = deployed(tmp_path, net, merge=True)
    assert check(report).passed


def test_weights_that_were_changed_are_found(tmp_path, check):
    report, _ = deployed(tmp_path, classification(), merge=True)
    weights = schema.message("NetParameter").FromString(report.output_weights.read_bytes())
    weights.layer[0].blobs[0].data[0] += 0.1
    report.output_weights.write_bytes(weights.SerializeToString())
    found = check(report)
    assert not found.passed
    assert found.parted is not None
    assert found.parted.pair.layer == "conv1"


def test_a_merge_of_a_training_definition_can_be_verified(tmp_path, pycaffe):
    model, weights = classification().save(tmp_path)
    options = VerifyOptions(runtime="pycaffe")
    report = bnfold.merge(model, weights, verify=options)
    assert report.verification.passed
    assert 'type: "Data"' in report.output_model.read_text()


def test_inputs_that_neither_tells_are_asked_for(tmp_path):
    model, weights = body(network(data_layer(kind="Python", words=""))).save(tmp_path)
    bnfold.merge(model, weights)
    with pytest.raises(BnfoldError, match="does not tell how large 'data' is") as caught:
        bnfold.verify(model, weights)
    assert "make deploy definitions first" in str(caught.value)
